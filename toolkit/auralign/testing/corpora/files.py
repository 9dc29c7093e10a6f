"""Files of the look-alikes: speech, and what is left of a file that was cut."""

from pathlib import Path

import soundfile

from auralign.testing.tiny.speech import make_speech


def write_speech(path: Path, seconds: float, *, sample_rate: int = 16_000) -> None:
    """Write `make_speech` of a length, in the format of the path's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, make_speech(seconds, sample_rate=sample_rate), sample_rate)


def cut(path: Path) -> None:
    """Leave the first half of a file's bytes."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
