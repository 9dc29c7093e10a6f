"""Run classes of faults and write their figures into RELIABILITY.md.

python -m faults [--only CLASS,CLASS] [--limit N] [--fast] [--soak HOURS]; tools/fault_suite.sh sets its environment.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from faults.contents import control_tokens, model_folders, plugins, yaml_canaries
from faults.flips import flips
from faults.interruptions import full_disk, kills, signals
from faults.trying import LOST, SILENT, SURVIVED
from faults.workplace import Workplace

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "RELIABILITY.md"
CLASSES = {
    one.__name__: one
    for one in (kills, flips, signals, control_tokens, yaml_canaries, model_folders, plugins, full_disk)
}
NOT_RUN = "not run"
# Tries of each class in the fast part; a full disk is for the whole suite.
FAST = {
    "kills": 4,
    "flips": 3,
    "signals": 2,
    "control_tokens": 100,
    "yaml_canaries": 150,
    "model_folders": 10,
    "plugins": 15,
    "full_disk": 0,
}


def main(argv: list[str]) -> int:
    """Run the classes, print the faults that did not survive and the figures; 1 if there is one."""
    parser = argparse.ArgumentParser(prog="tools/fault_suite.sh", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--only", default=",".join(CLASSES), metavar="CLASS,CLASS", help="default: %(default)s"
    )
    parser.add_argument("--fast", action="store_true", help="some tries of each class; nothing is written")
    parser.add_argument(
        "--limit", type=int, metavar="N", help="at most N tries of each class, drawn from all (default: all)"
    )
    parser.add_argument(
        "--soak", type=float, default=0, metavar="HOURS", help="repeat the classes with other seeds"
    )
    options = parser.parse_args(argv)
    names = options.only.split(",")
    unknown = [name for name in names if name not in CLASSES]
    if unknown:
        parser.error(f"--only {unknown[0]}: no such class; there are {', '.join(CLASSES)}")
    began, seed, num_faults, commit = time.monotonic(), 1, 0, _commit()
    with tempfile.TemporaryDirectory(prefix="faults.") as folder:
        workplace = Workplace(Path(folder))
        while True:
            for name in names:
                limit = FAST[name] if options.fast else options.limit
                num_faults += _run(name, workplace, Random(seed), limit, None if options.fast else commit)
            seed += 1
            if time.monotonic() - began >= 3600 * options.soak:
                return int(num_faults > 0)


def _run(name: str, workplace: Workplace, random: Random, limit: int | None, commit: str | None) -> int:
    """Run one class, print its figures, and write them if the commit is given.

    Returns the number of faults that did not survive.
    """
    began, counts = time.monotonic(), Counter()
    planned = [] if limit == 0 else CLASSES[name](workplace, random)
    if limit is not None and limit < len(planned):
        planned = [planned[number] for number in sorted(random.sample(range(len(planned)), limit))]
    for plan in planned:
        one = plan()
        counts[one.outcome] += 1
        if one.outcome != SURVIVED:
            print(f"{name}: {one.outcome}: {one.name}: {one.detail}", flush=True)
    figures = [len(planned), counts[SURVIVED], counts[LOST], counts[SILENT]] if planned else [NOT_RUN] * 4
    print(
        f"{name}: tries {figures[0]}, survived {figures[1]}, lost {figures[2]}, silent {figures[3]}",
        flush=True,
    )
    if commit and planned:
        when = [round(time.monotonic() - began), commit, f"{datetime.now(UTC):%Y-%m-%d}"]
        write_row(PAGE, name, [*figures, *when])
    return counts[LOST] + counts[SILENT]


def write_row(page: Path, name: str, figures: list) -> None:
    """Replace the row of a class in the table of the page."""
    text = page.read_text(encoding="utf-8")
    row = f"| `{name}` | {' | '.join(map(str, figures))} |"
    text, found = re.subn(rf"^\| `{name}` \|.*$", lambda _: row, text, count=1, flags=re.MULTILINE)
    if not found:
        raise ValueError(f"{page}: has no row of {name}; add one: | `{name}` | {NOT_RUN} |")
    page.write_text(text, encoding="utf-8")


def _commit() -> str:
    """The commit that is attacked; "+" behind it means that files differ from it, other than the page itself."""
    git = ["git", "-C", str(ROOT)]
    commit = subprocess.run(
        [*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    changed = subprocess.run(
        [*git, "status", "--porcelain", "--", ".", f":!{PAGE.name}"],
        capture_output=True,
        text=True,
        check=False,
    )
    return (commit.stdout.strip() or "unknown") + ("+" if changed.stdout else "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
