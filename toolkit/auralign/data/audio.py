"""Read speech: any format that libsndfile knows, as mono float32 at the encoder's rate."""

import os
from pathlib import Path

import numpy as np

SAMPLE_RATE = 16_000
# A container may round its length; more than this share missing means that the file was cut.
MAX_MISSING = 0.01
# Some writers count their own header as samples.
SLOPPY_BYTES = 64
UNKNOWN_FRAMES = 2**40  # libsndfile says 2^63 - 1 of a FLAC that was written to a pipe, and cannot seek in it
MIN_RATE, MAX_RATE = 4_000, 384_000  # Hz


class AudioError(ValueError):
    """Audio that cannot be used: names the file and what is wrong with it."""


def read_audio(
    path, *, start: float = 0.0, seconds: float | None = None, sample_rate: int = SAMPLE_RATE
) -> np.ndarray:
    """Samples (num_samples,) of `seconds` seconds from `start`, averaged over channels and resampled.

    Raises AudioError where the file is unreadable, empty, shorter than asked, or holds values that are not finite.
    """
    import soundfile  # with its library, 0.1 s

    try:
        announced, there = _announced_bytes(path)
        with soundfile.SoundFile(path) as file:
            rate = file.samplerate
            if not MIN_RATE <= rate <= MAX_RATE:
                raise AudioError(
                    f"{path}: says that it has {rate} samples a second; no recording of speech has"
                )
            _check_length(path, file.frames)
            file.seek(min(round(start * rate), file.frames))
            wanted = max(0, file.frames - file.tell()) if seconds is None else round(seconds * rate)
            samples = file.read(wanted, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise _unreadable(path, error) from error
    if there < announced - SLOPPY_BYTES:
        raise AudioError(
            f"{path}: {there} of {announced} bytes of samples are there; was the file cut? copy it again"
        )
    if not len(samples):
        raise AudioError(f"{path}: holds no samples" + (f" from {start:g} s on" if start else ""))
    if len(samples) < wanted * (1 - MAX_MISSING):
        raise AudioError(
            f"{path}: {len(samples) / rate:.2f} s of {wanted / rate:.2f} s are there; was the file cut? copy it again"
        )
    if not np.isfinite(samples).all():
        raise AudioError(f"{path}: holds samples that are not finite numbers")
    samples = resample(samples.mean(axis=1), rate, sample_rate)
    if seconds is None:
        return samples
    # Rounding at the file's rate may leave a sample too many or too few: frames are counted from `seconds`.
    wanted = round(seconds * sample_rate)
    return np.pad(samples[:wanted], (0, max(0, wanted - len(samples))))


def resample(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """Samples (num_samples,) at another rate in Hz, by a polyphase filter."""
    if rate == wanted:
        return samples
    from scipy.signal import resample_poly

    divisor = np.gcd(rate, wanted)
    return resample_poly(samples, wanted // divisor, rate // divisor).astype(np.float32)


def describe_audio(path) -> tuple[float, int, int]:
    """Seconds, sample rate in Hz and number of channels, by the file's header. Raises AudioError where there is none."""
    import soundfile

    try:
        found = soundfile.info(str(path))
    except (soundfile.SoundFileError, OSError) as error:
        raise _unreadable(path, error) from error
    _check_length(path, found.frames)
    return found.duration, found.samplerate, found.channels


def _check_length(path, num_frames: int) -> None:
    if num_frames >= UNKNOWN_FRAMES:
        raise AudioError(
            f"{path}: does not say how long it is, as what came from a pipe; write it to a file once more"
        )


def _unreadable(path, error) -> AudioError:
    reason = getattr(error, "error_string", None) or getattr(error, "strerror", None) or error
    return AudioError(f"{path}: cannot be read as audio ({reason})")


def _announced_bytes(path) -> tuple[int, int]:
    """Bytes of samples that a WAV file's header announces, and those that are there; (0, 0) where none are announced.

    libsndfile reads a WAV that was cut without a word. Its bytes: b"RIFF" size b"WAVE" (b"fmt " size ...) b"data" size ...
    """
    with open(path, "rb") as file:
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return 0, 0
        while len(chunk := file.read(8)) == 8:
            size = int.from_bytes(chunk[4:], "little")
            if chunk[:4] == b"data":
                streamed = (
                    size == 0xFFFFFFFF or 0x7FFFF000 <= size <= 0x7FFFFFFF
                )  # written by a pipe: not known
                return (0, 0) if streamed else (size, os.path.getsize(path) - file.tell())
            file.seek(size + size % 2, os.SEEK_CUR)
    return 0, 0


def audio_path(manifest_path, utterance) -> Path:
    """Where an utterance's audio stands; its `audio` is relative to the manifest's folder."""
    return Path(manifest_path).parent / utterance.audio
