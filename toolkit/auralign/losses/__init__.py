"""Losses that methods combine. Each gives a `Term`: a sum and its count, never a mean."""

from auralign.losses.cross_entropy import cross_entropy
from auralign.losses.ctc import ctc
from auralign.losses.distance import cosine_distance, distance
from auralign.losses.divergence import divergence
from auralign.losses.term import Term, join, total
from auralign.losses.transport import ipot_distance, ipot_plan, sinkhorn_distance

__all__ = [
    "Term",
    "cosine_distance",
    "cross_entropy",
    "ctc",
    "distance",
    "divergence",
    "ipot_distance",
    "ipot_plan",
    "join",
    "sinkhorn_distance",
    "total",
]
