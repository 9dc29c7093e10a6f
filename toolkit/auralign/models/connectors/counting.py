"""Connectors that make one embedding for each token of the transcript, and predict that number in use."""

import itertools
import math

import torch
from torch import nn

from auralign.models.connectors.connector import Connector
from auralign.models.connectors.qformer import make_qformer
from auralign.models.masks import is_within


class CountedQFormer(Connector):
    """A Q-Former with one query for each token of the text: the dynamic queries of "Do SLMs Hear Speech as They Read Text?"
    (2026), in our reading.

    The utterance is cut into as many windows of equal length as it has tokens, and each query reads its own window. In use, a
    linear layer on the mean frame predicts the number of tokens per frame. The `extras` hold `quantity` (B,), the predicted
    number of tokens.

    Arguments
    ---------
    input_width, output_width : int
        D of the encoder and of the LLM.
    tokens_per_frame : float
        The predictor's initial value, which `num_embeddings` expects; the default 0.08 is 4 tokens in 50 frames, one second.
    width, num_layers, num_heads : int
        Size of the Q-Former; default 768, 2, 12.
    mix_tokens : bool
        Give the LLM mixtures of its token embeddings (`auralign.losses.mix_tokens`) if the connector itself counts, that is in
        use and with a method that does not give the count; default False.
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
        mix_tokens: bool = False,
    ):
        super().__init__()
        self.mixes_tokens = mix_tokens
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
        if num_tokens is None:  # at most one token per frame, whatever the prediction
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
        """The expected number; the actual one depends on the speech."""
        return _expected(num_frames, self.tokens_per_frame)


class ContinuousIntegrateAndFire(Connector):
    """One embedding for each token of the text: continuous integrate-and-fire (CIF, arXiv:1905.11235).

    Each frame gets a weight between 0 and 1; each time the weights add up to one more, an embedding fires: the weighted mean
    of the frames since the last. In training the weights are scaled to the transcript's token count; in use their own sum,
    rounded and at least 1, is the count. BLSP-KD's connector (arXiv:2405.19041) has 4 transformer layers before and 4 after this;
    here there are none by default. The `extras` hold `quantity` (B,), the sum before scaling.

    Arguments
    ---------
    input_width, output_width : int
        D of the encoder and of the LLM.
    hidden_width : int, optional
        Width between convolution and projection; default the LLM's width.
    kernel_size : int
        Frames that a weight is computed from, odd; default 5.
    stride : int
        Frames from one weight to the next; default 1. With 2 an utterance takes half the time.
    tokens_per_frame : float
        The weights' initial mean, which `num_embeddings` expects; the default 0.08 is 4 tokens in 50 frames, one second.
    project_first : bool
        Project frames to the LLM's width before they are gathered, not after; default False. `extras` then also hold these
        `frames` (B, T, D_llm), their `weights` (B, T) and `lengths` (B,), which ACIF aligns.
    mix_tokens : bool
        Give the LLM mixtures of its token embeddings (`auralign.losses.mix_tokens`) if the connector itself counts, that is in
        use and with a method that does not give the count; default False.
    dropout : float
        Share of the hidden units that training leaves out: behind the convolution, within projection and layers; default 0.
    num_layers_before, num_layers_after : int
        Transformer layers (pre-norm, of the hidden width) over the frames behind the convolution, and over the embeddings
        before the projection, so that each is made in its context; default 0. With `project_first` there are none after.
    num_heads : int
        Of each layer; default 8.
    """

    counts_tokens = True

    def __init__(
        self,
        input_width: int,
        output_width: int,
        *,
        hidden_width: int | None = None,
        kernel_size: int = 5,
        stride: int = 1,
        tokens_per_frame: float = 0.08,
        project_first: bool = False,
        mix_tokens: bool = False,
        dropout: float = 0.0,
        num_layers_before: int = 0,
        num_layers_after: int = 0,
        num_heads: int = 8,
    ):
        super().__init__()
        self.mixes_tokens = mix_tokens
        rate = tokens_per_frame * stride
        if kernel_size % 2 == 0 or stride < 1 or not 0 < rate < 1:
            raise ValueError(
                f"kernel_size {kernel_size}, stride {stride}, tokens_per_frame {tokens_per_frame}: use an odd kernel, a stride "
                "of at least 1, and a product of the last two above 0 and below 1"
            )
        hidden_width = hidden_width or output_width
        if (num_layers_before or num_layers_after) and hidden_width % num_heads:
            raise ValueError(
                f"hidden_width {hidden_width} is no multiple of num_heads {num_heads}: change one of them"
            )
        if project_first and num_layers_after:
            raise ValueError(
                f"num_layers_after {num_layers_after} with project_first: embeddings are gathered last, use 0"
            )
        self.tokens_per_frame, self.project_first, self.stride = tokens_per_frame, project_first, stride
        self.norm = nn.LayerNorm(input_width)
        self.convolution = nn.Conv1d(
            input_width, hidden_width, kernel_size, padding=kernel_size // 2, stride=stride
        )
        self.weigh = nn.Linear(hidden_width, 1)
        nn.init.constant_(self.weigh.bias, math.log(rate / (1 - rate)))
        self.dropout = nn.Dropout(dropout)
        self.before = _make_layers(num_layers_before, hidden_width, num_heads, dropout)
        self.after = _make_layers(num_layers_after, hidden_width, num_heads, dropout)
        self.project = nn.Sequential(
            nn.Linear(hidden_width, hidden_width),
            nn.Sequential(nn.GELU(), self.dropout),
            nn.Linear(hidden_width, output_width),
        )

    def forward(self, frames, lengths, num_tokens=None):
        """See `Connector.forward`."""
        within = is_within(lengths, frames.shape[1])
        frames = self.norm(frames) * within.unsqueeze(-1)
        hidden = self.dropout(nn.functional.gelu(self.convolution(frames.transpose(1, 2)).transpose(1, 2)))
        lengths = (lengths + self.stride - 1) // self.stride
        within = is_within(lengths, hidden.shape[1])
        hidden = _read_in_context(self.before, hidden, within)
        weights = self.weigh(hidden).squeeze(-1).float().sigmoid() * within  # bfloat16 cannot count frames
        quantity = weights.sum(1)
        if num_tokens is None:
            num_tokens = quantity.detach().round().long().clamp(min=1)
        taken = fire(weights * (num_tokens / quantity).unsqueeze(1), int(num_tokens.max())).to(hidden.dtype)
        if self.project_first:
            hidden = self.project(hidden)
            extras = {"quantity": quantity, "frames": hidden, "weights": weights, "lengths": lengths}
            return torch.einsum("but,btd->bud", taken, hidden), num_tokens, extras
        fired = torch.einsum("but,btd->bud", taken, hidden)
        fired = _read_in_context(self.after, fired, is_within(num_tokens, fired.shape[1]))
        return self.project(fired), num_tokens, {"quantity": quantity}

    def num_embeddings(self, num_frames):
        """The expected number; the actual one depends on the speech."""
        return _expected(num_frames, self.tokens_per_frame)


def fire(weights: torch.Tensor, num_tokens: int) -> torch.Tensor:
    """Frame weights (B, T) -> the share of each frame in each token (B, U, T).

    Token u takes the part of a frame's weight that lies between u and u + 1 of the running sum, so that the shares of a token
    add up to 1, and a frame heavier than 1 fires more than once (equations 1 to 4 of arXiv:1905.11235).
    """
    after = weights.cumsum(1).unsqueeze(1)
    before = after - weights.unsqueeze(1)
    start = torch.arange(num_tokens, device=weights.device, dtype=weights.dtype)[None, :, None]
    return (torch.minimum(after, start + 1) - torch.maximum(before, start)).clamp(min=0)


def _make_layers(number: int, width: int, num_heads: int, dropout: float) -> nn.ModuleList:
    return nn.ModuleList(
        nn.TransformerEncoderLayer(
            width, num_heads, 4 * width, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        for _ in range(number)
    )


def _read_in_context(layers: nn.ModuleList, hidden: torch.Tensor, within: torch.Tensor) -> torch.Tensor:
    """Hidden states (B, N, D) through transformer layers, with sinusoids for places; `within` (B, N) marks what is there."""
    if not layers:
        return hidden
    length, width = hidden.shape[1:]
    place = torch.arange(length, device=hidden.device, dtype=torch.float32).unsqueeze(1)
    angle = place * torch.exp(torch.arange(0, width, 2, device=hidden.device) * (-math.log(10_000.0) / width))
    places = torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)[:, :width]
    hidden = hidden + places.to(hidden.dtype)
    for layer in layers:
        hidden = layer(hidden, src_key_padding_mask=~within)
    return hidden


def _windows(num_frames: int, num_windows: int) -> list[tuple[int, int]]:
    """(start, end) of equal windows, in frames; each holds at least one frame, shared if there are too few."""
    edges = [number * num_frames // max(num_windows, 1) for number in range(num_windows + 1)]
    return [(start, max(end, start + 1)) for start, end in itertools.pairwise(edges)]


def _expected(num_frames, tokens_per_frame: float):
    return num_frames * round(1000 * tokens_per_frame) // 1000 + 1
