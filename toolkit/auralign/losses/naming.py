"""Which tokens embeddings stand for: a loss that lets each name its own, and the mixture of the tokens that it names.

Both take the logit of a token to be minus its squared distance to the embedding: the classifier of prototypical networks
(arXiv:1703.05175), with the tokens' embeddings as prototypes.
"""

from functools import partial

import torch
from torch.utils.checkpoint import checkpoint

from auralign.losses.cross_entropy import MAX_LOGITS
from auralign.losses.term import Term

SHARPNESS, MIXING_SHARPNESS = 10.0, 40.0
"""The logit of a squared distance as large as the tokens' mean squared distance from their centre: where tokens are learned, and
where they are mixed. A mixture of many tokens is near none of them, or near another, so that mixing has to be sharper."""


def naming_loss(
    hidden: torch.Tensor,
    tokens: torch.Tensor,
    labels: torch.Tensor,
    rivals: torch.Tensor,
    centre: torch.Tensor,
    *,
    sharpness: float = SHARPNESS,
    max_logits: int = MAX_LOGITS,
) -> Term:
    """Sum of the negative log-likelihoods (nats) of the tokens that embeddings stand for, if the nearest is the likeliest.

    A squared distance alone is small wherever tokens lie close together, which says
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


def mix_tokens(
    hidden: torch.Tensor,
    tokens: torch.Tensor,
    centre: torch.Tensor,
    *,
    sharpness: float = MIXING_SHARPNESS,
    max_logits: int = MAX_LOGITS,
) -> torch.Tensor:
    """The mean of all tokens' embeddings, weighted by how likely each is the one that an embedding stands for.

    An LLM has read nothing but the embeddings of its tokens, and answers other vectors near one otherwise than that token.
    As LegoSLM (arXiv:2505.11352) does with the posteriors of CTC.

    Arguments
    ---------
    hidden : torch.Tensor
        (M, D): the embeddings.
    tokens : torch.Tensor
        (V, D): embeddings of all tokens. No gradient.
    centre : torch.Tensor
        (D,): their mean.
    sharpness : float
        As of `naming_loss`; the larger, the more of the nearest token. Default 40.
    max_logits : int
        More logits than this are computed in chunks, and computed again in backward instead of kept; default 2^24.

    Returns torch.Tensor (M, D), of the type of `tokens`.
    """
    tokens = tokens.detach()
    rivals = tokens - centre
    squares = rivals.float().square().sum(1)
    scale = sharpness / squares.mean()

    def mix(hidden: torch.Tensor) -> torch.Tensor:
        logits = scale * (2 * ((hidden - centre) @ rivals.T).float() - squares)
        return (logits.softmax(1).to(tokens.dtype) @ tokens).to(
            tokens.dtype
        )  # autocast multiplies in another type

    chunks = hidden.split(max(1, max_logits // len(tokens)))
    if len(chunks) == 1:
        return mix(hidden)
    return torch.cat([checkpoint(mix, chunk, use_reentrant=False) for chunk in chunks])
