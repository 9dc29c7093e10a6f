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
STREAMINFO = bytes((0, 0, 0, 34))  # the first block of a FLAC: of kind 0, 34 bytes long
STREAMINFO_BITS = (8, 16, 24)  # a sample, as every libsndfile reads them


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
    if found := _read_streaminfo(path):
        return found
    import soundfile

    try:
        found = soundfile.info(str(path))
    except (soundfile.SoundFileError, OSError) as error:
        raise _unreadable(path, error) from error
    _check_length(path, found.frames)
    return found.duration, found.samplerate, found.channels


def _read_streaminfo(path) -> tuple[float, int, int] | None:
    """What `describe_audio` gives, by the first 42 bytes of a FLAC; None where libsndfile has to tell.

    The bytes (RFC 9639, section 8.2): b"fLaC", kind and length of the block, 10 bytes of block and frame sizes, then in 64
    bits the rate (20), channels less one (3), bits a sample less one (5) and samples (36; 0: not known), and an MD5.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            head = file.read(42)
    except OSError:
        return None
    # The kind's top bit says that no other block follows.
    if len(head) < 42 or head[:4] != b"fLaC" or bytes((head[4] & 0x7F,)) + head[5:8] != STREAMINFO:
        return None
    packed = int.from_bytes(head[18:26], "big")
    rate, channels, bits = packed >> 44, (packed >> 41 & 0x7) + 1, (packed >> 36 & 0x1F) + 1
    num_samples = packed & 0xF_FFFF_FFFF
    if not rate or not num_samples or bits not in STREAMINFO_BITS:
        return None
    return num_samples / rate, rate, channels


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
