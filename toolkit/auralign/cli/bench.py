"""`auralign bench`: measure auralign's speed on this machine."""

import argparse

from auralign.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Add the parser of `auralign bench`."""
    parser = commands.add_parser(
        "bench",
        help="measure the speed of auralign on this machine",
        description="Measure speed on this machine, in CPU seconds. BENCHMARKS.md of the checkout has figures.",
    )
    parser.add_argument(
        "name", nargs="*", metavar="NAME", help="name of a benchmark, such as scan (default: all)"
    )
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="runs of each (default: 5)")
    parser.set_defaults(do=do)


def do(options: argparse.Namespace) -> int:
    """Run the benchmarks and print a line of each."""
    from auralign.bench import BENCHMARKS

    unknown = [name for name in options.name if name not in BENCHMARKS]
    if unknown:
        raise ValueError(f"no benchmark {unknown[0]!r}; there are: {', '.join(BENCHMARKS)}")
    if options.repeats < 1:
        raise ValueError(f"--repeats {options.repeats}: give at least 1")
    for name in options.name or BENCHMARKS:
        print(BENCHMARKS[name](options.repeats), flush=True)
    return 0
