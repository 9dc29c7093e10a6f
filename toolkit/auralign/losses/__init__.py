"""Losses that methods combine. Each gives a `Term`: a sum and its count, never a mean."""

from auralign.losses.cross_entropy import cross_entropy
from auralign.losses.term import Term, total

__all__ = ["Term", "cross_entropy", "total"]
