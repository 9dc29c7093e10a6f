"""The conformance kit of connectors: shipped ones pass, and each check catches a connector broken in just that way."""

import functools
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torchaudio.models import Conformer

from auralign.models import connectors as shipped
from auralign.models.connectors import Connector
from auralign.models.masks import is_within
from auralign.testing import CONNECTOR_CHECKS, CheckFailedError, parametrize_parts
from auralign.testing.checks.parts import TriedConnector, run_part_check

SMALL = {"width": 8, "num_layers": 2, "num_heads": 2}
CONNECTORS = [
    functools.partial(shipped.StackAndProject, stride=4),
    functools.partial(shipped.StackAndProject, stride=5, keep_remainder=True, num_layers=1, bias=False),
    functools.partial(shipped.UltravoxProjector, hidden_width=32),
    functools.partial(shipped.ConvolveAndProject, bottleneck_width=3),
    functools.partial(shipped.WindowedQFormer, window_seconds=0.1, num_queries=2, **SMALL),
    functools.partial(shipped.MultiLayerQFormer, num_encoder_layers=2, num_queries=3, **SMALL),
    functools.partial(shipped.WeightedLayers, num_encoder_layers=3),
    functools.partial(
        shipped.WeightedLayers, num_encoder_layers=2, connector=shipped.ContinuousIntegrateAndFire
    ),
    functools.partial(shipped.CountedQFormer, **SMALL),
    shipped.ContinuousIntegrateAndFire,
    functools.partial(shipped.ContinuousIntegrateAndFire, project_first=True, stride=2, dropout=0.1),
    functools.partial(
        shipped.ContinuousIntegrateAndFire,
        hidden_width=8,
        num_layers_before=1,
        num_layers_after=2,
        num_heads=2,
        dropout=0.1,
    ),
]


@parametrize_parts(connectors=CONNECTORS)
def test_a_shipped_connector_passes(part, check):
    check(part)


def test_every_shipped_connector_is_tried():
    def classes(make):
        yield make.func if isinstance(make, functools.partial) else make

    tried = {kind for make in CONNECTORS for kind in classes(make)}
    exported = {getattr(shipped, name) for name in shipped.__all__}
    assert {kind for kind in exported if isinstance(kind, type) and kind is not Connector} == tried


class Sound(Connector):
    """A connector with nothing wrong: masked convolution, stride 2."""

    def __init__(self, input_width, output_width):
        super().__init__()
        self.norm = nn.LayerNorm(input_width)
        self.convolution = nn.Conv1d(input_width, output_width, 3, stride=2, padding=1)

    def forward(self, frames, lengths, num_tokens=None):
        frames = self.norm(frames) * is_within(lengths, frames.shape[1]).unsqueeze(-1)
        return self.convolution(frames.transpose(1, 2)).transpose(1, 2), self.num_embeddings(lengths), {}

    def num_embeddings(self, num_frames):
        return (num_frames + 1) // 2


class NaiveConformer(Connector):
    """torchaudio's Conformer, whose attention masks padding and whose convolutions read it."""

    def __init__(self, input_width, output_width, **options):
        super().__init__()
        self.conformer = Conformer(input_width, 4, 32, 2, 5, **options)
        self.project = nn.Linear(input_width, output_width)

    def forward(self, frames, lengths, num_tokens=None):
        hidden, lengths = self.conformer(frames, lengths)
        return self.project(hidden), lengths, {}

    def num_embeddings(self, num_frames):
        return num_frames


class Swapped(Sound):
    """It takes the widths in the other order: its embeddings have the width of the encoder."""

    def __init__(self, input_width, output_width):
        super().__init__(input_width, input_width)


class Double(Sound):
    """It gives another type than that of the frames."""

    def forward(self, *arguments):
        embeddings, *others = super().forward(*arguments)
        return embeddings.double(), *others


class Floating(Sound):
    """Its lengths are no integers."""

    def num_embeddings(self, num_frames):
        return (num_frames + 1) / 2


class Pair(Sound):
    """It returns no extras."""

    def forward(self, *arguments):
        return super().forward(*arguments)[:2]


class Summed(Sound):
    """Its extras are of the whole batch."""

    def forward(self, frames, lengths, num_tokens=None):
        embeddings, sizes, _ = super().forward(frames, lengths)
        return embeddings, sizes, {"total": embeddings.sum()}


class RoundedDown(Sound):
    """It expects one embedding less of odd numbers of frames."""

    def forward(self, frames, lengths, num_tokens=None):
        return super().forward(frames, lengths)[0], (lengths + 1) // 2, {}

    def num_embeddings(self, num_frames):
        return num_frames // 2


