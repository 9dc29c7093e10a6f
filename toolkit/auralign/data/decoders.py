"""Decode audio files: samples (num_samples, num_channels) as stored, at the file's rate.

    recording = open_recording("a.mp3")
    samples = recording.read(0, 2 * recording.rate)             # the first two seconds

libsndfile decodes the formats that it knows. Wrong lengths in headers are corrected first, so that it gives all samples, and a
part of a file equals that part of the whole. FFmpeg decodes the other formats, if PyAV is installed.
"""

import io
import os
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile

from auralign.data.containers import (
    AudioError,
    Samples,
    check_size,
    find_pages,
    find_samples,
    told_bytes,
    was_cut,
    with_end,
)
from auralign.data.mp3 import Frames, find_frames

BLOCK = 2**16  # samples
UNKNOWN_FRAMES = 2**40  # libsndfile says 2^63 - 1 of a FLAC that was written to a pipe
MAX_MISSING = 0.01  # a container may round its length; if a larger share is missing, the file was truncated
UNREADABLE = (soundfile.SoundFileError, OSError)
FLOATS = ("FLOAT", "DOUBLE")
ALONE = {"protocol_whitelist": "none"}
FOR_FFMPEG = (1, 4)  # libsndfile's codes for an unknown format or coding


class _InOrder(soundfile.SoundFile):
    """A file that is read from beginning to end: soundfile seeks after each read, which some files do not support."""

    def seekable(self) -> bool:
        return False


class Recording:
    """A file whose header can be trusted; parts are read directly."""

    is_sure = True  # whether `num_samples` is reliable before all is read
    has_end = True  # False if the format marks the end of a file and the mark is missing

    def __init__(self, path, source=None):
        self.path, self.source = path, path if source is None else source
        with soundfile.SoundFile(self._open()) as file:
            self.rate, self.channels, self.num_samples = file.samplerate, file.channels, file.frames
            self.is_float, self.can_seek = file.subtype in FLOATS, file.seekable()
            self.is_mp3 = file.format.startswith("MP")

    def _open(self):
        return io.BytesIO(self.source) if isinstance(self.source, bytes) else str(self.source)

    def read(self, start: int, end: int) -> np.ndarray:
        """Samples `start` to `end`; fewer if the file ends before."""
        with soundfile.SoundFile(self._open()) as file:
            file.seek(min(start, file.frames))
            return file.read(max(0, min(end, file.frames) - start), dtype="float32", always_2d=True)

    def extremes(self) -> tuple[float, float]:
        """The least and the greatest sample of the whole file."""
        return _extremes(str(self.path), *_identity(self.path))


class Decoded(Recording):
    """A file that was decoded completely, as its header does not give its length."""

    def __init__(self, path, samples: np.ndarray, rate: int, *, is_float: bool = False, has_end: bool = True):
        self.path, self.samples, self.rate = path, samples, rate
        self.num_samples, self.channels = samples.shape
        self.is_float, self.has_end = is_float, has_end

    def read(self, start: int, end: int) -> np.ndarray:
        """Samples `start` to `end`; fewer if the file ends before."""
        return self.samples[start:end]

    def extremes(self) -> tuple[float, float]:
        """The least and the greatest sample of the whole file."""
        return float(self.samples.min(initial=0)), float(self.samples.max(initial=0))


