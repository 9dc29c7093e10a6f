"""Corpora and models to measure with: lengths like those of known corpora, audio of noise, random weights of real classes.

Nothing here is trained or heard: speed depends on lengths and shapes, not on what is said.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np

from auralign.records import Records, Utterance, write_records

LIBRISPEECH, COMMON_VOICE = "LibriSpeech", "Common Voice"
CORPORA = (LIBRISPEECH, COMMON_VOICE)
SAMPLE_RATE = 16_000
WORDS_PER_SECOND = 2.7
WORDS = tuple(
    first + second + last
    for first in ("ba", "de", "ki", "lo", "mu", "sa", "te")
    for second in ("", "ri", "no", "va", "shu")
    for last in ("", "n", "st", "r", "l", "p", "ng")
)
MEAN_RESPONSE = {LIBRISPEECH: 80, COMMON_VOICE: 50}  # tokens


@dataclass(frozen=True)
class Size:
    """Of an LLM and a Whisper encoder: vocabulary, width, layers, and inner width of the LLM; width and layers of the encoder."""

    vocabulary: int
    width: int
    layers: int
    inner: int
    heads: int
    key_heads: int
    encoder_width: int
    encoder_layers: int
    mel_bands: int = 80


SIZES = {
    "tiny": Size(8_000, 256, 4, 1_408, 8, 2, 128, 2),
    "small": Size(32_000, 512, 8, 2_816, 8, 2, 384, 4),  # the encoder of Whisper tiny
    "7b-random": Size(152_064, 3_584, 28, 18_944, 28, 4, 1_280, 32, 128),  # Qwen2.5-7B, Whisper large-v3
}


def draw_seconds(name: str, number: int, *, seed: int = 3) -> np.ndarray:
    """Durations (number,) in seconds like those of a corpus of `CORPORA`."""
    random = np.random.default_rng(seed)
    if name == LIBRISPEECH:  # its training sets: mostly 12 to 16 s, with a tail of shorter ones
        long, short = np.clip(random.normal(14.2, 1.3, number), 8, 17), random.uniform(2, 13, number)
        return np.where(random.random(number) < 0.72, long, short)
    return np.clip(random.lognormal(np.log(5.0), 0.35, number), 1.2, 20)


def draw_responses(name: str, number: int, *, seed: int = 4) -> np.ndarray:
    """Tokens (number,) of responses, with a long tail, as LLMs give them."""
    random = np.random.default_rng(seed)
    return np.clip(random.lognormal(np.log(MEAN_RESPONSE[name]), 0.5, number), 8, 256).astype(int)


def draw_words(random: Random, number: int) -> str:
    """A text of so many words, of which few are frequent."""
    return " ".join(WORDS[int(len(WORDS) * random.random() ** 3)] for _ in range(number))


def utterances(seconds: np.ndarray, *, seed: int = 5) -> Iterator[Utterance]:
    """Utterances of these durations, with texts."""
    random = Random(seed)
    for number, length in enumerate(seconds.tolist()):
        yield Utterance(
            id=f"{1000 + number // 500}-{number // 50:06}-{number:07}",
            audio=f"audio/{number:07}.flac",
            seconds=round(length * SAMPLE_RATE) / SAMPLE_RATE,
            text=draw_words(random, max(2, int(WORDS_PER_SECOND * length))),
            speaker=str(1000 + number // 500),
            audio_hash="0 bytes",
        )


def make_corpus(folder: Path, name: str, number: int) -> Records:
    """A manifest with its audio, `train.jsonl` in a folder; what is there already is taken."""
    import soundfile

    if (folder / "train.jsonl").is_file():
        return Records(folder / "train.jsonl", Utterance)
    (folder / "audio").mkdir(parents=True)
    made = list(utterances(draw_seconds(name, number)))
    random = np.random.default_rng(6)
    for one in made:
        noise = random.normal(0, 0.05, round(one.seconds * SAMPLE_RATE))
        noise *= 1 + np.sin(np.arange(len(noise)) / 2_000)  # as loud and soft as speech
        soundfile.write(folder / one.audio, noise.astype(np.float32), SAMPLE_RATE)
    write_records(folder / "train.jsonl", made, kind=Utterance)
    return Records(folder / "train.jsonl", Utterance)


def make_llm(folder: Path, size: Size, *, vocabulary: int | None = None, dtype: str = "float32") -> Path:
    """A Qwen2 with random weights and a tokenizer that knows the texts."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from auralign.testing.tiny.llm import make_tokenizer

    random = Random(7)
    texts = [draw_words(random, 200) for _ in range(50)]
    tokenizer = make_tokenizer(kind="qwen2", texts=texts, vocab_size=4_000)
    config = Qwen2Config(
        vocab_size=vocabulary or size.vocabulary,
        hidden_size=size.width,
        intermediate_size=size.inner,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.key_heads,
        max_position_embeddings=4_096,
        tie_word_embeddings=size.width < SIZES["7b-random"].width,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    Qwen2ForCausalLM(config).to(getattr(torch, dtype)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_whisper(folder: Path, size: Size) -> Path:
    """A Whisper with random weights, whose decoder is one small layer."""
    import torch
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

    width = size.encoder_width
    heads = width // 64
    config = WhisperConfig(
        d_model=width,
        encoder_layers=size.encoder_layers,
        decoder_layers=1,
        encoder_attention_heads=heads,
        decoder_attention_heads=heads,
        encoder_ffn_dim=4 * width,
        decoder_ffn_dim=64,
        num_mel_bins=size.mel_bands,
        vocab_size=64,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    torch.manual_seed(0)
    WhisperModel(config).save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=size.mel_bands).save_pretrained(folder)
    return folder
