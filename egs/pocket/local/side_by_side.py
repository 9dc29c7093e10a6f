"""The side-by-side: how the methods compare on one real LLM, at equal utterances and equal CPU seconds.

    python local/side_by_side.py --list                    what is finished, and what is not
    python local/side_by_side.py --budget-minutes 60       go on for an hour; the same command goes on from there
    python local/side_by_side.py --only sift,blsp          the runs of some methods

It begins with the aligned connector of `./run.sh --experiment align`. A finished run has a row and is not made again; an
interrupted one goes on from its last checkpoint; a failed one is left out, named on the page, and tried again by the next
command. The plan is in local/side_plan.py.

Reads: data/<size>/, and the aligned start, exp/<size>/align
Writes: <output>/<run>/ with row.json, and after each run RESULTS.md, if the plan is the standard one; else <output>/RESULTS.md
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HERE))
from local.side_page import publish, render  # noqa: E402
from local.side_plan import METHODS, Run, Settings, plan  # noqa: E402

from auralign import script  # noqa: E402
from auralign.environment import describe_environment  # noqa: E402
from auralign.files import read_json, without_folders_in_command, write_json  # noqa: E402
from auralign.stage import StageBusyError  # noqa: E402

ROW, FAILED, PLAN, PAGE = "row.json", "failed.json", "plan.json", "RESULTS.md"
STANDARD = Path("exp/side")


class Rows:
    """What is known of the runs in the folder of a comparison."""

    def __init__(self, folder: Path, runs: Sequence[Run]):
        self.folder, self.runs = Path(folder), runs

    def finished(self) -> dict[str, dict]:
        """The facts of finished runs, by name."""
        return self._read(ROW)

    def failed(self) -> dict[str, str]:
        """Why runs failed that are not finished since, by name."""
        return {name: found["error"] for name, found in self._read(FAILED).items()}

    def keep(self, run: Run, facts: dict) -> None:
        """Write the row of a run."""
        write_json(self.folder / run.name / ROW, {**asdict(run), **facts})
        (self.folder / run.name / FAILED).unlink(missing_ok=True)

    def fail(self, run: Run, error: Exception) -> None:
        """Write why a run failed."""
        write_json(self.folder / run.name / FAILED, {"error": f"{' '.join(str(error).split())}"})

    def _read(self, name: str) -> dict[str, dict]:
        paths = {run.name: self.folder / run.name / name for run in self.runs}
        return {run: read_json(path) for run, path in paths.items() if path.is_file()}


def make_runs(
    runs: Sequence[Run],
    rows: Rows,
    make: Callable[[Run, dict[str, dict]], dict],
    *,
    minutes: float | None = None,
    about: Callable[[], dict] = dict,
    after: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.monotonic,
) -> list[str]:
    """Make the runs that have no row, in order, and leave out those of which a needed one has none.

    Arguments
    ---------
    runs : sequence of Run
    rows : Rows
    make : callable (Run, rows by name) -> dict
        Makes a run; returns its facts.
    minutes : float, optional
        No run is begun after so many; default: all are made.
    about : callable () -> dict
        Where and when a run was made, added to its row.
    after : callable () -> None
        Called after each run.
    clock : callable () -> float
        Seconds.

    Returns list of str: the names of the runs that failed, or lack one that did.
    """
    begun, left_out = clock(), []
    for run in runs:
        finished = rows.finished()
        if run.name in finished:
            continue
        missing = [name for name in run.needs if name not in finished]
        if missing:
            print(f"{run.name}: left out, as it needs {', '.join(missing)}", flush=True)
            left_out.append(run.name)
            continue
        if minutes is not None and clock() - begun >= 60 * minutes:
            print(f"{minutes:g} minutes are over; the same command goes on with {run.name}", flush=True)
            break
        print(f"== {run.name}", flush=True)
        try:
            rows.keep(run, {**make(run, finished), **about()})
        except StageBusyError as error:
            print(f"{run.name}: left out: {error}", file=sys.stderr)
            left_out.append(run.name)
        except (ValueError, OSError, RuntimeError) as error:
            if os.environ.get(script.TRACEBACK):
                raise
            rows.fail(run, error)
            print(f"{run.name}: failed: {' '.join(str(error).split())}", file=sys.stderr)
            left_out.append(run.name)
        after()
    return left_out


def keep_plan(folder: Path, settings: Settings) -> None:
    """Write the settings into the folder of a comparison.

    Raises ValueError if it holds runs of others: their rows cannot be compared.
    """
    path, ours = folder / PLAN, _as_json(settings)
    theirs = read_json(path) if path.is_file() else ours
    if theirs != ours:
        changed = ", ".join(
            f"{name} {theirs.get(name)} (now {value})"
            for name, value in ours.items()
            if theirs.get(name) != value
        )
        raise ValueError(
            f"{folder} holds runs of another plan: {changed}; give the same values, or another folder (--output)"
        )
    write_json(path, ours)


def _as_json(settings: Settings) -> dict:
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in asdict(settings).items()
    }


def show_list(runs: Sequence[Run], rows: Rows) -> str:
    """A line for each run: its state, and its name."""
    finished, failed = rows.finished(), rows.failed()
    states = {run.name: "finished" if run.name in finished else "not run" for run in runs}
    states |= {
        name: f"failed: {why}" for name, why in failed.items() if name in states and name not in finished
    }
    lines = [f"{name:40} {state}" for name, state in states.items()]
    return "\n".join(
        [*lines, f"{sum(run.name in finished for run in runs)} of {len(runs)} runs are finished"]
    )


def parse(argv: list[str]) -> argparse.Namespace:
    """The options."""
    standard = Settings()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--list", action="store_true", help="show the runs and their state, and make none")
    parser.add_argument("--only", type=_words, help=f"methods, separated by commas: {', '.join(METHODS)}")
    parser.add_argument("--budget-minutes", type=float, help="begin no run after so many; default: no limit")
    parser.add_argument("--size", default=standard.size, help="of the corpus: data/SIZE (default: full)")
    parser.add_argument("--start", type=Path, help="the aligned run's folder (default: exp/SIZE/align)")
    parser.add_argument("--llm", help="hub id or folder (default: the start's)")
    parser.add_argument("--encoder", help="hub id or folder (default: the start's)")
    parser.add_argument("--output", type=Path, default=STANDARD, help="folder (default: exp/side)")
    parser.add_argument(
        "--num-utts",
        type=lambda text: tuple(map(int, _words(text))),
        default=standard.num_utts,
        help="training utterances, separated by commas (default: 400,800,1600)",
    )
    parser.add_argument(
        "--cpu-seconds",
        type=float,
        default=standard.cpu_seconds,
        help=f"of the optimiser steps of each training (default: {standard.cpu_seconds:g})",
    )
    parser.add_argument(
        "--num-asked", type=int, default=standard.num_asked, help="of each test group (default: 60)"
    )
    parser.add_argument("--num-steps", "--num_steps", type=int, help="in place of --cpu-seconds: a trial")
    return parser.parse_args(argv)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def main(argv):
    options = parse(argv)
    settings = replace(
        Settings(),
        size=options.size,
        num_utts=options.num_utts,
        cpu_seconds=options.cpu_seconds,
        num_asked=options.num_asked,
        num_steps=options.num_steps,
    )
    every = plan(settings)
    runs, rows = plan(settings, options.only), Rows(options.output, every)
    if options.list:
        print(show_list(runs, rows))
        return 0
    from local.side_runs import Bench

    start = options.start or Path("exp") / settings.size / "align"
    keep_plan(options.output, settings)
    bench = Bench(settings, folder=options.output, start=start, llm=options.llm, encoder=options.encoder)
    is_standard = settings == Settings() and options.output == STANDARD
    page = HERE / PAGE if is_standard else options.output / PAGE

    def about() -> dict:
        import torch

        return {
            "command": f"python {without_folders_in_command(['local/side_by_side.py', *argv])}",
            "threads": torch.get_num_threads(),
            "finished": datetime.now(UTC).isoformat(timespec="minutes"),
            **describe_environment(),
        }

    def show() -> None:
        if not publish(page, render(settings, rows.finished(), rows.failed())):
            print(f"{page}: has more finished runs than {options.output}, and is kept", file=sys.stderr)

    show()
    left_out = make_runs(runs, rows, bench.make, minutes=options.budget_minutes, about=about, after=show)
    print(show_list(runs, rows).splitlines()[-1] + f"; page: {page}")
    return 1 if left_out else 0


if __name__ == "__main__":
    script.run(main)
