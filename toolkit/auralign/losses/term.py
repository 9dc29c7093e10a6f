"""A loss as a sum and a count, so that packs, batches and ranks combine exactly."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch

from auralign.layout import TARGET

# Units in addition to the tags of the student's tokens: sequences, and spans of the main branch's speech.
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
        Scalar: the sum of the loss over the counted positions.
    count : int
        The number of positions in the sum; 0 if a pack has none.
    weight : float
        Factor of this term in the total loss; default 1.0.
    unit : str
        The unit whose number in an optimiser step divides the sum: a tag of the student's tokens (`TARGET`, the default;
        `END`; `SPEECH`, counted as the tokens of its text, whatever the number of its embeddings); `read_unit(tag)` for the
        teacher's tokens under a tag; `PLACES` for spans of speech; or `SEQUENCES`. All are counted before the first forward.
    left_out : tuple of int
        Sequences of the pack, by index, for which the loss has no value and which the sum leaves out, such as those with too few
        frames for CTC; default none. Training lists their utterances in the log. The divisor counts their units all the same.
    """

    sum: torch.Tensor
    count: int
    weight: float = 1.0
    unit: str = TARGET
    left_out: tuple[int, ...] = ()


def join(terms: Iterable[Term]) -> Term:
    """Add the sums and counts of several terms over different positions; weight and unit of the result are the defaults."""
    terms = list(terms)
    return Term(
        sum=_add(term.sum for term in terms),
        count=sum(term.count for term in terms),
        left_out=tuple(sorted({row for term in terms for row in term.left_out})),
    )


def total(terms: dict[str, Term], units: Mapping[str, int]) -> torch.Tensor:
    """Weighted sum of the terms of one pack, each divided by the number of its unit in the whole optimiser step.

    The sum over the packs of a step is the loss of the step, whatever the packing. A term without positions adds exactly
    zero, not nan.

    Raises ValueError if a term has a unit that the step does not count.
    """
    for name, term in terms.items():
        if term.unit not in units and term.count:
            raise ValueError(
                f"the loss term {name!r} has the unit {term.unit!r}, which this step does not count; it counts "
                f"{', '.join(sorted(units))}: give the term one of these units"
            )
    return _add(term.weight * term.sum / max(units.get(term.unit, 0), 1) for term in terms.values())


def _add(sums: Iterable[torch.Tensor]) -> torch.Tensor:
    return sum(
        sums, torch.zeros((), dtype=torch.long)
    )  # an integer zero leaves the precision of the sums as it is
