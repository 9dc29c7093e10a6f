"""The length of audio files from their own bytes, for formats in which the decoding library misjudges it.

    >>> read_streaminfo(b"fLaC" + bytes((0, 0, 0, 34)) + bytes(34)) is None
    True

Nothing is decoded here, and no library is needed.
"""

import os
from dataclasses import dataclass

STREAMINFO = bytes((0, 0, 0, 34))  # the first block of a FLAC: of kind 0, 34 bytes long
STREAMINFO_BITS = (8, 16, 24)  # a sample, as every libsndfile reads them
# Some writers count their own header as samples, and tags outside any chunk may follow the samples of a WAV.
SLOPPY_BYTES = 64
MAX_VALUES = 2**30  # samples of all channels that are decoded at once: 4 GiB
MAX_SURPLUS = 512


class AudioError(ValueError):
    """Audio that cannot be used; the message names the file and the problem."""


def was_cut(path, there: str) -> AudioError:
    """The error for a truncated file."""
    return AudioError(f"{path}: {there}; was the file cut? copy it again")


def check_size(path, num_values: int) -> None:
    """Raise AudioError if the samples of all channels that would be decoded at once are more than memory should hold."""
    if num_values > MAX_VALUES:
        raise AudioError(
            f"{path}: holds, or its header announces, more than {MAX_VALUES} samples of all channels to be decoded at once; "
            "cut it into parts"
        )


def read_streaminfo(head: bytes) -> tuple[float, int, int] | None:
    """Seconds, rate in Hz and channels from the first 42 bytes of a FLAC; None if libsndfile must open it.

    The bytes (RFC 9639, section 8.2): b"fLaC", kind and length of the block, 10 bytes of block and frame sizes, then in 64
    bits the rate (20), channels less one (3), bits a sample less one (5) and samples (36; 0: not known), and an MD5.
    """
    # The kind's top bit says that no other block follows.
    if len(head) < 42 or head[:4] != b"fLaC" or bytes((head[4] & 0x7F,)) + head[5:8] != STREAMINFO:
        return None
    packed = int.from_bytes(head[18:26], "big")
    rate, channels, bits = packed >> 44, (packed >> 41 & 0x7) + 1, (packed >> 36 & 0x1F) + 1
    num_samples = packed & 0xF_FFFF_FFFF
    if not rate or not num_samples or bits not in STREAMINFO_BITS:
        return None
    return num_samples / rate, rate, channels


@dataclass(frozen=True)
class Samples:
    """The byte range of the samples in an uncompressed file."""

    start: int
    announced: int | None  # None if the header marks it as unknown, as in files written to a pipe
    there: int
    surplus: int = 0  # bytes after the samples that are in no chunk
    is_mp3: bool = False  # whether a WAV holds MP3
    size_place: int | None = None  # offset of a size that is wrongly 0 in the header

    def check(self, path) -> None:
        """Raise AudioError if samples are missing, or more follow than the header announces."""
        if self.announced is not None and self.there < self.announced - SLOPPY_BYTES:
            raise was_cut(path, f"{self.there} of {self.announced} bytes of samples are there")
        if self.surplus > MAX_SURPLUS:
            raise AudioError(
                f"{path}: its header announces {self.announced} bytes of samples, and {self.surplus} more follow that it does "
                "not announce; was it never finished? write it once more"
            )


def find_samples(path) -> Samples | None:
    """Find the samples of a WAV, RF64, W64, AIFF, CAF, AU or SPHERE file; None for other formats.

    This detects truncated files, which libsndfile reads without an error.
    """
    with open(path, "rb") as file:
        head = file.read(40)
        size = os.fstat(file.fileno()).st_size
        if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
            return _find_in_chunks(file, size, "little", b"data")
        if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
            return _find_in_chunks(file, size, "big", b"SSND")
        if head[:4] == b"riff" and head[24:28] == b"wave":
            return _find_in_w64(file, size)
        if head[:4] == b"caff":
            return _find_in_caf(file, size)
        if head[:4] == b".snd":  # its offset and size in four bytes each
            start, told = int.from_bytes(head[4:8], "big"), int.from_bytes(head[8:12], "big")
            return Samples(start, None if told == 0xFFFFFFFF else told, max(0, size - start))
        if head[:7] == b"NIST_1A":
            return _find_in_sphere(head + file.read(984), size)
    return None


