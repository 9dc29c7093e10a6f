"""`auralign new-method`: write a working package for an alignment method of one's own."""

import argparse

from auralign.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Add the parser of `auralign new-method`."""
    parser = commands.add_parser(
        "new-method",
        help="write a working package for an alignment method of your own",
        description="Write a folder with a method, its entry point and its test, ready to install and to change.",
    )
    parser.add_argument("name", metavar="NAME", help="name of the method, such as keyword_spotting")
    parser.add_argument("--folder", metavar="DIR", help="folder to write (default: ./auralign-NAME)")
    parser.set_defaults(do=do)


def do(options: argparse.Namespace) -> int:
    """Write the package and print how to install and test it."""
    from auralign.new import new_method

    folder = new_method(options.name, options.folder)
    print(f"{folder}: a method {options.name!r} to change; pip install -e {folder}, then pytest {folder}")
    return 0
