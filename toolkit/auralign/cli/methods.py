"""`auralign methods`: list the installed alignment methods, describe one, or check that all can be loaded."""

import argparse
import inspect
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from auralign.cli.arguments import Commands

if TYPE_CHECKING:
    from auralign.method import AlignmentMethod
    from auralign.plugins import MethodEntry

MAX_OPTION = 80  # characters of an option that are shown


def add(commands: Commands) -> None:
    """Add the parser of `auralign methods`."""
    parser = commands.add_parser(
        "methods",
        help="list the installed alignment methods, or describe one",
        description="List the installed alignment methods, describe one, or check that all can be loaded.",
    )
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="print the file, options and description of this method"
    )
    parser.add_argument(
        "--check", action="store_true", help="import every method and report those that cannot be loaded"
    )
    parser.set_defaults(do=do)


def do(options: argparse.Namespace) -> int:
    """Print the list, the description or the check; returns 1 if there are no methods, or if a checked one fails."""
    from auralign.plugins import find_methods

    if options.name:
        _describe(options.name)
        return 0
    entries = find_methods()
    if options.check:
        return _check(entries)
    rows = [(entry.name, *_summarise(entry), f"{entry.package} {entry.version}") for entry in entries]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    if not entries:
        print("no alignment methods are announced; install auralign again: pip install -e .", file=sys.stderr)
    return 0 if entries else 1


def _summarise(entry: "MethodEntry") -> tuple[str, str]:
    """Fidelity and paper of a method, or a remark that it cannot be loaded: a broken method hides no other."""
    from auralign.method import cite
    from auralign.plugins import MethodError, load_class

    try:
        method = load_class(entry)
    except MethodError:
        return "broken", "cannot be loaded: auralign methods --check"
    return method.fidelity, cite(method.paper)


def _check(entries: Sequence["MethodEntry"]) -> int:
    """Load every method and print the result of each; returns 1 if one fails."""
    from auralign.plugins import MethodError, find_method, load_class

    num_failed = 0
    for entry in entries:
        try:
            find_method(entry.name)
            load_class(entry)
            print(f"ok    {entry.name}")
        except MethodError as error:
            num_failed += 1
            print(f"FAIL  {entry.name}: {error}")
    return 1 if num_failed else 0


def _describe(name: str) -> None:
    """Print a method's package, version, file and line, options and docstring."""
    from auralign.method import cite
    from auralign.plugins import find_method, load_class

    entry = find_method(name)
    method = load_class(entry)
    file, (_, line) = inspect.getsourcefile(method), inspect.getsourcelines(method)
    facts = [
        f"{name} (version {_version(name, method)}) of {entry.package} {entry.version}",
        method.fidelity,
        cite(method.paper),
    ]
    print(", ".join(fact for fact in facts if fact))
    print(f"{file}:{line}")
    published = Path(file or "").parent / "as_published" / f"{name}.yaml"
    if published.is_file():
        print(f"{published}: the values of its paper")
    options = [str(parameter) for parameter in inspect.signature(method).parameters.values()]
    shown = [option if len(option) <= MAX_OPTION else f"{option[:MAX_OPTION]}..." for option in options]
    print(f"load_method({', '.join([repr(name), *shown])})\n")
    print(inspect.getdoc(method))


def _version(name: str, method: type["AlignmentMethod"]) -> str:
    """The version of a class, with its default options if it depends on them."""
    if isinstance(method.version, str):
        return method.version
    from auralign.plugins import load_method

    try:
        return load_method(name).version
    except ValueError:  # it has an option without a default, or cannot be made
        return "depends on its options"
