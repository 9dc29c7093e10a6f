"""Connectors whose queries read the frames by cross-attention: Q-Formers of a fixed number of queries."""

import torch
from torch import nn

from auralign.models.connectors.connector import Connector, width_of_layer
from auralign.models.masks import is_within


def make_qformer(input_width: int, width: int, num_layers: int, num_heads: int) -> nn.Module:
    """The Q-Former of BLIP-2 (arXiv:2301.12597) with cross-attention in every layer, by transformers."""
    from transformers import Blip2QFormerConfig, Blip2QFormerModel

    return Blip2QFormerModel(
        Blip2QFormerConfig(
            hidden_size=width,
            num_hidden_layers=num_layers,
            num_attention_heads=num_heads,
            intermediate_size=4 * width,
            cross_attention_frequency=1,
            encoder_hidden_size=input_width,
        )
    )


class WindowedQFormer(Connector):
    """A Q-Former that reads one window of speech at a time (SALMONN, arXiv:2310.13289; Self-Powered LSM, arXiv:2410.03798).

    A window lasts fixed seconds. In the released code of Self-Powered LSM its length depends on the longest utterance of the
    batch, so that an utterance's embeddings change with its batch mates.

    Arguments
    ---------
    input_width, output_width : int
        D of the encoder and of the LLM.
    window_seconds : float
        Duration of a window; default 1/3 s.
    frames_per_second : float
        Frame rate of the encoder; default 50.
    num_queries : int
        Embeddings in one window; default 1.
    width, num_layers, num_heads : int
        Size of the Q-Former; default 768, 2, 12.
    """

    def __init__(
        self,
        input_width: int,
        output_width: int,
        *,
        window_seconds: float = 1 / 3,
        frames_per_second: float = 50.0,
        num_queries: int = 1,
        width: int = 768,
        num_layers: int = 2,
        num_heads: int = 12,
    ):
        super().__init__()
        self.window = round(window_seconds * frames_per_second)
        if self.window < 1:
            raise ValueError(
                f"window_seconds {window_seconds}: less than one frame of 1/{frames_per_second:g} s"
            )
        self.num_queries = num_queries
        self.norm = nn.LayerNorm(input_width)
        self.queries = nn.Parameter(0.02 * torch.randn(1, num_queries, width))
        self.qformer = make_qformer(input_width, width, num_layers, num_heads)
        self.project = nn.Linear(width, output_width)

    def forward(self, frames, lengths, num_tokens=None):
        """See `Connector.forward`; extras are empty."""
        batch, time, width = frames.shape
        within = nn.functional.pad(is_within(lengths, time), (0, -time % self.window))
        frames = nn.functional.pad(self.norm(frames), (0, 0, 0, -time % self.window))
        frames = frames.reshape(-1, self.window, width)  # (windows of the whole batch, frames, D)
        within = within.reshape(-1, self.window)
        used = within[:, 0]  # the other windows are padding from their first frame
        read = self.qformer(
            self.queries.expand(int(used.sum()), -1, -1).to(frames.dtype),
            encoder_hidden_states=frames[used],
            encoder_attention_mask=within[used].long(),
        ).last_hidden_state
        projected = self.project(read)
        embeddings = projected.new_zeros(len(used), self.num_queries, projected.shape[-1])
        embeddings[used] = projected
        return (
            embeddings.reshape(batch, -1, projected.shape[-1]),
            self.num_embeddings(lengths),
            {},
        )

    def num_embeddings(self, num_frames):
        """The queries of each window; the last window may be shorter."""
        return (num_frames + self.window - 1) // self.window * self.num_queries


class MultiLayerQFormer(Connector):
    """Queries for each of several encoder layers, mixed query by query: the connector of DeSTA (arXiv:2409.20007, 2507.02768).

    Needs an encoder with `layers` chosen. It gives the same number of embeddings for a clip of any length.

    Arguments
    ---------
    input_width, output_width : int
        D of the encoder's frames (all layers together) and of the LLM.
    num_encoder_layers : int
        Layers in one frame; default 4.
    num_queries : int
        Embeddings of a clip; default 64.
    width, num_layers, num_heads : int
        Size of the Q-Former, which the encoder's layers share; default 1280, 6, 20.
    """

    def __init__(
        self,
        input_width: int,
        output_width: int,
        *,
        num_encoder_layers: int = 4,
        num_queries: int = 64,
        width: int = 1280,
        num_layers: int = 6,
        num_heads: int = 20,
    ):
        super().__init__()
        self.num_encoder_layers, self.num_queries = num_encoder_layers, num_queries
        self.queries = nn.Parameter(0.02 * torch.randn(num_encoder_layers, num_queries, width))
        self.qformer = make_qformer(
            width_of_layer(input_width, num_encoder_layers), width, num_layers, num_heads
        )
        self.layer_scores = nn.Parameter(torch.zeros(num_encoder_layers, num_queries))
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, output_width)

    def forward(self, frames, lengths, num_tokens=None):
        """See `Connector.forward`; extras are empty."""
        batch, time, _ = frames.shape
        mask = is_within(lengths, time).long()
        read = [
            self.qformer(
                queries.expand(batch, -1, -1).to(frames.dtype),
                encoder_hidden_states=layer,
                encoder_attention_mask=mask,
            ).last_hidden_state
            for queries, layer in zip(
                self.queries, frames.chunk(self.num_encoder_layers, dim=-1), strict=True
            )
        ]
        weights = self.layer_scores.softmax(dim=0)  # (layers, queries)
        mixed = torch.einsum("lbqd,lq->bqd", torch.stack(read), weights.to(frames.dtype))
        return self.project(self.norm(mixed)), self.num_embeddings(lengths), {}

    def num_embeddings(self, num_frames):
        """Always the number of queries."""
        return num_frames * 0 + self.num_queries
