"""Run classes of faults and write their figures into RELIABILITY.md.

python -m faults [--only CLASS,CLASS] [--limit N] [--jobs N] [--fast] [--soak HOURS]; tools/fault_suite.sh sets its environment.
"""

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from faults.changes import changes
from faults.company import contested, ranks
from faults.contents import control_tokens, model_folders, plugins, yaml_canaries
from faults.flips import flips
from faults.interruptions import clock, full_disk, kills, signals
from faults.numbers import numbers
from faults.shells import shells
from faults.trying import LOST, SILENT, SURVIVED
from faults.workplace import Workplace, warm_up

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "RELIABILITY.md"
CLASSES = {
    one.__name__: one
    for one in (
        kills,
        signals,
        shells,
        ranks,
        clock,
        changes,
        contested,
        flips,
        numbers,
        control_tokens,
        yaml_canaries,
        model_folders,
        plugins,
        full_disk,
    )
}
NOT_RUN = "not run"
# Tries of each class in the fast part; the others are for the whole suite.
FAST = {
    "kills": 2,
    "signals": 1,
    "contested": 1,
    "flips": 1,
    "numbers": 1,
    "control_tokens": 60,
    "yaml_canaries": 60,
    "model_folders": 4,
    "plugins": 15,
}
IN_MEMORY = Path(
    "/dev/shm"
)  # a process that is killed leaves the same there as on a disk, and copies are quick
LONGEST_DETAIL = 300  # characters, so that a line goes through a pipe as a whole


def main(argv: list[str]) -> int:
    """Run the classes, print the faults that did not survive and the figures; 1 if there is one."""
    parser = argparse.ArgumentParser(prog="tools/fault_suite.sh", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--only",
        metavar="CLASS,CLASS",
        help=f"default: those without figures of this commit, of {', '.join(CLASSES)}",
    )
    parser.add_argument("--fast", action="store_true", help="some tries of some classes; nothing is written")
    parser.add_argument(
        "--limit", type=int, metavar="N", help="at most N tries of each class, drawn from all (default: all)"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=min(2, os.cpu_count() or 1),
        metavar="N",
        help="processes (default: %(default)s)",
    )
    parser.add_argument(
        "--soak", type=float, default=0, metavar="HOURS", help="repeat the classes with other seeds"
    )
    options = parser.parse_args(argv)
    commit = _commit()
    names = options.only.split(",") if options.only else list(FAST if options.fast else CLASSES)
    unknown = [name for name in names if name not in CLASSES]
    if unknown:
        parser.error(f"--only {unknown[0]}: no such class; there are {', '.join(CLASSES)}")
    if not (options.only or options.fast or options.soak):
        finished = _finished(PAGE, commit)
        for name in finished:
            print(f"{name}: has the figures of {commit}, skipped; --only {name} runs it again")
        names = [name for name in names if name not in finished]
    began, seed, num_faults = time.monotonic(), 1, 0
    warm_up()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the folder is removed
    with tempfile.TemporaryDirectory(
        prefix="faults.", dir=IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None
    ) as folder:
        while True:
            limits = {name: FAST[name] if options.fast else options.limit for name in names}
            place = Path(folder, str(seed))
            for name, counts, total, seconds in _run(limits, place, seed, options.jobs, options.fast):
                tries = sum(counts.values())
                # Without one try a class is not run, such as full disks without user namespaces.
                figures = (
                    [counts[outcome] for outcome in (SURVIVED, LOST, SILENT)] if tries else [NOT_RUN] * 3
                )
                print(
                    f"{name}: tries {tries}, survived {figures[0]}, lost {figures[1]}, silent {figures[2]}",
                    flush=True,
                )
                num_faults += counts[LOST] + counts[SILENT]
                if tries and not options.fast:
                    shown = tries if tries == total else f"{tries} of {total}"
                    write_row(PAGE, name, [shown, *figures, seconds, commit, f"{datetime.now(UTC):%Y-%m-%d}"])
            seed += 1
            if time.monotonic() - began >= 3600 * options.soak:
                return int(num_faults > 0)


