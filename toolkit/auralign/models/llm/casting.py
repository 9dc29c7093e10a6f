"""The weights of a frozen LLM in the type that autocast multiplies in, so that they are cast once, and not at each use.

    casts = Casts(decoder, torch.bfloat16)
    with casts, torch.autocast("cpu", torch.bfloat16):
        decoder(...).sum().backward()        # the same, bit for bit, as without `casts`

torch's autocast remembers the casts of trained weights alone. Of SmolLM2-135M, 256 positions a pack, its casts of frozen ones
took a fifth of a step on an Intel Xeon with amx_bf16.
"""

import torch
from torch import nn


class Casts:
    """Context manager: linear layers of a decoder whose float32 weights are frozen have them in `dtype` instead.

    The copies, half the size of these weights, are made on the first entry and kept. The weights must not change meanwhile.

    Arguments
    ---------
    decoder : nn.Module
        Its embeddings, which a head may share, are left as they are.
    dtype : torch.dtype
        Of the autocast in which the layers are run, forward and backward.
    """

    def __init__(self, decoder: nn.Module, dtype: torch.dtype):
        self._parameters = [
            parameter
            for layer in decoder.modules()
            if type(layer) is nn.Linear
            for parameter in layer.parameters(recurse=False)
            if parameter.dtype == torch.float32 and not parameter.requires_grad
        ]
        self._dtype = dtype
        self._casts: list[torch.Tensor] = []
        self._weights: list[torch.Tensor] = []

    def __enter__(self) -> "Casts":
        self._weights = [parameter.data for parameter in self._parameters]
        if not self._casts:
            self._casts = [weight.to(self._dtype) for weight in self._weights]
        self._put(self._casts)
        return self

    def __exit__(self, *_) -> None:
        self._put(self._weights)
        self._weights = []

    def _put(self, found: list[torch.Tensor]) -> None:
        for parameter, data in zip(self._parameters, found, strict=True):
            parameter.data = data
