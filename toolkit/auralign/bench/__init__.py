"""Speed where it is promised: `auralign bench NAME` measures it on this machine, one module a benchmark.

A benchmark is a function of the number of repeats that returns a line. It measures ratios and CPU seconds, as the wall clock of a
busy machine says nothing. Its figures are in BENCHMARKS.md, never in a test.
"""

from collections.abc import Callable

from auralign.bench import scan

BENCHMARKS: dict[str, Callable[[int], str]] = {"scan": scan.measure}
