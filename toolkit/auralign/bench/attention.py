"""`auralign bench attention`: attention to a pack as one square or sequence by sequence, and what of a step is padding.

Counters hold on any machine. Times are CPU seconds of forward and backward through a frozen Qwen2 with random weights, both
ways in turn. A way whose gate fails is void:

* In fp32 the gradients of both ways differ by at most 1e-4 of their norm.
* In bf16 they differ by more, as two orders of adding round differently, and neither is right. The gate compares each with the
  gradient in fp32 of the same weights: the way that ships may be at most twice as far from it as the square. That is the bound
  of FlashAttention's own tests (tests/test_flash_attn.py of Dao-AILab/flash-attention).
"""

import statistics
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

from auralign.bench import Row, Settings, against_bar
from auralign.bench.corpus import COMMON_VOICE, CORPORA, LIBRISPEECH, draw_responses, draw_seconds
from auralign.data.batching import epoch_steps, pack
from auralign.data.live_frames import batches_of_similar
from auralign.models.llm.attention import follow, sequence_by_sequence, unread_mask

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TOKENS_PER_STEP, TOKENS_PER_PACK = 7_710, 2_048  # of the recipe of LibriSpeech
STRIDE_HZ = 6.25  # speech embeddings a second
NUM_STEPS = 60
PADDING_BARS = {LIBRISPEECH: 8.0, COMMON_VOICE: 9.0}  # per cent of audio
FP32_GATE, BF16_GATE = 1e-4, 2.0
WIDTH, INNER, LAYERS, HEADS, KEY_HEADS = 256, 704, 6, 8, 2
SQUARE, SEQUENCES = "square", "sequences"


def measure(settings: Settings) -> Iterator[Row]:
    """The counters of two corpora, then gates and times of the two ways."""
    for name in CORPORA:
        yield describe_padding(name, *draw_corpus(name))
    model, sizes = make_decoder(), _pack_sizes()
    gates, void = check_gates(model, sizes)
    seconds: dict[str, list[float]] = {SQUARE: [], SEQUENCES: []}
    for _ in range(settings.repeats):
        for way, found in seconds.items():
            start = time.process_time()
            gradient(model, sizes, way)
            found.append(time.process_time() - start)
    ratios = [one / other for one, other in zip(*seconds.values(), strict=True)]
    yield Row(
        f"a pack of {sum(sizes):,} positions, {len(sizes)} sequences, attended to sequence by sequence against one square, "
        "forward and backward",
        f"{statistics.median(ratios):.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f}, {settings.repeats} runs): "
        f"{statistics.median(seconds[SEQUENCES]):.2f} CPU s; {gates}",
        void=void,
    )


def draw_corpus(name: str, *, number: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Seconds (number,) of clips like those of a corpus, and positions (number,) of their examples."""
    seconds = draw_seconds(name, number)
    return seconds, (seconds * STRIDE_HZ + 11 + draw_responses(name, number)).astype(int)


def describe_padding(name: str, seconds: np.ndarray, lengths: np.ndarray) -> Row:
    """Shares of padding in the encoder's input, and pairs of positions that attention computes, over the needed ones."""
    steps = epoch_steps(lengths, tokens_per_step=TOKENS_PER_STEP, seed=1, epoch=0)[:NUM_STEPS]
    used = by_pack = by_step = needed = square = 0.0
    for step in steps:
        for rows in pack(lengths[step], max_tokens=TOKENS_PER_PACK):
            clips, sizes = seconds[step[rows]], lengths[step[rows]].astype(float)
            used += clips.sum()
            by_pack += clips.max() * len(clips)
            needed += (sizes**2).sum()
            square += sizes.sum() ** 2
        batches = batches_of_similar(dict(enumerate(seconds[step].tolist())))
        by_step += sum(max(seconds[step][rows]) * len(rows) for rows in batches)
    return Row(
        f"counters of steps of {TOKENS_PER_STEP:,} positions in packs of {TOKENS_PER_PACK:,}, lengths like {name}",
        f"audio that is padding {1 - used / by_step:.1%} (a pack at once: {1 - used / by_pack:.1%}); attention pairs computed "
        f"over needed 1.0 (square: {square / needed:.1f})",
        against_bar(100 * (1 - used / by_step), PADDING_BARS[name], at_most=True),
    )


def _pack_sizes() -> tuple[int, ...]:
    """The sizes of the sequences of one pack of LibriSpeech's lengths."""
    _, lengths = draw_corpus(LIBRISPEECH, number=32)
    return tuple(int(lengths[row]) for row in pack(lengths, max_tokens=TOKENS_PER_PACK)[0])


def make_decoder() -> "PreTrainedModel":
    """A frozen decoder of Qwen2 with random weights, which attends in both ways."""
    from transformers import Qwen2Config, Qwen2Model

    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=64,
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KEY_HEADS,
    )
    return follow_pack(Qwen2Model(config))


