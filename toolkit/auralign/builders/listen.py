"""The recognizer of the builders: it writes the text of pieces, and checks what speech synthesis says."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from auralign.bases import hash_content
from auralign.hub import resolve

if TYPE_CHECKING:
    import numpy as np


def describe_listener(folder: str | None) -> str | None:
    """The hash of a recognizer's folder; None if there is none."""
    return None if folder is None else hash_content(resolve(folder))


def open_listener(folder: str | None, device: str = "cpu") -> "Callable[[np.ndarray], str] | None":
    """A function from samples (num_samples,) at 16 kHz to what a Whisper hears in them; None if there is no folder."""
    if folder is None:
        return None
    import torch

    from auralign.models.recognizers import load_whisper_recognizer

    recognizer = load_whisper_recognizer(resolve(folder)).to(device).eval()

    def listen(samples: "np.ndarray") -> str:
        with torch.inference_mode():
            (text,) = recognizer.transcribe(*recognizer.encoder([samples]))
        return str(text)

    return listen
