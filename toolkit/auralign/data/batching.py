"""Which examples make an optimiser step, and how they are laid into packs: functions of (seed, epoch) alone.

>>> pack([5, 2, 4, 3], max_tokens=7)
[[0, 1], [2, 3]]
"""

from collections.abc import Sequence

import numpy as np


def epoch_steps(lengths: np.ndarray, *, tokens_per_step: int, seed: int, epoch: int) -> list[np.ndarray]:
    """The optimiser steps of one epoch: arrays of example numbers, each example in exactly one of them.

    Arguments
    ---------
    lengths : np.ndarray
        (num_examples,): LLM positions of each example.
    tokens_per_step : int
        A step ends before its positions exceed this; a single longer example is a step of its own.
    """
    order = np.random.default_rng([seed, epoch]).permutation(len(lengths))
    steps, start, tokens = [], 0, 0
    for place, example in enumerate(order):
        if place > start and tokens + lengths[example] > tokens_per_step:
            steps.append(order[start:place])
            start, tokens = place, 0
        tokens += int(lengths[example])
    steps.append(order[start:])
    return steps


def pack(lengths: Sequence[int] | np.ndarray, *, max_tokens: int) -> list[list[int]]:
    """Lay sequences into packs by first-fit-decreasing; returns places in `lengths`, each in exactly one pack.

    A sequence longer than `max_tokens` gets a pack of its own.
    """
    packs: list[list[int]] = []
    room: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda place: (-lengths[place], place)):
        fits = next((number for number, left in enumerate(room) if left >= lengths[place]), None)
        if fits is None:
            packs.append([])
            room.append(max_tokens)
            fits = len(packs) - 1
        packs[fits].append(place)
        room[fits] -= lengths[place]
    return [sorted(places) for places in packs]
