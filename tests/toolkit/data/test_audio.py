"""Audio is read as mono at the rate asked for, or refused with its reason."""

import numpy as np
import pytest
import soundfile

from auralign.data.audio import (
    EVEN,
    NEARLY_SILENT,
    OFFSET,
    OPPOSITE,
    SCALED,
    SILENT,
    AudioError,
    describe_audio,
    hear,
    hear_array,
    read_audio,
    resample,
)


def write(path, samples, rate=16_000, **options):
    soundfile.write(path, samples, rate, **options)
    return path


def test_samples_come_back(tmp_path):
    samples = (np.arange(1600) % 100 / 200).astype(np.float32)
    path = write(tmp_path / "a.flac", samples, subtype="PCM_16")
    np.testing.assert_allclose(read_audio(path), samples, atol=1e-4)


def test_stretch_is_cut_out(tmp_path):
    samples = np.arange(16_000, dtype=np.float32) / 16_000
    path = write(tmp_path / "a.wav", samples, subtype="FLOAT")
    assert read_audio(path, start=0.25, seconds=0.5).tolist() == samples[4000:12_000].tolist()


def test_channels_are_averaged(tmp_path):
    path = write(tmp_path / "a.wav", np.array([[0.5, 0.1]] * 10, dtype=np.float32), subtype="FLOAT")
    np.testing.assert_allclose(read_audio(path), 0.3, atol=1e-7)


def test_other_rate_is_resampled(tmp_path):
    time = np.arange(8000) / 8000
    path = write(tmp_path / "a.wav", np.sin(2 * np.pi * 200 * time), 8000, subtype="FLOAT")
    found = read_audio(path, seconds=1.0)
    expected = np.sin(2 * np.pi * 200 * np.arange(16_000) / 16_000)
    assert len(found) == 16_000
    assert np.abs(found - expected)[200:-200].max() < 0.01


def test_resampling_to_the_same_rate_changes_nothing():
    samples = np.ones(5, dtype=np.float32)
    assert resample(samples, 8000, 8000) is samples


def test_half_length_wav_is_refused(tmp_path):
    path = write(tmp_path / "a.wav", np.zeros(16_000))
    path.write_bytes(path.read_bytes()[:16_000])
    for seconds in (None, 1.0):
        with pytest.raises(
            AudioError, match="a.wav: 15956 of 32000 bytes of samples are there; was the file cut"
        ):
            read_audio(path, seconds=seconds)


def test_audio_shorter_than_its_manifest_says_is_refused(tmp_path):
    path = write(tmp_path / "a.wav", np.zeros(8_000))
    with pytest.raises(AudioError, match="a.wav: 0.50 s of 1.00 s are there"):
        read_audio(path, seconds=1.0)


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF])
def test_wav_from_a_pipe_that_does_not_know_its_length_is_read(tmp_path, size):
    path = write(tmp_path / "a.wav", np.full(1600, 0.5))
    content = path.read_bytes()
    place = content.index(b"data") + 4
    path.write_bytes(content[:place] + size.to_bytes(4, "little") + content[place + 4 :])
    assert len(read_audio(path)) == 1600


def test_truncated_flac_is_refused(tmp_path):
    path = write(tmp_path / "a.flac", np.random.default_rng(0).normal(0, 0.1, 16_000))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(AudioError, match="a.flac: "):
        read_audio(path)


def test_a_rate_that_no_recording_has_is_refused(tmp_path):
    with pytest.raises(AudioError, match="1092676 samples a second"):
        read_audio(write(tmp_path / "a.wav", np.zeros(441), 1_092_676))


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "cannot be read"), (b"RIFF", "cannot be read"), (b"not audio at all" * 99, "cannot be read")],
)
def test_broken_file_is_named(tmp_path, content, message):
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(AudioError, match=f"a.wav: .*{message}"):
        read_audio(path)


def test_empty_audio_is_refused(tmp_path):
    with pytest.raises(AudioError, match="holds no samples"):
        read_audio(write(tmp_path / "a.wav", np.zeros(0)))


def test_nan_is_refused(tmp_path):
    samples = np.zeros(100, dtype=np.float32)
    samples[50] = np.nan
    with pytest.raises(AudioError, match="not finite"):
        read_audio(write(tmp_path / "a.wav", samples, subtype="FLOAT"))


def test_a_wav_that_lacks_little_is_refused_too(tmp_path):
    path = write(tmp_path / "a.wav", np.zeros(1_600_000))
    path.write_bytes(path.read_bytes()[:-1600])
    with pytest.raises(AudioError, match="was the file cut"):
        read_audio(path)