def told_bytes(path) -> int | None:
    """The size in bytes that the header of a Matroska, WebM or AVI file states; None if it states none."""
    with open(path, "rb") as file:
        head = file.read(64)
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return 8 + int.from_bytes(head[4:8], "little")
    if head[:4] != b"\x1a\x45\xdf\xa3":  # an EBML header, then one segment to the end of the file
        return None
    segment = sum(_read_vint(head, 4))
    if head[segment : segment + 4] != b"\x18\x53\x80\x67":
        return None
    start, size = _read_vint(head, segment + 4)
    known = size != 2 ** (7 * (start - segment - 4)) - 1  # all ones: not known
    return start + size if known else None


def _read_vint(data: bytes, at: int) -> tuple[int, int]:
    """The end of an EBML number, and its value: as many zero bits as bytes follow, a one, and the value."""
    length = 9 - data[at].bit_length() if at < len(data) else 1
    value = int.from_bytes(data[at : at + length], "big")
    return at + length, value & (1 << 7 * length) - 1


def _is_unknown(size: int) -> bool:
    """Whether a size is a placeholder of programs that cannot seek back to it: near 2 GB or 4 GB."""
    return 0x7F000000 <= size <= 0x80000100 or size >= 0xFFFFF000


def _find_in_chunks(file, size: int, order, wanted: bytes) -> Samples | None:
    """Chunks of a WAV or an AIFF: four letters, a size, and that number of bytes, padded to an even number."""
    file.seek(12)
    is_mp3, wide = False, None
    while len(chunk := file.read(8)) == 8:
        told, start = int.from_bytes(chunk[4:], order), file.tell()
        if chunk[:4] == b"ds64":  # sizes in 64 bits: of the file and of the samples
            wide = int.from_bytes(file.read(16)[8:], order)
        elif chunk[:4] == b"fmt ":
            is_mp3 = file.read(2) == b"\x55\0"
        elif chunk[:4] == wanted:
            told = wide if wide is not None and told == 0xFFFFFFFF else told
            if wide is None and _is_unknown(told):
                return Samples(start, None, size - start, is_mp3=is_mp3)
            rest = _unannounced(file, start + told + told % 2, size, order)
            if told == 0 and rest:  # never filled in
                return Samples(start, None, size - start, is_mp3=is_mp3, size_place=start - 4)
            return Samples(start, told, min(told, size - start), rest, is_mp3)
        file.seek(start + told + told % 2)
    return None


def _unannounced(file, at: int, size: int, order) -> int:
    """Number of bytes from `at` on that are in no chunk; zeros, which pad a file, are not counted."""
    while at + 8 <= size:
        file.seek(at)
        chunk = file.read(8)
        length = int.from_bytes(chunk[4:], order)
        if not (chunk[:4].isascii() and chunk[:4].decode().isprintable()) or at + 8 + length > size + 1:
            break
        at += 8 + length + length % 2
    file.seek(min(at, size))
    rest = file.read().rstrip(b"\0")
    return 0 if rest[:3] in (b"ID3", b"TAG") else len(rest)


