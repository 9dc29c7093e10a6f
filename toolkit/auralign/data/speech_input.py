"""The forms in which speech is given to a model: files, bytes, arrays with a rate, and what data sets and web pages give.

>>> import numpy as np
>>> stereo = np.array([[16384, 0]] * 4, dtype=np.int16)
>>> read_speech((16_000, stereo)).samples.tolist()                      # Gradio: (rate, samples)
[0.25, 0.25, 0.25, 0.25]
>>> read_speech({"array": [0.5, 0.5], "sampling_rate": 16_000}).samples.tolist()      # a row of datasets
[0.5, 0.5]
"""

import os
import tempfile
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

from auralign.data.audio import SAMPLE_RATE, AudioError, Heard, describe_audio, hear, hear_array
from auralign.records import shorten

FORMS = (
    "a path, an array or a tensor of samples, (rate, samples), {'array': samples, 'sampling_rate': rate}, the bytes of an "
    "audio file, or a file opened in binary mode"
)
BYTES = (bytes, bytearray, memoryview)
MAX_VALUES = 2**27  # samples of all channels that are read at once: 2 h 20 min of 16 kHz, 0.5 GB
RATES = ("sampling_rate", "sample_rate")


def split_list(speech: Any) -> list | None:
    """The items of a list of speech, or None if it is one speech: (rate, samples) is one, and so is an array."""
    if not isinstance(speech, Sequence) or isinstance(speech, (str, *BYTES)) or _pair(speech):
        return None
    return list(speech)


def name_speech(speech: Any, index: int | None = None) -> str:
    """The name of a speech in messages: its path, or what it is, with its index in a list."""
    if isinstance(speech, (str, os.PathLike)):
        return os.fspath(speech)
    if isinstance(getattr(speech, "name", None), str):
        return str(speech.name)
    if isinstance(speech, Mapping) and isinstance(speech.get("path"), str) and speech["path"]:
        return str(speech["path"])
    if index is not None:
        return f"speech[{index}]"
    if isinstance(speech, BYTES) or hasattr(speech, "read"):
        return "the audio file"
    return "the array"


def read_speech(
    speech: Any, *, sample_rate: int | None = None, wanted_rate: int = SAMPLE_RATE, name: str | None = None
) -> Heard:
    """Read one speech in any form, averaged over its channels and resampled.

    Arguments
    ---------
    speech
        A path; samples as `auralign.data.audio.hear_array` takes them (array or tensor); `(rate, samples)` or `(samples, rate)`;
        a dict with `array` and `sampling_rate`, or with `bytes` or `path`, or a decoder, of datasets; the bytes of an audio file;
        or a file that was opened in binary mode, which is read from its present position.
    sample_rate : int, optional
        Rate of an array that is given without one, in Hz; default `wanted_rate`.
    wanted_rate : int
        Rate of the returned samples, in Hz.
    name : str, optional
        The name of the speech in errors; default as `name_speech`.

    Returns Heard.

    Raises AudioError, a ValueError, if the form is unknown, the rate is missing or contradicts `sample_rate`, or the audio cannot
    be used.
    """
    name = name or name_speech(speech)
    given = None if sample_rate is None else _whole(sample_rate, name)
    if isinstance(speech, (str, os.PathLike)):
        return _read_file(speech, given, wanted_rate)
    if isinstance(speech, BYTES) or hasattr(speech, "read"):
        return _read_bytes(_all_bytes(speech, name), given, wanted_rate, name)
    if isinstance(speech, Mapping) and speech.get("array") is None:
        return _read_undecoded(speech, given, wanted_rate, name)
    samples, rate = _samples_of(speech, name, given)
    if rate is not None:
        rate = _whole(rate, name)
        _check_same(rate, given, name)
    return hear_array(samples, sample_rate=rate or given or wanted_rate, wanted_rate=wanted_rate, name=name)


def _pair(speech: Any) -> tuple[Any, Any] | None:
    """(samples, rate) of a pair in either order; None if it is no such pair."""
    if not isinstance(speech, (tuple, list)) or len(speech) != 2:
        return None
    first, second = speech
    if _is_number(first) and not _is_number(second):
        return second, first
    if _is_number(second) and not _is_number(first):
        return first, second
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) or getattr(value, "ndim", None) == 0


