"""The base class of connectors: from the frames of a frozen encoder to embeddings of a frozen LLM.

Contract: `connector(frames, lengths, num_tokens=None) -> (embeddings, lengths, extras)`, with frames (B, T, D_encoder) and
lengths (B,) in frames; embeddings (B, U, D_llm) and lengths (B,) in embeddings; `extras` holds what a loss may need.
`num_embeddings(num_frames)` says, before any forward, how many embeddings to expect: packing counts with it.
"""

from abc import ABC, abstractmethod

import torch
from torch import nn


class Connector(nn.Module, ABC):
    """The base class of connectors; the module's docstring has the contract.

    A connector that emits exactly `num_tokens` embeddings, if it is given that number, sets `counts_tokens`. One that sets
    `mixes_tokens` asks the model to replace what it makes by mixtures of the LLM's token embeddings
    (`auralign.losses.mix_tokens`), except if it is given `num_tokens`: a loss that pairs embeddings with tokens needs them bare.
    """

    counts_tokens = False
    mixes_tokens = False

    @abstractmethod
    def forward(self, frames: torch.Tensor, lengths: torch.Tensor, num_tokens: torch.Tensor | None = None):
        """Embeddings (B, U, D_llm), their lengths (B,), and a dict of extras. Padding frames change nothing."""

    @abstractmethod
    def num_embeddings(self, num_frames):
        """How many embeddings to expect for `num_frames` frames (int or integer array)."""


def width_of_layer(input_width: int, num_encoder_layers: int) -> int:
    width, remainder = divmod(input_width, num_encoder_layers)
    if remainder:
        raise ValueError(
            f"frames of width {input_width} do not hold {num_encoder_layers} layers; num_encoder_layers must be the number of "
            "the encoder's `layers`"
        )
    return width
