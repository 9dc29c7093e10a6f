"""A tiny Whisper of the real class in the real format, for tests without a network: random weights, a real tokenizer."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from auralign.files import PathLike, make_readable
from auralign.testing.tiny.llm import TEXT

if TYPE_CHECKING:
    from transformers import WhisperTokenizer

# Whisper's, with three of its languages.
WHISPER_TOKENS = (
    "<|endoftext|>",
    "<|startoftranscript|>",
    "<|en|>",
    "<|de|>",
    "<|zh|>",
    "<|translate|>",
    "<|transcribe|>",
    "<|notimestamps|>",
)


def make_tiny_whisper(folder: PathLike, *, seed: int = 0, width: int = 16, decoder: bool = False) -> Path:
    """Save a random Whisper of two encoder layers, with its feature extractor.

    Arguments
    ---------
    folder : str or Path
        The folder to write.
    seed : int
        Seed of the weights.
    width : int
        Width D of the hidden states.
    decoder : bool
        Whether it can transcribe: it then has a tokenizer, and a generation config as a downloaded multilingual one has.
    """
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperModel,
    )

    tokenizer = make_whisper_tokenizer() if decoder else None
    special: dict[str, Any] = {
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 1,
    }
    if tokenizer is not None:
        ids = {token: tokenizer.convert_tokens_to_ids(token) for token in WHISPER_TOKENS}
        end, start = ids["<|endoftext|>"], ids["<|startoftranscript|>"]
        special = {
            "pad_token_id": end,
            "bos_token_id": end,
            "eos_token_id": end,
            "decoder_start_token_id": start,
        }
    config = WhisperConfig(
        vocab_size=64 if tokenizer is None else len(tokenizer),
        d_model=width,
        encoder_layers=2,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=2 * width,
        decoder_ffn_dim=2 * width,
        max_target_positions=40 if decoder else 448,
        init_std=0.5 if decoder else 0.02,  # decided enough to say more than one word
        **special,
    )
    torch.manual_seed(seed)
    model = (WhisperForConditionalGeneration if decoder else WhisperModel)(config)
    if tokenizer is not None:
        model.generation_config = GenerationConfig(
            **special,
            max_length=config.max_target_positions,
            is_multilingual=True,
            lang_to_id={token: ids[token] for token in ("<|en|>", "<|de|>", "<|zh|>")},
            task_to_id={task: ids[f"<|{task}|>"] for task in ("translate", "transcribe")},
            no_timestamps_token_id=ids["<|notimestamps|>"],
            suppress_tokens=[number for token, number in ids.items() if token != "<|endoftext|>"],
            begin_suppress_tokens=[tokenizer.convert_tokens_to_ids("Ġ"), end],
            alignment_heads=[[0, 0], [0, 1]],
        )
        tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)
    make_readable(folder)
    return Path(folder)


def make_whisper_tokenizer() -> "WhisperTokenizer":
    """Whisper's byte-level BPE tokenizer that knows a few words, with its special tokens."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import WhisperTokenizer

    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=400, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    trained.train_from_iterator([TEXT] * 5, trainer)
    learned = json.loads(trained.to_str())["model"]
    tokenizer = WhisperTokenizer(
        vocab=learned["vocab"],
        merges=[tuple(pair) for pair in learned["merges"]],
        pad_token=WHISPER_TOKENS[0],
    )
    tokenizer.add_special_tokens({"additional_special_tokens": list(WHISPER_TOKENS[1:])})
    return tokenizer
