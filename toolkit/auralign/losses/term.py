"""A loss as a sum and a count, so that packs, batches and ranks combine exactly."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch

from auralign.layout import TARGET

# Units beside the tags of the student's tokens: sequences, and places of the main branch's speech.
SEQUENCES, PLACES = "sequences", "places"


def read_unit(tag: str) -> str:
    """The unit of the teacher's tokens under a tag.

    >>> read_unit("speech")
    'read speech'
    """
    return f"read {tag}"


@dataclass(frozen=True)
class Term:
    """One term of a loss.

    Arguments
    ---------
    sum : torch.Tensor
        Scalar: the loss added up over what it counts.
    count : int
        How many positions were added up; 0 if a pack has none.
    weight : float
        Of this term among the others.
    unit : str
        What is counted: a tag of the student's tokens (`TARGET`, `END`); speech counts as the tokens of its text
        (`SPEECH`), however many embeddings it has; `read_unit(tag)` for the teacher's tokens under a tag; `PLACES` of speech;
        or `SEQUENCES`. The trainer counts each of them in an optimiser step before its first forward, and divides by it.
    """

    sum: torch.Tensor
    count: int
    weight: float = 1.0
    unit: str = TARGET


def join(terms: Iterable[Term]) -> Term:
    """One term of several over different positions: sums and counts added up; weight and unit are the usual ones."""
    terms = list(terms)
    return Term(sum=_add(term.sum for term in terms), count=sum(term.count for term in terms))


def total(terms: dict[str, Term], units: Mapping[str, int]) -> torch.Tensor:
    """Weighted sum of the terms of one pack, each divided by how many of its unit the whole optimiser step has.

    Added up over the packs of the step this is the loss of the step, whatever the packing. A term that the step has no
    positions for adds exactly zero, not nan.

    Raises ValueError on a unit that the step does not count.
    """
    for name, term in terms.items():
        if term.unit not in units and term.count:
            raise ValueError(
                f"the loss term {name!r} counts {term.unit!r}, which is no tag of this step's tokens; it has "
                f"{', '.join(sorted(units))}: give the term one of these as its unit"
            )
    return _add(term.weight * term.sum / max(units.get(term.unit, 0), 1) for term in terms.values())


def _add(sums: Iterable[torch.Tensor]) -> torch.Tensor:
    return sum(
        sums, torch.zeros((), dtype=torch.long)
    )  # an integer zero leaves the precision of the sums as it is
