"""Sampling of answers: which tokens may be drawn, and noise that no batch mate changes.

    >>> Sampling(temperature=0.7, top_p=0.9, seed=1).seeds(2)
    [1, 1]

Axes: B batch, V vocabulary.
"""

import math
import secrets
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Sampling:
    """How the next token of an answer is drawn.

    Arguments
    ---------
    temperature : float, optional
        0, or None, the default: the likeliest token, always. 1 draws from the LLM's own distribution.
    top_p : float, optional
        Draw among the likeliest tokens whose probabilities first add up to this (Holtzman et al., 2020,
        arXiv:1904.09751); default all.
    top_k : int, optional
        Draw among so many likeliest tokens; default all.
    seed : int, optional
        The same seed draws the same answer; default another one each time.

    Raises ValueError if a value is out of its range, or tokens are to be chosen from without a temperature.
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None

    def __post_init__(self):
        for name, value, fits, repair in (
            (
                "temperature",
                self.temperature,
                _is_in(self.temperature, 0, math.inf),
                "0 or a number above it",
            ),
            (
                "top_p",
                self.top_p,
                _is_in(self.top_p, 0, 1) and self.top_p != 0,
                "a number above 0, at most 1",
            ),
            ("top_k", self.top_k, is_whole(self.top_k) and self.top_k > 0, "a whole number above 0"),
            ("seed", self.seed, is_whole(self.seed), "a whole number"),
        ):
            if value is not None and not fits:
                raise ValueError(f"{name} {value!r}: give {repair}")
        for name in ("top_p", "top_k"):
            if getattr(self, name) is not None and self.temperature is None:
                raise ValueError(
                    f"{name} {getattr(self, name)} changes nothing without a temperature, as the likeliest token is taken; "
                    "give a temperature too, such as 0.7"
                )

    @property
    def draws(self) -> bool:
        """Whether tokens are drawn; otherwise each is the likeliest."""
        return bool(self.temperature)

    def seeds(self, number: int) -> list[int]:
        """A seed for each of a number of answers: that which was given, so that batch mates change none, or new ones."""
        if self.seed is not None:
            return [self.seed] * number
        return [secrets.randbits(32) for _ in range(number)]


class GumbelNoise:
    """Turns argmax into sampling: adds noise seeded by (seed of the row, position) to logits / temperature.

    Tokens beyond `top_k` and `top_p` are excluded before; the probabilities of `top_p` are those at the temperature."""

    def __init__(
        self,
        temperature: float,
        seeds: list[int] | None,
        *,
        top_p: float | None = None,
        top_k: int | None = None,
    ):
        if seeds is None:
            raise ValueError("sampling needs a seed for each prompt")
        self.top_p, self.top_k = top_p, top_k
        self.temperature, self.seeds, self.position = temperature, seeds, 0

    def __call__(self, input_ids, scores):
        """Noisy scores (B, V)."""
        noise = torch.empty_like(scores, device="cpu")
        for row, seed in zip(noise, self.seeds, strict=True):
            row.exponential_(
                generator=torch.Generator().manual_seed((seed * 1_000_003 + self.position) % 2**63)
            )
        self.position += 1
        return self._keep_likely(scores / self.temperature) - noise.log().to(scores)

    def _keep_likely(self, scores: torch.Tensor) -> torch.Tensor:
        """Scores (B, V), -inf for tokens that `top_k` or `top_p` exclude."""
        if self.top_k is not None:
            least = scores.topk(min(self.top_k, scores.shape[-1])).values[:, -1:]
            scores = scores.masked_fill(scores < least, -math.inf)
        if self.top_p is not None:
            ordered, order = scores.sort(descending=True)
            shares = ordered.float().softmax(-1)
            excluded = shares.cumsum(-1) - shares >= self.top_p
            scores = scores.masked_fill(torch.zeros_like(excluded).scatter(-1, order, excluded), -math.inf)
        return scores


def is_whole(value) -> bool:
    """Whether a value is a whole number; True and False are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def _is_in(value, least: float, greatest: float) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and least <= value <= greatest and value != math.inf
