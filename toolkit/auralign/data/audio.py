"""Read speech: any format that libsndfile knows, as mono float32 at the encoder's rate."""

from pathlib import Path

import numpy as np

SAMPLE_RATE = 16_000
# A container may round its length; more than this share missing means that the file was cut.
MAX_MISSING = 0.01


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
        with soundfile.SoundFile(path) as file:
            rate = file.samplerate
            file.seek(round(start * rate))
            wanted = -1 if seconds is None else round(seconds * rate)
            samples = file.read(wanted, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise AudioError(f"{path}: cannot be read as audio ({error})") from error
    if not len(samples):
        raise AudioError(f"{path}: holds no samples from {start} s on")
    if seconds is not None and len(samples) < wanted * (1 - MAX_MISSING):
        raise AudioError(
            f"{path}: {len(samples) / rate:.2f} s of {seconds:.2f} s are there; was the file cut? copy it again"
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


def measure_seconds(path) -> float:
    """Duration in seconds by the file's header. Raises AudioError where there is none."""
    import soundfile

    try:
        return soundfile.info(str(path)).duration
    except (soundfile.SoundFileError, OSError) as error:
        raise AudioError(f"{path}: cannot be read as audio ({error})") from error


def audio_path(manifest_path, utterance) -> Path:
    """Where an utterance's audio stands; its `audio` is relative to the manifest's folder."""
    return Path(manifest_path).parent / utterance.audio
