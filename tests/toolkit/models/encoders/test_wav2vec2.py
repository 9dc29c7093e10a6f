"""The wav2vec 2.0 family, on tiny random checkpoints of each kind, written to disk like downloaded ones."""

import numpy as np
import pytest
import torch
from transformers import (
    HubertConfig,
    HubertModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
    WhisperConfig,
)

from auralign.models.encoders import load_wav2vec2

CLASSES = {
    "wav2vec2": (Wav2Vec2Config, Wav2Vec2Model),
    "hubert": (HubertConfig, HubertModel),
    "wavlm": (WavLMConfig, WavLMModel),
}
KINDS = [(name, norm) for name in CLASSES for norm in ("group", "layer")]


def save(folder, name="wav2vec2", norm="layer", model_class=None):
    torch.manual_seed(0)
    config_class, its_class = CLASSES[name]
    config = config_class(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, vocab_size=12,
        conv_dim=(8,) * 7, num_feat_extract_layers=7, feat_extract_norm=norm, do_stable_layer_norm=norm == "layer",
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2, initializer_range=0.2,
    )  # fmt: skip
    (model_class or its_class)(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=norm == "layer").save_pretrained(folder)
    return folder


def noise(num_samples, seed=0, level=0.1):
    return (level * np.random.default_rng(seed).standard_normal(num_samples)).astype(np.float32)


@pytest.mark.parametrize(("name", "norm"), KINDS)
def test_an_utterance_alone_equals_itself_in_a_batch(tmp_path, name, norm):
    encoder = load_wav2vec2(save(tmp_path, name, norm))
    waveforms = [noise(16_000, 1), noise(40_123, 2, level=3.0), noise(480, 3, level=1e-2)]
    frames, lengths = encoder(waveforms)
    for row, waveform in enumerate(waveforms):
        alone, alone_lengths = encoder([waveform])
        assert alone_lengths.item() == lengths[row].item() == alone.shape[1]
        torch.testing.assert_close(frames[row, : lengths[row]], alone[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("name", "norm"), KINDS)
def test_all_layers_equal_hugging_faces_for_one_utterance(tmp_path, name, norm):
    waveform = noise(16_000)
    inputs = Wav2Vec2FeatureExtractor.from_pretrained(save(tmp_path, name, norm))(
        waveform, sampling_rate=16_000, return_tensors="pt"
    )
    with torch.no_grad():
        theirs = CLASSES[name][1].from_pretrained(tmp_path).eval()(**inputs, output_hidden_states=True)
    encoder = load_wav2vec2(tmp_path, layers="all")
    frames, _ = encoder([waveform])
    assert encoder.width == 3 * 16
    # their last hidden state in the tuple lacks the last norm of a stable-layer-norm model
    expected = torch.cat([*theirs.hidden_states[:-1], theirs.last_hidden_state], dim=-1)
    torch.testing.assert_close(frames, expected, atol=1e-6, rtol=0)


def test_layers_are_counted_from_the_first_or_from_the_output(tmp_path):
    save(tmp_path)
    waveform = noise(8_000)
    every, _ = load_wav2vec2(tmp_path, layers="all")([waveform])
    some, _ = load_wav2vec2(tmp_path, layers=[-1, 1])([waveform])
    assert torch.equal(some, torch.cat([every[..., 32:], every[..., 16:32]], dim=-1))


@pytest.mark.parametrize("layers", [[3], [-4], []])
def test_a_layer_that_does_not_exist_is_refused(tmp_path, layers):
    with pytest.raises(ValueError, match="name one or more of 0 to 2"):
        load_wav2vec2(save(tmp_path), layers=layers)


@pytest.mark.parametrize(("num_samples", "num_frames"), [(1, 1), (400, 1), (719, 1), (720, 2), (16_000, 49)])
def test_frames_are_counted_as_the_convolutions_give_them(tmp_path, num_samples, num_frames):
    encoder = load_wav2vec2(save(tmp_path))  # windows of 400 samples, each 320 after the last
    assert encoder.num_frames(num_samples) == num_frames
    assert encoder([noise(num_samples)])[1].tolist() == [num_frames]


def test_fifty_frames_a_second(tmp_path):
    assert load_wav2vec2(save(tmp_path)).frames_per_second == 50


def test_a_head_on_top_is_left_on_disk(tmp_path):
    encoder = load_wav2vec2(save(tmp_path, model_class=Wav2Vec2ForCTC))
    assert isinstance(encoder.model, Wav2Vec2Model)


def test_frozen_stays_frozen(tmp_path):
    encoder = load_wav2vec2(save(tmp_path)).train()
    assert not any(module.training for module in encoder.modules())
    assert not any(weight.requires_grad for weight in encoder.parameters())


def test_another_layer_is_another_fingerprint(tmp_path):
    save(tmp_path)
    prints = [load_wav2vec2(tmp_path, layers=layers).fingerprint for layers in (None, [2], [1])]
    assert prints[0] == prints[1] != prints[2]


def test_another_kind_of_model_is_refused(tmp_path):
    save(tmp_path)
    WhisperConfig().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="holds a model of type .whisper.; expected wav2vec2, hubert, wavlm"):
        load_wav2vec2(tmp_path)


def test_a_folder_without_a_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no config.json in"):
        load_wav2vec2(tmp_path)
