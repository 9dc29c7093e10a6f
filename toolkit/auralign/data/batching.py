"""Which examples form an optimiser step, and how they are packed; both depend on (seed, epoch) alone.

>>> pack([5, 2, 4, 3], max_tokens=7)
[[0, 1], [2, 3]]
"""

from collections.abc import Sequence

import numpy as np


def epoch_steps(lengths: np.ndarray, *, tokens_per_step: int, seed: int, epoch: int) -> list[np.ndarray]:
    """The optimiser steps of one epoch: arrays of example indices, each example in exactly one array.

    Arguments
    ---------
    lengths : np.ndarray
        (num_examples,): LLM positions of each example.
    tokens_per_step : int
        Largest number of positions in a step; a single longer example is a step of its own.
    """
    order = np.random.default_rng([seed, epoch]).permutation(len(lengths))
    steps, start, tokens = [], 0, 0
    for index, example in enumerate(order):
        if index > start and tokens + lengths[example] > tokens_per_step:
            steps.append(order[start:index])
            start, tokens = index, 0
        tokens += int(lengths[example])
    steps.append(order[start:])
    return steps


def pack(lengths: Sequence[int] | np.ndarray, *, max_tokens: int) -> list[list[int]]:
    """Pack sequences by first-fit-decreasing; returns packs of indices into `lengths`, each index in exactly one pack.

    A sequence longer than `max_tokens` gets a pack of its own.
    """
    packs: list[list[int]] = []
    room: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        fits = next((number for number, left in enumerate(room) if left >= lengths[index]), None)
        if fits is None:
            packs.append([])
            room.append(max_tokens)
            fits = len(packs) - 1
        packs[fits].append(index)
        room[fits] -= lengths[index]
    return [sorted(indices) for indices in packs]
