"""Frozen speech encoders: from waveforms to frames."""

from auralign.models.encoders.encoder import SpeechEncoder
from auralign.models.encoders.load import LOADERS, load_encoder
from auralign.models.encoders.wav2vec2 import Wav2Vec2Encoder, load_wav2vec2
from auralign.models.encoders.whisper import WhisperEncoder, load_whisper

__all__ = [
    "LOADERS",
    "SpeechEncoder",
    "Wav2Vec2Encoder",
    "WhisperEncoder",
    "load_encoder",
    "load_wav2vec2",
    "load_whisper",
]
