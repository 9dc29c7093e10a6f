"""Distances between paired hidden states of a student and a teacher."""

import torch

from auralign.losses.term import PLACES, Term


def distance(hidden: torch.Tensor, teacher: torch.Tensor, *, squared: bool = False) -> Term:
    """Sum over pairs of the Euclidean distance, or of its square (DiVA, arXiv:2410.02678, takes it without the square).

    Arguments
    ---------
    hidden, teacher : torch.Tensor
        (M, D). The teacher gets no gradient.
    squared : bool
        Whether to square the distances; default False.

    Returns a Term whose count is M. Raises ValueError if the shapes differ.
    """
    difference = (hidden - _paired(hidden, teacher)).float()
    square = difference.square().sum(-1)
    if squared:
        return Term(sum=square.sum(), count=len(hidden))
    # The norm's gradient at zero is not a number; a student that equals its teacher has none.
    safe = torch.where(square > 0, square, torch.ones_like(square)).sqrt()
    return Term(sum=torch.where(square > 0, safe, torch.zeros_like(square)).sum(), count=len(hidden))


def cosine_distance(hidden: torch.Tensor, teacher: torch.Tensor) -> Term:
    """Sum over pairs of one minus the cosine of (M, D) and (M, D); count is M. Raises ValueError if the shapes differ."""
    cosine = torch.nn.functional.cosine_similarity(hidden.float(), _paired(hidden, teacher).float(), dim=-1)
    return Term(sum=(1 - cosine).sum(), count=len(hidden))


def quantity_error(quantity: torch.Tensor, num_tokens: torch.Tensor) -> Term:
    """The error of a connector's own count of tokens: the sum of |predicted / true - 1| (BLSP-KD, arXiv:2405.19041).

    Arguments
    ---------
    quantity, num_tokens : torch.Tensor
        (P,), for each span of speech: `extras["quantity"]` of a connector that counts, and the `extras["num_tokens"]` that it
        was given. A true count of 0 is taken as 1.

    Returns a Term whose count is P and whose unit is `PLACES`. Raises ValueError if their lengths differ.
    """
    if len(quantity) != len(num_tokens):
        raise ValueError(
            f"{len(quantity)} quantities, {len(num_tokens)} numbers of tokens: give one of each for each span of speech"
        )
    true = num_tokens.to(quantity).clamp(min=1)
    return Term(sum=(quantity / true - 1).abs().sum(), count=len(quantity), unit=PLACES)


def _paired(hidden: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    if hidden.shape != teacher.shape:
        raise ValueError(
            f"the student has hidden states {tuple(hidden.shape)}, the teacher {tuple(teacher.shape)}: give them in pairs; the "
            "student has an embedding for each token with Needs(num_tokens=True) and a connector that counts"
        )
    return teacher.detach()