def _samples_of(speech: Any, name: str, given: int | None) -> tuple[Any, Any]:
    """The samples, and the rate that comes with them or None; of a dict without one that which is given."""
    pair = _pair(speech)
    if pair is not None:
        samples, rate = pair
    elif isinstance(speech, Mapping):
        rates = [speech[key] for key in RATES if speech.get(key) is not None]
        if not rates and given is None:
            raise AudioError(f"{name}: a dict with 'array' and without 'sampling_rate'; add the rate in Hz")
        samples, rate = speech["array"], rates[0] if rates else given
    elif hasattr(speech, "get_all_samples"):  # the decoder that datasets 4 returns, of torchcodec
        decoded = speech.get_all_samples()
        samples, rate = decoded.data, decoded.sample_rate
    else:
        samples, rate = speech, None
    if rate is None and not hasattr(samples, "__array__"):
        found = f"{type(speech).__name__} {shorten(repr(speech))}"
        raise AudioError(f"{name}: is the {found}; give {FORMS}")
    if isinstance(samples, (str, Mapping, *BYTES)) or samples is None:
        raise AudioError(f"{name}: its samples are {type(samples).__name__}; give an array of numbers")
    return samples, rate


def _whole(rate: Any, name: str) -> int:
    if hasattr(rate, "item"):  # a number of numpy or torch
        rate = rate.item()
    if isinstance(rate, bool) or not (
        isinstance(rate, Integral) or (isinstance(rate, float) and rate.is_integer())
    ):
        raise AudioError(
            f"{name}: has the rate {rate!r}; give a whole number of samples a second, such as 16000"
        )
    if rate <= 0:
        raise AudioError(
            f"{name}: has the rate {rate}; give a number of samples a second above 0, such as 16000"
        )
    return int(rate)


def _check_same(rate: int, given: int | None, name: str) -> None:
    if given is not None and rate != given:
        raise AudioError(
            f"{name}: has a rate of {rate} Hz of its own, but sample_rate is {given}; leave sample_rate out"
        )


def _read_file(path: str | os.PathLike, given: int | None, wanted_rate: int) -> Heard:
    shown = os.fspath(path)
    if not shown:
        raise AudioError(
            'the speech is the path ""; give the path of an audio file, or None to ask about text alone'
        )
    if "://" in str(shown):
        raise AudioError(f"{shown}: is an address; download it, and give the path or the bytes of the file")
    seconds, rate, channels = describe_audio(path)
    if seconds * rate * channels > MAX_VALUES:
        raise AudioError(
            f"{shown}: its header announces {seconds:.0f} s of {rate} Hz in {channels} channels; at most "
            f"{MAX_VALUES / rate / channels:.0f} s of these are read; cut it into parts"
        )
    heard = hear(path, sample_rate=wanted_rate)
    if given is not None:
        _check_same(rate, given, str(shown))
    return heard


def _read_undecoded(speech: Mapping, given: int | None, wanted_rate: int, name: str) -> Heard:
    """Read a dict that holds a file, as datasets gives it with `Audio(decode=False)`."""
    if speech.get("bytes") is not None:
        return _read_bytes(_all_bytes(speech["bytes"], name), given, wanted_rate, name)
    if isinstance(speech.get("path"), (str, os.PathLike)):
        return _read_file(speech["path"], given, wanted_rate)
    keys = ", ".join(map(repr, speech)) or "no keys"
    raise AudioError(f"{name}: a dict with {keys}; give 'array' and 'sampling_rate', or 'bytes', or 'path'")


def _all_bytes(speech: Any, name: str) -> bytes:
    if not isinstance(speech, BYTES) and not hasattr(speech, "read"):
        raise AudioError(f"{name}: its bytes are {type(speech).__name__}; give {FORMS}")
    content = speech if isinstance(speech, BYTES) else speech.read()
    if not isinstance(content, BYTES):
        raise AudioError(
            f"{name}: reads as {type(content).__name__}; open the file in binary mode, open(path, 'rb')"
        )
    if not len(content):
        raise AudioError(f"{name}: holds no bytes; a file that was read before is at its end: seek(0)")
    return bytes(content)


def _read_bytes(content: bytes, given: int | None, wanted_rate: int, name: str) -> Heard:
    """Read the content of an audio file. It is written to a temporary file, as decoders seek in files by their paths."""
    with tempfile.TemporaryDirectory(prefix="auralign") as folder:
        path = os.path.join(folder, "audio")
        with open(path, "wb") as file:
            file.write(content)
        try:
            return _read_file(path, given, wanted_rate)
        except AudioError as error:
            raise AudioError(str(error).replace(path, name)) from error
