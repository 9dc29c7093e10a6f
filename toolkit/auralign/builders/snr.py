"""The signal-to-noise ratio of a recording by WADA-SNR, without a clean reference.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> wada_snr(rng.standard_normal(100_000)) < -5, wada_snr(np.zeros(100)) is None
    (True, True)

Kim and Stern, "Robust signal-to-noise ratio estimation based on waveform amplitude distribution analysis", Interspeech 2008.
The amplitudes of speech are taken to follow a gamma distribution of shape 0.4, and noise to be Gaussian. Then ln E|z| - E ln|z|
of the sum z grows with the ratio of their powers. The authors publish this curve as a table drawn by simulation; here it is
integrated.
"""

from functools import cache

import numpy as np

SHAPE = 0.4
RANGE = (-20, 100)  # dB, of the table; values beyond its ends are clipped to them
STEP = 0.01  # of the integrals, in natural logarithms


def wada_snr(samples: np.ndarray) -> float | None:
    """The ratio in dB, from -20 to 100, of samples (num_samples,); None, not known, if all samples are zero.

    Samples of exactly zero are left out, since a muted stretch has no noise.
    """
    magnitudes = np.abs(np.asarray(samples, dtype=np.float64))
    magnitudes = magnitudes[magnitudes > 0]
    if not len(magnitudes):
        return None
    value = np.log(magnitudes.mean()) - np.log(magnitudes).mean()
    ratios, values = wada_table()
    return float(np.interp(value, values, ratios))


@cache
def wada_table() -> tuple[np.ndarray, np.ndarray]:
    """Ratios (121,) in dB, and ln E|z| - E ln|z| (121,) of speech in noise at each."""
    from scipy.integrate import cumulative_trapezoid
    from scipy.special import dawsn, erf, gamma

    # E ln|r + n| of normal n: -(Euler's constant + ln 2) / 2 at r = 0, and its derivative is sqrt(2) Dawson(r / sqrt(2)).
    logs = np.arange(-80, 40, STEP)
    ratio = np.exp(logs)
    growth = cumulative_trapezoid(ratio * np.sqrt(2) * dawsn(ratio / np.sqrt(2)), dx=STEP, initial=0)
    log_mean = growth - (np.euler_gamma + np.log(2)) / 2
    # Magnitudes of speech x, of mean power SHAPE (SHAPE + 1), on a grid of ln x.
    grid = np.arange(-60, 4.5, STEP)
    speech = np.exp(grid)
    weights = np.exp(SHAPE * grid - speech) * STEP / gamma(SHAPE)
    ratios = np.arange(RANGE[0], RANGE[1] + 1, dtype=np.float64)
    values = []
    for noise in np.sqrt(SHAPE * (SHAPE + 1) / 10 ** (ratios / 10)):
        scaled = speech / (noise * np.sqrt(2))
        mean = weights @ (noise * np.sqrt(2 / np.pi) * np.exp(-(scaled**2)) + speech * erf(scaled))
        mean_log = np.log(noise) + weights @ np.interp(grid - np.log(noise), logs, log_mean)
        values.append(np.log(mean) - mean_log)
    return ratios, np.array(values)
