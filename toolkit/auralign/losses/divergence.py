"""Kullback-Leibler divergence from a teacher to a student that share one head, without ever holding all logits."""

from collections.abc import Callable

import torch
from torch.utils.checkpoint import checkpoint

from auralign.losses.cross_entropy import MAX_LOGITS, rows_of
from auralign.losses.term import Term


def divergence(
    hidden: torch.Tensor,
    teacher: torch.Tensor,
    head: Callable,
    *,
    temperature: float = 1.0,
    max_logits: int = MAX_LOGITS,
) -> Term:
    """Sum over positions of KL(teacher || student), in nats, of the distributions at a temperature.

    The gradient is not scaled by the square of the temperature, as Hinton's is (arXiv:1503.02531): neither BLSP-KD
    (arXiv:2405.19041) nor Ultravox does.

    Arguments
    ---------
    hidden, teacher : torch.Tensor
        (M, D): hidden states of student and teacher at the positions that predict the same tokens, pair by pair.
    head : callable
        From hidden states (m, D) to logits (m, V).
    temperature : float
        Divides both logits.
    max_logits : int
        More logits than this, of either, are computed in chunks, and computed again in backward rather than kept.

    Returns
    -------
    Term
        `count` is M.

    Raises
    ------
    ValueError : student and teacher have different numbers of positions.
    """
    if len(hidden) != len(teacher):
        raise ValueError(
            f"the student predicts {len(hidden)} tokens, the teacher {len(teacher)}: their views must hold the same target"
        )
    if temperature <= 0:
        raise ValueError(f"temperature {temperature}: give more than 0")
    if not len(hidden):
        return Term(sum=hidden.sum() * 0.0, count=0)
    rows = rows_of(hidden, head, max_logits // 2)
    chunks = zip(hidden.split(rows), teacher.detach().split(rows), strict=True)
    if rows >= len(hidden):
        return Term(sum=_chunk(hidden, teacher.detach(), head, temperature), count=len(hidden))
    sums = [checkpoint(_chunk, *pair, head, temperature, use_reentrant=False) for pair in chunks]
    return Term(sum=torch.stack(sums).sum(), count=len(hidden))


def _chunk(hidden, teacher, head, temperature):
    student = (head(hidden).float() / temperature).log_softmax(-1)
    with torch.no_grad():
        target = (head(teacher).float() / temperature).log_softmax(-1)
    return torch.nn.functional.kl_div(student, target, reduction="sum", log_target=True)