class Mp3(Recording):
    """An MP3, also one in a WAV; its length is that of its frames."""

    is_float = False

    def __init__(self, path, start: int, frames: Frames):
        self.path, self.offset, self.frames = path, start, frames
        self.rate, self.channels = frames.kind.rate, frames.kind.channels
        self.first, end = frames.bounds
        self.num_samples = max(0, end - self.first)
        each = frames.kind.num_samples
        if frames.is_cut and frames.told_frames:
            there = f"{len(frames.offsets) * each / self.rate:.2f} s of {frames.told_frames * each / self.rate:.2f} s are there"
            raise was_cut(path, there)
        if frames.is_cut:
            raise was_cut(path, f"after {self.num_samples / self.rate:.2f} s it ends inside a frame")
        if frames.num_lost > MAX_MISSING * frames.num_bytes:
            raise AudioError(
                f"{path}: {frames.num_lost} of {frames.num_bytes} bytes are not MP3 of {self.rate} Hz in {self.channels} "
                "channels; is it damaged, or joined of several? convert it anew"
            )

    def read(self, start: int, end: int) -> np.ndarray:
        """Samples `start` to `end`; fewer if the file ends before."""
        end = min(end, self.num_samples)
        if start >= end:
            return np.zeros((0, self.channels), dtype=np.float32)
        with open(self.path, "rb") as file:

            def read_bytes(offset: int, size: int) -> bytes:
                file.seek(self.offset + offset)
                return file.read(size)

            part, before = self.frames.cut_out(self.first + start, self.first + end, read_bytes)
        return _decode(self.path, io.BytesIO(part))[0][before : before + end - start]


def open_recording(path) -> Recording:
    """The recording in a file.

    Raises AudioError if there is none, or less than the file announces; `soundfile.SoundFileError` or OSError if it cannot be
    read, now or later (`unreadable` turns these into an AudioError).
    """
    with open(path, "rb") as file:
        head = file.read(4)
    if not head:
        raise AudioError(f"{path}: cannot be read as audio (it is empty)")
    if head == b"OggS":
        return _open_ogg(path)
    found = find_samples(path)
    if head[:3] == b"ID3" or (found and found.is_mp3) or head[0:1] == b"\xff":
        start = found.start if found else 0
        frames = _find_frames(str(path), start, *_identity(path))
        if frames is not None:
            return Mp3(path, start, frames)
    if found:
        found.check(path)
        if found.size_place is not None:
            return Recording(path, _with_size(path, found))
    try:
        recording = Recording(path)
    except soundfile.LibsndfileError as error:
        if error.code not in FOR_FFMPEG:
            raise
        return _open_by_ffmpeg(path, error)
    if recording.is_mp3:  # after bytes that are no MP3
        frames = _find_frames(str(path), 0, *_identity(path))
        if frames is not None:
            return Mp3(path, 0, frames)
    if recording.can_seek and recording.num_samples < UNKNOWN_FRAMES:
        return recording
    samples, rate = _decode(path, str(path))
    if recording.num_samples < UNKNOWN_FRAMES and len(samples) < recording.num_samples * (1 - MAX_MISSING):
        raise too_short(path, len(samples), recording.num_samples, rate)
    return Decoded(path, samples, rate, is_float=recording.is_float)


def unreadable(path, error) -> AudioError:
    """The error for a file that is no audio."""
    reason = getattr(error, "error_string", None) or getattr(error, "strerror", None) or error
    return AudioError(f"{path}: cannot be read as audio ({reason})")


def too_short(path, num_samples: int, wanted: int, rate: int) -> AudioError:
    """The error for a file that holds less than its header announces."""
    return was_cut(path, f"{num_samples / rate:.2f} s of {wanted / rate:.2f} s are there")


def _identity(path) -> tuple[int, int]:
    """Size and time of change, by which a file is recognised as unchanged."""
    found = os.stat(path)
    return found.st_size, found.st_mtime_ns


def _decode(path, source) -> tuple[np.ndarray, int]:
    """All samples of a file, whatever length its header states, and their rate."""
    with _InOrder(source) as file:
        blocks, num_values = [np.zeros((0, file.channels), dtype=np.float32)], 0
        while len(block := file.read(BLOCK, dtype="float32", always_2d=True)):
            blocks.append(block)
            num_values += block.size
            check_size(path, num_values)
        return np.concatenate(blocks), file.samplerate


@lru_cache(maxsize=64)
def _extremes(path, size: int, changed: int) -> tuple[float, float]:
    least = greatest = 0.0
    with soundfile.SoundFile(str(path)) as file:
        for block in file.blocks(BLOCK, dtype="float32"):
            least, greatest = min(least, float(block.min())), max(greatest, float(block.max()))
    return least, greatest


@lru_cache(maxsize=16)
def _find_frames(path: str, start: int, size: int, changed: int) -> Frames | None:
    return find_frames(Path(path).read_bytes()[start:])


