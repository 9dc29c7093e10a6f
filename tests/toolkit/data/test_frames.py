"""Frames from every cache are those of the encoder, whatever the batch."""

import io

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


def test_the_cache_of_an_older_manifest_is_removed_with_its_lock_and_no_other(encoder, manifest, tmp_path):
    old, other = f"train.{'0' * 16}.{'1' * 16}", f"train.de.{'0' * 16}.{'1' * 16}"
    for name in (old, other):
        for suffix in (".npy", ".crc32", ".lock"):
            (tmp_path / f"{name}{suffix}").touch()
    frames_of(encoder, manifest, tmp_path, "disk")
    left = {path.name for path in tmp_path.iterdir() if "0" * 16 in path.name}
    assert left == {f"{other}.npy", f"{other}.crc32", f"{other}.lock"}


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


class Stopwatch(torch.nn.Module):
    """An encoder of one frame for each of the samples, which notes the seconds of each batch."""

    def __init__(self):
        super().__init__()
        self.batches = []

    def forward(self, waveforms):
        lengths = torch.tensor([len(waveform) for waveform in waveforms])
        self.batches.append(lengths)
        return torch.zeros(len(waveforms), int(lengths.max()), 1), lengths


@pytest.mark.parametrize(("num_utterances", "at_most"), [(33, 0.08), (280, 0.02)])
def test_little_of_what_the_encoder_computes_of_a_step_is_padding(
    tmp_path, monkeypatch, num_utterances, at_most
):
    """Durations like those of LibriSpeech's training set: most of 11 to 16 s, a tail down to 2 s."""
    random = np.random.default_rng(3)
    seconds = np.where(random.uniform(size=num_utterances) < 0.6, random.uniform(11, 16.5, num_utterances), 0)
    seconds = np.where(seconds, seconds, random.uniform(2, 13, num_utterances))
    utterances = [
        Utterance(id=str(number), audio="none", seconds=float(size), text="x")
        for number, size in enumerate(seconds)
    ]
    write_records(tmp_path / "m.jsonl", utterances, kind=Utterance)
    live = LiveFrames(Stopwatch(), Records(tmp_path / "m.jsonl", Utterance))
    monkeypatch.setattr(live, "_read", lambda utterance: np.zeros(round(100 * utterance.seconds)))
    packs = np.array_split(random.permutation(num_utterances), num_utterances // 8)
    found = live.get_each([[int(row) for row in rows] for rows in packs])
    used = sum(int(lengths.sum()) for lengths in live.encoder.batches)
    laid = sum(len(lengths) * int(lengths.max()) for lengths in live.encoder.batches)
    assert 1 - used / laid <= at_most
    for rows, (frames, lengths) in zip(packs, found, strict=True):
        assert lengths.tolist() == [round(100 * seconds[row]) for row in rows]
        assert frames.shape[1] == lengths.max()


def test_an_utterance_that_two_packs_hear_is_encoded_once(encoder, manifest):
    live, rows = LiveFrames(encoder, manifest), [[4, 0], [7, 4], [4, 4]]
    found = live.get_each(rows)
    for (frames, lengths), of_pack in zip(found, rows, strict=True):
        for frame, length, row in zip(frames, lengths, of_pack, strict=True):
            torch.testing.assert_close(frame[:length], live.get([row])[0][0], rtol=0, atol=1e-5)
    calls, encode = [], live.encode
    live.encode = lambda utterances: calls.append(len(utterances)) or encode(utterances)
    live.get_each(rows)
    assert sum(calls) == 3


class Loud(torch.nn.Module):
    """An encoder whose frames of one utterance overflow."""

    def __init__(self, encoder, seconds):
        super().__init__()
        self.encoder, self.num_samples = encoder, round(seconds * 16_000)

    def __getattr__(self, name):
        if name in ("encoder", "num_samples"):
            return super().__getattr__(name)
        return getattr(self.encoder, name)

    def forward(self, waveforms):
        frames, lengths = self.encoder(waveforms)
        for row, waveform in enumerate(waveforms):
            if len(waveform) == self.num_samples:
                frames[row, 0, 0] = float("inf")
        return frames, lengths


@pytest.mark.parametrize("cache", ["memory", "disk", "off"])
def test_frames_that_are_not_finite_are_refused_by_the_id_of_the_utterance(
    encoder, manifest, tmp_path, cache
):
    with pytest.raises(ValueError, match=r"train\.jsonl: train-[38]: the encoder gives frames.*not finite"):
        frames_of(Loud(encoder, manifest[3].seconds), manifest, tmp_path, cache).get([1, 3, 8])
    assert list(tmp_path.glob("*.npy")) == []


@pytest.fixture
def cached(encoder, manifest, tmp_path):
    """A cache on disk, its file, and its frames."""
    frames = frames_of(encoder, manifest, tmp_path, "disk").get(list(range(12)))[0]
    (file,) = tmp_path.glob("*.npy")
    return file, frames.clone()


@pytest.mark.parametrize("place", [0.02, 0.5, 0.999])
@pytest.mark.parametrize("bit", [0, 6])
def test_a_flipped_bit_costs_one_entry_which_is_computed_again(
    encoder, manifest, tmp_path, cached, capsys, place, bit
):
    file, before = cached
    data = bytearray(file.read_bytes())
    whole = bytes(data)
    data[int(place * (len(data) - 128)) + 128] ^= 1 << bit
    file.write_bytes(data)
    frames = frames_of(encoder, manifest, tmp_path, "disk")
    assert "1 of 12 entries are damaged, computed again: train-" in capsys.readouterr().err
    assert torch.equal(frames.get(list(range(12)))[0], before)
    assert file.read_bytes() == whole
    frames_of(encoder, manifest, tmp_path, "disk")
    assert "damaged" not in capsys.readouterr().err


def zipped(data):
    buffer = io.BytesIO()
    np.savez(buffer, np.zeros(3))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-5], lambda data: data[:50], lambda data: b"x" * 200, zipped]
)
def test_a_cut_file_is_made_again(encoder, manifest, tmp_path, cached, capsys, damage):
    file, before = cached
    file.write_bytes(damage(file.read_bytes()))
    frames = frames_of(encoder, manifest, tmp_path, "disk")
    assert "is cut or damaged; all frames are computed again" in capsys.readouterr().err
    assert torch.equal(frames.get(list(range(12)))[0], before)


