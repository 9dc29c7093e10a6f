"""Record speech from the microphone, with sounddevice (`auralign[microphone]`), which is imported when it is used."""

from collections.abc import Callable
from typing import Any

import numpy as np

from auralign.data.audio import SAMPLE_RATE, AudioError

INSTALL = "pip install 'auralign[microphone]'"


def record(wait: Callable[[], object], *, sample_rate: int = SAMPLE_RATE) -> tuple[int, np.ndarray]:
    """Record from the default microphone until `wait` returns.

    Arguments
    ---------
    wait : callable
        Called once the recording runs; the recording ends when it returns, for example when the user presses Enter.
    sample_rate : int
        In Hz; if the microphone does not offer it, its own rate is used.

    Returns (rate, samples): the rate in Hz, and int16 samples (num_samples, 1).

    Raises AudioError if sounddevice or the PortAudio library is missing, there is no microphone, or nothing was recorded.
    """
    try:
        import sounddevice
    except ImportError as error:
        raise AudioError(f"no microphone without sounddevice; {INSTALL}") from error
    except OSError as error:  # sounddevice is there, but not the library that it loads
        raise AudioError(
            f"no microphone: {error}; install PortAudio, on Debian apt install libportaudio2"
        ) from error
    blocks: list[np.ndarray] = []

    def take(block: np.ndarray, *_: Any) -> None:
        blocks.append(block.copy())

    try:
        rate = _rate(sounddevice, sample_rate)
        with sounddevice.InputStream(samplerate=rate, channels=1, dtype="int16", callback=take):
            wait()
    except sounddevice.PortAudioError as error:
        raise AudioError(f"no microphone: {error}; connect one, and allow this program to use it") from error
    if not blocks:
        raise AudioError("the microphone gave no samples; speak before you press Enter")
    return rate, np.concatenate(blocks)


def _rate(sounddevice: Any, wanted: int) -> int:
    """The wanted rate if the microphone offers it, otherwise its own."""
    try:
        sounddevice.check_input_settings(samplerate=wanted, channels=1, dtype="int16")
    except sounddevice.PortAudioError:
        return int(sounddevice.query_devices(kind="input")["default_samplerate"])
    return wanted
