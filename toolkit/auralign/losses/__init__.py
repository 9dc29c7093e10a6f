"""Losses that methods combine. Each gives a `Term`: a sum and its count, never a mean."""

from auralign.losses.cross_entropy import cross_entropy
from auralign.losses.ctc import ctc
from auralign.losses.distance import cosine_distance, distance
from auralign.losses.divergence import divergence
from auralign.losses.term import Term, join, total

__all__ = [
    "Term",
    "cosine_distance",
    "cross_entropy",
    "ctc",
    "distance",
    "divergence",
    "join",
    "total",
]
