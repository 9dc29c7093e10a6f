"""The frames of an MP3 file, which give its length: its header, or an estimate from its first frame, may be wrong.

A file is tags, then frames that follow each other, each with its own length (ISO 11172-3 and 13818-3, 2.4.1.3):

    ID3 ..., ff fb 90 64 ... (417 bytes), ff fb 92 64 ... (418 bytes), ..., TAG ...

A frame of layer 3 borrows bits from earlier frames, so a frame decoded alone differs from the same frame in the file.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

# Kilobits per second of layer 3 by index 1 to 14: MPEG 1, then MPEG 2 and 2.5.
BITRATES = {
    True: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
RATES = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
ONE_CHANNEL = 0xC0
SILENT_SAMPLES = 4608
DECODER_DELAY = 529  # samples that every decoder of layer 3 outputs before the first
RESERVOIR = 512  # largest number of bytes that a frame borrows from earlier ones
SEARCHED = 2**16  # bytes in which the first frame is looked for
TAGS = (b"ID3", b"TAG", b"APET", b"LYRI")


class Kind:
    """The properties that all frames of a file share, from the first four bytes of a frame.

    >>> kind = Kind(bytes.fromhex("fffb9064"))
    >>> kind.rate, kind.channels, kind.num_samples, kind.size(bytes.fromhex("fffb9264"), 0)
    (44100, 2, 1152, 418)

    Raises ValueError if no frame begins with these bytes.
    """

    def __init__(self, head: bytes):
        version, layer, index = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3), head[2] >> 2 & 3
        if head[0] != 0xFF or head[1] < 0xE0 or version == 1 or layer != 3 or index == 3:
            raise ValueError("no frame of layer 3 of MPEG audio")
        self.head, self.is_first = head, version == 3  # MPEG 1
        self.rate = RATES[version][index]
        self.channels = 1 if head[3] & ONE_CHANNEL == ONE_CHANNEL else 2
        self.num_samples = 1152 if self.is_first else 576
        self.sizes = {}  # bytes of a frame, by its third byte
        for number, kilobits in enumerate(BITRATES[self.is_first], start=1):
            for bits in range(4):  # the padding bit, then a private bit
                size = self.num_samples // 8 * kilobits * 1000 // self.rate + (bits >> 1)
                self.sizes[number << 4 | index << 2 | bits] = size

    def size(self, data, at: int) -> int | None:
        """Bytes of the frame that begins at `at`; None if no frame of this kind does."""
        if at + 4 > len(data) or data[at] != 0xFF or (data[at + 1] ^ self.head[1]) & 0xFE:
            return None
        one = data[at + 3] & ONE_CHANNEL == ONE_CHANNEL
        return self.sizes.get(data[at + 2]) if one == (self.channels == 1) else None

    @property
    def side_bytes(self) -> int:
        """Number of bytes between a frame's header and its Xing or Info tag."""
        return {(True, 1): 17, (True, 2): 32, (False, 1): 9, (False, 2): 17}[self.is_first, self.channels]

    def announce(self, num_frames: int, lead: bytes) -> bytes:
        """Bytes that, written before `num_frames` frames, make a decoder give exactly the samples of these frames.

        They are an Info tag, as encoders write it, and silent frames whose samples the tag declares as padding: as many as leave
        a decoder's buffers in their initial rotation, so that rounding does not change. The last one is `lead`, the file's own
        tag, if it has one, as the next frames may borrow from it.
        """
        num_silent = SILENT_SAMPLES // self.num_samples
        tag = b"Info" + (1).to_bytes(4, "big") + (num_frames + num_silent).to_bytes(4, "big")
        delays = (SILENT_SAMPLES - DECODER_DELAY) << 12 | DECODER_DELAY
        body = bytes(self.side_bytes) + tag + b"LAME".ljust(21, b"\0") + delays.to_bytes(3, "big")
        third, size = next((third, size) for third, size in self.sizes.items() if size >= 4 + len(body))
        head = bytes((0xFF, self.head[1] | 1, third, self.head[3]))
        silent = head.ljust(size, b"\0")
        return (head + body).ljust(size, b"\0") + silent * (num_silent - 1) + (lead or silent)

    def silence(self, frame: bytes, num_borrowed: int) -> bytes:
        """A silent frame that passes its data on to later frames that borrow it, by claiming to borrow `num_borrowed` bytes."""
        start = 4 if frame[1] & 1 else 6  # a checksum
        most, shift = (511, 7) if self.is_first else (255, 0)
        borrows = min(num_borrowed, most) << shift
        side = borrows.to_bytes(2 if self.is_first else 1, "big").ljust(self.side_bytes, b"\0")
        return frame[:start] + side + frame[start + self.side_bytes :]

    def num_lent(self, frame: bytes) -> int:
        """Bytes of a frame that later frames may borrow: all but header, checksum and side information."""
        return max(0, len(frame) - (4 if frame[1] & 1 else 6) - self.side_bytes)


