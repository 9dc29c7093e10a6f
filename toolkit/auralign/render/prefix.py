"""Tokenizers without the space that sentencepiece, and some byte-level tokenizers, put before a text."""

import json
from typing import Any

SPACE = "▁"  # sentencepiece's letter for a space
PREFIXING = ("Prepend", "Metaspace", "ByteLevel")  # parts of a tokenizer that may put a space before a text


def is_sentencepiece(tokenizer: Any) -> bool:
    """Whether a fast tokenizer writes a word and the space before it as one token."""
    backend = tokenizer.backend_tokenizer
    return any(SPACE in repr(part) for part in (backend.normalizer, backend.pre_tokenizer))


def without_prefix(tokenizer: Any) -> Any:
    """The tokenizer, changed to put no space before a text; the same object if it puts none, or is not a fast tokenizer."""
    if not tokenizer.is_fast:
        return tokenizer
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    backend = tokenizer.backend_tokenizer
    if not any(
        name in repr(part) for part in (backend.normalizer, backend.pre_tokenizer) for name in PREFIXING
    ):
        return tokenizer
    state = json.loads(backend.to_str())
    changed = {name: _drop_prefix(state[name]) for name in ("normalizer", "pre_tokenizer")}
    if all(state[name] == part for name, part in changed.items()):
        return tokenizer
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps({**state, **changed})))


def _drop_prefix(part: dict | None) -> dict | None:
    """A normalizer or pre-tokenizer of a tokenizer.json, changed to put no space before a text."""
    if part is None or part["type"] == "Prepend":
        return None
    for parts in ("normalizers", "pretokenizers"):
        if parts in part:
            kept = [one for one in map(_drop_prefix, part[parts]) if one is not None]
            part = {**part, parts: kept}
    if part["type"] == "Metaspace":
        return {**part, "prepend_scheme": "never"}
    if part["type"] == "ByteLevel":
        return {**part, "add_prefix_space": False}
    return part
