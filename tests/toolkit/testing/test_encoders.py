"""The conformance kit of encoders: shipped ones pass, and each check catches an encoder broken in just that way."""

import functools
import tempfile

import numpy as np
import pytest
import torch
from torch import nn
from transformers import (
    HubertConfig,
    HubertModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
)

from auralign.files import hash_value
from auralign.models.encoders import SpeechEncoder, load_wav2vec2, load_whisper
from auralign.testing import ENCODER_CHECKS, CheckFailedError, make_tiny_whisper, parametrize_parts
from auralign.testing.checks.parts import TriedEncoder, run_part_check


@functools.cache
def whisper(seed, **options):
    with tempfile.TemporaryDirectory() as folder:
        return load_whisper(make_tiny_whisper(folder, seed=seed), **options)


@functools.cache
def wav2vec2(config_class, model_class, norm, seed):
    config = config_class(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, vocab_size=12,
        conv_dim=(8,) * 7, num_feat_extract_layers=7, feat_extract_norm=norm, do_stable_layer_norm=norm == "layer",
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2, initializer_range=0.2,
    )  # fmt: skip
    torch.manual_seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        model_class(config).save_pretrained(folder)
        Wav2Vec2FeatureExtractor(do_normalize=norm == "layer").save_pretrained(folder)
        return load_wav2vec2(folder)


ENCODERS = [
    whisper,
    functools.partial(whisper, layers="all", chunk_seconds=1),
    functools.partial(whisper, pool=2),
    functools.partial(whisper, padding="30_seconds"),
    functools.partial(whisper, padding="whole_window"),
    functools.partial(whisper, padding="masked_window"),
    functools.partial(wav2vec2, Wav2Vec2Config, Wav2Vec2Model, "group"),
    functools.partial(wav2vec2, HubertConfig, HubertModel, "layer"),
    functools.partial(wav2vec2, WavLMConfig, WavLMModel, "group"),
]


@parametrize_parts(encoders=ENCODERS)
def test_a_shipped_encoder_passes(part, check):
    check(part)


class Energies(SpeechEncoder):
    """An encoder with nothing wrong: projected energies of 10 ms."""

    class Extractor:
        sampling_rate = 16_000

    def __init__(self, **options):
        super().__init__(self.Extractor, hidden_width=6, num_layers=1, **options)
        self.project = nn.Linear(1, 6)
        self.fingerprint = self.name_weights()
        self.freeze()

    def name_weights(self):
        return hash_value([self.project.weight.flatten().tolist(), self.project.bias.tolist(), *self.options])

    @property
    def frames_per_second(self):
        return 100.0

    def num_chunk_frames(self, num_samples):
        return -(-num_samples // 160)

    def encode(self, waveforms):
        padded = [np.pad(waveform, (0, -len(waveform) % 160)) for waveform in waveforms]
        frames = [torch.tensor(one).reshape(-1, 160, 1).square().mean(1) for one in padded]
        lengths = torch.tensor([len(one) for one in frames])
        return self.project(nn.utils.rnn.pad_sequence(frames, batch_first=True)), lengths


class NoFingerprint(Energies):
    """It has no name for its frames."""

    def name_weights(self):
        return ""


class FingerprintOfClass(Energies):
    """Its fingerprint is that of any weights."""

    def name_weights(self):
        return "energies"


class FingerprintOfTime(Energies):
    """Its fingerprint is another each time."""

    def name_weights(self):
        return repr(np.random.default_rng().random())


class SameWeights(Energies):
    """Its weights are those of a file, whatever the seed."""

    def __init__(self):
        torch.manual_seed(3)
        super().__init__()


class Short(Energies):
    """It drops the last, incomplete frame, of which it knows nothing when it counts."""

    def encode(self, waveforms):
        frames, lengths = super().encode(waveforms)
        return frames, torch.tensor([max(1, len(waveform) // 160) for waveform in waveforms])


class Normalised(Energies):
    """It normalises by the batch."""

    def encode(self, waveforms):
        frames, lengths = super().encode(waveforms)
        return frames / frames.abs().max(), lengths


class Learning(Energies):
    """Its weights learn."""

    def freeze(self):
        pass


class Wide(Energies):
    """Its frames are wider than it says."""

    def encode(self, waveforms):
        frames, lengths = super().encode(waveforms)
        return torch.cat([frames, frames], -1), lengths


class Dithered(Energies):
    """It adds noise."""

    def encode(self, waveforms):
        frames, lengths = super().encode(waveforms)
        return frames + 1e-6 * torch.randn_like(frames), lengths


class Tolerant(Energies):
    """It encodes whatever it is given."""

    def check(self, waveforms):
        pass


BROKEN_ENCODERS = {
    Wide: ("check_output", r"\(3, 190, 12\) for 3 utterances, its width is 6"),
    Short: ("check_num_frames", r"num_frames\(400\) is 3, audio of 400 samples has 2 frames"),
    Normalised: ("check_alone_equals_batched", "normalise each utterance by itself"),
    Learning: ("check_frozen", "self.freeze()"),
    Dithered: ("check_deterministic", "other frames the second time"),
    NoFingerprint: ("check_fingerprint", "its fingerprint is ''"),
    FingerprintOfClass: ("check_fingerprint", "two seeds give other frames under one fingerprint 'energies'"),
    FingerprintOfTime: ("check_fingerprint", "equal weights have the fingerprints"),
    SameWeights: ("check_fingerprint", "give a function that takes `seed`"),
    Tolerant: ("check_bad_audio_is_refused", "call self.check"),
}


@parametrize_parts(encoders=[Energies, functools.partial(Energies, chunk_seconds=1)])
def test_a_sound_encoder_passes(part, check):
    check(part)


def check_named(name):
    return next(check for check in ENCODER_CHECKS if check.__name__ == name)


@pytest.mark.parametrize(
    ("broken", "name", "says"), [(kind, *told) for kind, told in BROKEN_ENCODERS.items()]
)
def test_a_broken_encoder_is_caught_by_its_check(broken, name, says):
    with pytest.raises(CheckFailedError, match=f"(?s){says}.*{name}: "):
        run_part_check(check_named(name), TriedEncoder(broken))


def test_every_check_is_tried_by_a_broken_encoder():
    assert {check.__name__ for check in ENCODER_CHECKS} == {name for name, _ in BROKEN_ENCODERS.values()}
