"""Connectors that lower the frame rate by a fixed factor: stacked frames, or strided convolutions."""

from torch import nn

from auralign.models.connectors.connector import Connector
from auralign.models.masks import is_within

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU}


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
        Frames in one embedding; default 4.
    hidden_width : int, optional
        Width of the perceptron; default the LLM's width, as in the paper.
    num_layers : int
        2 (default); 1 is a single linear layer without an activation, as in Qwen2-Audio (arXiv:2407.10759).
    bias : bool
        Whether the linear layers have one; default True. Voxtral's (arXiv:2507.13264) have none.
    activation : str
        "relu" (default), "gelu" or "silu" between the layers.
    keep_remainder : bool
        False (default), as in the paper, discards the frames beyond a multiple of `stride`; True completes them with zeros.
    """

    def __init__(
        self,
        input_width: int,
        output_width: int,
        *,
        stride: int = 4,
        hidden_width: int | None = None,
        keep_remainder: bool = False,
        num_layers: int = 2,
        bias: bool = True,
        activation: str = "relu",
    ):
        super().__init__()
        if stride < 1:
            raise ValueError(f"stride {stride}: a connector stacks at least one frame")
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation {activation!r}: use {', '.join(ACTIVATIONS)}")
        if num_layers not in (1, 2):
            raise ValueError(f"num_layers {num_layers}: this connector has 1 or 2 linear layers")
        if num_layers == 1 and hidden_width is not None:
            raise ValueError(f"hidden_width {hidden_width}: a single linear layer has none; leave it out")
        self.stride = stride
        self.keep_remainder = keep_remainder
        hidden_width = hidden_width or output_width
        if num_layers == 1:
            layers = [nn.Linear(stride * input_width, output_width, bias=bias)]
        else:
            layers = [
                nn.Linear(stride * input_width, hidden_width, bias=bias),
                ACTIVATIONS[activation](),
                nn.Linear(hidden_width, output_width, bias=bias),
            ]
        self.project = nn.Sequential(*layers)

    def forward(self, frames, lengths, num_tokens=None):
        """See `Connector.forward`; extras are empty."""
        return self.project(stack(frames, lengths, self.stride)), self.num_embeddings(lengths), {}

    def num_embeddings(self, num_frames):
        """Frames divided by the stride, rounded up when the remainder is kept, otherwise down."""
        return (
            (num_frames + self.stride - 1) // self.stride
            if self.keep_remainder
            else num_frames // self.stride
        )


class UltravoxProjector(Connector):
    """Stack neighbouring frames, then a gated perceptron between RMS norms: the projector of Ultravox 0.5
    (https://github.com/fixie-ai/ultravox), without biases.

    Arguments
    ---------
    input_width, output_width : int
        D of the encoder and of the LLM.
    stride : int
        Frames in one embedding; default 8, as Ultravox's `stack_factor`. The last are completed with zeros.
    hidden_width : int
        Outputs of the first layer, an even number: SwiGLU multiplies one half by the SiLU of the other. Default 4096.
    norm_init : float
        Initial weight of the norms; default 0.4, as in Ultravox.
    """

    def __init__(
        self,
        input_width: int,
        output_width: int,
        *,
        stride: int = 8,
        hidden_width: int = 4096,
        norm_init: float = 0.4,
    ):
        super().__init__()
        if stride < 1:
            raise ValueError(f"stride {stride}: a connector stacks at least one frame")
        if hidden_width < 2 or hidden_width % 2:
            raise ValueError(f"hidden_width {hidden_width}: SwiGLU halves it; give an even number")
        self.stride = stride
        self.norm_init = norm_init
        self.ln_pre = nn.RMSNorm(stride * input_width, eps=1e-6)
        self.linear_1 = nn.Linear(stride * input_width, hidden_width, bias=False)
        self.ln_mid = nn.RMSNorm(hidden_width // 2, eps=1e-6)
        self.linear_2 = nn.Linear(hidden_width // 2, output_width, bias=False)
        for norm in (self.ln_pre, self.ln_mid):
            nn.init.constant_(norm.weight, norm_init)

    def forward(self, frames, lengths, num_tokens=None):
        """See `Connector.forward`; extras are empty."""
        value, gate = self.linear_1(self.ln_pre(stack(frames, lengths, self.stride))).chunk(2, dim=-1)
        embeddings = self.linear_2(self.ln_mid(value * nn.functional.silu(gate)))
        return embeddings, self.num_embeddings(lengths), {}

    def num_embeddings(self, num_frames):
        """Frames divided by the stride, rounded up."""
        return (num_frames + self.stride - 1) // self.stride


def stack(frames, lengths, stride: int):
    """Frames (B, T, D) -> (B, T / stride rounded up, stride * D); those beyond an utterance's length are zero."""
    batch, time, width = frames.shape
    frames = frames * is_within(lengths, time).unsqueeze(-1)
    frames = nn.functional.pad(frames, (0, 0, 0, -time % stride))
    return frames.reshape(batch, -1, stride * width)


class ConvolveAndProject(Connector):
    """Strided convolutions with gates, then a residual bottleneck: the adapter of BLSP (arXiv:2309.00916).

    With three convolutions, an encoder of width 768 and an LLM of width 4096 it has 47.5 M parameters, as the paper's.

    Arguments
    ---------
    input_width, output_width : int
        D of the encoder and of the LLM.
    num_convolutions : int
        Each halves the frame rate; default 3.
    kernel_size : int
        Frames that a convolution reads, odd; default 5.
    bottleneck_width : int
        Width of the residual bottleneck; default 512.
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
