"""Sums over positions whose logits are too many to keep: computed in chunks, each with its gradient at once.

Axes: M positions, D width, V vocabulary.
"""

from collections.abc import Callable

import torch
from torch.utils.checkpoint import checkpoint

Head = Callable[[torch.Tensor], torch.Tensor]  # hidden states (m, D) to logits (m, V)
Value = Callable[
    [torch.Tensor, slice], torch.Tensor
]  # logits (m, V) of a slice of the positions, to a scalar
# The same, to the scalar and the gradient (m, V) of the logits
WithGradient = Callable[[torch.Tensor, slice], tuple[torch.Tensor, torch.Tensor]]


def rows_of(hidden: torch.Tensor, head: Head, max_logits: int) -> int:
    """The number of positions that together have at most `max_logits` logits, and at least 1."""
    return max(1, max_logits // _no_logits(hidden, head).shape[-1])


def sum_over_chunks(
    value: Value,
    hidden: torch.Tensor,
    head: Head,
    *,
    max_logits: int,
    with_gradient: WithGradient | None = None,
) -> torch.Tensor:
    """The sum of `value` over all positions, of which a chunk has at most `max_logits` logits.

    A frozen head needs a gradient of its input alone. It is computed with the value, while the logits of the chunk are there:
    they are neither kept until backward, nor computed again in it (Liger, arXiv:2410.10989, section 3.2). If the head is trained,
    the logits of several chunks are computed again in backward.

    Arguments
    ---------
    value : callable
        From logits, and the slice of the positions that they are of, to the sum of a loss over them.
    hidden : torch.Tensor
        (M, D), M at least 1.
    head : callable
        From hidden states to logits.
    max_logits : int
    with_gradient : callable, optional
        `value` with the gradient of the logits, if there is a faster way than autograd.

    Returns a scalar that can be differentiated once.
    """
    rows = rows_of(hidden, head, max_logits)
    parts = [slice(start, start + rows) for start in range(0, len(hidden), rows)]
    if torch.is_grad_enabled() and hidden.requires_grad and not _no_logits(hidden, head).requires_grad:
        return _SumWithGradient.apply(hidden, head, parts, value, with_gradient)

    def of_part(states: torch.Tensor, part: slice) -> torch.Tensor:
        return value(head(states), part)

    if torch.is_grad_enabled() and len(parts) > 1:
        sums = [checkpoint(of_part, hidden[part], part, use_reentrant=False) for part in parts]
    else:
        sums = [of_part(hidden[part], part) for part in parts]
    return torch.stack(sums).sum()


def _no_logits(hidden: torch.Tensor, head: Head) -> torch.Tensor:
    """Logits (0, V): they have the size of the vocabulary, and need a gradient if the head is trained. No weight is read."""
    return head(hidden[:0].detach())


class _SumWithGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hidden, head: Head, parts: list[slice], value: Value, with_gradient):
        sums, gradients = [], []
        for part in parts:
            given = hidden[part].detach().requires_grad_()
            with torch.enable_grad():
                logits = head(given)
                found = logits if with_gradient else value(logits, part)
            of_logits = None
            if with_gradient:
                of_part, of_logits = with_gradient(logits.detach(), part)
                of_logits = of_logits.to(logits.dtype)
            else:
                of_part = found.detach()
            with torch.autocast(hidden.device.type, enabled=False):
                gradients += torch.autograd.grad(found, given, of_logits)
            sums.append(of_part)
        ctx.save_for_backward(torch.cat(gradients))
        return torch.stack(sums).sum()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, upstream: torch.Tensor):
        (gradient,) = ctx.saved_tensors
        # In fp32: the scale of a loss in fp16 may be more than fp16 holds.
        return (gradient.float() * upstream).to(gradient.dtype), None, None, None, None
