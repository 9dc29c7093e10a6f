"""Speak text with espeak-ng through ctypes: samples depend on the arguments and on nothing spoken before.

samples, starts = say("three five nine", voice="en-us+f3", words_per_minute=160, pitch=50)
"""

import _ctypes
import ctypes
import ctypes.util
from pathlib import Path
from typing import Any

import numpy

SAMPLE_RATE = 16_000  # Hz, of all speech that the example makes
REPAIR = "install it with `pip install espeakng-loader`"

# From espeak-ng's speak_lib.h.
OUTPUT_SYNCHRONOUS = 2
DONT_EXIT = 0x8000  # on an error return a code; the library would otherwise end the process
POSITION_CHARACTER = 1
CHARACTERS_UTF8 = 1
RATE, PITCH = 1, 3
RANDOM_SEED = 1
NO_MORE, WORD = 0, 1  # types of event


class Event(ctypes.Structure):
    """Something that happens in the speech, and the number of its sample."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("milliseconds", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(Event))


class SpeechSynthesisError(OSError):
    """espeak-ng is missing or refuses."""


def find_library() -> tuple[str, str | None]:
    """Returns: (path of libespeak-ng, path of its data folder or None for the system's default)."""
    try:
        import espeakng_loader
    except ImportError:
        path = ctypes.util.find_library("espeak-ng")
        if path is None:
            raise SpeechSynthesisError(f"no espeak-ng library to speak with; {REPAIR}") from None
        return path, None
    return espeakng_loader.get_library_path(), espeakng_loader.get_data_path()


class Library:
    """libespeak-ng, loaded in a `with` block and unloaded behind it.

    Its state runs on from one utterance to the next, and its own restart does not forget it; unloading does.
    """

    def __init__(self) -> None:
        path, self._data = find_library()
        try:
            self._library = ctypes.CDLL(path)
        except OSError as error:
            raise SpeechSynthesisError(f"cannot load {path}: {error}; {REPAIR}") from error
        self._blocks: list[numpy.ndarray] = []
        self._words: list[int] = []
        self._callback = CALLBACK(self._receive)  # kept, or it would be collected while the library holds it

    def __enter__(self) -> "Library":
        data = None if self._data is None else str(self._data).encode()
        self.sample_rate = self._library.espeak_Initialize(OUTPUT_SYNCHRONOUS, 0, data, DONT_EXIT)
        if self.sample_rate <= 0:
            raise SpeechSynthesisError(f"espeak-ng does not start with its data in {self._data}; {REPAIR}")
        self._library.espeak_SetSynthCallback(self._callback)
        self._seed()
        return self

    def __exit__(self, *exception: object) -> None:
        self._library.espeak_Terminate()
        _ctypes.dlclose(self._library._handle)

    def _seed(self) -> None:
        """Fix breath noise and flutter, which the library takes from the clock and from C's rand()."""
        if hasattr(
            self._library, "espeak_ng_SetRandSeed"
        ):  # since espeak-ng 1.52; before, only rand() was used
            self._library.espeak_ng_SetRandSeed(ctypes.c_long(RANDOM_SEED))
        ctypes.CDLL(None).srand(RANDOM_SEED)

    def _receive(self, samples: Any, num_samples: int, events: Any) -> int:
        if samples and num_samples:
            self._blocks.append(numpy.ctypeslib.as_array(samples, shape=(num_samples,)).copy())
        number = 0
        while events and events[number].type != NO_MORE:
            if events[number].type == WORD:
                self._words.append(events[number].sample)
            number += 1
        return 0

    def set_voice(self, voice: str) -> None:
        # The library takes an unknown variant after "+" without a word and speaks with the plain voice.
        variant = voice.partition("+")[2]
        if (
            variant
            and self._data is not None
            and not (Path(self._data) / "voices" / "!v" / variant).is_file()
        ):
            raise SpeechSynthesisError(
                f"espeak-ng has no voice variant '{variant}' (of '{voice}') in {self._data}"
            )
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise SpeechSynthesisError(f"espeak-ng has no voice '{voice}'; `espeak-ng --voices` lists them")

    def set_parameter(self, parameter: int, value: int) -> None:
        self._library.espeak_SetParameter(parameter, value, 0)

    def synthesize(self, text: str) -> tuple[numpy.ndarray, list[int]]:
        """Text -> int16 samples (N,) at `sample_rate`, and the number of the sample at which each word begins."""
        self._blocks.clear()
        self._words.clear()
        data = text.encode()
        error = self._library.espeak_Synth(
            data, len(data) + 1, 0, POSITION_CHARACTER, 0, CHARACTERS_UTF8, None, None
        )
        if error != 0 or not self._blocks:
            raise SpeechSynthesisError(f"espeak-ng could not speak '{text}' (code {error})")
        return numpy.concatenate(self._blocks), list(self._words)


def say(text: str, *, voice: str, words_per_minute: int, pitch: int) -> tuple[numpy.ndarray, list[float]]:
    """Speak a text.

    Arguments
    ---------
    text : str
    voice : str
        Language and variant, such as "en-us+f3".
    words_per_minute : int
        80 to 450.
    pitch : int
        0 to 100; 50 is the voice's own.

    Returns
    -------
    float32 array (samples,) at 16 kHz, within -1 to 1, and the seconds at which each word begins.

    Raises
    ------
    SpeechSynthesisError : no library, or no such voice.
    """
    with Library() as library:
        library.set_voice(voice)
        library.set_parameter(RATE, words_per_minute)
        library.set_parameter(PITCH, pitch)
        samples, words = library.synthesize(text)
        spoken = resample(samples.astype(numpy.float32) / 32768, library.sample_rate)
        return spoken, [word / library.sample_rate for word in words]


def resample(samples: numpy.ndarray, rate: int) -> numpy.ndarray:
    """Samples (N,) at `rate` Hz -> float32 samples at 16 kHz."""
    if rate == SAMPLE_RATE:
        return samples.astype(numpy.float32)
    from scipy.signal import resample_poly  # half a second that a corpus at this rate does not spend

    return resample_poly(samples, SAMPLE_RATE, rate).astype(numpy.float32)
