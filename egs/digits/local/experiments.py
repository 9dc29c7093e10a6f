"""Run registered experiments, and write what they show to RESULTS.md.

    python local/experiments.py drift               all runs of an experiment; the same command goes on after an interruption
    python local/experiments.py drift --quick       one LLM and one connector, three arms
    python local/experiments.py drift --estimate    say how long it takes, and run nothing
    python local/experiments.py drift --speech recorded     train on recordings, and test on a speaker that training lacks

Reads: experiments.yaml, models/; data/synthetic/, or data/recorded/ and exp/recorded/models/encoder
Writes: exp/experiments/<run>.json with the facts of each run, and after each run exp/experiments/RESULTS.md and, unless that has
more runs, RESULTS.md; of recordings exp/recorded/experiments/ and RESULTS.recorded.md
"""

import argparse
import statistics
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import yaml

from auralign import script
from auralign.environment import describe_environment
from auralign.files import read_json, write_atomically, write_json
from experiment_page import publish, render
from experiment_plan import REGISTRATION, Run, plan, read_registered


@dataclass(frozen=True)
class Place:
    """Where the runs with synthetic or recorded speech are, the manifests that they read, their page, and their encoder if it is
    not that of the YAML."""

    speech: str
    folder: Path
    data: Path
    page: Path
    encoder: Path | None = None


PLACES = {
    place.speech: place
    for place in (
        Place("synthetic", Path("exp/experiments"), Path("data/synthetic"), Path("RESULTS.md")),
        Place(
            "recorded",
            Path("exp/recorded/experiments"),
            Path("data/recorded"),
            Path("RESULTS.recorded.md"),
            encoder=Path("exp/recorded/models/encoder"),
        ),
    )
}
SYNTHETIC_ALONE = "attributes"  # a program; recordings have no labels of speed and pitch
SECONDS = {
    "llm": 120,
    "start": 60,
    "drift": 60,
    "targets": 150,
    "place": 150,
    "cause": 60,
    "bias": 60,
    "attributes": 120,
    "attributes_taught": 300,
}  # of a core, until some are measured


def read_rows(folder: Path) -> dict[str, dict]:
    """The facts of all finished runs in a folder, by name."""
    paths = sorted(path for path in folder.rglob("*.json") if not (path.parent / "config.json").exists())
    return {str(path.relative_to(folder).with_suffix("")): read_json(path) for path in paths}


def keep_registered(registered: dict, rows: dict[str, dict], folder: Path) -> None:
    """Write the registration beside the runs that are made of it; experiments and arms may be added to it.

    Raises ValueError if what an experiment with runs has registered was changed since.
    """
    path, used = folder / "registered.yaml", {row["experiment"] for row in rows.values()} - {""}

    def frozen(found: dict) -> dict:
        shared = {
            name: value for name, value in found.items() if name not in ("experiments", "quick", "arms")
        }
        known = {name: found["experiments"].get(name) for name in used}
        known |= {
            name: how for name, how in found["experiments"].items() if used.intersection(how.get("from", ()))
        }
        named = {arm for how in known.values() for arm in (how or {}).get("arms", ())}
        return {**shared, **known, "arms": {arm: how for arm, how in found["arms"].items() if arm in named}}

    if path.is_file() and rows:
        before, now = frozen(yaml.safe_load(path.read_text(encoding="utf-8"))), frozen(registered)
        changed = [name for name in now if name in before and now[name] != before[name]]
        if changed:
            raise ValueError(
                f"{REGISTRATION}: {', '.join(changed)} was changed after the runs in {folder}; undo that, give the changed "
                f"experiment another name, or move {folder} away"
            )
    folder.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as file:
        yaml.safe_dump(registered, file, sort_keys=False)


