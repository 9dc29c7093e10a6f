"""Tokenizers changed for text in a prompt.

They put no space before it, as sentencepiece and some byte-level tokenizers do, or read none of the added tokens in it.
"""

import json
from collections.abc import Collection
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
    backend = tokenizer.backend_tokenizer
    if not any(
        name in repr(part) for part in (backend.normalizer, backend.pre_tokenizer) for name in PREFIXING
    ):
        return tokenizer
    state = json.loads(backend.to_str())
    changed = {name: _drop_prefix(state[name]) for name in ("normalizer", "pre_tokenizer")}
    if all(state[name] == part for name, part in changed.items()):
        return tokenizer
    return _tokenizer_of({**state, **changed})


def with_special(tokenizer: Any, ids: Collection[int]) -> Any:
    """A fast tokenizer, changed to count the added tokens of `ids` as special, so that `split_special_tokens` splits them."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    added = [{**token, "special": token["special"] or token["id"] in ids} for token in state["added_tokens"]]
    return _tokenizer_of({**state, "added_tokens": added})


def _tokenizer_of(state: dict) -> Any:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(state)))


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
