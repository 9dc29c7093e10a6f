"""Tiny models of the real classes in the real format, for tests without a network: random weights, real tokenizers.

make_tiny_llm("folder", kind="qwen2")          # then load_llm("folder") as any other
"""

from pathlib import Path

import numpy as np
import torch

CHATML = (
    "{%- for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{%- if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# Qwen2.5's habit: a default system prompt where none is given.
CHATML_WITH_DEFAULT = (
    "{%- if messages[0]['role'] != 'system' %}<|im_start|>system\nYou are helpful.<|im_end|>\n{% endif %}"
    + CHATML
)
SPECIAL_TOKENS = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
TEXT = (
    "system user assistant you said three five nine please repeat the above words and sort them again i heard"
)


def make_tiny_llm(
    folder, *, kind: str = "llama", chat_template: str = CHATML, seed: int = 0, width: int = 32
) -> Path:
    """Save a random causal LLM of two layers with a ChatML template and a byte-level BPE tokenizer.

    Arguments
    ---------
    folder : str or Path
        Where to save it.
    kind : str
        "llama" or "qwen2".
    chat_template : str
    seed : int
        Of the weights.
    width : int
        D.
    """
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    classes = {"llama": (LlamaConfig, LlamaForCausalLM), "qwen2": (Qwen2Config, Qwen2ForCausalLM)}
    if kind not in classes:
        raise ValueError(f"kind {kind!r}: use {', '.join(classes)}")
    tokenizer = make_tokenizer(chat_template)
    config_class, model_class = classes[kind]
    config = config_class(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        initializer_range=0.2,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    torch.manual_seed(seed)
    model_class(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Path(folder)


def make_tokenizer(chat_template: str = CHATML):
    """A byte-level BPE tokenizer that knows a few words."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=list(SPECIAL_TOKENS),
    )
    tokenizer.train_from_iterator([TEXT] * 5, trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"],
    )
    wrapped.chat_template = chat_template
    return wrapped


def make_tiny_whisper(folder, *, seed: int = 0, width: int = 16) -> Path:
    """Save a random Whisper of two encoder layers, with its feature extractor."""
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

    config = WhisperConfig(
        vocab_size=64,
        d_model=width,
        encoder_layers=2,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=2 * width,
        decoder_ffn_dim=2 * width,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    torch.manual_seed(seed)
    WhisperModel(config).save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)
    return Path(folder)


def make_speech(seconds: float, *, seed: int = 0, sample_rate: int = 16_000) -> np.ndarray:
    """Samples (num_samples,) of a tone that wanders: enough structure for shapes and masks, no words."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    wander = np.cumsum(rng.normal(0, 0.02, len(time)))
    return (0.3 * np.sin(2 * np.pi * rng.uniform(100, 300) * time + wander)).astype(np.float32)
