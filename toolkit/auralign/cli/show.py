"""`auralign show`: print one example as the model reads it."""

import argparse

from auralign.cli.arguments import Commands, import_from_working_folder


def add(commands: Commands) -> None:
    """Add the parser of `auralign show`."""
    parser = commands.add_parser(
        "show",
        help="print one example as the model reads it",
        description="Print the rendered views of one utterance: text, token ids, positions, tags, loss mask.",
    )
    parser.add_argument("method", metavar="METHOD", help="name of a YAML in hparams/, or the path of one")
    parser.add_argument("--utt", metavar="ID", help="utterance id (default: the first of the training set)")
    parser.set_defaults(do=do)


def do(options: argparse.Namespace) -> int:
    """Print the views."""
    from auralign.show import show

    import_from_working_folder()
    show(options.method, options.utt)
    return 0
