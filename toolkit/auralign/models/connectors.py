"""Connectors: from the frames of a frozen encoder to embeddings of a frozen LLM.

Contract: `connector(frames, lengths, num_tokens=None) -> (embeddings, lengths, extras)`, with frames (B, T, D_encoder) and
lengths (B,) in frames; embeddings (B, U, D_llm) and lengths (B,) in embeddings; `extras` holds what a loss may need.
`num_embeddings(num_frames)` says, before any forward, how many embeddings to expect: packing counts with it.
"""

import functools
import itertools
import math
from abc import ABC, abstractmethod

import torch
from torch import nn

from auralign.models.encoder import is_within


class Connector(nn.Module, ABC):
    """What every connector is: see the module's docstring.

    One that makes just as many embeddings as it is told tokens says so in `counts_tokens`.
    """

    counts_tokens = False

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
        frames = frames * is_within(lengths, time).unsqueeze(-1)
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


class ConvolveAndProject(Connector):
    """Strided convolutions with gates, then a residual bottleneck: the adapter of BLSP (arXiv:2309.00916).

    With three convolutions, an encoder of width 768 and an LLM of width 4096 it has 47.5 M parameters, as the paper's.

    Arguments
    ---------
    input_width, output_width : int
        D of the encoder and of the LLM.
    num_convolutions : int
        Each halves the frame rate.
    kernel_size : int
        Odd.
    bottleneck_width : int
    """

    def __init__(
        self,
        input_width: int,
        output_width: int,
        *,
        num_convolutions: int = 3,
        kernel_size: int = 5,
        bottleneck_width: int = 512,
    ):
        super().__init__()
        if num_convolutions < 1 or kernel_size % 2 == 0:
            raise ValueError(
                f"{num_convolutions} convolutions with kernels of {kernel_size}: use at least one, and an odd kernel"
            )
        widths = [input_width] * num_convolutions + [output_width]
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width, 2 * after, kernel_size, stride=2, padding=kernel_size // 2)
            for width, after in zip(widths, widths[1:], strict=False)
        )
        self.bottleneck = nn.Sequential(
            nn.Linear(output_width, bottleneck_width, bias=False),
            nn.GELU(),
            nn.Linear(bottleneck_width, output_width, bias=False),
        )
        self.norm = nn.LayerNorm(output_width)

    def forward(self, frames, lengths, num_tokens=None):
        """See `Connector.forward`; extras are empty."""
        for convolution in self.convolutions:
            frames = frames * is_within(lengths, frames.shape[1]).unsqueeze(-1)
            frames = nn.functional.glu(convolution(frames.transpose(1, 2)), dim=1).transpose(1, 2)
            lengths = (lengths + 1) // 2
        return self.norm(frames + self.bottleneck(frames)), lengths, {}

    def num_embeddings(self, num_frames):
        """Halved by each convolution, rounded up."""
        for _ in self.convolutions:
            num_frames = (num_frames + 1) // 2
        return num_frames


def make_qformer(input_width: int, width: int, num_layers: int, num_heads: int) -> nn.Module:
    """The Q-Former of BLIP-2 (arXiv:2301.12597), with cross-attention in every layer, as transformers has it."""
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
    frames_per_second : float
        Of the encoder.
    num_queries : int
        Embeddings in one window.
    width, num_layers, num_heads : int
        Of the Q-Former.
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
        heard = within[:, 0]  # the others are padding from their first frame on
        read = self.qformer(
            self.queries.expand(int(heard.sum()), -1, -1).to(frames.dtype),
            encoder_hidden_states=frames[heard],
            encoder_attention_mask=within[heard].long(),
        ).last_hidden_state
        projected = self.project(read)
        embeddings = projected.new_zeros(len(heard), self.num_queries, projected.shape[-1])
        embeddings[heard] = projected
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
        Layers in one frame.
    num_queries : int
        Embeddings of a clip.
    width, num_layers, num_heads : int
        Of the Q-Former, which the encoder's layers share.
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
            _width_of_one(input_width, num_encoder_layers), width, num_layers, num_heads
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


