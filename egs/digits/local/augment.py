"""Augmentation of speech: what makes an encoder that was trained on a few voices understand others.

All randomness comes from the generator that is given.
"""

from dataclasses import dataclass

import numpy
import torch

from auralign.builders.espeak import SAMPLE_RATE


@dataclass(frozen=True)
class Strength:
    """Ranges to draw from, uniformly.

    Arguments
    ---------
    speed : pair of float
        Factor on tempo, pitch and formants together.
    noise_decibels : pair of float
        Level of white noise below the speech.
    tilt_decibels : float
        Largest slope of the spectrum from its lowest to its highest mel band, up or down: microphones and
        voices.
    max_bands, max_frames : int
        Widest of two stripes of mel bands, and of two stretches of mel frames (10 ms), that are blanked.
    max_silence : float
        Most seconds of silence put before and after.
    """

    speed: tuple[float, float] = (0.85, 1.2)
    noise_decibels: tuple[float, float] = (20.0, 50.0)
    tilt_decibels: float = 6.0
    max_bands: int = 10
    max_frames: int = 6
    max_silence: float = 0.2


NUM_STRIPES = 2
# Log-mel features as Whisper scales them: (log10 of the power + 4) / 4, so 40 decibels are 1.
DECIBELS_PER_UNIT = 40.0


def augment_waveform(waveform, strength, rng):
    """Change speed, put silence around, add noise. Samples (N,) at 16 kHz in and out."""
    speed = rng.uniform(*strength.speed)
    positions = numpy.arange(0, len(waveform) - 1, speed)
    waveform = numpy.interp(positions, numpy.arange(len(waveform)), waveform)
    before, after = (int(rng.uniform(0, strength.max_silence) * SAMPLE_RATE) for _ in range(2))
    waveform = numpy.pad(waveform, (before, after))
    level = numpy.sqrt(numpy.mean(waveform**2)) * 10 ** (-rng.uniform(*strength.noise_decibels) / 20)
    return (waveform + level * rng.standard_normal(len(waveform))).astype(numpy.float32)


def augment_features(mel, lengths, strength, rng):
    """Tilt spectra and blank stripes (SpecAugment, arXiv:1904.08779) in features (B, bands, M), in place."""
    num_bands = mel.shape[1]
    slope = torch.linspace(-0.5, 0.5, num_bands)
    for row, length in zip(mel, lengths.tolist(), strict=True):
        row += rng.uniform(-1, 1) * strength.tilt_decibels / DECIBELS_PER_UNIT * slope[:, None]
        blank = row[:, :length].mean()
        for _ in range(NUM_STRIPES):
            band, width = _stripe(num_bands, strength.max_bands, rng)
            row[band : band + width] = blank
            frame, width = _stripe(length, strength.max_frames, rng)
            row[:, frame : frame + width] = blank
    return mel


def _stripe(size, max_width, rng):
    width = int(rng.integers(0, min(size, max_width) + 1))
    return int(rng.integers(0, size - width + 1)), width
