"""`auralign bench rows`: what stages 1 to 3 spend on a row of a manifest, and keep in memory, as rows grow.

Each number of rows has a process of its own. The audio is not read, and the answers are drawn.
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from auralign import records
from auralign.bench import Row, Settings, against_bar
from auralign.bench.apart import apart, peak_of

SIZES = {"tiny": (5_000, 20_000), "small": (100_000, 1_000_000)}
BYTES_BAR, FLAT = 64, 1.25  # bytes a row of an open manifest; growth of time a row
PARSES = "JSON parses"
STEPS = ("write the manifest", "open the manifest", "write targets", "count lengths", "start stage 3")


def measure(settings: Settings) -> Iterator[Row]:
    """Rows of each step: microseconds and peak bytes a row, at two numbers of rows."""
    few, many = SIZES.get(settings.scale, SIZES["small"])
    found = {number: measured(number) for number in (few, many)}
    for step in STEPS:
        (seconds_few, _), (seconds_many, peak) = (found[number][step] for number in (few, many))
        each = [1e6 * seconds / number for seconds, number in ((seconds_few, few), (seconds_many, many))]
        bytes_a_row = 2**20 * peak / many
        bar = against_bar(each[1] / each[0], FLAT, at_most=True)
        if step == "open the manifest":
            bar = f"time a row: {bar}; bytes: {against_bar(bytes_a_row, BYTES_BAR, at_most=True)}"
        yield Row(
            f"{step}, {many:,} rows",
            f"{each[1]:.0f} CPU us a row ({each[0]:.0f} with {few:,} rows), {bytes_a_row:.0f} bytes of peak memory a row",
            bar,
        )

    yield Row(
        f"JSON parses a target, start of stage 3 of {many:,}",
        f"{found[many][PARSES][0] / many:.2f}, with its utterance",
    )


def measured(number: int) -> dict[str, tuple[float, float]]:
    """CPU seconds and peak MB of each step, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return apart("auralign.bench.rows", folder, number)


def alone(folder: str, number: int) -> dict[str, tuple[float, float]]:
    """CPU seconds and peak MB of each step, with a manifest of so many rows."""
    from auralign.bench.corpus import LIBRISPEECH, draw_seconds, utterances
    from auralign.bench.ours import DrawnAnswers, World
    from auralign.data.frames import live_frames
    from auralign.data.lengths import write_lengths
    from auralign.generate.targets import TargetWriter
    from auralign.plugins import load_method
    from auralign.records import Records, Target, Utterance, write_records
    from auralign.train.examples import Examples

    world = World.make(Path(folder), LIBRISPEECH, Settings(), number=1)
    manifest, targets = Path(folder) / "train.jsonl", Path(folder) / "targets" / "train.jsonl"
    targets.parent.mkdir()
    model, renderer, method = world.model, world.renderer, load_method("sift")
    seconds = draw_seconds(LIBRISPEECH, number)
    rows: dict[str, tuple[float, float]] = {}
    rows[STEPS[0]] = peak_of(lambda: write_records(manifest, utterances(seconds), kind=Utterance))
    rows[STEPS[1]] = peak_of(lambda: Records(manifest, Utterance))
    opened = Records(manifest, Utterance)
    opened.keep_index()  # as stage 2 does with what stage 1 has recorded
    writer = TargetWriter(
        method,
        renderer,
        DrawnAnswers(LIBRISPEECH, renderer.tokenizer),
        llm_name="llm",
        llm_revision=model.llm.revision,
        decoding={"max_new_tokens": 256, "temperature": 0.0},
        seed=1,
        max_rejected=0.9,
    )
    rows[STEPS[2]] = peak_of(lambda: writer.write(opened, targets))
    written = Records(targets, Target)
    rows[STEPS[3]] = peak_of(lambda: write_lengths(written, opened, method=method, renderer=renderer))

    def start() -> Examples:
        again = Records(manifest, Utterance)
        return Examples(
            Records(targets, Target),
            again,
            method=method,
            renderer=renderer,
            model=model,
            frames=live_frames(model, again),
            max_rejected=0.9,
        )

    rows[STEPS[4]] = peak_of(start)
    rows[PARSES] = _count_parses(start), 0.0
    return rows


def _count_parses(work: Callable[[], Any]) -> int:
    """How many lines of JSON some work parses."""
    number, parse = 0, records.parse_object

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal number
        number += 1
        return parse(*arguments, **options)

    with mock.patch.object(records, "parse_object", counted):
        work()
    return number
