"""`auralign check-config`: list what a YAML would construct."""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from auralign.cli.arguments import Commands, import_from_working_folder

DESCRIPTION = """\
List every object that a YAML names, with its key, its line and whether it is allowed. Nothing is constructed, and files beside
the recipe are not even imported. The exit code is 1 if something is refused: the YAML then needs --trust-config, or other parts.
"""


SWITCH = "trust_remote_code"  # no object, but it lets code run all the same


def add(commands: Commands) -> None:
    """Add the parser of `auralign check-config`."""
    parser = commands.add_parser(
        "check-config",
        help="list what a YAML would construct, without constructing it",
        description=DESCRIPTION,
        epilog="example: auralign check-config hparams/sift.yaml",
    )
    parser.add_argument(
        "yaml", metavar="YAML", nargs="+", help="path of a YAML, or the name of one in hparams/"
    )
    parser.set_defaults(do=do)


def do(options: argparse.Namespace) -> int:
    """Print one line for each object; 1 if one of them is refused."""
    from auralign.run_folder import find_yaml

    import_from_working_folder()
    return max([_check(find_yaml(name)) for name in options.yaml])


def _check(path: Path) -> int:
    from auralign.recipe.file import check_keys, read_text
    from auralign.recipe.nodes import find_tagged, parse
    from auralign.recipe.trust import REPAIR, own_folders, review

    text = read_text(path)
    nodes = parse(text, path)
    check_keys(set(nodes), text, path)
    folders, num_refused = own_folders(path), 0
    for value in find_tagged(nodes):
        is_allowed, why = review(value, folders)
        num_refused += not is_allowed
        print(
            f"{path}:{value.line}: {value.key}: {value.shown}: {'allowed' if is_allowed else 'refused'}: {why}"
        )
    for node in _switches(nodes):
        print(f"{path}:{node.start_mark.line + 1}: {SWITCH}: Python code in the LLM's folder would run")
    if num_refused:
        print(f"{path}: {num_refused} refused; {REPAIR}")
    return int(num_refused > 0)


def _switches(nodes: Mapping[str, Any]) -> Iterator[Any]:
    """The nodes of `trust_remote_code: True`, at any depth."""
    for name, node in nodes.items():
        if name == SWITCH and str(node.value).lower() == "true":
            yield node
        if node.id == "mapping":
            yield from _switches({str(key.value): value for key, value in node.value})
        elif node.id == "sequence":
            yield from _switches({str(number): value for number, value in enumerate(node.value)})
