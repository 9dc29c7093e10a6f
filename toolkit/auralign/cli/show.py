"""`auralign show`: print one example as the model reads it."""

import argparse

from auralign.cli.arguments import Commands, add_run


def add(commands: Commands) -> None:
    """Add the parser of `auralign show`."""
    parser = commands.add_parser(
        "show",
        help="print one example as the model reads it",
        description="Print the rendered views of one utterance: text, token ids, positions, tags, loss mask.",
    )
    add_run(parser)
    parser.add_argument("--utt", metavar="ID", help="utterance id (default: the first of the training set)")
    parser.set_defaults(do=do)


def do(options: argparse.Namespace) -> int:
    """Print the views."""
    from auralign.run_folder import RunFolder
    from auralign.show import show

    run = RunFolder.open(options.run, options.overrides)
    with run.working_here():
        show(run, options.utt)
    return 0
