"""Read speech as mono float32 at the encoder's rate: any format of libsndfile and, if PyAV is installed, of FFmpeg.

    >>> hear_array(np.array([[16384, 0]] * 4, dtype=np.int16), sample_rate=16_000).samples.tolist()
    [0.25, 0.25, 0.25, 0.25]

All stages read with one function, so training and decoding see exactly the samples that stage 1 checked.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from auralign.data import tars
from auralign.data.containers import AudioError, check_size, read_streaminfo, was_cut
from auralign.files import PathLike
from auralign.records import Utterance

SAMPLE_RATE = 16_000
MAX_MISSING = 0.01  # share of the requested samples
MIN_RATE, MAX_RATE = 4_000, 192_000  # Hz
MAX_OVER = 4.0  # 12 dB above full scale: the most that overdriven floats reach
FULL_SCALES = (2**15, 2**23, 2**31)  # of integers of 16, 24 and 32 bits
MIN_OF_INTEGERS = 256  # a smaller peak above MAX_OVER fits neither floats between -1 and 1 nor integers
OVERSHOOT = 1.25  # factor by which resampled integers may exceed their full scale
CANCELS = (
    0.2  # channels cancel if their average keeps less than this share of what unlike channels would keep
)
CANCELLED = 0.1  # share of a recording's energy that must be lost so that one channel is read instead
WINDOW = 0.5  # seconds in which channels are compared
COMPRESSED = (".flac", ".mp3", ".ogg", ".opus", ".m4a", ".mp4", ".webm", ".aac", ".wma")
MAX_CHANNELS = 16  # of an array; a longer axis is time
QUIET = 1e-3  # -60 dB
MAX_OFFSET = 0.05
# In 3,300 recordings of speech, soft and loud frames differ by at least 8 dB; by 1 dB in white noise, by 0 dB in a hum.
MIN_SPREAD, FRAME, MIN_FRAMES = 4.0, 400, 10  # dB, samples, frames

SCALED = "scaled from the range of integers"
OPPOSITE = "of channels that cancel each other, the loudest alone read"
SILENT, NEARLY_SILENT = "silent", "nearly silent (below -60 dB)"
EVEN = "of an even level (noise or a tone?)"
OFFSET = "with an offset (their average is not zero)"
NO_END = "without the mark of their end (from a stream, or cut)"


@dataclass(frozen=True)
class Heard:
    """Samples (num_samples,), and notes about odd audio as (reason, detail)."""

    samples: np.ndarray
    notes: tuple[tuple[str, str], ...] = ()
    file_seconds: float = 0.0  # of the whole file


def read_audio(
    path: PathLike, *, start: float = 0.0, seconds: float | None = None, sample_rate: int = SAMPLE_RATE
) -> np.ndarray:
    """Samples (num_samples,) of `seconds` seconds from `start`, averaged over channels and resampled; `hear` adds notes."""
    return hear(path, start=start, seconds=seconds, sample_rate=sample_rate).samples


def hear(
    path: PathLike, *, start: float = 0.0, seconds: float | None = None, sample_rate: int = SAMPLE_RATE
) -> Heard:
    """Read a part of a file, averaged over its channels and resampled, with notes about what is odd in it.

    Floats in the range of integers are divided by that range's full scale. If channels cancel each other, the loudest is read.

    Arguments
    ---------
    path : path
        A file, or a member of a tar file (`auralign.data.tars`).
    start : float
        In seconds.
    seconds : float, optional
        Length of the part; to the end of the file by default.
    sample_rate : int
        Rate of the returned samples, in Hz.

    Returns Heard.

    Raises AudioError if the file is unreadable, empty, truncated, shorter than requested, or holds values that are not finite
    or in no known range.
    """
    with tars.on_disk(path) as file:
        return _hear(file, start, seconds, sample_rate)


def _hear(path: PathLike, start: float, seconds: float | None, sample_rate: int) -> Heard:
    from auralign.data import decoders  # imports libsndfile: 0.1 s

    try:
        recording = decoders.open_recording(path)
        rate = recording.rate
        check_rate(path, rate)
        first = min(round(start * rate), recording.num_samples)
        wanted = recording.num_samples - first if seconds is None else round(seconds * rate)
        check_size(path, min(wanted, recording.num_samples - first) * recording.channels)
        samples = recording.read(first, first + wanted)
        if recording.is_float and len(samples) < recording.num_samples:
            least, greatest = recording.extremes()
        else:
            least, greatest = float(samples.min(initial=0)), float(samples.max(initial=0))
    except decoders.UNREADABLE as error:
        raise decoders.unreadable(path, error) from error
    if not len(samples):
        raise AudioError(f"{path}: holds no samples" + (f" from {start:g} s on" if start else ""))
    if len(samples) < wanted * (1 - MAX_MISSING) and (recording.is_sure or seconds is not None):
        there = f"{len(samples) / rate:.2f} s of {wanted / rate:.2f} s are there"
        if seconds is None or len(samples) < recording.num_samples - first:
            raise was_cut(path, there)
        raise AudioError(
            f"{path}: {there} from {start:g} s on; was the file cut, or is the length of the utterance wrong?"
        )
    notes = [] if recording.has_end else [(NO_END, "")]
    samples = _mix(path, samples, least, greatest, rate, notes)
    samples = resample(samples, rate, sample_rate)
    if seconds is not None:
        # Rounding at the file's rate may give one sample too many or too few, but frames are counted from `seconds`.
        wanted = round(seconds * sample_rate)
        samples = np.pad(samples[:wanted], (0, max(0, wanted - len(samples))))
    return Heard(samples, tuple(notes + _describe_sound(samples)), recording.num_samples / rate)


def hear_array(
    samples: Any, *, sample_rate: int, wanted_rate: int = SAMPLE_RATE, name: str = "the array"
) -> Heard:
    """As `hear`, for an array or a tensor.

    Arguments
    ---------
    samples : array (num_samples,), (num_samples, num_channels) or (num_channels, num_samples)
        Floats between -1 and 1, or integers: signed, or unsigned around the middle of their range. The longer axis is time.
    sample_rate : int
        Rate of the array, in Hz.
    wanted_rate : int
        Rate of the returned samples, in Hz.
    name : str
        The name of the array in errors.

    Returns Heard.

    Raises AudioError if the array has another shape or type, is empty, or holds values that are not finite or in no known range.
    """
    notes: list[tuple[str, str]] = []
    if hasattr(samples, "detach"):  # a tensor: it may be on a GPU, or of a type that numpy lacks
        samples = samples.detach().cpu()
        samples = samples.float() if samples.dtype.is_floating_point else samples
    samples = np.asarray(samples)
    if samples.ndim == 2:
        num_channels, num_samples = sorted(samples.shape)
        if num_channels == num_samples or num_channels > MAX_CHANNELS:
            raise AudioError(
                f"{name} has the shape {samples.shape}; give (num_samples,) or (num_samples, num_channels)"
            )
        samples = samples if samples.shape[1] == num_channels else samples.T
    elif samples.ndim != 1:
        raise AudioError(
            f"{name} has {samples.ndim} axes; give (num_samples,) or (num_samples, num_channels)"
        )
    if not samples.size:
        raise AudioError(f"{name} holds no samples")
    check_rate(name, sample_rate)
    samples = _to_floats(name, samples.reshape(len(samples), -1), notes)
    mixed = _mix(name, samples, float(samples.min()), float(samples.max()), sample_rate, notes)
    mixed = resample(mixed, sample_rate, wanted_rate)
    return Heard(mixed, tuple(notes + _describe_sound(mixed)), len(samples) / sample_rate)


def check_rate(what: PathLike, rate: int) -> None:
    """Raise AudioError if a rate, in Hz, is none of a recording of speech; `what` names the audio."""
    if not MIN_RATE <= rate <= MAX_RATE:
        raise AudioError(
            f"{what}: says that it has {rate} samples a second; no recording of speech has; the rates that are read are "
            f"{MIN_RATE} to {MAX_RATE}"
        )


def _to_floats(what: str, samples: np.ndarray, notes: list[tuple[str, str]]) -> np.ndarray:
    """An array of any numeric type as floats; integers are scaled to between -1 and 1."""
    kind = samples.dtype.kind
    if kind == "f":
        with np.errstate(over="ignore"):  # an overflow is reported as not finite
            return samples.astype(np.float32)
    if kind == "u" and samples.dtype.itemsize <= 2:
        middle = 2 ** (8 * samples.dtype.itemsize - 1)
        return ((samples.astype(np.float64) - middle) / middle).astype(np.float32)
    if kind != "i":
        raise AudioError(
            f"{what} has the type {samples.dtype}; give floats between -1 and 1, or integers of 8 to 32 bits"
        )
    bits = 8 * samples.dtype.itemsize
    if bits > 16:
        largest = int(np.abs(samples.astype(np.float64)).max())
        fits = next((scale for scale in FULL_SCALES if largest <= scale), None)
        if fits is None:
            raise AudioError(f"{what} holds integers up to {largest}; give integers of 8 to 32 bits")
        # 24-bit samples in 32-bit integers either end with eight zero bits or use the lower 24 bits.
        if bits == 32 and not (samples & 0xFF).any():
            fits = FULL_SCALES[-1]
        if fits != FULL_SCALES[-1] and largest:
            notes.append((SCALED, f"{samples.dtype} up to {largest}, divided by {fits}"))
    else:
        fits = 2 ** (bits - 1)
    return (samples / fits).astype(np.float32)


def _mix(
    what: PathLike,
    samples: np.ndarray,
    least: float,
    greatest: float,
    rate: int,
    notes: list[tuple[str, str]],
) -> np.ndarray:
    """Mix samples (num_samples, num_channels) to (num_samples,) between -1 and 1.

    `least` and `greatest` are the extremes of the whole file, so that all its parts are scaled alike.
    """
    # NaN and infinity are extremes too; those of a whole file may be outside of this part.
    if not (np.isfinite(least) and np.isfinite(greatest)) and not np.isfinite(samples).all():
        raise AudioError(f"{what}: holds samples that are not finite numbers")
    largest = max(-least, greatest)
    if largest > MAX_OVER:
        scale = next((scale for scale in FULL_SCALES if largest <= scale * OVERSHOOT), None)
        if scale is None or largest < MIN_OF_INTEGERS or least >= 0:
            raise AudioError(
                f"{what}: holds samples from {least:g} to {greatest:g}, which are neither floats between -1 and 1 nor integers "
                "of 16, 24 or 32 bits; scale them to between -1 and 1"
            )
        samples = samples / np.float32(scale)
        notes.append((SCALED, f"floats up to {largest:.6g}, divided by {scale}"))
    if samples.shape[1] == 1:
        return samples[:, 0]
    mixed = samples.mean(axis=1)
    if _cancels(samples, mixed, rate):
        energies = np.square(samples, dtype=np.float64).sum(axis=0)
        loudest = int(energies.argmax())
        notes.append((OPPOSITE, f"channel {loudest + 1} of {len(energies)}"))
        return samples[:, loudest].copy()
    return mixed


def _cancels(samples: np.ndarray, mixed: np.ndarray, rate: int) -> bool:
    """Whether averaging the channels of (num_samples, num_channels) removes a tenth of the energy or more.

    Only windows in which channels cancel are counted: the average of two unrelated channels, or of one and a silent one,
    keeps half of the energy.
    """
    size = round(WINDOW * rate)
    starts = np.arange(0, len(samples), size)
    channels = np.add.reduceat(np.square(samples, dtype=np.float64).mean(axis=1), starts)
    left = np.add.reduceat(np.square(mixed, dtype=np.float64), starts)
    lost = channels[left < CANCELS * channels / samples.shape[1]]
    return bool(lost.sum() > CANCELLED * channels.sum())


def _describe_sound(samples: np.ndarray) -> list[tuple[str, str]]:
    """Notes (reason, detail) about samples (num_samples,) that are silent, offset or of an even level."""
    if not samples.any():
        return [(SILENT, "")]
    offset = float(samples.mean(dtype=np.float64))
    # Rounding keeps the order of numbers: the largest distance from the offset is that of an extreme.
    loudest = float(max(samples.max() - np.float32(offset), np.float32(offset) - samples.min()))
    notes = [(OFFSET, f"{offset:.3g}")] if abs(offset) > MAX_OFFSET else []
    if loudest < QUIET:
        return [*notes, (NEARLY_SILENT, f"at most {loudest:.2g}")]
    if len(samples) >= MIN_FRAMES * FRAME:
        frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME) - np.float32(offset)
        powers = np.einsum("ij,ij->i", frames, frames).astype(np.float64) / FRAME
        levels = np.sort(10 * np.log10(powers + 1e-12))
        quietest, loud = np.interp(
            (0.05 * (len(levels) - 1), 0.95 * (len(levels) - 1)), np.arange(len(levels)), levels
        )
        if loud - quietest < MIN_SPREAD:
            notes.append((EVEN, f"{loud - quietest:.1f} dB between its soft and its loud parts"))
    return notes


def resample(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """Resample (num_samples,) from `rate` to `wanted` Hz with a polyphase filter."""
    if rate == wanted:
        return samples
    from scipy.signal import resample_poly

    divisor = np.gcd(rate, wanted)
    return resample_poly(samples, wanted // divisor, rate // divisor).astype(np.float32)


def describe_audio(path: PathLike) -> tuple[float, int, int]:
    """Seconds, sample rate in Hz and number of channels of a file, from its header if that can be trusted.

    The frames of an MP3 are counted; a file whose header has no length is decoded.

    Raises AudioError if the file holds no audio.
    """
    with tars.on_disk(path) as file:
        return _describe(file)


def _describe(path: PathLike) -> tuple[float, int, int]:
    try:
        with open(path, "rb", buffering=0) as file:
            found = read_streaminfo(file.read(42))
    except OSError as error:
        raise AudioError(f"{path}: cannot be read as audio ({error.strerror})") from error
    if found:
        return found
    from auralign.data import decoders

    try:
        recording = decoders.open_recording(path)
    except decoders.UNREADABLE as error:
        raise decoders.unreadable(path, error) from error
    if recording.rate <= 0:
        check_rate(path, recording.rate)
    return recording.num_samples / recording.rate, recording.rate, recording.channels


def may_hold_floats(path: PathLike) -> bool:
    """Whether the samples of a file are floats, which may be of any size; False for the compressed formats, by their names, and
    for what cannot be opened, which is found when it is read."""
    if tars.name_of(path).lower().endswith(COMPRESSED):
        return False
    from auralign.data import decoders

    try:
        with tars.on_disk(path) as file:
            return decoders.open_recording(file).is_float
    except (AudioError, *decoders.UNREADABLE):
        return False


def audio_path(manifest_path: PathLike, utterance: Utterance) -> Path:
    """The path of an utterance's audio; `Utterance.audio` is relative to the manifest's folder.

    Raises AudioError if it is a document, which has none.
    """
    if utterance.is_document:
        raise AudioError(f"{utterance.id} is a document, text without audio of its own; ask about its others")
    return Path(manifest_path).parent / utterance.audio
