"""Attend to a pack sequence by sequence, instead of to one square of all its positions.

    follow(decoder, config)              # once, after loading
    with sequence_by_sequence(sizes, device):
        decoder(inputs_embeds=..., position_ids=..., attention_mask=unread_mask(...), use_cache=False)

A pack needs the U x U pairs of each of its sequences; the square of the pack computes all N x N pairs, and drops most of them.

Families of transformers that can run with FlashAttention, which reads no mask, name in the call of their attention function what
differs between layers: window, scale, soft-cap of the logits, attention sinks. The function here takes these from the call, too.
transformers chooses the function by a value in the config that all layers share. That config is never changed: the attention
layers get a view of it, in which this one value is another one for as long as a pack is run. So generation, other threads and
code that reads or changes the config find what they always found.

Axes: N positions of a pack, U positions of one sequence, H heads, K key heads, D width of a head.
"""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache

import torch
from torch import nn
from torch.nn import functional as F

NAME = "auralign_sequence_by_sequence"
LAYER_TYPES = {"full_attention", "sliding_attention"}  # others read their mask, as of chunks
# Up to so many positions a CPU is faster in float32 (9 heads of 64, forward and backward, an Intel Xeon with amx_bf16: 0.75 ms
# against 1.84 in bf16 for 60 positions, 2.5 against 4.8 for 150, 7.3 against 7.2 for 300).
SHORT = 256


@dataclass(frozen=True)
class Sequences:
    """The sequences of a pack.

    Arguments
    ---------
    sizes : tuple of int
        Positions of each.
    starts : torch.Tensor, optional
        (num_sequences + 1,) of int32, on a GPU: where each begins, and where the last ends.
    """

    sizes: tuple[int, ...]
    starts: torch.Tensor | None


_current: ContextVar[Sequences | None] = ContextVar("auralign_sequences", default=None)


def names_what_differs(model) -> bool:
    """Whether the attention layers of a model of transformers name everything but causality in the call of their function."""
    config = model.config.get_text_config(decoder=True)
    kinds = set(getattr(config, "layer_types", None) or ())
    return (
        getattr(model, "_supports_flash_attn", False)
        and getattr(model, "_supports_attention_backend", False)
        and kinds <= LAYER_TYPES
        and getattr(config, "attention_chunk_size", None) is None
    )


def follow(decoder: nn.Module, config) -> None:
    """Let the layers of a decoder, whose config this is, obey `sequence_by_sequence`."""
    from transformers import AttentionInterface, PreTrainedModel

    AttentionInterface.register(NAME, _attend)
    view = object.__new__(_following(type(config)))
    view.__dict__ = config.__dict__  # one dict: a value that is changed in one is changed in the other
    for module in decoder.modules():
        if getattr(module, "config", None) is config and not isinstance(module, PreTrainedModel):
            module.config = view


@cache
def _following(kind: type) -> type:
    """A class of configs whose attention function is `_attend` as long as a pack is run."""
    usual = kind._attn_implementation

    def chosen(config) -> str | None:
        return usual.fget(config) if _current.get() is None else NAME

    return type(kind.__name__, (kind,), {"_attn_implementation": property(chosen, usual.fset)})


@contextlib.contextmanager
def sequence_by_sequence(sizes: tuple[int, ...], device: torch.device) -> Iterator[None]:
    """Context manager: a decoder that was given to `follow` attends within sequences of these sizes, which lie end to end."""
    token = _current.set(Sequences(sizes, _starts(sizes, device)))
    try:
        yield
    finally:
        _current.reset(token)


def _starts(sizes: tuple[int, ...], device: torch.device) -> torch.Tensor | None:
    if device.type != "cuda":
        return None
    starts = torch.tensor([0, *sizes], dtype=torch.int32).cumsum(0, dtype=torch.int32)
    return starts.pin_memory().to(device, non_blocking=True)


def unread_mask(num_positions: int, device: torch.device) -> torch.Tensor:
    """A mask (1, 1, N, N) that takes no memory, for a decoder within `sequence_by_sequence`: given one, it makes none."""
    return torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device).expand(1, 1, num_positions, num_positions)


