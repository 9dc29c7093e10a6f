"""What is done if a pack does not fit into memory: its sequences are shared out to two packs, and the step begins again.

    packs, losses = as_they_fit({0: first, 1: second}, backward, begin_again=forget_gradients)

The terms of a loss are sums over the sequences of a pack, divided by the units of the whole step: those of the two add up to that
of the one, and so do their gradients.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch

from auralign.environment import is_out_of_memory, release_memory
from auralign.layout import STUDENT
from auralign.losses import TopK
from auralign.train.examples import PackOfExamples

Result = TypeVar("Result")


def as_they_fit(
    packs: Mapping[int, PackOfExamples],
    run: Callable[[PackOfExamples, int, int], Result],
    *,
    begin_again: Callable[[PackOfExamples], None],
) -> tuple[list[PackOfExamples], list[Result]]:
    """Run each pack of a step; one that does not fit into memory is split in two, and the step begins again.

    Arguments
    ---------
    packs : mapping of int to PackOfExamples
        By their numbers in the step.
    run : callable
        Is given a pack, its number, and which part of the whole pack it is: 0, the whole; 1 and 2, its halves; 3 to 6, theirs.
    begin_again : callable
        Is given the pack that does not fit, before it is split; what was run so far must be undone. It raises if the pack is one
        sequence.

    Returns the packs that were run, in order, and what `run` returned for each.
    """
    work = [(pack, number, 0) for number, pack in packs.items()]
    while True:
        results: list[Result] = []
        try:
            for pack, number, part in work:
                results.append(run(pack, number, part))
            return [pack for pack, _, _ in work], results
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        # Here the error is gone, and with it the tensors that its traceback held.
        place = len(results)
        results.clear()
        pack, number, part = work[place]
        begin_again(pack)
        release_memory()
        halves = split(pack)
        work[place : place + 1] = [(half, number, 2 * part + 1 + side) for side, half in enumerate(halves)]


def evaluate_as_fits(
    pack: PackOfExamples,
    run: Callable[[PackOfExamples], Result],
    *,
    begin_again: Callable[[PackOfExamples], None],
) -> list[Result]:
    """What `run` returns for a pack, or, if that does not fit into memory, for each of its parts; see `as_they_fit`."""
    return as_they_fit({0: pack}, lambda part, *_: run(part), begin_again=begin_again)[1]


def split(pack: PackOfExamples) -> list[PackOfExamples]:
    """Two packs of the sequences of one, in their order, cut where the ids of both are nearest to half.

    Raises ValueError if the pack has one sequence alone.
    """
    sizes = [view.num_ids + sum(piece.num_read for piece in view.speech) for view in pack.views[STUDENT]]
    if len(sizes) < 2:
        raise ValueError("a pack of one sequence cannot be split")
    cut = min(range(1, len(sizes)), key=lambda place: abs(sum(sizes[:place]) - sum(sizes[place:])))
    return [_part(pack, 0, cut), _part(pack, cut, len(sizes))]


def _part(pack: PackOfExamples, start: int, end: int) -> PackOfExamples:
    """The sequences from `start` up to `end`."""
    first, last = (
        sum(num for num, _ in pack.heard[:number]) if pack.heard else number for number in (start, end)
    )
    frames = {name: _cut(of_one, lengths, first, last) for name, (of_one, lengths) in pack.frames.items()}
    return PackOfExamples(
        views={name: views[start:end] for name, views in pack.views.items()},
        frames=frames,
        choices=pack.choices[start:end],
        kept=None if pack.kept is None else _targets_of(pack, pack.kept, start, end),
        rows=pack.rows[start:end],
        heard=pack.heard[start:end],
    )


def _cut(frames: torch.Tensor, lengths: torch.Tensor, start: int, end: int):
    """Frames (B, T, D) and lengths (B,) of some rows, without what is padding to all of them."""
    lengths = lengths[start:end]
    return frames[start:end, : int(lengths.max()) if len(lengths) else 0], lengths


def _targets_of(pack: PackOfExamples, kept: TopK, start: int, end: int) -> TopK:
    """The teacher's logits at the tokens of the targets of some sequences."""
    sizes = [len(view.target_ids) for view in pack.views[STUDENT]]
    first, last = sum(sizes[:start]), sum(sizes[:end])
    parts = (getattr(kept, name)[first:last] for name in ("ids", "logits", "logsumexp"))
    return TopK(*parts, kept.temperature)
