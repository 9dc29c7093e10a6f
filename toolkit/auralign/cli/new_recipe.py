"""`auralign new-recipe`: write a working recipe for a corpus of one's own."""

import argparse

from auralign.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Add the parser of `auralign new-recipe`."""
    parser = commands.add_parser(
        "new-recipe",
        help="write a working recipe for a corpus of your own",
        description="Write a recipe's folder for the corpus NAME into a checkout of auralign, ready to run and to change.",
    )
    parser.add_argument("name", metavar="NAME", help="name of the corpus, such as MyCorpus")
    parser.add_argument(
        "--folder", metavar="DIR", help="folder to write (default: recipes/NAME of this checkout)"
    )
    parser.set_defaults(do=do)


def do(options: argparse.Namespace) -> int:
    """Write the recipe and print how to go on."""
    from auralign.new import new_recipe

    folder = new_recipe(options.name, options.folder)
    print(f"{folder}: a recipe to change; edit prepare.py and score.py at the comments EDIT, then")
    print(f"{folder}/run.sh --config hparams/smoke.yaml --data DIR")
    return 0