def _run(
    limits: dict[str, int | None], place: Path, seed: int, num_jobs: int, is_fast: bool
) -> Iterator[tuple[str, Counter, int, int]]:
    """Run classes in several processes, each of which takes its share of every class, and print what did not survive.

    Yields name, number of tries by outcome, number of all faults of the class, and seconds, as the classes end.
    """
    reading, writing = os.pipe()
    began = dict.fromkeys(limits, time.monotonic())
    children = []
    for job in range(num_jobs):
        sys.stdout.flush()
        child = os.fork()
        if not child:
            code = 1
            try:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                os.close(reading)
                _work(limits, Workplace(place / str(job), is_fast), seed, (job, num_jobs), writing)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        children.append(child)
    os.close(writing)
    counts: dict[str, Counter] = {name: Counter() for name in limits}
    num_ended: Counter = Counter()
    with open(reading, encoding="utf-8") as lines, _ending(children):
        for line in lines:
            name, what, *rest = json.loads(line)
            if what == "end":
                num_ended[name] += 1
                if num_ended[name] == num_jobs:
                    yield name, counts[name], rest[0], round(time.monotonic() - began[name])
                    began = dict.fromkeys(limits, time.monotonic())
                continue
            counts[name][what] += 1
            if what != SURVIVED:
                print(f"{name}: {what}: {rest[0]}: {rest[1]}", flush=True)
    lacking = [name for name in limits if num_ended[name] < num_jobs]
    if lacking:
        raise RuntimeError(f"a process of the suite failed at {lacking[0]}; what it printed is above")


@contextlib.contextmanager
def _ending(children: list[int]) -> Iterator[None]:
    """Context manager: wait for the processes of the suite; after an error or Ctrl-C they are ended first."""
    try:
        yield
    except BaseException:
        for child in children:
            os.kill(child, signal.SIGTERM)
        raise
    finally:
        for child in children:
            os.waitpid(child, 0)


def _work(
    limits: dict[str, int | None], workplace: Workplace, seed: int, share: tuple[int, int], pipe: int
) -> None:
    """Run this process's share of each class, every n-th of its tries, and write what became of them into the pipe."""
    job, num_jobs = share
    for name, limit in limits.items():
        planned = CLASSES[name](workplace, Random(seed))
        chosen = range(len(planned))
        if limit is not None and limit < len(planned):
            chosen = sorted(Random(seed).sample(chosen, limit))
        for number in chosen[job::num_jobs]:
            one = planned[number]()
            line = json.dumps([name, one.outcome, one.name[:LONGEST_DETAIL], one.detail[-LONGEST_DETAIL:]])
            os.write(pipe, f"{line}\n".encode())  # whole lines, as they are short
        os.write(pipe, f"{json.dumps([name, 'end', len(planned)])}\n".encode())


def _finished(page: Path, commit: str) -> list[str]:
    """The classes of which the page has the figures of all tries at this commit."""
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", page.read_text(encoding="utf-8"), re.MULTILINE)
    cells = {name: [cell.strip() for cell in row.split("|")] for name, row in rows}
    return [
        name for name, row in cells.items() if commit in row[1:] and row[0].isdigit() and "+" not in commit
    ]


def write_row(page: Path, name: str, figures: list) -> None:
    """Replace the row of a class in the table of the page."""
    text = page.read_text(encoding="utf-8")
    row = f"| `{name}` | {' | '.join(map(str, figures))} |"
    text, found = re.subn(rf"^\| `{name}` \|.*$", lambda _: row, text, count=1, flags=re.MULTILINE)
    if not found:
        raise ValueError(f"{page}: has no row of {name}; add one: | `{name}` | {NOT_RUN} |")
    page.write_text(text, encoding="utf-8")


def _commit() -> str:
    """The last commit that changed more than the page; "+" behind it means that files differ from it."""
    about = ["--", ".", f":!{PAGE.name}"]
    commit, changed = (
        subprocess.run(["git", "-C", str(ROOT), *words, *about], capture_output=True, text=True, check=False)
        for words in (("log", "-1", "--format=%h"), ("status", "--porcelain"))
    )
    return (commit.stdout.strip() or "unknown") + ("+" if changed.stdout else "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
