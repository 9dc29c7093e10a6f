"""An MP3 is as long as its frames, and any part of it is what it is in the whole."""

import struct

import numpy as np
import pytest
import soundfile

from auralign.data.audio import AudioError, describe_audio, read_audio
from auralign.data.mp3 import Kind, find_frames

RATE = 16_000  # MPEG 2: 576 samples a frame
ID3 = b"ID3\3\0\0" + bytes((0, 4, 0, 0)) + b"\xff\xf3\x88\xc4" * (2**16 // 4)  # 64 KB that look like frames


def speech(seconds, rate=RATE):
    """Noise that swells: a variable bit rate has something to vary with."""
    time = np.arange(round(seconds * rate)) / rate
    return np.random.default_rng(0).normal(0, 0.2, len(time)) * np.sin(2 * np.pi * 0.4 * time) ** 4


@pytest.fixture(scope="module")
def variable(tmp_path_factory):
    """The bytes of an MP3 of 3 s in a variable bit rate, with LAME's tag."""
    path = tmp_path_factory.mktemp("mp3") / "a.mp3"
    soundfile.write(path, speech(3), RATE, bitrate_mode="VARIABLE", compression_level=0.9)
    return path.read_bytes()


@pytest.fixture(scope="module")
def untagged(variable):
    """The same, whose tag is none any more: nothing tells its length."""
    return variable.replace(b"Xing", bytes(4))


def put(tmp_path, content, name="a.mp3"):
    (tmp_path / name).write_bytes(content)
    return tmp_path / name


def tell(content, num_frames, num_bytes=None):
    """The MP3 with other figures in its Xing tag: b"Xing", flags, frames, bytes."""
    place = content.index(b"Xing") + 8
    told = content[place + 4 : place + 8] if num_bytes is None else struct.pack(">I", num_bytes)
    return content[:place] + struct.pack(">I", num_frames) + told + content[place + 8 :]


def test_a_frame_tells_its_size():
    # MPEG 1, 128 kbit/s at 44.1 kHz: 144 * 128000 / 44100 = 417.96; MPEG 2, 64 kbit/s at 16 kHz: 72 * 64000 / 16000 = 288
    kind = Kind(bytes.fromhex("fffb9064"))
    assert (kind.rate, kind.channels, kind.num_samples) == (44_100, 2, 1152)
    assert [kind.size(bytes.fromhex(head), 0) for head in ("fffb9064", "fffb9264", "fffba064")] == [
        417,
        418,
        522,
    ]
    assert Kind(bytes.fromhex("fff388c4")).size(bytes.fromhex("fff388c4"), 0) == 288


def test_a_variable_rate_without_a_tag_is_read_to_its_end(tmp_path, variable, untagged):
    path, num_frames = put(tmp_path, untagged), len(find_frames(variable).offsets) + 1
    # libsndfile guesses by the first frame
    assert abs(soundfile.info(str(path)).frames - num_frames * 576) > 576
    assert describe_audio(path) == (num_frames * 576 / RATE, RATE, 1)
    assert len(read_audio(path)) == num_frames * 576


def test_of_a_tagged_file_the_samples_that_were_encoded_come_back(tmp_path, variable):
    path = put(tmp_path, variable)
    found = read_audio(path)
    assert len(found) == 3 * RATE and describe_audio(path)[0] == 3.0
    np.testing.assert_allclose(found, soundfile.read(path, dtype="float32")[0], atol=1e-6)


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100])
@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_a_part_is_what_it_is_in_the_whole(tmp_path, rate, mode, capfd):
    path = tmp_path / "a.mp3"
    soundfile.write(path, np.stack([speech(4, rate)] * 2, 1), rate, bitrate_mode=mode, compression_level=0.99)
    whole = read_audio(path, sample_rate=rate)
    for start, seconds in ((0, 0.5), (0.1, 0.2), (2, 1), (3.5, 0.5)):
        part = read_audio(path, start=start, seconds=seconds, sample_rate=rate)
        first = round(start * rate)
        np.testing.assert_allclose(part, whole[first : first + len(part)], atol=1e-6)
    assert capfd.readouterr().err == ""  # of the decoder, which borrows bits that are not there


