"""Tiny models of the real classes in the real format, for tests without a network: random weights, real tokenizers.

make_tiny_llm("folder", kind="qwen2")          # then load_llm("folder") as any other
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from auralign.files import PathLike, make_readable

if TYPE_CHECKING:
    import transformers

# Templates in the shape of well-known ones; the wording is ours.
CHATML = (
    "{%- for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{%- if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# Qwen2.5's habit: a default system prompt if none is given.
CHATML_WITH_DEFAULT = (
    "{%- if messages[0]['role'] != 'system' %}<|im_start|>system\nYou are helpful.<|im_end|>\n{% endif %}"
    + CHATML
)
# Qwen3's: thinking is on by default; enable_thinking=False puts an empty thought into the prompt.
CHATML_WITH_THINKING = (
    CHATML.removesuffix("{% endif %}")
    + "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
LLAMA_3 = (
    "{{ bos_token }}{%- for message in messages %}<|start_header_id|>{{ message['role'] }}<|end_header_id|>\n\n"
    "{{ message['content'] | trim }}<|eot_id|>{% endfor %}"
    "{%- if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{%- for message in messages %}"
    "{%- if message['role'] == 'system' %}{% set before = message['content'] + '\n\n' %}[INST] {{ before }}"
    "{%- elif message['role'] == 'user' %}{% if loop.first %}[INST] {% endif %}{{ message['content'] }} [/INST]"
    "{%- else %} {{ message['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
)
GEMMA = (
    "{{ bos_token }}{%- if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "{%- for message in messages %}<start_of_turn>{{ 'model' if message['role'] == 'assistant' else message['role'] }}\n"
    "{{ message['content'] | trim }}<end_of_turn>\n{% endfor %}"
    "{%- if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
PHI_3 = (
    "{%- for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] }}<|end|>\n{% endfor %}"
    "{%- if add_generation_prompt %}<|assistant|>\n{% else %}{{ eos_token }}{% endif %}"
)


@dataclass(frozen=True)
class Kind:
    """A family of LLMs: the name of its classes in transformers, its chat template, its special tokens, and what its config has
    beside or instead of what is common."""

    classes: str
    chat_template: str
    special: tuple[str, ...] = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
    end: str = "<|im_end|>"
    begin: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)


KINDS = {
    "llama": Kind("Llama", CHATML),
    "llama3": Kind(
        "Llama",
        LLAMA_3,
        ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|end_of_text|>"),
        end="<|eot_id|>",
        begin="<|begin_of_text|>",
    ),
    "qwen2": Kind("Qwen2", CHATML),
    "qwen3": Kind("Qwen3", CHATML_WITH_THINKING),
    "mistral": Kind("Mistral", MISTRAL, ("<s>", "</s>", "<pad>"), end="</s>", begin="<s>"),
    "gemma2": Kind(
        "Gemma2", GEMMA, ("<bos>", "<start_of_turn>", "<end_of_turn>", "<eos>"), end="<eos>", begin="<bos>"
    ),
    "phi3": Kind(
        "Phi3",
        PHI_3,
        ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|endoftext|>"),
        end="<|endoftext|>",
    ),
}
LINEAR = {
    "layer_types": ["linear_attention", "full_attention"],
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
MAMBA = {
    "mamba_d_ssm": 64,
    "mamba_n_heads": 4,
    "mamba_d_head": 16,
    "mamba_n_groups": 1,
    "mamba_d_state": 16,
    "mamba_chunk_size": 8,
    "lm_head_multiplier": 0.5,
}
SINKS = {
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "layer_types": ["sliding_attention", "full_attention"],
}
# The first 64 positions of 256 are rotated by other factors than longer sequences.
LONG_ROPE = {
    "original_max_position_embeddings": 64,
    "rope_parameters": {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "original_max_position_embeddings": 64,
        "short_factor": [1.0, 1.1, 1.3, 1.7],
        "long_factor": [1.5, 3.0, 5.0, 9.0],
    },
}
# Families that keep sequences apart in some ways alone, or not at all; see `auralign.models.llm.sharing`.
UNUSUAL = {
    "qwen3_5": Kind("Qwen3_5", CHATML_WITH_THINKING, config=LINEAR),
    "lfm2": Kind("Lfm2", CHATML, config={"layer_types": ["conv", "full_attention"]}),
    "gpt_oss": Kind("GptOss", CHATML, config=SINKS),
    "falcon_h1": Kind("FalconH1", CHATML, config=MAMBA),
    "minimax": Kind("MiniMax", CHATML, config={**LINEAR, "num_local_experts": 2, "block_size": 8}),
    "mamba": Kind("Mamba", CHATML, config={"state_size": 8, "time_step_rank": 4}),
    "bloom": Kind("Bloom", CHATML),
    "phi3_long": replace(KINDS["phi3"], config=LONG_ROPE),
}
TEXT = (
    "system user assistant you said three five nine please repeat the above words and sort them again i heard"
)


def make_tiny_llm(
    folder: PathLike, *, kind: str = "llama", chat_template: str | None = None, seed: int = 0, width: int = 32
) -> Path:
    """Save a random causal LLM of two layers with a byte-level BPE tokenizer and the chat template of its kind.

    Arguments
    ---------
    folder : str or Path
        The folder to write.
    kind : str
        A name in `KINDS` or `UNUSUAL`. "llama" has a ChatML template, "llama3" Llama 3's.
    chat_template : str, optional
        A template to use instead of the kind's own.
    seed : int
        Seed of the weights.
    width : int
        Width D of the hidden states.
    """
    import transformers

    known = {**KINDS, **UNUSUAL}
    if kind not in known:
        raise ValueError(f"kind {kind!r}: use {', '.join(known)}")
    tokenizer = make_tokenizer(chat_template, kind=kind)
    common = {
        "vocab_size": len(tokenizer),
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": width // 4,
        "max_position_embeddings": 256,
        "tie_word_embeddings": True,
        "initializer_range": 0.2,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    make = getattr(transformers, f"{known[kind].classes}ForCausalLM")
    config = make.config_class(**{**common, **known[kind].config})
    torch.manual_seed(seed)
    make(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    make_readable(folder)
    return Path(folder)


def make_tokenizer(
    chat_template: str | None = None,
    *,
    kind: str = "llama",
    texts: Sequence[str] = (TEXT,) * 5,
    vocab_size: int = 400,
) -> "transformers.PreTrainedTokenizerFast":
    """A byte-level BPE tokenizer that knows the words of some texts, with the special tokens and the chat template of a kind of
    LLM."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    its = {**KINDS, **UNUSUAL}[kind]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=list(its.special),
    )
    tokenizer.train_from_iterator(texts, trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=its.begin,
        eos_token=its.end,
        pad_token=its.special[-1],
        additional_special_tokens=[token for token in its.special if token not in (its.begin, its.end)],
    )
    wrapped.chat_template = chat_template or its.chat_template
    return wrapped
