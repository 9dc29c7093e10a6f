"""A connector before any other: a learned sum of the encoder's layers."""

import functools

import torch
from torch import nn

from auralign.models.connectors.connector import Connector, width_of_layer
from auralign.models.connectors.stacking import StackAndProject


class WeightedLayers(Connector):
    """A learned weighted sum of encoder layers (as in ELMo and SUPERB, arXiv:2105.01051) before any other connector.

    Arguments
    ---------
    input_width, output_width : int
        D of the encoder's frames (all layers together) and of the LLM.
    num_encoder_layers : int
        Layers in one frame.
    connector : constructor of a Connector
        Called with the width of one layer and that of the LLM; default `StackAndProject`.
    """

    def __init__(
        self,
        input_width: int,
        output_width: int,
        *,
        num_encoder_layers: int,
        connector: functools.partial = StackAndProject,
    ):
        super().__init__()
        self.num_encoder_layers = num_encoder_layers
        self.layer_scores = nn.Parameter(torch.zeros(num_encoder_layers))
        self.connector = connector(width_of_layer(input_width, num_encoder_layers), output_width)
        self.counts_tokens = self.connector.counts_tokens

    def forward(self, frames, lengths, num_tokens=None):
        """See `Connector.forward`; the extras are the inner connector's."""
        layers = frames.unflatten(-1, (self.num_encoder_layers, -1))
        mixed = torch.einsum("btld,l->btd", layers, self.layer_scores.softmax(dim=0).to(frames.dtype))
        return self.connector(mixed, lengths, num_tokens)

    def num_embeddings(self, num_frames):
        """The inner connector's number."""
        return self.connector.num_embeddings(num_frames)