class CountedQFormer(Connector):
    """A Q-Former with one query for each token of the text: the dynamic queries of "Do SLMs Hear Speech as They Read Text?"
    (2026), in our reading.

    The utterance is cut into as many windows of equal length as it has tokens, and each query reads its own. In use, a linear
    layer on the mean frame predicts how many tokens a frame stands for. Its `extras` hold `quantity` (B,), the predicted number.

    Arguments
    ---------
    input_width, output_width : int
        D of the encoder and of the LLM.
    tokens_per_frame : float
        What the predictor begins with, and what `num_embeddings` expects: 0.08 is 4 tokens a second of 50 frames.
    width, num_layers, num_heads : int
        Of the Q-Former.
    """

    counts_tokens = True

    def __init__(
        self,
        input_width: int,
        output_width: int,
        *,
        tokens_per_frame: float = 0.08,
        width: int = 768,
        num_layers: int = 2,
        num_heads: int = 12,
    ):
        super().__init__()
        self.tokens_per_frame = tokens_per_frame
        self.norm = nn.LayerNorm(input_width)
        self.rate = nn.Linear(input_width, 1)
        nn.init.zeros_(self.rate.weight)
        nn.init.constant_(self.rate.bias, math.log(tokens_per_frame))
        self.query = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.qformer = make_qformer(input_width, width, num_layers, num_heads)
        self.project = nn.Linear(width, output_width)

    def forward(self, frames, lengths, num_tokens=None):
        """See `Connector.forward`."""
        within = is_within(lengths, frames.shape[1]).unsqueeze(-1)
        frames = self.norm(frames) * within
        mean = frames.sum(1) / lengths.unsqueeze(1)
        quantity = self.rate(mean).squeeze(1).exp() * lengths
        if num_tokens is None:  # no more than frames, however far off the prediction is
            num_tokens = quantity.detach().round().long().clamp(min=1).minimum(lengths)
        windows = [
            frames[row, start:end]
            for row, (length, count) in enumerate(zip(lengths.tolist(), num_tokens.tolist(), strict=True))
            for start, end in _windows(length, count)
        ]
        sizes = torch.tensor([len(window) for window in windows], device=frames.device)
        read = self.qformer(
            self.query.expand(len(windows), -1, -1).to(frames.dtype),
            encoder_hidden_states=nn.utils.rnn.pad_sequence(windows, batch_first=True),
            encoder_attention_mask=is_within(sizes, int(sizes.max())).long(),
        ).last_hidden_state
        rows = self.project(read.squeeze(1)).split(num_tokens.tolist())
        return nn.utils.rnn.pad_sequence(rows, batch_first=True), num_tokens, {"quantity": quantity}

    def num_embeddings(self, num_frames):
        """An expectation: how many there are hangs on what was said."""
        return _expected(num_frames, self.tokens_per_frame)