@pytest.mark.parametrize(
    ("name", "subtype", "rate", "channels", "tag"),
    [
        ("a.flac", "PCM_S8", 16_000, 1, b""),
        ("a.flac", "PCM_16", 16_000, 1, b""),
        ("a.flac", "PCM_24", 44_100, 2, b""),
        ("a.flac", "PCM_16", 8_000, 8, b""),
        (
            "a.flac",
            "PCM_16",
            16_000,
            1,
            b"ID3\4\0\0" + bytes((0, 0, 0, 10)) + bytes(10),
        ),  # no FLAC's first bytes
        ("a.wav", "PCM_16", 22_050, 2, b""),
    ],
)
def test_the_header_tells_what_libsndfile_does(tmp_path, name, subtype, rate, channels, tag):
    path = write(tmp_path / name, np.full((12_345, channels), 0.1), rate, subtype=subtype)
    path.write_bytes(tag + path.read_bytes())
    expected = soundfile.info(str(path))
    assert describe_audio(path) == (expected.duration, rate, channels)
    assert expected.duration == 12_345 / rate


def test_the_header_of_a_flac_takes_no_library(tmp_path, monkeypatch):
    path = write(tmp_path / "a.flac", np.zeros(8_000))
    monkeypatch.delattr(soundfile, "info")
    assert describe_audio(path) == (0.5, 16_000, 1)


@pytest.mark.parametrize("size", [0, 4, 41])
def test_a_flac_without_a_whole_header_is_named(tmp_path, size):
    path = write(tmp_path / "a.flac", np.zeros(8_000))
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(AudioError, match="a.flac: cannot be read"):
        describe_audio(path)


def syllables(seconds=2.0, rate=16_000):
    """Noise of a level that rises and falls, as that of speech; at most 0.3."""
    time = np.arange(round(seconds * rate)) / rate
    return np.random.default_rng(0).uniform(-0.3, 0.3, len(time)) * np.sin(2 * np.pi * 0.75 * time) ** 2


def notes(heard):
    return [note for note, _ in heard.notes]


@pytest.mark.parametrize("scale", [2**15, 2**23, 2**31])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_integers_written_as_floats_are_scaled_and_told(tmp_path, scale, subtype):
    samples = syllables()
    heard = hear(write(tmp_path / "a.wav", samples * scale, subtype=subtype))
    np.testing.assert_allclose(heard.samples, samples, atol=1e-6)
    assert notes(heard) == [SCALED]
    assert heard.notes[0][1].endswith(f"divided by {scale}")


def test_a_part_is_scaled_as_its_whole_file(tmp_path):
    samples = syllables() * 2**15
    samples[:8000] *= 1e-4  # at most 1: no float too large
    path = write(tmp_path / "a.wav", samples, subtype="FLOAT")
    assert np.array_equal(read_audio(path, seconds=0.5), read_audio(path)[:8000])


def test_floats_that_are_somewhat_too_large_are_left_as_they_are(tmp_path):
    heard = hear(write(tmp_path / "a.wav", syllables() * 4, subtype="FLOAT"))  # at most 1.2
    np.testing.assert_allclose(heard.samples, syllables() * 4, atol=1e-6)
    assert notes(heard) == []


@pytest.mark.parametrize("samples", [syllables() * 40, syllables() * 1e37, np.abs(syllables()) * 2**16])
def test_floats_of_no_known_range_are_refused(tmp_path, samples):
    with pytest.raises(AudioError, match="a.wav: holds samples from .*; scale them to between -1 and 1"):
        read_audio(write(tmp_path / "a.wav", samples, subtype="FLOAT"))


@pytest.mark.parametrize("gains", [(1, -1), (1, -0.9), (0.5, -0.45, 0.02), (1, -1, 1, -1)])
def test_of_channels_that_cancel_the_loudest_is_read_and_told(tmp_path, gains):
    samples = syllables()[:, None] * np.array(gains)
    heard = hear(write(tmp_path / "a.wav", samples, subtype="FLOAT"))
    np.testing.assert_allclose(heard.samples, samples[:, 0], atol=1e-6)
    assert heard.notes == ((OPPOSITE, f"channel 1 of {len(gains)}"),)


def test_channels_that_cancel_for_a_part_of_the_time_are_not_averaged(tmp_path):
    samples = np.stack([syllables(4), syllables(4)], axis=1)
    samples[40_000:56_000, 1] *= -1
    heard = hear(write(tmp_path / "a.wav", samples, subtype="FLOAT"))
    np.testing.assert_allclose(heard.samples, samples[:, 0], atol=1e-6)
    assert notes(heard) == [OPPOSITE]