def test_every_flip_in_the_header_is_found_or_harmless(encoder, manifest, tmp_path, cached):
    file, before = cached
    whole = file.read_bytes()
    for place in range(0, 128, 3):
        data = bytearray(whole)
        data[place] ^= 1
        file.write_bytes(data)
        assert torch.equal(frames_of(encoder, manifest, tmp_path, "disk").get(list(range(12)))[0], before), (
            place
        )


def test_damaged_sums_are_made_again(encoder, manifest, tmp_path, cached, capsys):
    file, before = cached
    sums = file.with_suffix(".crc32")
    sums.write_bytes(b"x" + sums.read_bytes()[1:])
    assert torch.equal(frames_of(encoder, manifest, tmp_path, "disk").get(list(range(12)))[0], before)
    assert "12 of 12 entries are damaged" in capsys.readouterr().err


def test_a_cache_of_an_earlier_auralign_is_read_and_gets_its_sums(
    encoder, manifest, tmp_path, cached, capsys
):
    file, before = cached
    file.with_suffix(".crc32").unlink()
    assert torch.equal(frames_of(encoder, manifest, tmp_path, "disk").get(list(range(12)))[0], before)
    assert capsys.readouterr().err == ""
    assert file.with_suffix(".crc32").exists()


@pytest.mark.parametrize(("dtype", "kept"), [("bfloat16", np.int16), ("float16", np.float16)])
@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_frames_of_half_precision_take_half_the_room_and_are_equal(
    whisper_folder, manifest, tmp_path, dtype, kept, cache
):
    encoder = load_whisper(whisper_folder, dtype=dtype)
    frames = frames_of(encoder, manifest, tmp_path, cache, batch_seconds=0.01)  # one by one
    assert frames.array.dtype == kept
    found, lengths = frames.get([1])
    expected, _ = LiveFrames(encoder, manifest).get([1])
    assert found.dtype == torch.float32
    assert torch.equal(found, expected[:, : int(lengths)])
