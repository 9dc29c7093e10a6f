"""What the commands share: types of arguments, and the import path of a recipe's folder."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]
else:
    Commands = argparse._SubParsersAction


def number(text: str) -> float:
    """A number of at least 0, as a type for argparse, which names this function in its message; NaN is refused."""
    value = float(text)
    if not value >= 0:
        raise ValueError
    return value


def parse_pairs(given: Sequence[str], option: str) -> dict[str, str]:
    """{"a": "b"} from ["a=b"]; raises ValueError, naming the option, on anything else and on a name given twice."""
    found: dict[str, str] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not (name and equals and value) or name in found:
            raise ValueError(f"{option} {pair}: expected NAME=VALUE, each name once")
        found[name] = value
    return found


RUN_HELP = "output folder of a run, or a YAML, or the name of one in hparams/; keys of the YAML can follow, such as --seed 2"


def add_run(parser: argparse.ArgumentParser) -> None:
    """The argument by which a command finds a run, with `options.overrides` for keys of its YAML."""
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.set_defaults(overrides={})


def parse_overrides(words: list[str]) -> dict[str, str]:
    """Values by key, of what follows a command's own options.

    Raises RecipeError on words that belong to no option.
    """
    from auralign.recipe import RecipeError, parse_arguments

    others, overrides = parse_arguments(words)
    if others:
        raise RecipeError(f"unexpected argument {others[0]!r}")
    return overrides


def import_from_working_folder() -> None:
    """Make modules in the working folder importable, as they are for a recipe's scripts: its YAML may name them."""
    sys.path.append(os.getcwd())
