"""`auralign bench`: measure auralign's speed on this machine."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from auralign.cli.arguments import Commands

if TYPE_CHECKING:
    from auralign.bench import Row, Settings

REPORT, ALL = "report", "all"
SHOWN_COMMIT = 9


def add(commands: Commands) -> None:
    """Add the parser of `auralign bench`."""
    parser = commands.add_parser(
        "bench",
        help="measure the speed of auralign on this machine",
        description="Measure speed on this machine, in CPU seconds. BENCHMARKS.md of the checkout has figures. Exit code 1: a "
        "gate failed, so that a row is void.",
    )
    parser.add_argument(
        "name",
        nargs="*",
        metavar="NAME",
        help="a benchmark, such as scan, or all; without one they are listed; with the word report before, rows of BENCHMARKS.md "
        "are printed",
    )
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="runs of each (default: 5)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default: cpu")
    parser.add_argument(
        "--scale",
        default="tiny",
        metavar="SCALE",
        help="random models of real classes: tiny (default), small or 7b-random; or the folder of an LLM",
    )
    parser.set_defaults(do=do)


def do(options: argparse.Namespace) -> int:
    """Run the benchmarks and print their rows, or list what there is; returns 1 if a row is void."""
    from importlib import import_module
    from pathlib import Path

    from auralign.bench import BENCHMARKS, SCALES, Settings
    from auralign.environment import describe_environment

    names = [name for name in options.name if name != REPORT]
    unknown = [name for name in names if name not in BENCHMARKS and name != ALL]
    if unknown:
        raise ValueError(f"no benchmark {unknown[0]!r}; there are: {', '.join([*BENCHMARKS, ALL, REPORT])}")
    if options.repeats < 1:
        raise ValueError(f"--repeats {options.repeats}: give at least 1")
    if options.scale not in SCALES and not Path(options.scale, "config.json").is_file():
        raise ValueError(
            f"--scale {options.scale}: use {', '.join(SCALES)} or the folder of an LLM, which has a config.json"
        )
    if not names:
        for module in BENCHMARKS.values():
            print((import_module(module).__doc__ or module).splitlines()[0])
        return 0
    names = list(BENCHMARKS) if ALL in names else names
    settings, code = Settings(options.device, options.scale, options.repeats), 0
    for name in names:
        for row in _rows(name, settings):
            code = max(code, int(bool(row.void)))
            if REPORT in options.name:
                print(_markdown(name, row, settings, describe_environment()), flush=True)
            else:
                print(f"{name}: {row}", flush=True)
    return code


def _rows(name: str, settings: "Settings") -> "Iterator[Row]":
    """The rows of a benchmark; one that says "not run" if the machine has no such device."""
    import torch

    from auralign.bench import Row, run

    torch.set_num_threads(1)  # CPU seconds of several threads also count their waiting
    if settings.device == "cuda" and not torch.cuda.is_available():
        yield Row(f"{name} on a GPU", "not run: this machine has none that torch can use")
    else:
        yield from run(name, settings)


def _markdown(name: str, row: "Row", settings: "Settings", found: dict) -> str:
    """A row of the table of BENCHMARKS.md: what, command, figure, commit with hardware and versions."""
    command = f"auralign bench {name} --device {settings.device} --scale {settings.scale} --repeats {settings.repeats}"
    figure = f"VOID: {row.void}" if row.void else "; ".join(filter(None, (row.figure, row.bar)))
    versions = ", ".join(f"{library} {found['versions'][library]}" for library in ("torch", "transformers"))
    commit = found["commit"].removesuffix("-dirty")[:SHOWN_COMMIT] + (
        "-dirty" if found["commit"].endswith("-dirty") else ""
    )
    cells = (row.what, f"`{command}`", figure, f"{commit or 'no commit'}, {found['hardware']}, {versions}")
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
