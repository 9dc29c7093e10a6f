"""Frames from every cache are those of the encoder, whatever the batch."""

import numpy as np
import pytest
import soundfile
import torch

from auralign.data.frames import CachedFrames, LiveFrames, open_frames
from auralign.models.encoders import load_whisper
from auralign.records import Records, Utterance, write_records
from recipe import make_recipe


@pytest.fixture(scope="module")
def encoder(whisper_folder):
    return load_whisper(whisper_folder)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory, whisper_folder):
    folder = make_recipe(tmp_path_factory.mktemp("frames") / "r", llm="none", encoder=whisper_folder)
    return Records(folder / "data" / "train.jsonl", Utterance)


def frames_of(encoder, manifest, folder, cache, **options):
    return open_frames(
        encoder,
        manifest,
        cache=cache,
        folder=folder,
        **{"max_gigabytes": 1.0, "batch_seconds": 2.0, **options},
    )


@pytest.mark.parametrize("cache", ["memory", "disk", "off"])
def test_frames_of_a_batch_are_those_of_each_alone(encoder, manifest, tmp_path, cache):
    frames, lengths = frames_of(encoder, manifest, tmp_path, cache).get([4, 0, 7])
    for place, row in enumerate([4, 0, 7]):
        alone, length = LiveFrames(encoder, manifest).get([row])
        assert lengths[place] == length[0]
        torch.testing.assert_close(frames[place, : lengths[place]], alone[0], rtol=0, atol=1e-5)


def test_disk_cache_is_read_again_and_equal(encoder, manifest, tmp_path):
    first, _ = frames_of(encoder, manifest, tmp_path, "disk").get([3])
    (file,) = tmp_path.glob("*.npy")
    before = file.stat().st_mtime_ns
    again, _ = frames_of(encoder, manifest, tmp_path, "disk").get([3])
    assert file.stat().st_mtime_ns == before
    assert torch.equal(first, again)


def test_another_encoder_makes_another_cache(encoder, manifest, tmp_path, whisper_folder):
    frames_of(encoder, manifest, tmp_path, "disk")
    frames_of(load_whisper(whisper_folder, padding="30_seconds"), manifest, tmp_path, "disk")
    assert len(list(tmp_path.glob("*.npy"))) == 2


def test_what_does_not_fit_is_computed_each_time_and_says_so(encoder, manifest, tmp_path, capsys):
    assert isinstance(frames_of(encoder, manifest, tmp_path, "memory", max_gigabytes=1e-9), LiveFrames)
    assert "more than max_cache_gigabytes" in capsys.readouterr().err


def test_small_enough_is_kept(encoder, manifest, tmp_path):
    assert isinstance(frames_of(encoder, manifest, tmp_path, "memory"), CachedFrames)


def test_unknown_cache_is_refused(encoder, manifest, tmp_path):
    with pytest.raises(ValueError, match="feature_cache 'ram'"):
        frames_of(encoder, manifest, tmp_path, "ram")


@pytest.mark.parametrize(("audio_hash", "num_told"), [("64044 bytes", 1), ("0123456789abcdef", 0)])
def test_what_stage_1_did_not_see_in_headers_is_told_once(encoder, tmp_path, capsys, audio_hash, num_told):
    rising = np.linspace(0, 0.3, 16_000) * np.random.default_rng(0).uniform(-1, 1, 16_000)
    soundfile.write(tmp_path / "a.wav", rising * 32_768, 16_000, subtype="FLOAT")
    utterances = [
        Utterance(id=name, audio="a.wav", seconds=1.0, text="x", audio_hash=audio_hash) for name in "ab"
    ]
    write_records(tmp_path / "m.jsonl", utterances, kind=Utterance)
    frames = LiveFrames(encoder, Records(tmp_path / "m.jsonl", Utterance))
    frames.get([0, 1])
    frames.get([1])
    assert capsys.readouterr().err.count("a is scaled from the range of integers") == num_told
