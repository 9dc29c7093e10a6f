"""Checks of a connector: what it makes of an utterance whatever its batch mates are, and what training and checkpoints need.

Axes: B batch, T frames, U embeddings, D width.
"""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import torch
from safetensors.torch import load, save
from torch import nn

from auralign.models.connectors import Connector
from auralign.models.masks import is_within
from auralign.testing.checks.failure import Tried, fail

# In frames: of the others than the longest, all remainders by 2, 3, 4 and 5, as a convolution with a stride reads padding behind
# some lengths only.
LENGTHS = (61, 23, 40, 34, 17, 21)
NUM_TOKENS = (7, 1, 5, 4, 2, 3)
SHORT = (1, 2, 3, 5, 8, 13)
TOLERANCE = 1e-4  # of the largest value of an utterance alone: rounding is below it, padding that is read is far above
FILLING = 1e3  # a value of padding

Output = tuple[torch.Tensor, torch.Tensor, dict]


class Buildable(Tried, Protocol):
    """A connector under test; see `auralign.testing.checks.parts.TriedConnector`."""

    widths: tuple[int, int]

    def build(self, seed: int = 0) -> Connector:
        """A new connector in eval mode."""


def check_output(part: Buildable) -> None:
    """The model puts the embeddings among those of the LLM's tokens: their width is the LLM's, their lengths say how many of the
    padded ones belong to an utterance, and a loss reads one row of extras for each utterance."""
    frames, lengths = make_frames(part)
    found = part.build()(frames, lengths, None)
    if not isinstance(found, tuple) or len(found) != 3 or not isinstance(found[2], dict):
        fail(part, f"its forward returns {_kinds(found)}", "return embeddings, lengths and a dict of extras")
    embeddings, sizes, extras = found
    expected = (len(LENGTHS), part.widths[1])
    if embeddings.ndim != 3 or (embeddings.shape[0], embeddings.shape[2]) != expected:
        fail(
            part,
            f"its embeddings have the shape {tuple(embeddings.shape)} for {len(LENGTHS)} utterances",
            f"return (B, U, D) with the width D of the LLM, the second argument of its constructor, here {part.widths[1]}",
        )
    if embeddings.dtype != frames.dtype:
        fail(
            part,
            f"frames of {frames.dtype} become embeddings of {embeddings.dtype}",
            "keep the type of the frames",
        )
    if sizes.shape != (len(LENGTHS),) or sizes.is_floating_point():
        fail(
            part,
            f"its lengths have the shape {tuple(sizes.shape)} and the type {sizes.dtype}",
            "return (B,) integers, the number of embeddings of each utterance",
        )
    for length, size in zip(LENGTHS, sizes.tolist(), strict=True):
        if not 0 < size <= embeddings.shape[1]:
            fail(
                part,
                f"an utterance of {length} frames has {size} embeddings, of {embeddings.shape[1]} in the padded batch",
                "return lengths from 1 to U; a connector that needs longer speech is tried with a smaller stride",
            )
    for name, value in extras.items():
        if not isinstance(value, torch.Tensor) or not value.ndim or len(value) != len(LENGTHS):
            fail(
                part,
                f"its extras have {name!r} of {_kinds(value)} for {len(LENGTHS)} utterances",
                "return tensors with one row for each utterance",
            )


def check_num_embeddings(part: Buildable) -> None:
    """Packs are filled, and utterances that are too short or too long left out, by `num_embeddings`, before any forward."""
    connector = part.build()
    for length in (*SHORT, *LENGTHS):
        frames = make_frames(part)[0][:1, :length]
        _, (actual,), _ = connector(frames, torch.tensor([length]), None)
        expected = int(connector.num_embeddings(length))
        wrong = expected < 1 if connector.counts_tokens else expected != int(actual)
        if wrong:
            fail(
                part,
                f"num_embeddings({length}) is {expected}, its forward makes {int(actual)} of {length} frames",
                "compute both by one rule; 0 embeddings of speech that is too short are allowed"
                if not connector.counts_tokens
                else "expect at least one embedding",
            )
    numbers = [int(connector.num_embeddings(length)) for length in LENGTHS]
    for array in (np.array(LENGTHS), torch.tensor(LENGTHS)):
        found: Any = connector.num_embeddings(array)
        if np.asarray(found).tolist() != numbers:
            fail(
                part,
                f"num_embeddings of an array {list(LENGTHS)} is {np.asarray(found).tolist()}, number by number {numbers}",
                "use integer arithmetic, such as //, that arrays and tensors have too",
            )


def check_token_count(part: Buildable) -> None:
    """A loss that pairs embeddings with tokens needs exactly `num_tokens` of them; other connectors are given None or the number,
    and make the same of both."""
    connector = part.build()
    frames, lengths = make_frames(part)
    if connector.counts_tokens:
        for numbers in (NUM_TOKENS, tuple(3 * number for number in NUM_TOKENS)):
            _, sizes, _ = connector(frames, lengths, torch.tensor(numbers))
            if sizes.tolist() != list(numbers):
                fail(
                    part,
                    f"for {list(numbers)} tokens it makes {sizes.tolist()} embeddings, though it says counts_tokens",
                    "return exactly num_tokens embeddings if the number is given",
                )
        return
    plain, counted = (connector(frames, lengths, given) for given in (None, torch.tensor(NUM_TOKENS)))
    if plain[1].tolist() != counted[1].tolist() or not torch.equal(plain[0], counted[0]):
        fail(
            part,
            "its embeddings change with num_tokens, but it does not say counts_tokens",
            "set counts_tokens = True on the class, or ignore num_tokens",
        )


