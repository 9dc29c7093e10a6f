"""Cross-entropy that never keeps the logits of more than one chunk of positions in memory."""

from collections.abc import Callable
from functools import partial

import torch
from torch.utils.checkpoint import checkpoint

from auralign.losses.term import Term

# 2^24 logits are 64 MB in fp32: 110 positions of a vocabulary of 152,000, or all positions of a small one.
MAX_LOGITS = 2**24
Head = Callable[[torch.Tensor], torch.Tensor]  # hidden states (m, D) to logits (m, V)


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
        More logits than this are computed in chunks, and computed again in backward instead of kept; default 2^24.

    Returns
    -------
    Term
        `count` is M; if M is 0 the sum is exactly zero and still has a gradient.
    """
    if not len(labels):
        return Term(sum=hidden.sum() * 0.0, count=0)
    rows = rows_of(hidden, head, max_logits)
    if len(labels) <= rows:
        return Term(sum=_chunk(hidden, labels, head), count=len(labels))
    sums = [
        checkpoint(
            _chunk, hidden[start : start + rows], labels[start : start + rows], head, use_reentrant=False
        )
        for start in range(0, len(labels), rows)
    ]
    return Term(sum=torch.stack(sums).sum(), count=len(labels))


def naming_loss(
    hidden: torch.Tensor,
    tokens: torch.Tensor,
    labels: torch.Tensor,
    rivals: torch.Tensor,
    centre: torch.Tensor,
    *,
    sharpness: float = 10.0,
    max_logits: int = MAX_LOGITS,
) -> Term:
    """Sum of the negative log-likelihoods (nats) of the tokens that embeddings stand for, if the nearest is the likeliest.

    A token's logit is minus its squared distance to the embedding: the classifier of prototypical networks (arXiv:1703.05175),
    with the tokens' embeddings as prototypes. A squared distance alone is small wherever tokens lie close together, which says
    little of which one is meant; this loss falls until the right one is by far the nearest.

    Arguments
    ---------
    hidden : torch.Tensor
        (M, D): the embeddings.
    tokens, labels : torch.Tensor
        (M, D), (M,): embeddings and ids of the tokens that they stand for. No gradient.
    rivals : torch.Tensor
        (R, D): embeddings of the tokens with the ids 0 to R - 1, which compete with the right one. No gradient.
    centre : torch.Tensor
        (D,): mean of all tokens' embeddings.
    sharpness : float
        The logit of a squared distance as large as the rivals' mean squared distance from the centre; default 10.
    max_logits : int
        As of `cross_entropy`.

    Returns a Term whose count is M.
    """
    if not len(labels):
        return Term(sum=hidden.sum() * 0.0, count=0)
    rivals = rivals.detach() - centre
    squares = rivals.float().square().sum(1)
    name = partial(_name, rivals=rivals, squares=squares, scale=sharpness / squares.mean())
    given = hidden - centre, tokens.detach() - centre, labels
    rows = max(1, max_logits // len(rivals))
    if len(labels) <= rows:
        return Term(sum=name(*given), count=len(labels))
    chunks = zip(*(part.split(rows) for part in given), strict=True)
    return Term(
        sum=torch.stack([checkpoint(name, *chunk, use_reentrant=False) for chunk in chunks]).sum(),
        count=len(labels),
    )


def _name(
    hidden: torch.Tensor,
    tokens: torch.Tensor,
    labels: torch.Tensor,
    *,
    rivals: torch.Tensor,
    squares: torch.Tensor,
    scale: torch.Tensor,
) -> torch.Tensor:
    """The sum of the losses of a chunk. The part that all squared distances of an embedding share, its own, is left out."""
    right = scale * (2 * (hidden * tokens).float().sum(1) - tokens.float().square().sum(1))
    against = scale * (2 * (hidden @ rivals.T).float() - squares)
    among = torch.nonzero(labels < len(rivals)).squeeze(1)  # the right one does not compete with itself
    against = against.index_put((among, labels[among]), against.new_tensor(-torch.inf))
    return (torch.logsumexp(torch.cat([right.unsqueeze(1), against], 1), 1) - right).sum()


def rows_of(hidden: torch.Tensor, head: Head, max_logits: int) -> int:
    """The number of positions that together have at most `max_logits` logits, and at least 1."""
    with torch.no_grad():
        return max(1, max_logits // int(head(hidden[:1]).shape[-1]))


def _chunk(hidden: torch.Tensor, labels: torch.Tensor, head: Head) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(head(hidden).float(), labels, reduction="sum")
