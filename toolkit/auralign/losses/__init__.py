"""Losses that methods combine. Each gives a `Term`: a sum and its count, never a mean."""

from auralign.losses.cross_entropy import cross_entropy
from auralign.losses.ctc import ctc
from auralign.losses.distance import cosine_distance, distance, quantity_error
from auralign.losses.divergence import TopK, bucketed_divergence, divergence
from auralign.losses.naming import Prototypes, mix_tokens, naming_loss
from auralign.losses.term import PLACES, SEQUENCES, Term, join, read_unit, total
from auralign.losses.transport import ipot_costs, ipot_distance, ipot_plan, sinkhorn_distance
from auralign.losses.warping import warp

__all__ = [
    "PLACES",
    "SEQUENCES",
    "Prototypes",
    "Term",
    "TopK",
    "bucketed_divergence",
    "cosine_distance",
    "cross_entropy",
    "ctc",
    "distance",
    "divergence",
    "ipot_costs",
    "ipot_distance",
    "ipot_plan",
    "join",
    "mix_tokens",
    "naming_loss",
    "quantity_error",
    "read_unit",
    "sinkhorn_distance",
    "total",
    "warp",
]