def follow_pack(decoder: "PreTrainedModel") -> "PreTrainedModel":
    """Freeze a decoder and let it attend sequence by sequence where it is told to."""
    decoder.eval().requires_grad_(False)
    follow(decoder, decoder.config)
    return decoder


def gradient(decoder: "PreTrainedModel", sizes: tuple[int, ...], way: str) -> torch.Tensor:
    """The gradient (N, D) of a fixed function of the last hidden states of a pack, by its embeddings."""
    embeddings, weights = _fixed(decoder, sum(sizes))
    options = {
        "inputs_embeds": embeddings[None].to(decoder.dtype),
        "position_ids": torch.cat([torch.arange(size) for size in sizes])[None],
        "use_cache": False,
    }
    if way == SQUARE:
        states = decoder(**options).last_hidden_state
    else:
        with sequence_by_sequence(sizes, embeddings.device):
            states = decoder(
                attention_mask=unread_mask(sum(sizes), embeddings.device), **options
            ).last_hidden_state
    (found,) = torch.autograd.grad((states[0].float() * weights).sum(), embeddings)
    return found


def _fixed(decoder: "PreTrainedModel", num_positions: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings (N, D) with a gradient, the same for all types, and the weights (N, D) of the function."""
    generator = torch.Generator().manual_seed(1)
    width = decoder.config.hidden_size
    embeddings, weights = torch.randn(2, num_positions, width, generator=generator)
    # Of the size of token embeddings, and without more digits than bf16 has.
    embeddings = (0.02 * embeddings).to(torch.bfloat16).float()
    return embeddings.requires_grad_(), weights


def distance(found: torch.Tensor, reference: torch.Tensor) -> float:
    """The norm of a difference over that of the reference."""
    return float((found - reference).norm() / reference.norm())


def _store(decoder: "PreTrainedModel", dtype: torch.dtype) -> None:
    """Keep the weights in a type; the angles of rotary positions stay in fp32, as they do when a folder is loaded."""
    for parameter in decoder.parameters():
        parameter.data = parameter.data.to(dtype)


def check_gates(decoder: "PreTrainedModel", sizes: tuple[int, ...]) -> tuple[str, str]:
    """The distances of both gates in words, and which of them fails ("" if none does)."""
    ways = (SQUARE, SEQUENCES)
    exact = {way: gradient(decoder, sizes, way) for way in ways}
    apart = distance(exact[SEQUENCES], exact[SQUARE])
    _store(decoder, torch.bfloat16)
    coarse = {way: gradient(decoder, sizes, way) for way in ways}
    _store(decoder, torch.float32)
    reference = gradient(decoder, sizes, SQUARE)  # of the weights as bf16 has them
    errors = {way: distance(found, reference) for way, found in coarse.items()}
    between = distance(coarse[SEQUENCES], coarse[SQUARE])
    said = (
        f"gradients of the two ways differ by {apart:.1e} of their norm in fp32, and in bf16 by {between:.1e}; "
        f"from fp32, bf16 differs by {errors[SQUARE]:.1e} (square) and {errors[SEQUENCES]:.1e} (sequence by sequence)"
    )
    if apart > FP32_GATE or errors[SEQUENCES] > BF16_GATE * errors[SQUARE]:
        return (
            said,
            f"a gate fails, at most {FP32_GATE:g} in fp32 and {BF16_GATE:g} times the square's distance in bf16",
        )
    return said, ""
