"""Connectors: from the frames of a frozen encoder to embeddings of a frozen LLM.

Contract: `connector(frames, lengths, num_tokens=None) -> (embeddings, lengths, extras)`, with frames (B, T, D_encoder) and
lengths (B,) in frames; embeddings (B, U, D_llm) and lengths (B,) in embeddings; `extras` holds what a loss may need.
`num_embeddings(num_frames)` says, before any forward, how many embeddings to expect: packing counts with it.
"""

from abc import ABC, abstractmethod

import torch
from torch import nn


class Connector(nn.Module, ABC):
    """What every connector is: see the module's docstring."""

    @abstractmethod
    def forward(self, frames: torch.Tensor, lengths: torch.Tensor, num_tokens: torch.Tensor | None = None):
        """Embeddings (B, U, D_llm), their lengths (B,), and a dict of extras. Padding frames change nothing."""

    @abstractmethod
    def num_embeddings(self, num_frames):
        """How many embeddings to expect for `num_frames` frames (int or integer array)."""


class StackAndProject(Connector):
    """Stack neighbouring frames, then a two-layer perceptron: the projector of AZeroS (arXiv:2601.06086).

    With stride 4, an encoder of width 768 and an LLM of width 3584 it has 23.86 M parameters (the paper says 23.8 M).

    Arguments
    ---------
    input_width : int
        D of the encoder.
    output_width : int
        D of the LLM.
    stride : int
        Frames in one embedding.
    hidden_width : int, optional
        Of the perceptron; the LLM's width, as in the paper, unless given.
    keep_remainder : bool
        False, as in the paper, discards the frames beyond a multiple of `stride`; True completes them with zeros.
    """

    def __init__(
        self,
        input_width: int,
        output_width: int,
        *,
        stride: int = 4,
        hidden_width: int | None = None,
        keep_remainder: bool = False,
    ):
        super().__init__()
        if stride < 1:
            raise ValueError(f"stride {stride}: a connector stacks at least one frame")
        self.stride = stride
        self.keep_remainder = keep_remainder
        hidden_width = hidden_width or output_width
        self.project = nn.Sequential(
            nn.Linear(stride * input_width, hidden_width), nn.ReLU(), nn.Linear(hidden_width, output_width)
        )

    def forward(self, frames, lengths, num_tokens=None):
        """See `Connector.forward`; extras are empty."""
        batch, time, width = frames.shape
        # Frames beyond an utterance's length are whatever its batch mates made them: zero them before they are stacked.
        frames = frames * (torch.arange(time, device=frames.device)[None, :] < lengths[:, None]).unsqueeze(-1)
        frames = nn.functional.pad(frames, (0, 0, 0, -time % self.stride))
        embeddings = self.project(frames.reshape(batch, -1, self.stride * width))
        return embeddings, self.num_embeddings(lengths), {}

    def num_embeddings(self, num_frames):
        """Frames divided by the stride, rounded up when the remainder is kept, otherwise down."""
        return (
            (num_frames + self.stride - 1) // self.stride
            if self.keep_remainder
            else num_frames // self.stride
        )
