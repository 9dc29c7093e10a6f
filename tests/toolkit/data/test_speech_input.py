"""Every form in which speech can be given reads as the same samples, and every wrong one is named with its repair."""

import io

import numpy as np
import pytest
import soundfile
import torch

from auralign.data import containers
from auralign.data.audio import AudioError, describe_audio, hear
from auralign.data.speech_input import read_speech, split_list
from auralign.testing import make_speech

RATE = 16_000


@pytest.fixture(scope="module")
def samples():
    """One second of speech that 16 bits hold exactly."""
    return (np.round(make_speech(1.0) * 16_384) / 32_768).astype(np.float32)


@pytest.fixture(scope="module")
def path(samples, tmp_path_factory):
    path = tmp_path_factory.mktemp("audio") / "a.wav"
    soundfile.write(path, samples, RATE, subtype="PCM_16")
    return path


class Decoder:
    """As the decoder that datasets 4 gives, of torchcodec."""

    def __init__(self, samples, rate):
        self.data, self.sample_rate = torch.from_numpy(samples)[None], rate

    def get_all_samples(self):
        return self


FORMS = {
    "path": lambda samples, path: path,
    "path as str": lambda samples, path: str(path),
    "array": lambda samples, path: samples,
    "tensor": lambda samples, path: torch.from_numpy(samples),
    "float64": lambda samples, path: samples.astype(np.float64),
    "int16": lambda samples, path: (samples * 32_768).astype(np.int16),
    "datasets": lambda samples, path: {"array": samples, "sampling_rate": RATE, "path": None},
    "datasets, as JSON": lambda samples, path: {"array": samples.tolist(), "sampling_rate": RATE},
    "datasets, undecoded": lambda samples, path: {"bytes": path.read_bytes(), "path": "a.wav"},
    "datasets, undecoded path": lambda samples, path: {"bytes": None, "path": str(path)},
    "datasets, a decoder": lambda samples, path: Decoder(samples, RATE),
    "Gradio, int16": lambda samples, path: (RATE, (samples * 32_768).astype(np.int16)),
    "Gradio, stereo": lambda samples, path: (RATE, np.stack([samples, samples], axis=1)),
    "soundfile": lambda samples, path: (samples, RATE),
    "torchaudio, stereo": lambda samples, path: (torch.from_numpy(np.stack([samples, samples])), RATE),
    "numpy rate": lambda samples, path: (np.int64(RATE), samples),
    "bytes": lambda samples, path: path.read_bytes(),
    "bytearray": lambda samples, path: bytearray(path.read_bytes()),
    "memoryview": lambda samples, path: memoryview(path.read_bytes()),
    "file object": lambda samples, path: io.BytesIO(path.read_bytes()),
    "open file": lambda samples, path: open(path, "rb"),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_reads_as_the_same_samples(form, samples, path):
    given = FORMS[form](samples, path)
    assert split_list(given) is None
    np.testing.assert_array_equal(read_speech(given).samples, samples)


def test_channels_are_averaged(samples):
    found = read_speech((RATE, np.stack([samples, np.zeros_like(samples)], axis=1))).samples
    np.testing.assert_array_equal(found, samples / 2)


def test_the_rate_that_comes_with_an_array_counts(samples):
    assert len(read_speech((8_000, samples)).samples) == 2 * len(samples)
    assert len(read_speech(samples, sample_rate=8_000).samples) == 2 * len(samples)


@pytest.mark.parametrize("rate", [np.array(16_000), torch.tensor(16_000), np.int32(16_000)])
def test_a_rate_may_be_a_number_of_a_library(samples, rate):
    assert split_list((samples, rate)) is None
    assert len(read_speech((rate, samples)).samples) == len(samples)


def test_a_list_is_several_unless_it_is_a_pair_of_rate_and_samples(samples, path):
    assert split_list([samples, samples]) is not None
    assert split_list((path, samples, None)) == [path, samples, None]
    assert split_list([]) == []
    assert split_list([RATE, samples]) is None
    assert split_list("a.wav") is None


WRONG = {
    "empty array": (np.zeros(0), "the array holds no samples"),
    "empty bytes": (b"", "the audio file: holds no bytes"),
    "not a number": (np.array([0.0, np.nan] * 800), "not finite"),
    "3-D": (np.zeros((1, 2, 800)), "the array has 3 axes"),
    "as many channels as samples": (np.zeros((20, 20)), "has the shape"),
    "too large floats": (np.array([0.0, 100.0] * 800), "neither floats between -1 and 1 nor integers"),
    "too large integers": (np.array([0, 2**40] * 800), "holds integers up to 1099511627776"),
    "complex": (np.zeros(800, dtype=complex), "has the type complex128"),
    "booleans": (np.zeros(800, dtype=bool), "has the type bool"),
    "words": (np.array(["a", "b"]), "has the type <U1"),
    "ragged": ((16_000, [[1, 2], [3]]), r"the array: .* give \(num_samples,\)"),
    "a number of bytes": ({"bytes": 7}, "its bytes are int; give a path"),
    "no rate": ({"array": np.zeros(800)}, "without 'sampling_rate'; add the rate"),
    "other dict": ({"text": "five"}, "a dict with 'text'; give 'array' and 'sampling_rate'"),
    "empty dict": ({}, "a dict with no keys"),
    "kHz": ((16, np.zeros(800)), "16 samples a second; no recording of speech has"),
    "rate 0": ((0, np.zeros(800)), "has the rate 0"),
    "rate below 0": ((-16_000, np.zeros(800)), "has the rate -16000"),
    "broken rate": ((16_000.5, np.zeros(800)), "has the rate 16000.5"),
    "rate in words": ({"array": np.zeros(800), "sampling_rate": "16 kHz"}, "has the rate '16 kHz'"),
    "no samples": ((16_000, None), "its samples are NoneType"),
    "bytes that are no audio": (b"three five nine", "the audio file: cannot be read as audio"),
    "text file": (io.StringIO("three"), r"in binary mode, open\(path, 'rb'\)"),
    "address": ("https://example.org/a.wav", "is an address; download it"),
    "no path": ("", 'the path ""'),
    "absent file": ("absent.wav", "absent.wav: cannot be read as audio"),
    "number": (0.5, "the array: is the float 0.5; give a path"),
    "object": (object(), "is the object"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_speech_is_named_with_the_repair(name):
    speech, message = WRONG[name]
    with pytest.raises(AudioError, match=message):
        read_speech(speech)


def test_a_file_that_was_read_before_is_named(path):
    file = io.BytesIO(path.read_bytes())
    read_speech(file)
    with pytest.raises(AudioError, match=r"seek\(0\)"):
        read_speech(file)


@pytest.mark.parametrize("form", ["path", "bytes", "datasets", "Gradio, int16"])
def test_a_rate_that_contradicts_the_speech_is_refused(form, samples, path):
    speech = FORMS[form](samples, path)
    assert len(read_speech(speech, sample_rate=RATE).samples) == len(samples)
    with pytest.raises(AudioError, match="has a rate of 16000 Hz of its own, but sample_rate is 8000"):
        read_speech(speech, sample_rate=8_000)


def test_no_temporary_path_is_shown(path):
    with pytest.raises(AudioError) as caught:
        read_speech(path.read_bytes()[:3_000])
    assert str(caught.value).startswith("the audio file: ")


def flac_that_claims(path, num_samples, rate=16_000):
    """A short FLAC whose header announces another number of samples and another rate (RFC 9639, section 8.2)."""
    soundfile.write(path, np.random.default_rng(0).uniform(-0.3, 0.3, 1600), 16_000, format="FLAC")
    data = bytearray(path.read_bytes())
    packed = int.from_bytes(data[18:26], "big")
    packed = rate << 44 | packed & (1 << 44) - (1 << 36) | num_samples
    data[18:26] = packed.to_bytes(8, "big")
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("num_samples", "rate"), [(2**36 - 1, 16_000), (24 * 3600 * 16_000, 16_000), (2**28, 384_000)]
)
def test_a_header_that_announces_too_much_is_refused_in_one_line(tmp_path, num_samples, rate):
    path = flac_that_claims(tmp_path / "a.flac", num_samples, rate)
    with pytest.raises(
        AudioError, match=rf"a\.flac: its header announces {num_samples / rate:.0f} s of {rate}"
    ):
        read_speech(path)


@pytest.mark.parametrize("num_samples", [2**36 - 1, 0])
def test_no_stage_decodes_more_than_memory_should_hold(tmp_path, monkeypatch, num_samples):
    path = flac_that_claims(tmp_path / "a.flac", num_samples)  # 0: its length is not known, so all is decoded
    monkeypatch.setattr(containers, "MAX_VALUES", 1_500)
    with pytest.raises(AudioError, match=r"a\.flac: holds, or its header announces, more than 1500 samples"):
        hear(path)


@pytest.mark.parametrize("rate", [7, 3_999, 192_001, 384_000, 655_350])
def test_a_rate_that_no_recording_has_is_refused_in_one_line(tmp_path, rate):
    path = flac_that_claims(tmp_path / "a.flac", 1600, rate)
    with pytest.raises(AudioError, match=rf"a\.flac: says that it has {rate} samples a second; no recording"):
        read_speech(path)


def test_a_pipe_is_no_audio_file(tmp_path):
    import os

    os.mkfifo(tmp_path / "a.wav")
    for read in (read_speech, hear, describe_audio):
        with pytest.raises(AudioError, match=r"a\.wav: is no regular file"):
            read(tmp_path / "a.wav")


@pytest.mark.parametrize(
    "content",
    [
        b"NIST_1A\n   size\nsample_count -i 16000\nend_head\n",
        b"riff" + bytes(20) + b"wave" + bytes(12) + b"fmt " + bytes(12) + (2**63).to_bytes(8, "little"),
        b".snd" + (2**32 - 1).to_bytes(4, "big") + (100).to_bytes(4, "big"),
        b"caff\0\1\0\0desc" + (2**62).to_bytes(8, "big"),
    ],
)
def test_a_header_that_lies_is_named(tmp_path, content):
    (tmp_path / "a.wav").write_bytes(content + bytes(2_000))
    for read in (read_speech, hear, describe_audio):
        with pytest.raises(AudioError, match=r"a\.wav: "):
            read(tmp_path / "a.wav")


def test_a_name_that_no_file_can_have_is_named():
    with pytest.raises(AudioError, match="embedded null byte"):
        hear("a\0.wav")


def test_a_dict_without_a_rate_has_the_one_that_is_given():
    samples = np.linspace(-0.5, 0.5, 800, dtype=np.float32)
    found = read_speech({"array": samples}, sample_rate=8000, wanted_rate=8000, name="the array")
    np.testing.assert_array_equal(found.samples, samples)
