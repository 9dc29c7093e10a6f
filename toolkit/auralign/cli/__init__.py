"""The command `auralign`, one module a command.

A command's module has `add(commands)`, which adds its parser, and `do(options)`, which runs it and returns the exit code. Only
`do` imports what the command needs, so that `auralign --help` answers at once.
"""

import argparse
import re

from auralign import __version__, script
from auralign.cli import (
    align,
    ask,
    audit,
    bench,
    build,
    chat,
    check_config,
    compare,
    demo,
    evaluate,
    export,
    methods,
    new_method,
    new_recipe,
    plan,
    prepare,
    probe,
    pull,
    push,
    serve,
    show,
)
from auralign.cli.arguments import parse_overrides

COMMANDS = (
    methods,
    prepare,
    build,
    align,
    audit,
    plan,
    bench,
    show,
    check_config,
    new_method,
    new_recipe,
    evaluate,
    compare,
    probe,
    export,
    push,
    pull,
    ask,
    chat,
    demo,
    serve,
)  # as --help lists them
OPTION = re.compile(
    r"^--[a-z]\w*(?:[-_]\w+)*(?=$|=)"
)  # --max_seconds means --max-seconds: YAML keys have underscores


def main() -> None:
    """Entry point of the console script."""
    script.run(run)


def run(argv: list[str]) -> int:
    """Parse the arguments, run the command that they name and return its exit code."""
    parser = make_parser()
    options, rest = parser.parse_known_args(
        [OPTION.sub(lambda name: name[0].replace("_", "-"), word) for word in argv]
    )
    if rest and "words" in options and not any(word.startswith("-") for word in rest):
        options.words += rest  # those behind an option, which argparse leaves
        rest = []
    if rest and "overrides" not in options:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        options.overrides = parse_overrides(rest)
    code: int = options.do(options)
    return code


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="auralign",
        description="Gives text LLMs ears, with targets that the LLM writes itself.",
        epilog="Training runs from a recipe's folder, for example egs/digits/run.sh --help.",
    )
    parser.add_argument("--version", action="version", version=f"auralign {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(commands)
    return parser