def _find_in_w64(file, size: int) -> Samples | None:
    """Chunks of a W64: 16 bytes that begin with four letters, a size that includes these 24 bytes, padded to 8."""
    at = 40
    while True:
        file.seek(at)
        chunk = file.read(24)
        told = int.from_bytes(chunk[16:], "little")
        if len(chunk) < 24 or told < 24:
            return None
        if chunk[:4] == b"data":
            return Samples(at + 24, told - 24, size - at - 24)
        at += -(-told // 8) * 8
        if at > size:
            return None


def _find_in_caf(file, size: int) -> Samples | None:
    """Chunks of a CAF: four letters and a size in 8 bytes; that of a last chunk of samples may be -1, unknown."""
    at = 8
    while True:
        file.seek(at)
        chunk = file.read(12)
        told = int.from_bytes(chunk[4:], "big", signed=True)
        if len(chunk) < 12 or (told < 0 and chunk[:4] != b"data"):
            return None
        if chunk[:4] == b"data":
            return Samples(at + 12, None if told < 0 else told, size - at - 12)
        at += 12 + told


def _find_in_sphere(head: bytes, size: int) -> Samples | None:
    """A header in lines that begins with its size: b"NIST_1A\\n   1024\\nsample_count -i 16000\\nsample_n_bytes -i 2\\n..."."""
    told = {}
    for line in head.split(b"end_head")[0].split(b"\n")[2:]:
        name, _, value = line.partition(b" -i ")
        if value.strip().isdigit():
            told[name.strip()] = int(value)
    coding = next((line for line in head.split(b"\n") if line.startswith(b"sample_coding")), b"")
    length = head[8:16].strip()
    if (
        b"," in coding or b"sample_count" not in told or not length.isdigit()
    ):  # "pcm,embedded-shorten-v2.00": compressed
        return None
    start = int(length)
    each = told.get(b"sample_n_bytes", 2) * told.get(b"channel_count", 1)
    return Samples(start, told[b"sample_count"] * each, size - start)


@dataclass(frozen=True)
class Pages:
    """The pages of an Ogg file."""

    links: tuple[tuple[int, int], ...]  # start and end, in bytes, of each chained stream
    ends_inside: bool  # the last page is truncated
    has_end: bool  # the last page is marked as such
    num_missing: int  # pages missing from the numbering
    last: tuple[int, int]  # bytes of the last page
    goes_back: bool  # the time of a page is before that of an earlier one
    latest: int  # the greatest time

    @property
    def is_plain(self) -> bool:
        """Whether libsndfile finds the file's length and can seek in it."""
        return len(self.links) == 1 and self.has_end and not self.goes_back


def find_pages(data: bytes) -> Pages | None:
    """The pages in the bytes of an Ogg file; None for other formats.

    A page (RFC 3533, section 6): b"OggS", version, flags (1: goes on, 2: first, 4: last), time (8 bytes), serial number (4),
    number (4), checksum (4), how many segments (1), the size of each (1 each), and these.
    """
    if data[:4] != b"OggS":
        return None
    at, missing, numbers, starts, had_sound = 0, 0, {}, [0], False
    flags, latest, last, goes_back = 0, -1, (0, 0), False
    while data[at : at + 4] == b"OggS" and at + 27 <= len(data):
        num_segments = data[at + 26]
        end = at + 27 + num_segments + sum(data[at + 27 : at + 27 + num_segments])
        if end > len(data):
            break
        flags, serial = data[at + 5], data[at + 14 : at + 18]
        time = int.from_bytes(data[at + 6 : at + 14], "little", signed=True)
        number = int.from_bytes(data[at + 18 : at + 22], "little")
        if flags & 2 and had_sound:  # another stream begins
            starts.append(at)
            numbers, had_sound, latest = {}, False, -1
        missing += max(0, number - numbers.get(serial, number - 1) - 1)
        numbers[serial] = number
        had_sound = had_sound or time > 0
        goes_back, latest, last, at = time < latest, max(latest, time), (at, end), end
    edges = [*starts, at]
    return Pages(
        tuple(zip(edges, edges[1:], strict=False)),
        ends_inside=bool(data[at:].rstrip(b"\0")),
        has_end=bool(flags & 4),
        num_missing=missing,
        last=last,
        goes_back=goes_back,
        latest=latest,
    )


def with_end(data: bytes, pages: Pages) -> bytes:
    """Mark the last page of an Ogg file as such, so that the whole file is decoded.

    If the times of its pages go back, the last page also gets a time that no decoder reaches.
    """
    start, end = pages.last
    page = bytearray(data[start:end])
    page[5] |= 4
    if pages.goes_back:
        page[6:14] = (pages.latest + 2**30).to_bytes(8, "little")
    page[22:26] = bytes(4)
    page[22:26] = _checksum(page).to_bytes(4, "little")
    return data[:start] + bytes(page) + data[end:]


def _checksum(page) -> int:
    """Ogg's CRC: polynomial 0x04c11db7, without inversion or reflection."""
    table = []
    for value in range(256):
        value <<= 24
        for _ in range(8):
            value = (value << 1) ^ (0x104C11DB7 if value & 0x80000000 else 0)
        table.append(value)
    found = 0
    for byte in page:
        found = (found << 8 & 0xFFFFFFFF) ^ table[found >> 24 ^ byte]
    return found