def check_alone_equals_batched(part: Buildable) -> None:
    """What an utterance's embeddings are must not depend on its batch mates: training pads utterances to the longest of a pack,
    a user asks about a single one."""
    _compare_with_alone(part, part.build(), "alone and batched")


def check_padding_is_ignored(part: Buildable) -> None:
    """Frames beyond an utterance's length are whatever its batch mates made them: no embedding may read them."""
    connector = part.build()
    for num_tokens in _token_counts(connector):
        frames, lengths = make_frames(part)
        filled = make_frames(part, padding=FILLING)[0]
        first, second = (connector(batch, lengths, num_tokens) for batch in (frames, filled))
        for row, length in enumerate(LENGTHS):
            _compare(
                part,
                _rows(first, row),
                _rows(second, row),
                f"an utterance of {length} frames in a batch of {max(LENGTHS)}, with padding of 0 and of {FILLING:g},",
            )


def check_training_ignores_batch_mates(part: Buildable) -> None:
    """In training, too, the loss of a step must not depend on which utterances share a pack: batch norm breaks this. Dropout is
    set to 0 for the check, which passes a connector that is random all the same."""
    connector = part.build().train()
    for module in connector.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
        elif isinstance(module, nn.MultiheadAttention):
            module.dropout = 0.0
    frames, lengths = make_frames(part)
    num_tokens = torch.tensor(NUM_TOKENS) if connector.counts_tokens else None
    drawn = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        drawn.append(connector(frames, lengths, num_tokens)[0])
    if not torch.equal(*drawn):
        return
    norms = [
        name
        for name, module in connector.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
    ]
    repair = f"replace the batch norm {norms[0]!r} by a layer norm" if norms else ""
    _compare_with_alone(part, connector, "in training alone and batched", repair)


def check_deterministic(part: Buildable) -> None:
    """A connector in eval mode gives the same embeddings each time, and leaves its weights, the frames and their lengths as they
    are: frames are cached, and shared by all epochs."""
    connector = part.build()
    frames, lengths = make_frames(part)
    before = {name: value.clone() for name, value in connector.state_dict().items()}
    torch.manual_seed(0)
    first = connector(frames, lengths, None)
    for name, was, now in zip(("frames", "lengths"), make_frames(part), (frames, lengths), strict=True):
        if not torch.equal(was, now):
            fail(
                part,
                f"its forward changes the {name} that it is given",
                "write into a new tensor, not in place",
            )
    for name, value in connector.state_dict().items():
        if not torch.equal(value, before[name]):
            fail(part, f"its forward changes {name!r} in eval mode", "change buffers only if self.training")
    torch.manual_seed(1)
    second = connector(frames, lengths, None)
    if not torch.equal(first[1], second[1]) or not torch.equal(first[0], second[0]):
        fail(
            part,
            "it gives other embeddings the second time in eval mode",
            "draw random numbers only if self.training",
        )


def check_half_precision(part: Buildable) -> None:
    """Trainings in bf16 run the connector under torch's autocast, in which some layers give bf16 and others fp32."""
    connector = part.build().train()
    frames, lengths = make_frames(part)
    num_tokens = torch.tensor(NUM_TOKENS) if connector.counts_tokens else None
    with torch.autocast("cpu", torch.bfloat16):
        output = connector(frames, lengths, num_tokens)
    if not all(torch.isfinite(_rows(output, row)[0]).all() for row in range(len(LENGTHS))):
        fail(
            part,
            "under autocast to bf16 its embeddings are not finite",
            "compute sums and exponentials in fp32",
        )
    _objective(output).backward()


def check_every_weight_learns(part: Buildable) -> None:
    """A weight that no gradient reaches is saved, published and counted, and never trained."""
    connector = part.build().train()
    weights = {name: weight for name, weight in connector.named_parameters() if weight.requires_grad}
    if not weights:
        fail(
            part,
            "it has no weights to train",
            "make them nn.Parameters, or layers of torch.nn, set as attributes",
        )
    frames, lengths = make_frames(part)
    num_tokens = torch.tensor(NUM_TOKENS) if connector.counts_tokens else None
    output = connector(frames, lengths, num_tokens)
    if not output[0].requires_grad:
        fail(part, "its embeddings have no gradient", "let forward run without no_grad and detach")
    _objective(output).backward()
    for name, weight in weights.items():
        if weight.grad is not None and not torch.isfinite(weight.grad).all():
            fail(
                part,
                f"the gradient of {name!r} is not finite",
                "mask padding before logarithms and divisions",
            )
    idle = [name for name, weight in weights.items() if weight.grad is None]
    if idle:
        fail(
            part,
            f"no gradient reaches {', '.join(map(repr, idle[:3]))}: {len(idle)} of {len(weights)} weights",
            "use them in forward, remove them, or freeze them: requires_grad_(False)",
        )


