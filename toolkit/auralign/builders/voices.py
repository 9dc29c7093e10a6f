"""Speech synthesis for the builder `voice`: a small protocol, espeak-ng and a neural voice, both of which pip installs.

samples, rate = Espeak().speak("three five nine", voice="en-us+f3", seed=1)
"""

from random import Random
from typing import Any, Protocol

import numpy as np

from auralign.constructor import load_function
from auralign.files import hash_path

ACCENTS = ("en-us", "en", "en-gb-x-rp", "en-us-nyc")
VARIANTS = (
    "m1",
    "m2",
    "m3",
    "m4",
    "m6",
    "m7",
    "f1",
    "f2",
    "f3",
    "f4",
    "f5",
    "Alex",
    "Andrea",
    "Annie",
    "Reed",
    "steph",
)
WORDS_PER_MINUTE, PITCH = (120, 190), (35, 65)  # espeak-ng's scales
SPEEDS = (0.85, 0.95, 1.0, 1.1, 1.2)
# Rates in Hz at which the neural voice's samples, of 24 kHz, are played: as other voices, lower or higher.
PLAYED = {"low": 21_000, "lower": 23_000, "own": 24_000, "higher": 25_600, "high": 27_000}


class Voice(Protocol):
    """An engine of speech synthesis, in several voices.

    Attributes
    ----------
    voices : tuple of str
        Names of its voices.
    fingerprint : str
        Of all that its speech depends on beside the arguments of `speak`: program, weights and options.
    """

    voices: tuple[str, ...]
    fingerprint: str

    def speak(self, text: str, *, voice: str, seed: int) -> tuple[np.ndarray, int]:
        """Samples (num_samples,) between -1 and 1, and their rate in Hz: a function of the arguments alone."""


class Espeak:
    """espeak-ng; the seed draws rate and pitch. `voice` is a language and a variant, such as "en-us+f3"."""

    voices = tuple(f"{accent}+{variant}" for accent in ACCENTS for variant in VARIANTS)

    def __init__(self) -> None:
        from auralign.builders.espeak import find_library

        library = find_library()[0]
        self.fingerprint = f"espeak-ng {hash_path(library)[:16]}"

    def speak(self, text: str, *, voice: str, seed: int) -> tuple[np.ndarray, int]:
        from auralign.builders.espeak import SAMPLE_RATE, say

        rng = Random(seed)
        how = {"words_per_minute": rng.randint(*WORDS_PER_MINUTE), "pitch": rng.randint(*PITCH)}
        return say(text, voice=voice, **how)[0], SAMPLE_RATE


class Hibari:
    """The neural English voice of hibari-tts, played at five rates; the seed draws its speed and its noise."""

    voices = tuple(PLAYED)

    def __init__(self) -> None:
        try:
            from hibari import Hibari as Model
        except ImportError as error:
            raise ValueError(
                "--engine hibari: is not installed; install it with `pip install 'auralign[voices]'`"
            ) from error
        from importlib.metadata import version

        self.fingerprint = f"hibari-tts {version('hibari-tts')}"
        self._model: Any = Model()

    def speak(self, text: str, *, voice: str, seed: int) -> tuple[np.ndarray, int]:
        if voice not in PLAYED:
            raise ValueError(f"hibari has no voice {voice!r}; its voices are {', '.join(PLAYED)}")
        speed = Random(seed).choice(SPEEDS)
        return np.asarray(self._model(text, speed=speed, seed=seed), np.float32), PLAYED[voice]


ENGINES = {"espeak": Espeak, "hibari": Hibari}


def make_voice(engine: str) -> Voice:
    """The engine of a name of ENGINES, or what `module:Class` makes.

    Raises ValueError if there is none, or if it lacks a member of `Voice`.
    """
    if engine not in ENGINES and ":" not in engine:
        raise ValueError(
            f"--engine {engine}: no such engine; use {', '.join(ENGINES)}, or module:Class of yours"
        )
    made: Any = ENGINES[engine]() if engine in ENGINES else load_function(engine, "--engine")()
    for member in ("voices", "fingerprint", "speak"):
        if not getattr(made, member, None):
            raise ValueError(f"--engine {engine}: has no {member}; see auralign.builders.voices.Voice")
    voice: Voice = made
    return voice
