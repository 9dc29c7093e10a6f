"""Sampling of answers: which tokens may be drawn, and numbers to draw them by that no batch mate changes.

    >>> Sampling(temperature=0.7, top_p=0.9, seed=1).seeds(2)
    [1, 1]

Axes: B batch, V vocabulary.
"""

import math
import secrets
from dataclasses import dataclass

import torch
from torch import nn

BLOCK = 512  # tokens whose probabilities are added up first
GAMMA = 0x9E3779B97F4A7C15  # between two counters of SplitMix64
NUM_BITS = 48  # of a drawn number
LEAST_TEMPERATURE = 1e-30  # that float32 divides by; with it the likeliest token is drawn already


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
        for name, value in vars(self).items():
            object.__setattr__(self, name, plain_number(value))
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


class Sampler:
    """Draws tokens: each by two numbers, which are a function of (seed of the row, position) alone.

    The probabilities of blocks of tokens lie end to end in the order of the vocabulary, and the first number falls into that of
    one block; the second falls into that of one of its tokens. They are made by integer arithmetic, so they are the same on every
    device; the probabilities are not to the last bit, so that another batch or device draws another token once in a thousand
    tokens or less often. Noise for each token of the vocabulary would take longer than many an LLM's forward.

    Arguments
    ---------
    temperature : float
        Above 0.
    top_p, top_k : float, int, optional
        As for `Sampling`; the probabilities of `top_p` are those at the temperature. Default none.
    """

    def __init__(self, temperature: float, *, top_p: float | None = None, top_k: int | None = None):
        self.temperature, self.top_p, self.top_k = temperature, top_p, top_k

    def draw(self, logits: torch.Tensor, seeds: list[int], positions: list[int]) -> torch.Tensor:
        """Tokens (B,) for logits (B, V), each with the seed of its answer and its position in it, from 0."""
        # Two numbers a token, so that a rounding error of the first is not magnified in a block.
        numbers = torch.stack(
            [uniform(seeds, [2 * place + which for place in positions], logits.device) for which in (0, 1)],
            dim=-1,
        )
        size = 1 if logits.device.type == "cpu" else len(logits)  # one row stays in the cache of a CPU
        parts = zip(logits.split(size), numbers.split(size), strict=True)
        return torch.cat([self._draw(rows, of_rows) for rows, of_rows in parts])

    def _draw(self, logits: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        logits = logits.float()
        # The greatest score is 0, which a tiny temperature leaves finite.
        scores = (logits - logits.amax(-1, keepdim=True)) / max(self.temperature, LEAST_TEMPERATURE)
        scores = self._keep_likely(scores)
        scores = nn.functional.pad(scores, (0, -scores.shape[-1] % BLOCK), value=-math.inf)
        shares = (scores - scores.amax(-1, keepdim=True)).exp_().unflatten(-1, (-1, BLOCK))
        # Into a block of tokens first: adding up the whole vocabulary token by token is slow.
        blocks = _fall(shares.sum(-1), numbers[:, 0])
        tokens = _fall(shares[torch.arange(len(shares), device=shares.device), blocks], numbers[:, 1])
        return blocks * BLOCK + tokens

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


def uniform(seeds: list[int], positions: list[int], device: torch.device | str = "cpu") -> torch.Tensor:
    """Numbers (B,) of float64 in [0, 1): SplitMix64 (Steele et al., 2014, doi:10.1145/2714064.2660195) with each seed, at each
    position of its sequence."""
    counters = [
        _signed(seed + (position + 1) * GAMMA) for seed, position in zip(seeds, positions, strict=True)
    ]
    bits = torch.tensor(counters, device=device)
    bits = (bits ^ _shift(bits, 30)) * _signed(0xBF58476D1CE4E5B9)
    bits = (bits ^ _shift(bits, 27)) * _signed(0x94D049BB133111EB)
    return _shift(bits ^ _shift(bits, 31), 64 - NUM_BITS).double() * 2.0**-NUM_BITS


def _shift(bits: torch.Tensor, number: int) -> torch.Tensor:
    """Unsigned 64-bit integers, shifted to the right."""
    return (bits >> number) & (2 ** (64 - number) - 1)


def _signed(number: int) -> int:
    """An integer as the signed one of the same lowest 64 bits."""
    return (number + 2**63) % 2**64 - 2**63


def _fall(shares: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    """Into which (B,) of the shares (B, N), laid end to end, numbers (B,) in [0, 1) fall."""
    ends = shares.double().cumsum(-1)
    return (ends <= numbers[:, None] * ends[:, -1:]).sum(-1)


def plain_number(value):
    """A number of numpy or torch as one of Python; anything else as it is."""
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", None) == 0 else value


def is_whole(value) -> bool:
    """Whether a value is a whole number; True and False are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def _is_in(value, least: float, greatest: float) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and least <= value <= greatest and value != math.inf
