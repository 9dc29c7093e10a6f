"""What the bytes of audio files tell of their length: those that were cut are refused, those that were never finished read."""

import struct

import numpy as np
import pytest
import soundfile

from auralign.data.audio import NO_END, AudioError, describe_audio, hear, read_audio

RATE = 16_000


def noise(seconds=2.0):
    return np.random.default_rng(0).uniform(-0.3, 0.3, round(seconds * RATE)) * np.linspace(
        0, 1, round(seconds * RATE)
    )


def write(path, form, subtype="PCM_16"):
    soundfile.write(path, noise(), RATE, format=form, subtype=subtype)
    return path


UNCOMPRESSED = ["WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "NIST", "CAF"]


@pytest.mark.parametrize("form", UNCOMPRESSED)
def test_a_whole_file_is_read(tmp_path, form):
    path = write(tmp_path / "a", form)
    assert describe_audio(path) == (2.0, RATE, 1)
    np.testing.assert_allclose(read_audio(path), noise(), atol=1e-4)


@pytest.mark.parametrize("form", UNCOMPRESSED)
@pytest.mark.parametrize("share", [0.5, 0.98])
def test_a_cut_file_is_refused_by_its_header_too(tmp_path, form, share):
    path = write(tmp_path / "a", form)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    for function in (read_audio, describe_audio):
        with pytest.raises(
            AudioError, match="a: .* bytes of samples are there; was the file cut|file is malformed"
        ):
            function(path)


def with_size(path, size):
    """A WAV with another size of its samples: b"data" and four bytes."""
    content = path.read_bytes()
    place = content.index(b"data") + 4
    path.write_bytes(content[:place] + struct.pack("<I", size) + content[place + 4 :])
    return path


@pytest.mark.parametrize("size", [0, 0x7FFFF024, 0x80000000, 0xFFFFFFDB, 0xFFFFFFFF])
def test_a_wav_that_was_never_finished_is_read_to_its_end(tmp_path, size):
    path = with_size(write(tmp_path / "a.wav", "WAV"), size)
    assert describe_audio(path) == (2.0, RATE, 1)
    expected = read_audio(write(tmp_path / "b.wav", "WAV"))
    assert np.array_equal(read_audio(path), expected)
    assert np.array_equal(read_audio(path, start=0.5, seconds=1.0), expected[8_000:24_000])


def test_a_wav_that_holds_more_than_it_announces_is_refused(tmp_path):
    path = with_size(write(tmp_path / "a.wav", "WAV"), 32_000)
    with pytest.raises(AudioError, match="announces 32000 bytes of samples, and 32000 more follow"):
        read_audio(path)


@pytest.mark.parametrize(
    "rest",
    [b"LIST" + struct.pack("<I", 2000) + bytes(2000), bytes(2000), b"ID3\3" + b"x" * 2000, b"TAG" * 40],
)
def test_what_stands_behind_the_samples_of_a_wav_is_no_sound(tmp_path, rest):
    path = write(tmp_path / "a.wav", "WAV")
    path.write_bytes(path.read_bytes() + rest)
    assert len(read_audio(path)) == 2 * RATE


@pytest.mark.parametrize("coding", ["GSM610", "G721_32"])
def test_a_coding_in_which_nobody_can_seek_is_read(tmp_path, coding):
    path = write(tmp_path / "a.wav", "WAV", coding)
    whole = read_audio(path)
    assert 2 * RATE <= len(whole) < 2 * RATE + 160  # a block is filled up
    assert np.array_equal(read_audio(path, start=0.5, seconds=0.5), whole[8_000:16_000])


def unknown_length(path):
    """A FLAC as it comes from a pipe: its number of samples, the low 36 bits of the file's bytes 18 to 25, is 0."""
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path.write_bytes(content)
    return path


def test_a_flac_from_a_pipe_is_read_to_its_end(tmp_path):
    path = unknown_length(write(tmp_path / "a.flac", "FLAC"))
    assert describe_audio(path) == (2.0, RATE, 1)
    expected = read_audio(write(tmp_path / "b.flac", "FLAC"))
    assert np.array_equal(read_audio(path), expected)
    assert np.array_equal(read_audio(path, start=0.5, seconds=1.0), expected[8_000:24_000])


def test_a_cut_flac_from_a_pipe_is_refused(tmp_path):
    path = unknown_length(write(tmp_path / "a.flac", "FLAC"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(AudioError, match="a.flac: cannot be read"):
        read_audio(path)


@pytest.fixture(params=["VORBIS", "OPUS"])
def ogg(request, tmp_path):
    return write(tmp_path / "a.ogg", "OGG", request.param)


def test_a_cut_ogg_is_refused(ogg):
    ogg.write_bytes(ogg.read_bytes()[:-50])
    for function in (read_audio, describe_audio):
        with pytest.raises(AudioError, match="a.ogg: its last page is not whole; was the file cut"):
            function(ogg)


def last_page(content):
    return content.rindex(b"OggS")


def checksum(page):
    """Bit by bit, of the polynomial 0x04c11db7."""
    found = 0
    for byte in page:
        found ^= byte << 24
        for _ in range(8):
            found = (found << 1) ^ (0x104C11DB7 if found & 0x80000000 else 0)
    return found


def at_time(content, time):
    """The Ogg with another time on its last page, and the checksum that belongs to it."""
    start = last_page(content)
    page = bytearray(content[start:])
    page[6:14] = struct.pack("<q", time)
    page[22:26] = bytes(4)
    page[22:26] = struct.pack("<I", checksum(page))
    return content[:start] + bytes(page)


@pytest.mark.parametrize("time", [10, 10_000_000])
def test_an_ogg_is_as_long_as_what_it_decodes_to(ogg, time):
    expected = read_audio(ogg)
    ogg.write_bytes(at_time(ogg.read_bytes(), time))
    found = read_audio(ogg)
    assert 0 <= len(found) - len(expected) < 1000  # the end is told by the time alone
    np.testing.assert_allclose(found[: len(expected)], expected, atol=1e-6)


def test_oggs_that_were_joined_are_read_to_the_end(ogg):
    one = read_audio(ogg)
    ogg.write_bytes(ogg.read_bytes() * 2)
    assert describe_audio(ogg)[0] == 4.0
    np.testing.assert_allclose(read_audio(ogg), np.tile(one, 2), atol=1e-6)
    part = read_audio(ogg, start=2.5, seconds=1.0)
    np.testing.assert_allclose(part, one[8_000:24_000], atol=1e-6)


def test_an_ogg_without_its_last_page_is_told(ogg):
    ogg.write_bytes(ogg.read_bytes()[: last_page(ogg.read_bytes())])
    assert (NO_END, "") in hear(ogg).notes


@pytest.mark.parametrize(("start", "seconds"), [(0.0, 0.5), (0.7, 0.6), (1.5, 0.5)])
def test_a_part_of_an_ogg_is_what_it_is_in_the_whole(ogg, start, seconds):
    whole, part = read_audio(ogg), read_audio(ogg, start=start, seconds=seconds)
    first = round(start * RATE)
    np.testing.assert_allclose(part, whole[first : first + len(part)], atol=1e-4)