def _with_size(path, found: Samples) -> bytes:
    """The file with the size of its samples filled in."""
    data, place = Path(path).read_bytes(), found.size_place
    order = "big" if data[:4] == b"FORM" else "little"
    return data[:place] + found.there.to_bytes(4, order) + data[place + 4 :]


def _open_ogg(path) -> Recording:
    data = Path(path).read_bytes()
    pages = find_pages(data)
    if pages.ends_inside:
        raise was_cut(path, "its last page is not whole")
    if pages.is_plain:
        recording = Recording(path)
        recording.is_sure = (
            pages.num_missing > 0
        )  # if pages are missing, a short end is a loss; else the times are wrong
        return recording
    parts = []
    for start, end in pages.links:
        link = data[start:end]
        of_link = find_pages(link)
        parts.append(_decode(path, io.BytesIO(link if of_link.is_plain else with_end(link, of_link))))
    if len({(rate, samples.shape[1]) for samples, rate in parts}) > 1:
        kinds = ", ".join(f"{rate} Hz in {samples.shape[1]} channels" for samples, rate in parts)
        raise AudioError(f"{path}: is joined of files that differ ({kinds}); convert it anew")
    return Decoded(
        path, np.concatenate([samples for samples, _ in parts]), parts[0][1], has_end=pages.has_end
    )


def _open_by_ffmpeg(path, error) -> Recording:
    """Open a format that libsndfile does not know, such as M4A or WebM; of a video, the first sound track."""
    try:
        import av  # noqa: F401
    except ImportError:
        reason = str(unreadable(path, error))
        raise AudioError(
            f"{reason}; if it is M4A, WebM, AAC or another that FFmpeg reads: pip install 'auralign[av]'"
        ) from error
    there, told = os.path.getsize(path), told_bytes(path) or 0
    if there < told * (1 - MAX_MISSING):
        raise was_cut(path, f"{there} of {told} bytes are there")
    samples, rate, told = _decode_by_ffmpeg(str(path), *_identity(path))
    if len(samples) < told * rate * (1 - MAX_MISSING):
        raise too_short(path, len(samples), round(told * rate), rate)
    return Decoded(path, samples, rate)


@lru_cache(maxsize=1)  # parts of one recording follow each other
def _decode_by_ffmpeg(path: str, size: int, changed: int) -> tuple[np.ndarray, int, float]:
    """All samples, their rate, and the seconds that the file states, or 0.0."""
    import av

    blocks, num_values, rate, told = [], 0, 0, 0.0
    # Tags are not used, but before PyAV 19 a tag that is not UTF-8 is an error.
    tags = {"metadata_errors": "ignore"} if int(av.__version__.partition(".")[0]) < 19 else {}
    try:
        # With a file object and no protocols, a name is never a URL, and a playlist opens no other file.
        with open(path, "rb") as file, av.open(file, options=ALONE, **tags) as container:
            if not container.streams.audio:
                raise AudioError(f"{path}: holds no sound")
            stream = container.streams.audio[0]
            if stream.duration and "mp4" in container.format.name:  # others estimate it
                told = float(stream.duration * stream.time_base)
            resampler = av.AudioResampler(format="fltp")
            for frame in container.decode(stream):
                for part in resampler.resample(frame):
                    blocks.append(part.to_ndarray().T)
                    num_values += blocks[-1].size
                check_size(path, num_values)
                rate = frame.sample_rate
            blocks += [part.to_ndarray().T for part in resampler.resample(None)] if blocks else []
    except (av.FFmpegError, ValueError) as error:
        if isinstance(error, AudioError):
            raise
        if blocks:
            at = sum(map(len, blocks)) / rate
            reason = getattr(error, "strerror", None) or error
            raise was_cut(path, f"after {at:.2f} s it cannot be read on ({reason})") from error
        raise unreadable(path, error) from error
    if not blocks:
        raise AudioError(f"{path}: holds no samples")
    return np.concatenate(blocks).astype(np.float32, copy=False), rate, told
