"""Audio is read as mono at the rate asked for, or refused with its reason."""

import numpy as np
import pytest
import soundfile

from auralign.data.audio import AudioError, describe_audio, read_audio, resample


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


def test_flac_from_a_pipe_that_does_not_know_its_length_is_refused(tmp_path):
    path = write(tmp_path / "a.flac", np.full(16_000, 0.25))
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # total_samples are the low 36 bits of the file's bytes 18 to 25
    content[22:26] = bytes(4)
    path.write_bytes(content)
    for function in (read_audio, describe_audio):
        with pytest.raises(AudioError, match="a.flac: does not say how long it is"):
            function(path)


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
