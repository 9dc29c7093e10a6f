"""The masked Whisper encoder, on a tiny random checkpoint written to disk like a downloaded one."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperModel
from transformers.models.qwen2_audio.modeling_qwen2_audio import Qwen2AudioEncoder, Qwen2AudioEncoderConfig

from auralign.models.encoders import load_encoder, load_whisper
from auralign.models.encoders.encoder import in_own_precision


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_whisper(tmp_path_factory.mktemp("whisper"), WhisperForConditionalGeneration)


def save_whisper(folder, model_class):
    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=40, d_model=16, num_mel_bins=80, max_source_positions=1500, max_target_positions=8,
        encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=32,
        decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=32,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
        suppress_tokens=None, begin_suppress_tokens=None,
    )  # fmt: skip
    model_class(config).save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)
    return folder


def noise(num_samples, seed=0, level=0.1):
    return (level * np.random.default_rng(seed).standard_normal(num_samples)).astype(np.float32)


@pytest.mark.parametrize("pool", [1, 2])
@pytest.mark.parametrize("padding", ["true_length", "30_seconds", "masked_window"])
def test_an_utterance_alone_equals_itself_in_a_batch(folder, padding, pool):
    encoder = load_whisper(folder, padding=padding, pool=pool)
    waveforms = [noise(16_000, 1), noise(40_123, 2, level=3.0), noise(479, 3, level=1e-3)]
    frames, lengths = encoder(waveforms)
    for row, waveform in enumerate(waveforms):
        alone, alone_lengths = encoder([waveform])
        assert alone_lengths.item() == lengths[row].item() == alone.shape[1]
        torch.testing.assert_close(frames[row, : lengths[row]], alone[0], atol=1e-5, rtol=0)


def test_thirty_seconds_equal_hugging_face_bit_for_bit(folder):
    waveform = noise(480_000)
    encoder = load_whisper(folder)
    features = WhisperFeatureExtractor.from_pretrained(folder)(
        waveform, sampling_rate=16_000, return_tensors="pt"
    )
    theirs = WhisperForConditionalGeneration.from_pretrained(folder).eval().model.encoder
    with torch.no_grad():
        expected = theirs(features.input_features).last_hidden_state
    frames, lengths = encoder([waveform])
    assert lengths.tolist() == [1500]
    assert torch.equal(frames, expected)


@pytest.mark.parametrize(("padding", "num_frames"), [("30_seconds", 63), ("whole_window", 1500)])
def test_padding_to_thirty_seconds_equals_hugging_face_bit_for_bit(folder, padding, num_frames):
    waveform = noise(20_000)
    features = WhisperFeatureExtractor.from_pretrained(folder)(
        waveform, sampling_rate=16_000, return_tensors="pt"
    )
    theirs = WhisperForConditionalGeneration.from_pretrained(folder).eval().model.encoder
    with torch.no_grad():
        expected = theirs(features.input_features).last_hidden_state
    frames, lengths = load_whisper(folder, padding=padding)([waveform])
    assert lengths.tolist() == [num_frames]
    assert torch.equal(frames, expected[:, :num_frames])


@pytest.mark.parametrize(
    ("num_samples", "num_frames"), [(16_000, 25), (16_001, 25), (24_321, 38), (480_000, 750)]
)
def test_a_masked_window_pooled_by_two_equals_the_encoder_of_qwen2_audio(folder, num_samples, num_frames):
    encoder = load_whisper(folder, padding="masked_window", pool=2)
    config = Qwen2AudioEncoderConfig(
        num_mel_bins=80, d_model=16, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=32
    )
    theirs = Qwen2AudioEncoder(config).eval()
    theirs.load_state_dict(encoder.encoder.state_dict())
    waveform = noise(num_samples)
    features = WhisperFeatureExtractor.from_pretrained(folder)(
        waveform, sampling_rate=16_000, return_tensors="pt", return_attention_mask=True
    )
    audible = torch.arange(1500) < (features.attention_mask.sum() - 1) // 2 + 1
    hide = torch.zeros(1, 1, 1, 1500).masked_fill(~audible, torch.finfo(torch.float32).min)
    with torch.no_grad():
        expected = theirs(features.input_features, attention_mask=hide).last_hidden_state
    frames, lengths = encoder([waveform])
    assert lengths.tolist() == [num_frames] == [encoder.num_frames(num_samples)]
    torch.testing.assert_close(frames, expected[:, :num_frames], atol=1e-5, rtol=0)


def test_pooling_halves_the_frame_rate_and_is_part_of_the_fingerprint(folder):
    pooled, plain = load_whisper(folder, pool=2), load_whisper(folder)
    assert (pooled.frames_per_second, plain.frames_per_second) == (25.0, 50.0)
    assert pooled.fingerprint != plain.fingerprint
    with pytest.raises(ValueError, match="pool 0: a frame is the mean of at least one"):
        load_whisper(folder, pool=0)


def test_lengths_count_one_frame_for_twenty_milliseconds_begun(folder):
    encoder = load_whisper(folder)
    # 16,000 samples are 100 mel frames, 50 frames; 16,160 are 101 and 51; less than a window of 400 is one: 2
    # and 1
    expected = {16_000: 50, 16_160: 51, 16_159: 50, 16_320: 51, 400: 1, 1: 1, 480: 2, 480_000: 1500}
    assert {samples: encoder.num_frames(samples) for samples in expected} == expected
    _, lengths = encoder([noise(samples) for samples in (16_000, 16_160, 16_159, 1)])
    assert lengths.tolist() == [50, 51, 50, 1]
    assert (encoder.width, encoder.frames_per_second, encoder.sample_rate) == (16, 50.0, 16_000)


def test_encoder_stays_frozen_and_in_eval_mode(folder):
    encoder = load_whisper(folder).train()
    assert not any(module.training for module in encoder.modules())
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert not any("decoder" in name for name in encoder.state_dict())


def test_both_kinds_of_whisper_folder_give_the_same_frames(folder, tmp_path):
    model = WhisperForConditionalGeneration.from_pretrained(folder)
    model.model.save_pretrained(tmp_path)
    WhisperFeatureExtractor().save_pretrained(tmp_path)
    assert torch.equal(load_whisper(tmp_path)([noise(8000)])[0], load_whisper(folder)([noise(8000)])[0])


def test_fingerprint_tells_true_length_from_padded(folder):
    prints = [
        load_whisper(folder, padding=padding).fingerprint
        for padding in ("true_length", "30_seconds", "true_length")
    ]
    assert prints[0] == prints[2] != prints[1]


def test_missing_encoder_weights_are_refused(tmp_path):
    save_whisper(tmp_path, WhisperModel)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["encoder.layers.1.fc1.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match="lacks 1 encoder weights, such as layers.1.fc1.weight"):
        load_whisper(tmp_path)


def test_a_folder_of_transformers_5_has_its_extractor_in_the_processor(folder, tmp_path):
    copied = tmp_path / "copy"
    shutil.copytree(folder, copied)
    settings = json.loads((copied / "preprocessor_config.json").read_text())
    (copied / "preprocessor_config.json").unlink()
    (copied / "processor_config.json").write_text(json.dumps({"feature_extractor": settings}))
    assert load_whisper(copied).fingerprint == load_whisper(folder).fingerprint


def test_a_folder_without_preprocessor_is_refused(folder, tmp_path):
    WhisperConfig().save_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError, match="no preprocessor_config.json in"):
        load_whisper(tmp_path)


def test_an_unknown_padding_is_refused(folder):
    with pytest.raises(ValueError, match="'none': use true_length, 30_seconds, whole_window, masked_window"):
        load_whisper(folder, padding="none")


@pytest.mark.parametrize(
    ("waveform", "message"),
    [
        (
            np.zeros(480_001, dtype=np.float32),
            "waveform 1 of the batch lasts 30.00 s, this encoder hears 30 s at once",
        ),
        (np.zeros(0, dtype=np.float32), "at least one sample"),
        (np.array([0.0, np.nan], dtype=np.float32), "not finite"),
        (np.zeros((2, 800), dtype=np.float32), "one channel"),
    ],
)
def test_audio_that_cannot_be_heard_is_refused(folder, waveform, message):
    with pytest.raises(ValueError, match=message):
        load_whisper(folder)([noise(800), waveform])


@pytest.mark.parametrize("padding", ["true_length", "30_seconds"])
def test_long_audio_is_cut_into_equal_chunks_and_joined(folder, padding):
    encoder = load_whisper(folder, padding=padding, chunk_seconds=2)
    waveforms = [noise(72_000, 1), noise(8_000, 2)]  # 4.5 s: three chunks of 1.5 s
    frames, lengths = encoder(waveforms)
    assert lengths.tolist() == [encoder.num_frames(72_000), 25] == [225, 25]
    plain = load_whisper(folder, padding=padding)
    for number in range(3):
        chunk, _ = plain([waveforms[0][24_000 * number : 24_000 * (number + 1)]])
        torch.testing.assert_close(frames[0, 75 * number : 75 * (number + 1)], chunk[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(frames[1, :25], plain([waveforms[1]])[0][0], atol=1e-5, rtol=0)


def test_chunks_are_part_of_the_fingerprint(folder):
    assert load_whisper(folder, chunk_seconds=2).fingerprint != load_whisper(folder).fingerprint


def test_chunks_longer_than_whisper_hears_are_refused(folder):
    with pytest.raises(ValueError, match="chunk_seconds 31: .* at most the 30 s"):
        load_whisper(folder, chunk_seconds=31)


def test_another_kind_of_model_is_refused(folder, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "preprocessor_config.json").write_text("{}")
    for load in (load_whisper, load_encoder):
        with pytest.raises(ValueError, match="holds a model of type 'bert'; expected whisper"):
            load(tmp_path)


def test_load_encoder_finds_the_loader_by_the_folder(folder):
    assert (
        load_encoder(folder, padding="30_seconds").fingerprint
        == load_whisper(folder, padding="30_seconds").fingerprint
    )


def test_frames_are_fp32_whatever_the_weights_are(folder):
    frames, _ = load_whisper(folder, dtype="bfloat16")([noise(8000)])
    assert frames.dtype == torch.float32
    torch.testing.assert_close(frames, load_whisper(folder)([noise(8000)])[0], atol=0.1, rtol=0.1)


@pytest.mark.parametrize(
    ("padding", "frame", "seconds"),
    # 40 s in two chunks of 20 s: a window each, or 1,000 frames each.
    [
        ("whole_window", 500, 10),
        ("whole_window", 1400, 20),
        ("whole_window", 1500, 20),
        ("whole_window", 2000, 30),
        ("true_length", 500, 10),
        ("true_length", 1500, 30),
    ],
)
def test_a_frame_is_found_again_in_the_audio(folder, padding, frame, seconds):
    encoder = load_whisper(folder, padding=padding, chunk_seconds=30)
    num_frames = encoder.num_frames(40 * 16_000)
    assert encoder.seconds_at(frame, seconds=40.0, num_frames=num_frames) == pytest.approx(seconds)


def test_frames_are_the_same_within_autocast(folder):
    encoder = load_whisper(folder)
    waveforms = [np.random.default_rng(0).normal(0, 0.1, 9_000).astype(np.float32)]
    expected, _ = encoder(waveforms)
    with torch.autocast("cpu", torch.bfloat16):
        found, _ = encoder(waveforms)
    assert torch.equal(found, expected)


def test_an_encoder_is_run_without_tf32_and_leaves_it_as_it_was():
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32
    matmul.allow_tf32 = True  # as SpeechBrain does
    try:
        with in_own_precision(torch.device("cuda")):
            assert not matmul.allow_tf32
            assert not cudnn.allow_tf32
        assert matmul.allow_tf32
        assert cudnn.allow_tf32
    finally:
        matmul.allow_tf32 = before
