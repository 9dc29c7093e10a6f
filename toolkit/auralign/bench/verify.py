"""`auralign bench verify`: stage 1 that reads all audio, against a bare loop of `soundfile.read`, and over several threads."""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from auralign.bench import Row, Settings, against_bar
from auralign.bench.corpus import SAMPLE_RATE
from auralign.records import Utterance

NUM_FILES, SECONDS = 150, 10.0
BAR, LINEAR = 0.9, 0.8  # against the loop; of the ideal, with a thread a core


def measure(settings: Settings) -> Iterator[Row]:
    """Rows of one thread, in CPU seconds, and of a thread a core, in seconds: what a machine that does nothing else gives."""
    import soundfile

    from auralign.data.manifest import write_manifest

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        paths = _make_files(folder)
        found = [
            Utterance(id=path.stem, audio=str(path), seconds=float("inf"), text="nine") for path in paths
        ]

        def bare() -> None:
            for path in paths:
                soundfile.read(path, dtype="float32")

        def verify(num_threads: int) -> None:
            write_manifest(folder / "train.jsonl", found, num_threads=num_threads)

        num_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        runs: dict[str, list[float]] = {"alone": [], "loop": [], "all": []}
        for _ in range(settings.repeats):
            loop, one = (_seconds(work, time.process_time) for work in (bare, lambda: verify(1)))
            runs["alone"].append(loop / one)
            loop, one, many = (
                _seconds(work, time.perf_counter)
                for work in (bare, lambda: verify(1), lambda: verify(num_cores))
            )
            runs["loop"].append(loop / many)
            runs["all"].append(one / many / num_cores)
        about = f"stage 1 --verify of {NUM_FILES} FLAC files of {SECONDS:g} s"
        yield _row(f"{about}, one thread: speed over a loop of soundfile.read, in CPU time", runs["alone"])
        yield _row(f"{about}, one process of {num_cores} threads: speed over that loop", runs["loop"], BAR)
        yield _row(f"{about}: share of {num_cores} times the speed of one thread", runs["all"], LINEAR)


def _row(what: str, values: list[float], bar: float | None = None) -> Row:
    middle = statistics.median(values)
    return Row(
        what,
        f"{middle:.2f} ({min(values):.2f} to {max(values):.2f}, {len(values)} runs)",
        "" if bar is None else against_bar(middle, bar),
    )


def _seconds(work: Callable[[], None], clock: Callable[[], float]) -> float:
    start = clock()
    work()
    return clock() - start


def _make_files(folder: Path) -> list[Path]:
    import soundfile

    number = round(SECONDS * SAMPLE_RATE)
    loudness = 0.1 * (1 + np.sin(np.arange(number) / 2_000))
    samples = np.random.default_rng(1).normal(0, 1, number) * loudness
    paths = [folder / f"{row:04}.flac" for row in range(NUM_FILES)]
    for path in paths:
        soundfile.write(path, np.roll(samples, hash(path.stem) % number), SAMPLE_RATE)
    return paths
