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
    found = sum_over_chunks(
        lambda logits, part: torch.nn.functional.cross_entropy(logits.float(), labels[part], reduction="sum"),
        hidden,
        head,
        max_logits=max_logits,
        with_gradient=lambda logits, part: _with_gradient(logits, labels[part].unsqueeze(1)),
    )
    return Term(sum=found, count=len(labels))


def _with_gradient(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss of labels (m, 1), and the gradient of the logits (m, V): what is likely, less what is right."""
    logs = logits.float().log_softmax(-1)
    found = -logs.gather(1, labels).sum()
    gradient = logs.exp_()
    return found, gradient.scatter_add_(1, labels, gradient.new_full(labels.shape, -1.0))
