"""Which tokens embeddings stand for: a loss that lets each name its own, and the mixture of the tokens that it names.

Both take the logit of a token to be minus its squared distance to the embedding: the classifier of prototypical networks
(arXiv:1703.05175), with the tokens' embeddings as prototypes.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch.autograd.function import FunctionCtx
from torch.utils.checkpoint import checkpoint

from auralign.losses.cross_entropy import MAX_LOGITS
from auralign.losses.term import Term

SHARPNESS, MIXING_SHARPNESS = 10.0, 40.0
"""The logit of a squared distance as large as the tokens' mean squared distance from their centre: where tokens are learned, and
where they are mixed. A mixture of many tokens is near none of them, or near another, so that mixing has to be sharper."""


@dataclass(frozen=True)
class Prototypes:
    """The embeddings of tokens with what the distances to them need; made once for all packs with the same tokens.

    Arguments
    ---------
    tokens : torch.Tensor
        (V, D): embeddings of the tokens with the ids 0 to V - 1.
    centre : torch.Tensor
        (D,): what is subtracted from them, as the mean of all tokens' embeddings.
    centred : torch.Tensor
        (V, D): `tokens` without `centre`.
    squares : torch.Tensor
        (V,) of fp32: squared lengths of `centred`.
    """

    tokens: torch.Tensor
    centre: torch.Tensor
    centred: torch.Tensor
    squares: torch.Tensor

    @classmethod
    def of(cls, tokens: torch.Tensor, centre: torch.Tensor) -> "Prototypes":
        """Prototypes of tokens' embeddings (V, D), which get no gradient, and a centre (D,)."""
        tokens = tokens.detach()
        centred = tokens - centre
        return cls(tokens, centre, centred, centred.float().square().sum(1))

    def from_centre(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Embeddings (M, D) without the centre, in the type of the tokens: those of an LLM in bf16 meet a connector in fp32."""
        return (embeddings - self.centre).to(self.centred.dtype)

    def first(self, number: int) -> "Prototypes":
        """The prototypes of the first tokens."""
        return Prototypes(self.tokens[:number], self.centre, self.centred[:number], self.squares[:number])


def naming_loss(
    hidden: torch.Tensor,
    tokens: torch.Tensor,
    labels: torch.Tensor,
    rivals: torch.Tensor | Prototypes,
    centre: torch.Tensor | None = None,
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
    rivals : torch.Tensor or Prototypes
        (R, D): embeddings of the tokens with the ids 0 to R - 1, which compete with the right one. No gradient.
    centre : torch.Tensor, optional
        (D,): mean of all tokens' embeddings; Prototypes have it.
    sharpness : float
        The logit of a squared distance as large as the rivals' mean squared distance from the centre; default 10.
    max_logits : int
        As of `cross_entropy`.

    Returns a Term whose count is M.
    """
    if not len(labels):
        return Term(sum=hidden.sum() * 0.0, count=0)
    near = _prototypes(rivals, centre)
    name = partial(_name, rivals=near.centred, squares=near.squares, scale=sharpness / near.squares.mean())
    given = near.from_centre(hidden), near.from_centre(tokens.detach()), labels
    rows = max(1, max_logits // len(near.squares))
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
    # The right one does not compete with itself; of one that is no rival, the last column is hidden, which no rival has.
    against = torch.nn.functional.pad(against, (0, 1), value=-torch.inf)
    own = labels.clamp_max(len(rivals)).unsqueeze(1)
    against = against.scatter(1, own, -torch.inf)
    return (torch.logsumexp(torch.cat([right.unsqueeze(1), against], 1), 1) - right).sum()


def _prototypes(tokens: torch.Tensor | Prototypes, centre: torch.Tensor | None) -> Prototypes:
    if isinstance(tokens, Prototypes):
        return tokens
    if centre is None:
        raise ValueError("give the centre (D,) of the tokens' embeddings, or Prototypes, which have one")
    return Prototypes.of(tokens, centre)


def mix_tokens(
    hidden: torch.Tensor,
    tokens: torch.Tensor | Prototypes,
    centre: torch.Tensor | None = None,
    *,
    sharpness: float = MIXING_SHARPNESS,
    max_logits: int = MAX_LOGITS,
) -> torch.Tensor:
    """The mean of all tokens' embeddings, weighted by how likely each is the one that an embedding stands for.

    An LLM has read nothing but the embeddings of its tokens, and answers other vectors near one otherwise than that token.
    As LegoSLM (arXiv:2505.11352) does with the posteriors of CTC.

    The gradient of a mixture is given to the embedding itself (straight-through, arXiv:1308.3432, as VQ-VAE does,
    arXiv:1711.00937): a sharp mixture is one token, which next to nothing moves, and its own gradient is next to none.

    Arguments
    ---------
    hidden : torch.Tensor
        (M, D): the embeddings.
    tokens : torch.Tensor or Prototypes
        (V, D): embeddings of all tokens. No gradient.
    centre : torch.Tensor, optional
        (D,): their mean; Prototypes have it.
    sharpness : float
        As of `naming_loss`; the larger, the more of the nearest token. Default 40.
    max_logits : int
        More logits than this are computed in chunks; default 2^24.

    Returns torch.Tensor (M, D), of the type of `tokens`.
    """
    near = _prototypes(tokens, centre)
    dtype, scale = near.tokens.dtype, sharpness / near.squares.mean()

    def mix(hidden: torch.Tensor) -> torch.Tensor:
        logits = scale * (2 * (near.from_centre(hidden) @ near.centred.T).float() - near.squares)
        return (logits.softmax(1).to(dtype) @ near.tokens).to(dtype)  # autocast multiplies in another type

    with torch.no_grad():
        chunks = hidden.split(max(1, max_logits // len(near.squares)))
        mixed = torch.cat([mix(chunk) for chunk in chunks])
    return _StraightThrough.apply(hidden, mixed)


class _StraightThrough(torch.autograd.Function):
    """A value whose gradient is that of the embeddings that it was made of."""

    @staticmethod
    def forward(_: FunctionCtx, hidden: torch.Tensor, mixed: torch.Tensor) -> torch.Tensor:
        return mixed

    @staticmethod
    def backward(_: FunctionCtx, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient, None
