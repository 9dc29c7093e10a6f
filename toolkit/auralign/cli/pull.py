"""`auralign pull`: copy a model folder from the Hugging Face hub."""

import argparse

from auralign.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Add the parser of `auralign pull`."""
    parser = commands.add_parser(
        "pull",
        help="copy a model folder from the hub",
        description="Copy a model folder from the Hugging Face hub; auralign ask and auralign.load take its id without that.",
        epilog="example: auralign pull me/my-model my_model",
    )
    parser.add_argument("id", metavar="ID", help="on the hub: org/name, or org/name@revision")
    parser.add_argument("folder", metavar="FOLDER", help="folder to write; it must not exist yet")
    parser.set_defaults(do=do)


def do(options: argparse.Namespace) -> int:
    """Write the folder."""
    from auralign.publish.exchange import pull_model

    pull_model(options.id, options.folder)
    print(f"{options.folder}: {options.id}")
    return 0
