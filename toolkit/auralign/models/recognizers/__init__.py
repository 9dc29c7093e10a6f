"""Recognizers, which read transcripts off an encoder's frames: for the matched cascade, alignment and word times."""

from auralign.models.recognizers.alignment import forced_align, locate_units
from auralign.models.recognizers.chunks import ChunkRule
from auralign.models.recognizers.ctc import CTCRecognizer, load_ctc, load_wav2vec2_ctc
from auralign.models.recognizers.guards import Guards
from auralign.models.recognizers.units import Characters, Words
from auralign.models.recognizers.whisper_decoder import WhisperRecognizer
from auralign.models.recognizers.whisper_loading import load_whisper_decoder, load_whisper_recognizer

__all__ = [
    "CTCRecognizer",
    "Characters",
    "ChunkRule",
    "Guards",
    "WhisperRecognizer",
    "Words",
    "forced_align",
    "load_ctc",
    "load_wav2vec2_ctc",
    "load_whisper_decoder",
    "load_whisper_recognizer",
    "locate_units",
]
