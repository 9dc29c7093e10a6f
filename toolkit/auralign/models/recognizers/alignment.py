"""Align units with the frames in which they are said: all of an utterance, or a phrase inside longer audio.

Axes: T frames, V vocabulary, N units of a phrase.
"""

import itertools

import numpy as np
import torch

from auralign.models import torchaudio_fault
from auralign.models.recognizers.units import BLANK

# How much the likelier of two positions counts if the units are the best guess in both; see `locate_units`.
TIE = 1e-3


def forced_align(scores: torch.Tensor, ids: torch.Tensor, *, blank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The likeliest CTC path that spells `ids`, by torchaudio.

    Arguments
    ---------
    scores : torch.Tensor (1, T, V)
        Log probabilities; torchaudio aligns one utterance at a time.
    ids : torch.Tensor (1, N) of int
        The units to align, without blanks.
    blank : int
        Index of the blank.

    Returns the unit or blank of each frame, (1, T), and its log probability, (1, T).

    Raises ValueError if torchaudio cannot be loaded: nothing but alignment needs it.
    """
    if torchaudio_fault:
        raise ValueError(
            f"forced alignment needs torchaudio, which does not load beside torch {torch.__version__}: {torchaudio_fault}; "
            "install a pair that fits, as requirements.lock names one"
        )
    from torchaudio.functional import forced_align as align

    return align(scores, ids.to(torch.int32), blank=blank)


def num_frames_of(ids: list[int]) -> int:
    """The fewest frames in which units fit: one for each, and a blank between equal neighbours."""
    return len(ids) + sum(one == other for one, other in itertools.pairwise(ids))


def locate_units(scores: np.ndarray, ids: list[int], *, blank: int = BLANK) -> tuple[int, int]:
    """The frames in which units are said, by the best way through [anything] units [anything].

    A frame of "anything" counts as its likeliest token, not as certain: an unclear frame is unclear inside the phrase and
    outside, and costs the phrase nothing; the cost is that of reading other units than the likeliest. If it counted as
    certain, each frame of the phrase would cost, and the best position would be the shortest. If the units are the best guess
    in several positions, the likelier one is taken, by a weight too small to matter otherwise. Either "anything" may be empty,
    so that the phrase may be at the very start or end.

    Arguments
    ---------
    scores : (T, V)
        Log probabilities.
    ids : list of int
        The N units, at most as many as fit into T; see `num_frames_of`.
    blank : int
        Index of the blank; default 0.

    Returns
    -------
    start, end : int, in frames, the end exclusive; first and last unit include all frames whose likeliest token they are.

    >>> one, two = np.log([0.1, 0.8, 0.1]), np.log([0.1, 0.1, 0.8])
    >>> locate_units(np.stack([one, two, two, one, one, two]), [2, 1])
    (1, 5)
    """
    best = scores.argmax(axis=1)
    states = [blank] * (2 * len(ids) - 1)  # units, and the blanks between
    states[::2] = ids
    costs = (1 + TIE) * scores[:, states] - scores.max(axis=1, keepdims=True)  # (T, 2 N - 1)
    # A unit may follow its predecessor at once, unless it is the same.
    skips = np.array([at >= 2 and at % 2 == 0 and states[at] != states[at - 2] for at in range(len(states))])
    value = np.full(len(states), -np.inf)
    begun = np.zeros(
        len(states), dtype=np.int64
    )  # the frame at which the best way to each state left "anything"
    found, start, end = -np.inf, 0, len(scores)
    for frame, cost in enumerate(costs):
        ways = np.full((3, len(states)), -np.inf)  # stay, go on, skip the blank
        ways[0] = value
        ways[1, 1:] = value[:-1]
        ways[1, 0] = 0.0
        ways[2, 2:] = np.where(skips[2:], value[:-2], -np.inf)
        from_where = ways.argmax(axis=0)
        at = np.arange(len(states)) - from_where
        begun = np.where(at < 0, frame, begun[at])
        value = ways.max(axis=0) + cost
        if value[-1] > found:
            found, start, end = value[-1], int(begun[-1]), frame + 1
    while start > 0 and best[start - 1] == best[start] == ids[0]:
        start -= 1
    while end < len(scores) and best[end] == best[end - 1] == ids[-1]:
        end += 1
    return start, end