def estimate(runs: list[Run], rows: dict[str, dict]) -> float:
    """CPU seconds of the runs that are not finished: of each kind the median of finished ones, if there are any."""

    def sort_of(run) -> str:
        return run["experiment"] or run["kind"]

    measured: dict[str, list[float]] = {}
    for row in rows.values():
        measured.setdefault(sort_of(row), []).append(row["cpu_seconds"])
    typical = SECONDS | {name: statistics.median(found) for name, found in measured.items()}
    return sum(typical[sort_of(asdict(run))] for run in runs if run.name not in rows)


def run_all(runs: list[Run], *, command: str, registered: dict, place: Place) -> None:
    """Make the runs that have no row, and the page after each."""
    finished = read_rows(place.folder)
    keep_registered(registered, finished, place.folder)
    missing = [run for run in runs if run.name not in finished]
    if not missing:  # the page may be another, as of another version
        publish_all(registered, place)
        return
    from experiment_runs import Bench  # with torch

    environment = describe_environment()  # before the page, which is tracked, is written
    bench = Bench(registered, folder=place.folder, data=place.data, encoder=place.encoder)
    for run in missing:
        print(f"== {run.name}", flush=True)
        begun, begun_cpu = time.monotonic(), time.process_time()
        facts = bench.make(run)
        spent = {"cpu_seconds": time.process_time() - begun_cpu, "seconds": time.monotonic() - begun}
        write_json(
            place.folder / f"{run.name}.json",
            {
                **asdict(run),
                **facts,
                **{name: round(value, 1) for name, value in spent.items()},
                **environment,
                "command": command,
                "finished": datetime.now(UTC).isoformat(timespec="minutes"),
            },
        )
        publish_all(registered, place)


def publish_all(registered: dict, place: Place) -> None:
    """Write the page of the finished runs beside them, and in place of the tracked one if that is not of more."""
    page = render(registered, read_rows(place.folder), speech=place.speech)
    for path in (place.folder / place.page.name, place.page):
        publish(path, page)


def main(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", help="registered experiments, separated by commas")
    parser.add_argument("--quick", action="store_true", help="one LLM, one connector, three arms")
    parser.add_argument("--llms", type=int, help="the first so many LLMs alone (default: all)")
    parser.add_argument(
        "--connectors", type=int, help="the first so many connectors of each LLM alone (default: all)"
    )
    parser.add_argument("--speech", choices=PLACES, default="synthetic", help="default: synthetic")
    parser.add_argument("--estimate", action="store_true", help="say how long it takes, and run nothing")
    options = parser.parse_args(argv)
    registered, place = read_registered(), PLACES[options.speech]
    known = registered["experiments"]
    lacking = [
        name for name in options.names.split(",") if known.get(name, {}).get("program") == SYNTHETIC_ALONE
    ]
    if lacking and place.speech == "recorded":
        parser.error(
            f"--speech recorded: {', '.join(lacking)} needs labels that recordings lack; leave it out"
        )
    runs = {
        run.name: run
        for name in options.names.split(",")
        for run in plan(
            registered,
            name,
            quick=options.quick,
            num_llms=options.llms,
            num_connectors=options.connectors,
        )
    }
    rows = read_rows(place.folder)
    finished = sum(name in rows for name in runs)
    minutes = estimate(list(runs.values()), rows) / 60
    print(
        f"{options.names}: {len(runs)} runs, {finished} of them finished; about {minutes:.0f} minutes on a free core",
        flush=True,
    )
    if not options.estimate:
        command = (
            f"./run.sh{' --speech recorded' * (place.speech == 'recorded')} --experiment {options.names}"
        )
        command += " --quick" * options.quick
        counts = [
            f"--{name} {value}"
            for name, value in (("llms", options.llms), ("connectors", options.connectors))
            if value
        ]
        command += f" -- {' '.join(counts)}" * bool(counts)
        run_all(list(runs.values()), command=command, registered=registered, place=place)
        own, tracked = place.folder / place.page.name, place.page
        print(f"results: {own}")
        if own.read_bytes() != tracked.read_bytes():
            print(f"{tracked} is of more runs than there are in {place.folder}, and stays")


if __name__ == "__main__":
    script.run(main)
