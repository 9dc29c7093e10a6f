"""Sums over positions whose logits are too many to keep: computed in chunks, each with its gradient at once.

Axes: M positions, D width, V vocabulary.
"""

from collections.abc import Callable

import torch
from torch.utils.checkpoint import checkpoint

Head = Callable[[torch.Tensor], torch.Tensor]  # hidden states (m, D) to logits (m, V)
Chunk = Callable[
    [torch.Tensor, slice], torch.Tensor
]  # hidden states (m, D) of a slice of the positions, to a scalar


def sum_over_chunks(chunk: Chunk, hidden: torch.Tensor, *, rows: int, head: Head) -> torch.Tensor:
    """The sum of `chunk` over all positions, `rows` at a time.

    A frozen head needs a gradient of its input alone. It is computed with the value, while the logits of the chunk are there:
    neither are they kept until backward, nor computed again in it. (Liger, arXiv:2410.10989, section 3.2.)

    Arguments
    ---------
    chunk : callable
        From hidden states and the slice of the positions that they are of, to the sum of a loss over them.
    hidden : torch.Tensor
        (M, D), M at least 1.
    rows : int
        Positions of a chunk.
    head : callable
        What `chunk` applies; asked whether its own weights are trained. Then the logits of several chunks are computed again in
        backward.

    Returns a scalar that can be differentiated once.
    """
    parts = [slice(start, start + rows) for start in range(0, len(hidden), rows)]
    if not torch.is_grad_enabled():
        return torch.stack([chunk(hidden[part], part) for part in parts]).sum()
    if hidden.requires_grad and not head(hidden[:0].detach()).requires_grad:
        return _SumWithGradient.apply(hidden, chunk, parts)
    if len(parts) == 1:
        return chunk(hidden, parts[0])
    return torch.stack([checkpoint(chunk, hidden[part], part, use_reentrant=False) for part in parts]).sum()


class _SumWithGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hidden: torch.Tensor, chunk: Chunk, parts: list[slice]) -> torch.Tensor:
        sums, gradients = [], []
        for part in parts:
            with torch.enable_grad():
                given = hidden[part].detach().requires_grad_()
                found = chunk(given, part)
            with torch.autocast(hidden.device.type, enabled=False):
                gradients += torch.autograd.grad(found, given)
            sums.append(found.detach())
        ctx.save_for_backward(torch.cat(gradients))
        return torch.stack(sums).sum()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, upstream: torch.Tensor):
        (gradient,) = ctx.saved_tensors
        # In fp32: the scale of a loss in fp16 may be more than fp16 holds.
        return (gradient.float() * upstream).to(gradient.dtype), None, None