@pytest.mark.parametrize("other", [np.zeros(32_000), np.roll(syllables(), 12_345), syllables()])
def test_channels_that_do_not_cancel_are_averaged(tmp_path, other):
    samples = np.stack([syllables(), other], axis=1)
    heard = hear(write(tmp_path / "a.wav", samples, subtype="FLOAT"))
    np.testing.assert_allclose(heard.samples, samples.mean(axis=1), atol=1e-6)
    assert notes(heard) == []


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (np.zeros(16_000), [SILENT]),
        (np.full(16_000, 0.01), [NEARLY_SILENT]),
        (np.full(16_000, 0.3), [OFFSET, NEARLY_SILENT]),
        (syllables() * 0.003, [NEARLY_SILENT]),
        (syllables() * 0.01, []),
        (syllables() + 0.1, [OFFSET]),
        (np.random.default_rng(0).normal(0, 0.1, 32_000), [EVEN]),
        (np.sin(np.arange(32_000) / 10), [EVEN]),
    ],
)
def test_what_does_not_sound_of_speech_is_told(tmp_path, samples, expected):
    assert notes(hear(write(tmp_path / "a.wav", samples, subtype="FLOAT"))) == expected


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("uint8", [0, 128, 192], [-1, 0, 0.5]),
        ("uint16", [0, 2**15, 3 * 2**14], [-1, 0, 0.5]),
        ("int8", [-128, 0, 64], [-1, 0, 0.5]),
        ("int16", [-(2**15), 0, 2**14], [-1, 0, 0.5]),
        ("int32", [-(2**31), 0, 2**30], [-1, 0, 0.5]),
        ("int32", [-(2**15), 1, 2**14], [-1, 2**-15, 0.5]),  # of 16 bits in 32
        ("int32", [-(2**23) + 1, 0, 2**22], [-1, 0, 0.5]),
        ("int32", [-(2**8), 0, 2**9], [-(2**-23), 0, 2**-22]),  # of 24 bits, shifted up, and soft
        ("int64", [-(2**15), 0, 2**14], [-1, 0, 0.5]),
        ("float16", [-1, 0, 0.5], [-1, 0, 0.5]),
        ("float64", [-1, 0, 0.5], [-1, 0, 0.5]),
        ("float64", [-(2**15), 0, 2**14], [-1, 0, 0.5]),
    ],
)
def test_arrays_of_any_kind_come_out_between_minus_one_and_one(kind, values, expected):
    samples = hear_array(np.array(values, dtype=kind), sample_rate=16_000).samples
    np.testing.assert_allclose(samples, expected, atol=2e-7)
    assert samples.dtype == np.float32


def test_an_array_is_heard_as_the_file_that_holds_it(tmp_path):
    samples = (syllables(1, 8000)[:, None] * (2**15, -(2**15))).astype(np.int16)
    of_file = hear(write(tmp_path / "a.wav", samples, 8000))
    for array in (samples, samples.T, samples / 2**15, samples.astype(np.float32)):
        of_array = hear_array(array, sample_rate=8000)
        np.testing.assert_allclose(of_array.samples, of_file.samples, atol=1e-6)
        assert of_file.notes[0] in of_array.notes


def test_a_tensor_is_heard_as_its_array():
    import torch

    expected = hear_array(syllables().astype(np.float32), sample_rate=16_000).samples
    tensor = torch.tensor(syllables(), dtype=torch.float32, requires_grad=True)
    assert np.array_equal(hear_array(tensor[None], sample_rate=16_000).samples, expected)
    rounded = hear_array(tensor.bfloat16(), sample_rate=16_000).samples
    np.testing.assert_allclose(rounded, expected, atol=1e-3)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.array([True, False]), "bool"),
        (np.array([1j, 0]), "complex128"),
        (np.array([0.0, np.nan]), "not finite"),
        (np.array([0.0, 1e300]), "not finite"),
        (np.array([0.0, 50.0, -50.0]), "samples from -50 to 50"),
        (np.array([2**40, 0]), "integers up to 1099511627776"),
        (np.zeros(0), "holds no samples"),
        (np.zeros((100, 100)), r"\(100, 100\)"),
        (np.zeros((1, 2, 3)), "has 3 axes"),
        (np.zeros(()), "has 0 axes"),
    ],
)
def test_an_array_that_cannot_be_heard_is_refused(samples, message):
    with pytest.raises(AudioError, match=f"the array.* {message}"):
        hear_array(samples, sample_rate=16_000)


def test_a_segment_that_is_longer_than_its_file_is_refused_with_both_lengths(tmp_path):
    path = write(tmp_path / "a.wav", np.zeros(8_000))
    with pytest.raises(
        AudioError, match="0.25 s of 1.00 s are there from 0.25 s on; .* or is the length of the utterance"
    ):
        read_audio(path, start=0.25, seconds=1.0)
