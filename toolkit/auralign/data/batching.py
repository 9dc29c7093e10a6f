"""Which examples form an optimiser step, and how they are packed; both are functions of the seed and the step.

>>> pack([5, 2, 4, 3], max_tokens=7)
[[0, 1], [2, 3]]
"""

import heapq
from collections.abc import Iterator, Sequence
from itertools import count

import numpy as np


def epoch_steps(
    lengths: np.ndarray, *, tokens_per_step: int, seed: int, epoch: int, shuffled: bool = True
) -> list[np.ndarray]:
    """The optimiser steps of one epoch: arrays of example indices, each example in exactly one array.

    Arguments
    ---------
    lengths : np.ndarray
        (num_examples,): LLM positions of each example.
    tokens_per_step : int
        Largest number of positions in a step; a single longer example is a step of its own.
    seed, epoch : int
        Of the permutation.
    shuffled : bool
        False: the examples in their order instead of a permutation. Default True.
    """
    order = _order(len(lengths), [seed, epoch], shuffled)
    steps, start, tokens = [], 0, 0
    for index, example in enumerate(order):
        if index > start and tokens + lengths[example] > tokens_per_step:
            steps.append(order[start:index])
            start, tokens = index, 0
        tokens += int(lengths[example])
    steps.append(order[start:])
    return steps


def steps_in_shares(
    lengths: np.ndarray,
    parts: np.ndarray,
    shares: Sequence[float],
    *,
    tokens_per_step: int,
    seed: int,
    shuffled: bool = True,
) -> Iterator[np.ndarray]:
    """Optimiser steps without end, in which each part of the examples has its share of the LLM positions.

    The next example is of the part that lacks most of its share, so that each step has the shares as nearly as the lengths
    allow. A part is gone through in a permutation of its own, and again in another one: a small part with a large share is
    repeated while others are not yet through.

    Arguments
    ---------
    lengths : np.ndarray
        (num_examples,): LLM positions of each example.
    parts : np.ndarray
        (num_examples,): the part that each belongs to, an index of `shares`; each part has an example.
    shares : sequence of float
        Above 0, with the sum 1.
    tokens_per_step, seed, shuffled
        As for `epoch_steps`.
    """
    sizes = lengths.tolist()
    coming = [_endless(np.flatnonzero(parts == part), [seed, part], shuffled) for part in range(len(shares))]
    waiting = [(0.0, part) for part in range(len(shares))]  # a heap: positions so far, divided by the share
    step: list[int] = []
    tokens = 0
    while True:
        held, part = waiting[0]
        example = next(coming[part])
        heapq.heapreplace(waiting, (held + sizes[example] / shares[part], part))
        if step and tokens + sizes[example] > tokens_per_step:
            yield np.array(step)
            step, tokens = [], 0
        step.append(example)
        tokens += sizes[example]


def _endless(examples: np.ndarray, seed: list[int], shuffled: bool) -> Iterator[int]:
    for epoch in count():
        yield from examples[_order(len(examples), [*seed, epoch], shuffled)].tolist()


def _order(number: int, seed: list[int], shuffled: bool) -> np.ndarray:
    return np.random.default_rng(seed).permutation(number) if shuffled else np.arange(number)


def pack(lengths: Sequence[int] | np.ndarray, *, max_tokens: int) -> list[list[int]]:
    """Pack sequences by first-fit-decreasing; returns packs of indices into `lengths`, each index in exactly one pack.

    A sequence longer than `max_tokens` gets a pack of its own.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    if not len(sizes):
        return []
    pack_of, room = (
        np.empty(len(sizes), np.int64),
        np.empty(len(sizes), np.int64),
    )  # of each sequence; in each pack
    num_packs = 0
    # Those of one length are placed together: the time grows with the number of different lengths, which is small.
    for alike in _runs(np.argsort(-sizes, kind="stable"), sizes):
        size = int(sizes[alike[0]])
        fitting = np.flatnonzero(room[:num_packs] >= size)
        hold = room[fitting] // size if size else np.full(len(fitting), len(alike))
        places = np.searchsorted(hold.cumsum(), np.arange(len(alike)), side="right")
        old = fitting[places[places < len(fitting)]]
        in_new_pack = max(1, max_tokens // size) if size else len(alike)
        new = num_packs + np.arange(len(alike) - len(old)) // in_new_pack
        num_before, num_packs = num_packs, int(new[-1]) + 1 if len(new) else num_packs
        room[num_before:num_packs] = max_tokens
        pack_of[alike] = np.concatenate([old, new])
        np.subtract.at(room, pack_of[alike], size)
    return [of_one.tolist() for of_one in _runs(np.argsort(pack_of, kind="stable"), pack_of)]


def _runs(order: np.ndarray, values: np.ndarray) -> list[np.ndarray]:
    """Indices in an order, cut wherever their value changes."""
    return np.split(order, np.flatnonzero(np.diff(values[order])) + 1)
