"""Cross-entropy that never keeps the logits of more than one chunk of positions in memory."""

import torch

from auralign.losses.chunks import Head, sum_over_chunks
from auralign.losses.term import Term

# 2^24 logits are 64 MB in fp32: 110 positions of a vocabulary of 152,000, or all positions of a small one.
MAX_LOGITS = 2**24


def cross_entropy(
    hidden: torch.Tensor, labels: torch.Tensor, head: Head, *, max_logits: int = MAX_LOGITS
) -> Term:
    """Sum of the negative log-likelihoods (nats) of `labels`.

    Arguments
    ---------
    hidden : torch.Tensor
        (M, D): hidden states at the positions that predict the labels.
    labels : torch.Tensor
        (M,): token ids.
    head : callable
        From hidden states (m, D) to logits (m, V).
    max_logits : int
        More logits than this are computed in chunks (`auralign.losses.chunks`); default 2^24.

    Returns
    -------
    Term
        `count` is M; if M is 0 the sum is exactly zero and still has a gradient.
    """
    if not len(labels):
        return Term(sum=hidden.sum() * 0.0, count=0)
    rows = rows_of(hidden, head, max_logits)
    found = sum_over_chunks(
        lambda states, part: _chunk(states, labels[part], head), hidden, rows=rows, head=head
    )
    return Term(sum=found, count=len(labels))


def rows_of(hidden: torch.Tensor, head: Head, max_logits: int) -> int:
    """The number of positions that together have at most `max_logits` logits, and at least 1."""
    with torch.no_grad():
        return max(1, max_logits // int(head(hidden[:0]).shape[-1]))  # no position: the weights are not read


def _chunk(hidden: torch.Tensor, labels: torch.Tensor, head: Head) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(head(hidden).float(), labels, reduction="sum")
