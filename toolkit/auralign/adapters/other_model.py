"""What an adapter of a model that others made provides."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

MAX_NEW_TOKENS = 128
SAMPLE_RATE = 16_000


@dataclass(frozen=True)
class Prompt:
    """One turn of the user: the text before the speech, the speech, and the text behind it.

    `speech` is float32 (num_samples,) between -1 and 1 at 16,000 Hz; None: a turn of text alone, which is `before` then.
    """

    before: str
    speech: np.ndarray | None
    after: str = ""


@dataclass(frozen=True)
class Reply:
    """An answer; `finish_reason` is "stop", or "length" for one that was cut off."""

    text: str
    finish_reason: str


class OtherModel(ABC):
    """A model behind an adapter; answers are greedy.

    Attributes
    ----------
    name : str
        For tables.
    short_name : str
        For the names of folders.
    beside : Path
        The folder in which its evaluations are written by default.
    batch_size : int
        Number of prompts that are answered together.
    """

    name: str
    short_name: str
    beside: Path
    batch_size: int = 1

    @abstractmethod
    def identity(self) -> str:
        """A hash of what its answers depend on, as far as it is known."""

    @abstractmethod
    def answer(self, prompts: Sequence[Prompt]) -> list[Reply]:
        """The answers to some prompts, in their order."""
