"""Frozen causal LLMs: loading, LoRA, hidden states, generation from embeddings."""

from auralign.models.llm.generation import Answer, Decoding
from auralign.models.llm.llm import LLM
from auralign.models.llm.load import load_llm
from auralign.models.llm.lora import ALL, SPEECH, lora_options
from auralign.models.llm.packs import INPUT, LAST
from auralign.models.llm.sampling import Sampling
from auralign.models.llm.sharing import Sharing

__all__ = [
    "ALL",
    "INPUT",
    "LAST",
    "LLM",
    "SPEECH",
    "Answer",
    "Decoding",
    "Sampling",
    "Sharing",
    "load_llm",
    "lora_options",
]
