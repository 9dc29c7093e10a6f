"""The command `auralign`: what is installed, and what one example looks like."""

import argparse
import inspect
import sys

from auralign import __version__, script


def main() -> None:
    """Entry point of the console script."""
    script.run(run)


def run(argv: list[str]) -> int:
    """Parse the command line and do what it says; returns the exit code."""
    options = make_parser().parse_args(argv)
    return options.do(options) or 0


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands; nothing heavy is imported for it."""
    parser = argparse.ArgumentParser(
        prog="auralign",
        description="Gives text LLMs ears, with targets that the LLM writes itself.",
        epilog="Training runs from a recipe's folder, for example egs/digits/run.sh --help.",
    )
    parser.add_argument("--version", action="version", version=f"auralign {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    methods = commands.add_parser(
        "methods",
        help="list the installed alignment methods, or describe one",
        description="List the installed alignment methods, describe one, or check that all can be loaded.",
    )
    methods.add_argument(
        "name", nargs="?", metavar="NAME", help="print the file, options and description of this method"
    )
    methods.add_argument(
        "--check", action="store_true", help="import every method and say what is wrong with those that fail"
    )
    methods.set_defaults(do=do_methods)
    show = commands.add_parser(
        "show",
        help="print one example as the model reads it",
        description="Print the rendered views of one utterance: text, token ids, positions, tags, loss mask.",
    )
    show.add_argument("method", metavar="METHOD", help="name of a YAML in hparams/, or the path of one")
    show.add_argument("--utt", metavar="ID", help="utterance id; the first of the training set unless given")
    show.set_defaults(do=do_show)
    return parser


def do_methods(options) -> int:
    """`auralign methods`."""
    from auralign.plugins import find_methods

    if options.name:
        return describe_method(options.name)
    entries = find_methods()
    if options.check:
        return check_methods(entries)
    width = max((len(entry.name) for entry in entries), default=0)
    for entry in entries:
        print(f"{entry.name:<{width}}  {entry.package} {entry.version}  {entry.value}")
    if not entries:
        print("no alignment methods are announced; install auralign again: pip install -e .", file=sys.stderr)
    return 0 if entries else 1


def check_methods(entries) -> int:
    """Load every method; one that fails hides no other. Returns 1 where one fails."""
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


def describe_method(name: str) -> int:
    """Print where a method comes from, what it takes and what it says of itself."""
    from auralign.plugins import find_method, load_class

    entry = find_method(name)
    method = load_class(entry)
    file, (_, line) = inspect.getsourcefile(method), inspect.getsourcelines(method)
    print(f"{name} (version {method.version}) of {entry.package} {entry.version}, arXiv:{method.paper}")
    print(f"{file}:{line}")
    print(
        f"load_method({name!r}{''.join(f', {parameter}' for parameter in inspect.signature(method).parameters.values())})\n"
    )
    print(inspect.getdoc(method))
    return 0


def do_show(options) -> int:
    """`auralign show`."""
    from auralign.show import show

    show(options.method, options.utt)
    return 0


if __name__ == "__main__":
    main()