@dataclass(frozen=True)
class Frames:
    """The positions of a file's frames, and the values of its tag; a first frame that is only a tag is left out."""

    kind: Kind
    offsets: np.ndarray  # (num_frames,) in bytes
    sizes: np.ndarray  # (num_frames,) in bytes
    num_bytes: int  # from the first frame to the last, truncated or not
    ends_inside: bool  # the last frame is truncated
    num_lost: int  # bytes between frames that are neither frames nor tags
    tag: tuple[int, int] | None = None  # offset and size of a first frame that holds no sound
    told_frames: int | None = None  # as stated by a Xing, Info or VBRI tag
    told_bytes: int | None = None
    delay: int | None = None  # samples that the encoder added before the first
    padding: int = 0  # samples that the encoder added after the last

    @property
    def bounds(self) -> tuple[int, int]:
        """Start and end of the original recording in the decoded samples."""
        total = len(self.offsets) * self.kind.num_samples
        if self.delay is None:
            return 0, total
        if self.told_frames != len(self.offsets):  # the padding is then that of another end
            return self.delay + DECODER_DELAY, total
        return self.delay + DECODER_DELAY, min(total, total - self.padding + DECODER_DELAY)

    @property
    def is_cut(self) -> bool:
        """Whether the file is truncated. A stated size may be wrong, so all stated sizes must agree."""
        there = ((len(self.offsets) + 1, self.told_frames), (self.num_bytes, self.told_bytes))
        short = [found < told * 0.99 for found, told in there if told is not None]
        return all(short) if short else self.ends_inside

    def cut_out(self, start: int, end: int, read) -> tuple[bytes, int]:
        """An MP3 that contains samples `start` to `end` of all decoded samples, and the index of sample `start` in it.

        Arguments
        ---------
        start, end : int
        read : callable (offset, size) -> bytes
            Reads the file.
        """
        each = self.kind.num_samples
        last = min(-(-end // each), len(self.offsets))
        sound = max(0, start // each - 2)  # a decoder overlaps neighbours
        first, borrowed = sound, 0
        while first > 0 and borrowed < RESERVOIR:
            first -= 1
            borrowed += max(0, int(self.sizes[first]) - 6 - self.kind.side_bytes)  # at least, with a checksum
        first -= first % (SILENT_SAMPLES // each)
        offset = int(self.offsets[first])
        data = read(offset, int(self.offsets[last - 1] + self.sizes[last - 1]) - offset)
        frames = [
            data[place : place + size]
            for place, size in zip(
                (self.offsets[first:last] - offset).tolist(), self.sizes[first:last].tolist(), strict=True
            )
        ]
        silent, borrowed = [], 0
        for frame in frames[: sound - first]:
            silent.append(self.kind.silence(frame, borrowed))
            borrowed += self.kind.num_lent(frame)
        lead = self.kind.silence(read(*self.tag), 0) if self.tag and first == 0 else b""
        return b"".join(
            (self.kind.announce(len(frames), lead), *silent, *frames[sound - first :])
        ), start - first * each


def find_frames(data: bytes) -> Frames | None:
    """The frames in the bytes of a file; None if it is no MP3, or its frames do not state their bit rate."""
    end = _end(data)
    at = _skip_id3(data, 0)
    found = next(_frame_pairs(data, at, min(end, at + SEARCHED), None), None)
    if found is None:
        return None
    first, kind = found
    at = first
    offsets, sizes, lost, ends_inside = [], [], 0, False
    while at < end:
        size = kind.size(data, at)
        if size is None:
            # A tag in the middle means that files were joined. It may hold anything, so it is skipped.
            after = next(_frame_pairs(data, max(at + 1, _skip_id3(data, at)), end, kind), (None,))[0]
            if after is None:
                other = next(
                    _frame_pairs(data, _skip_id3(data, at), end, None), None
                )  # of another rate, as after joining
                lost += end - at if other else 0
                break
            lost += 0 if data[at : at + 4].startswith(TAGS) else after - at
            at = after
            continue
        if at + size > end:
            ends_inside = True
            break
        offsets.append(at)
        sizes.append(size)
        at += size
    told = _read_tag(data, first, kind)
    skipped = 0 if told is None else 1
    return Frames(
        kind,
        np.array(offsets[skipped:], dtype=np.int64),
        np.array(sizes[skipped:], dtype=np.int64),
        num_bytes=end - first,
        ends_inside=ends_inside,
        num_lost=lost,
        tag=None if told is None else (first, sizes[0]),
        **(told or {}),
    )


def _frame_pairs(data: bytes, start: int, end: int, kind: Kind | None) -> Iterator[tuple[int, Kind]]:
    """Yield the start of frames (of `kind`, if given) that another frame or the end follows: two bytes alone may be chance."""
    at = data.find(b"\xff", start, end)
    while at >= 0:
        try:
            found = kind or Kind(data[at : at + 4])
            size = found.size(data, at)
        except (ValueError, IndexError):
            size = None
        if size and (at + size == end or found.size(data, at + size)):
            yield at, found
        at = data.find(b"\xff", at + 1, end)


def _skip_id3(data: bytes, at: int) -> int:
    """The position after ID3v2 tags: b"ID3", two bytes of version, one of flags, and the size in four times seven bits."""
    while data[at : at + 3] == b"ID3" and at + 10 <= len(data):
        size = 0
        for byte in data[at + 6 : at + 10]:
            size = size << 7 | byte & 0x7F
        at += 10 + size + (10 if data[at + 5] & 0x10 else 0)
    return at


def _end(data: bytes) -> int:
    """The start of the tags after the frames: ID3v1, APE or Lyrics3."""
    end = len(data)
    while True:
        if data[max(0, end - 128) : end - 125] == b"TAG":
            size = 128
        elif data[max(0, end - 32) : end - 24] == b"APETAGEX":
            with_header = 32 if data[end - 9] & 0x80 else 0
            size = int.from_bytes(data[end - 20 : end - 16], "little") + with_header
        elif data[max(0, end - 9) : end] == b"LYRICS200" and data[end - 15 : end - 9].isdigit():
            size = int(data[end - 15 : end - 9]) + 15
        else:
            return end
        if not 0 < size <= end:
            return end
        end -= size


def _read_tag(data: bytes, at: int, kind: Kind) -> dict | None:
    """The values of the tag in the frame at `at`; None if the frame holds sound."""
    for place in (at + 4 + kind.side_bytes, at + 6 + kind.side_bytes):  # without and with a checksum
        if data[place : place + 4] in (b"Xing", b"Info"):
            return _read_xing(data, place)
    return _read_vbri(data, at + 36) if data[at + 36 : at + 40] == b"VBRI" else None


def _read_xing(data: bytes, at: int) -> dict:
    """b"Xing", flags (4 bytes), then what they announce: frames (4), bytes (4), a table (100), quality (4); then LAME's part.

    LAME's: the encoder's name (9), 12 bytes, and in 24 bits the delay and the padding; absent if its first byte is zero.
    """
    flags, place, found = int.from_bytes(data[at + 4 : at + 8], "big"), at + 8, {}
    for flag, name, size in ((1, "told_frames", 4), (2, "told_bytes", 4), (4, None, 100), (8, None, 4)):
        if flags & flag:
            if name:
                found[name] = int.from_bytes(data[place : place + size], "big")
            place += size
    if found.get("told_frames") == 0:
        del found["told_frames"]
    if data[place : place + 1] not in (b"", b"\0"):
        both = int.from_bytes(data[place + 21 : place + 24], "big")
        found |= {"delay": both >> 12, "padding": both & 0xFFF}
    return found


def _read_vbri(data: bytes, at: int) -> dict:
    """b"VBRI", version, delay and quality (2 bytes each), bytes and frames (4 each)."""
    num_bytes, num_frames = (int.from_bytes(data[at + place : at + place + 4], "big") for place in (10, 14))
    return {"told_frames": num_frames, "told_bytes": num_bytes}