def check_seeds(part: Buildable) -> None:
    """Initial weights come from the seed in the YAML alone: one seed gives one connector, two seeds give two."""
    first, again, other = (part.build(seed).state_dict() for seed in (0, 0, 1))
    differ = [name for name in first if not torch.equal(first[name], again[name])]
    if differ:
        fail(
            part,
            f"with one seed {differ[0]!r} has two initial values",
            "draw from torch's own generator alone",
        )
    if all(torch.equal(first[name], other[name]) for name in first):
        fail(
            part,
            "with two seeds it has the same initial weights",
            "draw them from torch's own generator, without seeding it: the recipe's seed does that",
        )


def check_weights_are_saved(part: Buildable) -> None:
    """A checkpoint holds the state_dict and nothing else: a connector that is loaded from it must be the one that was trained."""
    trained, loaded = part.build(0), part.build(1)
    frames, lengths = make_frames(part)
    trained.train()(frames, lengths, torch.tensor(NUM_TOKENS) if trained.counts_tokens else None)
    tensors = {name: value.contiguous() for name, value in trained.eval().state_dict().items()}
    try:
        loaded.load_state_dict(load(save(tensors)), strict=True)
    except (RuntimeError, ValueError) as error:
        fail(part, f"its weights cannot be saved and loaded: {error}", "give each weight a tensor of its own")
    outputs = [connector(frames, lengths, None)[0] for connector in (trained, loaded)]
    if outputs[0].shape != outputs[1].shape or not torch.equal(*outputs):
        fail(
            part,
            "loaded from its state_dict it gives other embeddings",
            "make tensors that it computes with nn.Parameters or buffers (register_buffer)",
        )


def make_frames(part: Buildable, *, padding: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Random frames (B, T, D) of three utterances, filled beyond their ends, and their lengths (B,)."""
    shape = len(LENGTHS), max(LENGTHS), part.widths[0]
    frames, lengths = torch.randn(shape, generator=torch.Generator().manual_seed(1)), torch.tensor(LENGTHS)
    return frames.masked_fill(~is_within(lengths, max(LENGTHS)).unsqueeze(-1), padding), lengths


def _compare_with_alone(part: Buildable, connector: Connector, when: str, repair: str = "") -> None:
    """Fail if an utterance is another alone than in the batch."""
    frames, lengths = make_frames(part)
    for num_tokens in _token_counts(connector):
        batched = connector(frames, lengths, num_tokens)
        for row, length in enumerate(LENGTHS):
            chosen = slice(row, row + 1)
            alone = connector(
                frames[chosen, :length], lengths[chosen], None if num_tokens is None else num_tokens[chosen]
            )
            about = f"an utterance of {length} frames, {when} with one of {max(LENGTHS)},"
            _compare(part, _rows(alone, 0), _rows(batched, row), about, repair)


def _compare(
    part: Buildable, first: list[torch.Tensor], second: list[torch.Tensor], about: str, repair: str = ""
) -> None:
    """Fail if the embeddings or extras of one utterance are not equal but for rounding."""
    repair = (
        repair
        or "mask frames beyond `lengths` before each layer that reads neighbours: auralign.models.masks.is_within"
    )
    if len(first[0]) != len(second[0]):
        fail(part, f"{about} has {len(first[0])} and {len(second[0])} embeddings", repair)
    for one, other in zip(first, second, strict=True):
        other = other[tuple(slice(size) for size in one.shape)]  # extras such as those by frame are padded
        distance, largest = (
            float(value.max()) if value.numel() else 0.0 for value in ((one - other).abs(), one.abs())
        )
        if not distance <= TOLERANCE * max(largest, 1e-3):
            fail(part, f"{about} differs by {distance:.2g}, its largest value is {largest:.2g}", repair)


def _rows(output: Output, row: int) -> list[torch.Tensor]:
    """Embeddings (length, D) of one utterance, then its rows of extras that are numbers."""
    embeddings, lengths, extras = output
    values = [
        value[row].detach().float() for _, value in sorted(extras.items()) if value.dtype.is_floating_point
    ]
    return [embeddings[row, : int(lengths[row])].detach().float(), *values]


def _objective(output: Output) -> torch.Tensor:
    """A scalar that depends on every embedding, and on every extra that has a gradient, as a loss may read it."""
    embeddings, lengths, extras = output
    within = is_within(lengths.to(embeddings.device), embeddings.shape[1]).unsqueeze(-1)
    directions = torch.randn(embeddings.shape, generator=torch.Generator().manual_seed(2))
    read = [value.float().sum() for value in extras.values() if value.requires_grad]
    return torch.stack([(embeddings.float() * directions * within).sum(), *read]).sum()


def _token_counts(connector: Connector) -> Iterator[torch.Tensor | None]:
    yield None
    if connector.counts_tokens:
        yield torch.tensor(NUM_TOKENS)


def _kinds(value: object) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(_kinds, value))})"
    return (
        f"a tensor of shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
    )
