"""Benchmarks: `auralign bench NAME` measures speed on this machine; each module is one benchmark.

    for row in run("scan", Settings(repeats=5)):
        print(f"scan: {row}")

A benchmark is a module with a function `measure(settings)` that yields rows. It measures CPU seconds and ratios of arms that
take turns in one process, as wall-clock time on a busy machine is meaningless. Results are in BENCHMARKS.md, never in a test.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module

SCALES = ("tiny", "small", "7b-random")
BENCHMARKS = {  # each name with its module
    "train": "auralign.bench.train",
    "kl": "auralign.bench.kl",
    "memory": "auralign.bench.memory",
    "attention": "auralign.bench.attention",
    "generate": "auralign.bench.generate",
    "decode": "auralign.bench.decode",
    "scan": "auralign.bench.scan",
    "verify": "auralign.bench.verify",
    "rows": "auralign.bench.rows",
    "startup": "auralign.bench.startup",
    "score": "auralign.bench.score",
}


@dataclass(frozen=True)
class Settings:
    """What a benchmark is run with.

    Arguments
    ---------
    device : str
        "cpu" (default) or "cuda".
    scale : str
        A name in `SCALES`, of random models of the real classes, or the folder of an LLM; default "tiny".
    repeats : int
        How often each arm is measured; default 5.
    """

    device: str = "cpu"
    scale: str = "tiny"
    repeats: int = 5


@dataclass(frozen=True)
class Row:
    """A figure: what was measured, the median and spread with their unit, and in words whether it reaches its `bar`.

    `void` says which gate failed: then the arms did not compute the same, and the figure means nothing.
    """

    what: str
    figure: str
    bar: str = ""
    void: str = ""

    def __str__(self) -> str:
        if self.void:
            return f"{self.what}: VOID, {self.void} (measured: {self.figure})"
        return f"{self.what}: {self.figure}{f'; {self.bar}' if self.bar else ''}"


def run(name: str, settings: Settings) -> Iterator[Row]:
    """Run a benchmark with one thread, and yield its rows as they are found."""
    yield from import_module(BENCHMARKS[name]).measure(settings)


def against_bar(value: float, bar: float, *, at_most: bool = False) -> str:
    """Whether a value reaches its bar.

    >>> against_bar(1.7, 2), against_bar(4.0, 5.0, at_most=True)
    ('bar 2: missed', 'bar at most 5: reached')
    """
    reached = value <= bar if at_most else value >= bar
    return f"bar {'at most ' if at_most else ''}{bar:g}: {'reached' if reached else 'missed'}"