def _attend(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    is_causal: bool | None = None,
    position_ids: torch.Tensor | None = None,
    **options,
) -> tuple[torch.Tensor, None]:
    """Attention function of transformers: query (1, H, N, D), key and value (1, K, N, D) to (1, N, H, D).

    Raises ValueError if the layer asks for what is not known here; the probe then leaves the family its own function.
    """
    sequences = _current.get()
    unknown = [name for name, option in options.items() if isinstance(option, torch.Tensor)]
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    if sequences is None or unknown or not causal or dropout or query.shape[2] != sum(sequences.sizes):
        raise ValueError(f"attention of {type(module).__name__} is not causal alone: {', '.join(unknown)}")
    if sequences.starts is not None and softcap is None and s_aux is None:
        varlen = _varlen(query, value)
        if varlen is not None:
            return _attend_at_once(varlen, query, key, value, sequences, scaling, sliding_window)[None], None
    parts = []
    for one in zip(*(states.split(sequences.sizes, 2) for states in (query, key, value)), strict=True):
        if softcap is None and s_aux is None:
            parts.append(_attend_by_torch(*one, scaling, sliding_window))
        else:
            parts.append(_attend_by_hand(*one, scaling, sliding_window, softcap, s_aux))
    return torch.cat(parts, 2).transpose(1, 2).contiguous(), None


def _attend_by_torch(query, key, value, scaling, window) -> torch.Tensor:
    """Attention (1, H, U, D) of PyTorch."""
    num_positions, dtype = query.shape[2], query.dtype
    is_far = window is not None and num_positions > window
    upcasts = query.device.type == "cpu" and dtype != torch.float64 and num_positions <= SHORT
    with torch.autocast("cpu", enabled=False) if upcasts else contextlib.nullcontext():
        attended = F.scaled_dot_product_attention(
            *(states.float() if upcasts else states for states in (query, key, value)),
            attn_mask=_within(num_positions, window, query.device) if is_far else None,
            is_causal=not is_far,
            scale=scaling,
            enable_gqa=query.shape[1] != key.shape[1],
        )
    return attended.to(dtype)


def _within(num_positions: int, window: int | None, device: torch.device) -> torch.Tensor:
    """Which positions (U, U) each position reads: itself and those before it, `window` in all."""
    square = torch.ones(num_positions, num_positions, dtype=torch.bool, device=device).tril()
    return square if window is None else square.triu(1 - window)


def _attend_by_hand(query, key, value, scaling, window, softcap, sinks) -> torch.Tensor:
    """Attention (1, H, U, D) with a soft-cap (arXiv:2408.00118, section 2) or sinks: a logit per head without a value."""
    num_heads, num_positions, width = query.shape[1:]
    groups = num_heads // key.shape[1]
    key, value = (states.repeat_interleave(groups, 1) for states in (key, value))
    logits = (query @ key.transpose(2, 3)) * (width**-0.5 if scaling is None else scaling)
    if softcap is not None:
        logits = torch.tanh(logits / softcap) * softcap
    logits = logits.masked_fill(
        ~_within(num_positions, window, query.device), torch.finfo(logits.dtype).min
    ).float()
    if sinks is not None:
        sinks = sinks.reshape(1, -1, 1, 1).expand(1, num_heads, num_positions, 1)
        logits = torch.cat([logits, sinks.float()], 3)
    return logits.softmax(3)[..., :num_positions].to(query.dtype) @ value


def _varlen(query: torch.Tensor, value: torch.Tensor) -> Callable | None:
    """PyTorch's FlashAttention over sequences of several lengths; None if it does not take these types and widths."""
    if query.dtype not in (torch.float16, torch.bfloat16) or not query.shape[3] == value.shape[3] <= 256:
        return None
    from torch.nn.attention.varlen import varlen_attn

    return varlen_attn


def _attend_at_once(
    varlen: Callable, query, key, value, sequences: Sequences, scaling, window
) -> torch.Tensor:
    """Attention (N, H, D) of all sequences by one call."""
    longest = max(sequences.sizes)
    return varlen(
        *(states[0].transpose(0, 1) for states in (query, key, value)),
        sequences.starts,
        sequences.starts,
        longest,
        longest,
        scale=scaling,
        window_size=(-1 if window is None else window - 1, 0),
        enable_gqa=query.shape[1] != key.shape[1],
    )
