"""The progress of long work: a bar in a terminal, and a line every half minute in a log.

    >>> sum(track([1, 2, 3], "adding train", unit="utt"))
    6

A line of a log, such as `nohup` or a cluster keeps, has the same parts in the same order whatever the stage:

    2026-11-30 12:00:05  train sift: 12 of 900 steps, loss 0.532, gradient norm 0.81, 3.4 steps/s, 9 min 13 s left, memory 1.2 GB

The memory is the peak of the process, and that of its GPU if it has used one. AURALIGN_LOG_SECONDS sets the seconds between two
lines; 0 prints one at each update. Work that is done before the first line is due prints none.
"""

import math
import os
import resource
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from types import TracebackType
from typing import IO, Any, TypeVar

from tqdm import tqdm

SECONDS = "AURALIGN_LOG_SECONDS"  # of the environment
DEFAULT_SECONDS = 30.0
BLOCK_BYTES = 2**22

Item = TypeVar("Item")


class Progress:
    """Context manager that shows how far some work is, on stderr.

    Arguments
    ---------
    about : str
        The stage, the method and what is worked on, such as "train sift".
    unit : str
        What is counted, in the singular: "step"; "B" for bytes, which are shown in MB and GB.
    total : int, optional
        The number of units; default None: unknown.
    initial : int
        Units that an earlier run has done; they do not count for the rate. Default: 0.
    leave : bool
        Whether a bar stays in the terminal when the work is done. Default: True.

    Raises ValueError if AURALIGN_LOG_SECONDS is not a number of seconds.
    """

    def __init__(
        self, about: str, *, unit: str, total: int | None = None, initial: int = 0, leave: bool = True
    ):
        self.about, self.unit, self.total = about, unit, total
        self.done = self.initial = initial
        self.values: dict[str, float] = {}
        self.seconds = _seconds_between_lines()
        self.in_terminal = sys.stderr.isatty()
        self._started = self._printed = time.monotonic()
        self._has_printed = False
        self._bar = tqdm(
            total=total,
            initial=initial,
            desc=about,
            unit=unit,
            unit_scale=unit == "B",
            leave=leave,
            disable=not self.in_terminal,
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
        if kind is None and self._has_printed and self._printed_at != self.done:
            self._print()

    def update(self, count: int = 1, **values: float) -> None:
        """Count units as done; `values` are shown beside them, an underscore in a name as a space."""
        self.done += count
        self.values.update(values)
        if self.in_terminal:
            if values:
                self._bar.set_postfix_str(", ".join(self._texts()), refresh=False)
            self._bar.update(count)
        elif time.monotonic() - self._printed >= self.seconds:
            self._print()

    def skip(self, count: int) -> None:
        """Go on to `count` units: an earlier run has done those in between, which is known only now."""
        count -= self.done
        self.done += count
        self.initial += count
        self._bar.update(count)

    def write(self, text: str) -> None:
        """Print a text above the bar, or as a line of its own."""
        tqdm.write(text, file=sys.stderr)

    @property
    def rate(self) -> float:
        """Units of this run in a second; 0 before the first."""
        return (self.done - self.initial) / max(time.monotonic() - self._started, 1e-9)

    def _print(self) -> None:
        self._printed, self._printed_at, self._has_printed = time.monotonic(), self.done, True
        print(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {self.describe()}", file=sys.stderr, flush=True)

    def describe(self) -> str:
        """The line of a log, without its time."""
        of = "" if self.total is None else f" of {self._count(self.total)}"
        parts = [
            f"{self._count(self.done)}{of}{'' if self.unit == 'B' else f' {self.unit}s'}",
            *self._texts(),
        ]
        rate = self.rate
        if self.unit == "B":
            parts.append(f"{show_bytes(rate)}/s")
        else:
            parts.append(f"{rate:.3g} {self.unit}s/s")
        if self.total is not None and rate and self.total > self.done:
            parts.append(f"{show_seconds((self.total - self.done) / rate)} left")
        parts += [f"{name} {show_bytes(size)}" for name, size in peak_memory().items()]
        return f"{self.about}: {', '.join(parts)}"

    def _texts(self) -> list[str]:
        return [f"{name.replace('_', ' ')} {value:.3g}" for name, value in self.values.items()]

    def _count(self, number: int) -> str:
        return show_bytes(number) if self.unit == "B" else str(number)


def track(
    items: Iterable[Item], about: str, *, unit: str, total: int | None = None, leave: bool = False
) -> Iterator[Item]:
    """The items one by one, with their progress; arguments as of `Progress`. `total` is their number if they have one."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with Progress(about, unit=unit, total=total, leave=leave) as progress:
        for item in items:
            yield item
            progress.update()


def read_blocks(file: IO[bytes], about: str, *, size: int) -> Iterator[bytes]:
    """The content of a file of `size` bytes in blocks, with their progress."""
    with Progress(about, unit="B", total=size, leave=False) as progress:
        while block := file.read(BLOCK_BYTES):
            yield block
            progress.update(len(block))


def peak_memory() -> dict[str, float]:
    """The largest memory of this process so far, in bytes: "memory", and "GPU memory" if torch has used a GPU."""
    unit = 1 if sys.platform == "darwin" else 1024
    sizes: dict[str, float] = {"memory": unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        sizes["GPU memory"] = torch.cuda.max_memory_allocated()
    return sizes


def show_bytes(size: float) -> str:
    """A size in the unit that suits it.

    >>> show_bytes(3_400_000), show_bytes(1.25e9)
    ('3.4 MB', '1.2 GB')
    """
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def show_seconds(seconds: float) -> str:
    """A duration in words.

    >>> show_seconds(12.4), show_seconds(553), show_seconds(7384)
    ('12 s', '9 min 13 s', '2 h 3 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _seconds_between_lines() -> float:
    given = os.environ.get(SECONDS, "").strip()
    if not given:
        return DEFAULT_SECONDS
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise ValueError(
            f"{SECONDS}={given!r}: give the seconds between two lines of a log, such as 30, or 0 for all"
        )
    return seconds