def _windows(num_frames: int, num_windows: int) -> list[tuple[int, int]]:
    """Where equal windows begin and end, in frames; each holds one at least, and shares it where there are too few."""
    edges = [number * num_frames // max(num_windows, 1) for number in range(num_windows + 1)]
    return [(start, max(end, start + 1)) for start, end in itertools.pairwise(edges)]


def _expected(num_frames, tokens_per_frame: float):
    return num_frames * round(1000 * tokens_per_frame) // 1000 + 1


class ContinuousIntegrateAndFire(Connector):
    """As many embeddings as the text has tokens: continuous integrate-and-fire (CIF, arXiv:1905.11235).

    Each frame gets a weight between 0 and 1; whenever the weights add up to one more, an embedding fires: the mean of
    the frames since the last, weighted. In training the weights are scaled to the number of tokens that were said; in use
    their own sum, rounded and at least 1, is that number. Of the connector of BLSP-KD (arXiv:2405.19041) the
    transformer layers before and after are left out. Its `extras` hold `quantity` (B,), the sum before scaling.

    Arguments
    ---------
    input_width, output_width : int
        D of the encoder and of the LLM.
    hidden_width : int, optional
        The LLM's width unless given.
    kernel_size : int
        Frames that a weight is computed from; odd.
    tokens_per_frame : float
        What the weights begin with, on average, and what `num_embeddings` expects: 0.08 is 4 tokens a second of 50 frames.
    project_first : bool
        Project frames to the LLM's width before they are gathered, not after. `extras` then hold these `frames` (B, T, D_llm),
        their `weights` (B, T) and `lengths` (B,) too: what ACIF aligns.
    """

    counts_tokens = True

    def __init__(
        self,
        input_width: int,
        output_width: int,
        *,
        hidden_width: int | None = None,
        kernel_size: int = 5,
        tokens_per_frame: float = 0.08,
        project_first: bool = False,
    ):
        super().__init__()
        if kernel_size % 2 == 0 or not 0 < tokens_per_frame < 1:
            raise ValueError(
                f"kernel_size {kernel_size}, tokens_per_frame {tokens_per_frame}: use an odd kernel, and a share below 1"
            )
        hidden_width = hidden_width or output_width
        self.tokens_per_frame, self.project_first = tokens_per_frame, project_first
        self.norm = nn.LayerNorm(input_width)
        self.convolution = nn.Conv1d(input_width, hidden_width, kernel_size, padding=kernel_size // 2)
        self.weigh = nn.Linear(hidden_width, 1)
        nn.init.constant_(self.weigh.bias, math.log(tokens_per_frame / (1 - tokens_per_frame)))
        self.project = nn.Sequential(
            nn.Linear(hidden_width, hidden_width), nn.GELU(), nn.Linear(hidden_width, output_width)
        )

    def forward(self, frames, lengths, num_tokens=None):
        """See `Connector.forward`."""
        within = is_within(lengths, frames.shape[1])
        frames = self.norm(frames) * within.unsqueeze(-1)
        hidden = nn.functional.gelu(self.convolution(frames.transpose(1, 2)).transpose(1, 2))
        weights = self.weigh(hidden).squeeze(-1).sigmoid() * within
        quantity = weights.sum(1)
        if num_tokens is None:
            num_tokens = quantity.detach().round().long().clamp(min=1)
        taken = fire(weights * (num_tokens / quantity).unsqueeze(1), int(num_tokens.max()))
        if self.project_first:
            hidden = self.project(hidden)
            extras = {"quantity": quantity, "frames": hidden, "weights": weights, "lengths": lengths}
            return torch.einsum("but,btd->bud", taken, hidden), num_tokens, extras
        return self.project(torch.einsum("but,btd->bud", taken, hidden)), num_tokens, {"quantity": quantity}

    def num_embeddings(self, num_frames):
        """An expectation: how many there are hangs on what was said."""
        return _expected(num_frames, self.tokens_per_frame)


def fire(weights: torch.Tensor, num_tokens: int) -> torch.Tensor:
    """Frame weights (B, T) -> what each token takes of each frame (B, U, T).

    Token u takes of a frame the part of its weight that lies between u and u + 1 of the sum so far, so that the takings of a
    token add up to 1, and a frame heavier than 1 fires more than once (equations 1 to 4 of arXiv:1905.11235).
    """
    after = weights.cumsum(1).unsqueeze(1)
    before = after - weights.unsqueeze(1)
    start = torch.arange(num_tokens, device=weights.device, dtype=weights.dtype)[None, :, None]
    return (torch.minimum(after, start + 1) - torch.maximum(before, start)).clamp(min=0)


class WeightedLayers(Connector):
    """A learned weighted sum of encoder layers (as in ELMo and SUPERB, arXiv:2105.01051) before any other connector.

    Arguments
    ---------
    input_width, output_width : int
        D of the encoder's frames (all layers together) and of the LLM.
    num_encoder_layers : int
        Layers in one frame.
    connector : constructor of a Connector
        Called with the width of one layer and that of the LLM.
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
        self.connector = connector(_width_of_one(input_width, num_encoder_layers), output_width)
        self.counts_tokens = self.connector.counts_tokens

    def forward(self, frames, lengths, num_tokens=None):
        """See `Connector.forward`; extras are the other connector's."""
        layers = frames.unflatten(-1, (self.num_encoder_layers, -1))
        mixed = torch.einsum("btld,l->btd", layers, self.layer_scores.softmax(dim=0).to(frames.dtype))
        return self.connector(mixed, lengths, num_tokens)

    def num_embeddings(self, num_frames):
        """The other connector's."""
        return self.connector.num_embeddings(num_frames)


def _width_of_one(input_width: int, num_encoder_layers: int) -> int:
    width, remainder = divmod(input_width, num_encoder_layers)
    if remainder:
        raise ValueError(
            f"frames of width {input_width} do not hold {num_encoder_layers} layers; num_encoder_layers must be the number of "
            "the encoder's `layers`"
        )
    return width
