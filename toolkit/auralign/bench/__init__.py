"""Benchmarks: `auralign bench NAME` measures speed on this machine; each module is one benchmark.

A benchmark is a function from a number of repeats to lines of text. It measures CPU seconds and ratios, as wall-clock time on a
busy machine is meaningless. Results are in BENCHMARKS.md, never in a test.
"""

from collections.abc import Callable

from auralign.bench import scan


def _train(repeats: int) -> str:
    from auralign.bench import train  # imports torch

    return train.measure(repeats)


BENCHMARKS: dict[str, Callable[[int], str]] = {"scan": scan.measure, "train": _train}
