"""Audio for tests."""

import numpy as np


def make_speech(seconds: float, *, seed: int = 0, sample_rate: int = 16_000) -> np.ndarray:
    """Samples (num_samples,) of a tone that wanders: enough structure for shapes and masks, no words."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    wander = np.cumsum(rng.normal(0, 0.02, len(time)))
    return (0.3 * np.sin(2 * np.pi * rng.uniform(100, 300) * time + wander)).astype(np.float32)