class NoArrays(Sound):
    """It counts only integers."""

    def num_embeddings(self, num_frames):
        return (num_frames + 1) // 2 if isinstance(num_frames, torch.Tensor) else int(num_frames + 1) // 2


class Boastful(Sound):
    """It says that it counts tokens, and does not."""

    counts_tokens = True


class SecretCounter(Sound):
    """It counts tokens, and does not say so."""

    def forward(self, frames, lengths, num_tokens=None):
        embeddings, sizes, extras = super().forward(frames, lengths)
        return embeddings, sizes if num_tokens is None else num_tokens, extras


class Leaky(Sound):
    """Its convolution reads padding."""

    def forward(self, frames, lengths, num_tokens=None):
        return self.convolution(frames.transpose(1, 2)).transpose(1, 2), self.num_embeddings(lengths), {}


class MeanOfBatch(Sound):
    """It subtracts the mean of the padded batch row."""

    def forward(self, frames, lengths, num_tokens=None):
        return super().forward(frames - frames.mean(1, keepdim=True), lengths)


class LeakyExtra(Sound):
    """An extra depends on the padding."""

    def forward(self, frames, lengths, num_tokens=None):
        embeddings, sizes, _ = super().forward(frames, lengths)
        return embeddings, sizes, {"energy": frames.square().mean((1, 2))}


class BatchNormed(Sound):
    """Batch norm mixes utterances in training alone."""

    def __init__(self, input_width, output_width):
        super().__init__(input_width, output_width)
        self.batch_norm = nn.BatchNorm1d(input_width)

    def forward(self, frames, lengths, num_tokens=None):
        return super().forward(self.batch_norm(frames.transpose(1, 2)).transpose(1, 2), lengths)


class Noisy(Sound):
    """It adds noise, also in use."""

    def forward(self, frames, lengths, num_tokens=None):
        embeddings, *others = super().forward(frames, lengths)
        return embeddings + 1e-7 * torch.randn_like(embeddings), *others


class InPlace(Sound):
    """It writes into the frames."""

    def forward(self, frames, lengths, num_tokens=None):
        return super().forward(frames.mul_(0.5), lengths)


class HalfBlind(Sound):
    """It writes fp32 into a buffer of another type under autocast."""

    def forward(self, frames, lengths, num_tokens=None):
        embeddings, sizes, extras = super().forward(frames, lengths)
        gathered = embeddings.new_zeros(embeddings.shape)
        gathered[:, :1] = embeddings[:, :1]
        gathered[frames[:, ::2, 0] > 1e9] = frames[0, 0, :1].expand(embeddings.shape[2])[None]
        return (
            torch.baddbmm(
                embeddings, gathered.float(), torch.eye(embeddings.shape[2])[None].expand(len(frames), -1, -1)
            ),
            sizes,
            extras,
        )


class Unused(Sound):
    """A layer is never called."""

    def __init__(self, input_width, output_width):
        super().__init__(input_width, output_width)
        self.spare = nn.Linear(2, 2)


class Detached(Sound):
    """No gradient goes through it."""

    @torch.no_grad()
    def forward(self, *arguments):
        return super().forward(*arguments)


class Undefined(Sound):
    """Its gradient is not a number if an utterance is padded."""

    def forward(self, frames, lengths, num_tokens=None):
        embeddings, *others = super().forward(frames, lengths)
        energy = frames.new_zeros(frames.shape[0]).requires_grad_()
        scale = (energy + 0 * embeddings.sum((1, 2))).sqrt()
        return embeddings + scale[:, None, None], *others


class Reseeds(Sound):
    """It seeds torch itself."""

    def __init__(self, input_width, output_width):
        torch.manual_seed(0)
        super().__init__(input_width, output_width)


class Restless(Sound):
    """Its weights come from a generator that nobody seeds."""

    def __init__(self, input_width, output_width):
        super().__init__(input_width, output_width)
        noise = np.random.default_rng().standard_normal(output_width)
        self.convolution.bias.data += torch.tensor(noise, dtype=torch.float32)


class Forgetful(Sound):
    """A random tensor of it is not saved."""

    def __init__(self, input_width, output_width):
        super().__init__(input_width, output_width)
        self.offset = torch.randn(output_width)

    def forward(self, *arguments):
        embeddings, *others = super().forward(*arguments)
        return embeddings + self.offset, *others