@pytest.mark.parametrize("told", [10, 0, 1000])
def test_a_wrong_number_of_frames_in_the_tag_is_not_believed(tmp_path, variable, told):
    found = len(read_audio(put(tmp_path, tell(variable, told))))
    assert 3 * RATE <= found < 3 * RATE + 3 * 576  # what the encoder filled up is not known


def test_tags_around_the_frames_are_no_sound(tmp_path, untagged):
    expected = read_audio(put(tmp_path, untagged))
    path = put(tmp_path, ID3 + untagged + b"TAG" + bytes(125), "b.mp3")
    np.testing.assert_allclose(read_audio(path), expected, atol=1e-6)
    path = put(tmp_path, bytes(999) + untagged + bytes(999))
    np.testing.assert_allclose(read_audio(path), expected, atol=1e-6)


def test_files_that_were_joined_are_read_to_the_end(tmp_path, variable, untagged):
    one = len(read_audio(put(tmp_path, untagged)))
    assert len(read_audio(put(tmp_path, untagged + untagged))) == 2 * one
    # The first's tag is no sound, and tells a delay; the second's is a silent frame.
    assert len(read_audio(put(tmp_path, variable + ID3 + variable))) == 2 * one - 576 - (576 + 529)


def test_files_of_two_rates_that_were_joined_are_refused(tmp_path, variable):
    soundfile.write(tmp_path / "b.mp3", speech(3, 44_100), 44_100)
    with pytest.raises(
        AudioError, match="a.mp3: .* bytes are not MP3 of 16000 Hz .*; is it damaged, or joined"
    ):
        read_audio(put(tmp_path, variable + (tmp_path / "b.mp3").read_bytes()))


@pytest.mark.parametrize("share", [0.3, 0.97])
def test_a_cut_file_is_refused(tmp_path, variable, untagged, share):
    for function in (read_audio, describe_audio):
        with pytest.raises(AudioError, match=r"a.mp3: .* s of 3.[0-9]+ s are there; was the file cut\?"):
            function(put(tmp_path, variable[: int(len(variable) * share)]))
        with pytest.raises(AudioError, match=r"a.mp3: after .* s it ends inside a frame; was the file cut\?"):
            function(put(tmp_path, untagged[: int(len(untagged) * share)]))


def test_a_file_with_a_hole_is_refused(tmp_path, untagged):
    middle = len(untagged) // 2
    with pytest.raises(AudioError, match="a.mp3: .* are not MP3 of 16000 Hz in 1 channels; is it damaged"):
        read_audio(put(tmp_path, untagged[:middle] + bytes(1000) + untagged[middle + 1000 :]))


def test_an_mp3_in_a_wav_is_as_long_as_its_frames(tmp_path, untagged):
    head = struct.pack("<HHIIHHHHIHHH", 0x55, 1, RATE, 4000, 1, 0, 12, 1, 2, 576, 1, 1393)
    chunks = (
        b"WAVEfmt "
        + struct.pack("<I", len(head))
        + head
        + b"data"
        + struct.pack("<I", len(untagged))
        + untagged
    )
    path = put(tmp_path, b"RIFF" + struct.pack("<I", len(chunks)) + chunks, "a.wav")
    np.testing.assert_allclose(read_audio(path), read_audio(put(tmp_path, untagged)), atol=1e-6)


def test_a_fraunhofer_tag_is_read(variable):
    frames = find_frames(variable)
    first = int(frames.offsets[0])
    vbri = b"VBRI" + struct.pack(">HHHII", 1, 0, 75, len(variable), len(frames.offsets))
    tagged = (
        variable[:36] + vbri + variable[36 + len(vbri) : 36 + len(vbri)].ljust(first - 36 - len(vbri), b"\0")
    )
    found = find_frames(tagged.replace(b"Xing", bytes(4)) + variable[first:])
    assert (found.told_frames, found.told_bytes) == (len(frames.offsets), len(variable))
    assert len(found.offsets) == len(frames.offsets) and found.tag == (0, first)