class Tied(Sound):
    """Two names of one weight cannot be saved."""

    def __init__(self, input_width, output_width):
        super().__init__(input_width, output_width)
        self.again = self.convolution


class NoConnector(nn.Linear):
    """No connector at all."""


BROKEN_CONNECTORS = {
    NaiveConformer: ("check_alone_equals_batched", r"differs by .* mask frames beyond `lengths`"),
    Leaky: ("check_padding_is_ignored", "with padding of 0 and of 1000"),
    MeanOfBatch: ("check_alone_equals_batched", "alone and batched with one of 61"),
    LeakyExtra: ("check_alone_equals_batched", "mask frames"),
    Swapped: ("check_output", r"the shape \(6, 31, 24\) .* second argument of its constructor, here 16"),
    Double: ("check_output", "torch.float32 become embeddings of torch.float64"),
    Floating: ("check_output", "the type torch.float32"),
    Pair: ("check_output", "return embeddings, lengths and a dict of extras"),
    Summed: ("check_output", "'total' of a tensor of shape .* one row for each utterance"),
    RoundedDown: ("check_num_embeddings", r"num_embeddings\(1\) is 0, its forward makes 1 of 1 frames"),
    NoArrays: ("check_num_embeddings", ""),
    Boastful: ("check_token_count", r"for \[7, 1, 5, 4, 2, 3\] tokens it makes \[31, 12, 20, 17, 9, 11\]"),
    SecretCounter: ("check_token_count", "set counts_tokens = True"),
    BatchNormed: ("check_training_ignores_batch_mates", "replace the batch norm 'batch_norm'"),
    Noisy: ("check_deterministic", "only if self.training"),
    InPlace: ("check_deterministic", "changes the frames"),
    HalfBlind: ("check_half_precision", ""),
    Unused: ("check_every_weight_learns", "reaches 'spare.weight', 'spare.bias': 2 of 6 weights"),
    Detached: ("check_every_weight_learns", "no gradient; let forward run without no_grad"),
    Undefined: ("check_every_weight_learns", "is not finite"),
    Reseeds: ("check_seeds", "with two seeds it has the same initial weights"),
    Restless: ("check_seeds", "'convolution.bias' has two initial values"),
    Forgetful: ("check_weights_are_saved", "register_buffer"),
    Tied: ("check_weights_are_saved", "give each weight a tensor of its own"),
    NoConnector: ("check_output", "it makes a NoConnector; derive it from"),
}


@parametrize_parts(connectors=[Sound])
def test_a_sound_connector_passes(part, check):
    check(part)


def check_named(name):
    return next(check for check in CONNECTOR_CHECKS if check.__name__ == name)


@pytest.mark.parametrize(
    ("broken", "name", "says"), [(kind, *told) for kind, told in BROKEN_CONNECTORS.items()]
)
def test_a_broken_connector_is_caught_by_its_check(broken, name, says):
    with pytest.raises(CheckFailedError, match=f"(?s){says}.*{name}: "):
        run_part_check(check_named(name), TriedConnector(broken, (24, 16)))


def test_every_check_is_tried_by_a_broken_connector():
    assert {check.__name__ for check in CONNECTOR_CHECKS} == {name for name, _ in BROKEN_CONNECTORS.values()}


@pytest.mark.parametrize("options", [{}, {"use_group_norm": True}, {"convolution_first": True}])
def test_every_form_of_torchaudios_conformer_is_caught(options):
    make = functools.partial(NaiveConformer, **options)
    for name in ("check_alone_equals_batched", "check_training_ignores_batch_mates"):
        with pytest.raises(CheckFailedError, match="differs by"):
            run_part_check(check_named(name), TriedConnector(make, (24, 16)))


def test_widths_that_do_not_fit_are_told():
    make = functools.partial(shipped.WeightedLayers, num_encoder_layers=5)
    with pytest.raises(
        CheckFailedError, match=r"frames of width 24 .* other widths: parametrize_parts\(..., widths"
    ):
        TriedConnector(make, (24, 16)).build()
    assert TriedConnector(make, (25, 16)).build().num_encoder_layers == 5


def test_the_connector_of_the_guide_passes():
    guide = (Path(__file__).parents[3] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    blocks = [block.split("```")[0] for block in guide.split("```python\n")[1:]]
    (code,) = (block for block in blocks if block.startswith("# my_parts.py"))
    found = {"__name__": "my_parts"}
    exec(compile(code, "CONTRIBUTING.md", "exec"), found)
    for check in CONNECTOR_CHECKS:
        run_part_check(check, TriedConnector(found["ConvolveOnce"], (24, 16)))
