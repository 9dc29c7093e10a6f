"""`auralign push`: upload a model folder, or the targets of a run, to the Hugging Face hub."""

import argparse
import sys

from auralign.cli.arguments import Commands, add_trust, trust_of


def add(commands: Commands) -> None:
    """Add the parser of `auralign push`."""
    parser = commands.add_parser(
        "push",
        help="upload a model folder, or the targets of a run, to the hub",
        description="Upload a model folder to the Hugging Face hub with its card, or with --targets a run's targets.",
        epilog="example: auralign push my_model me/my-model --license apache-2.0; log in first: hf auth login",
    )
    parser.add_argument(
        "source", metavar="MODEL", help="model folder; with --targets the output folder of a run"
    )
    parser.add_argument("id", metavar="ID", help="where to, on the hub: org/name")
    parser.add_argument("--targets", action="store_true", help="upload the targets of a run, as a data set")
    parser.add_argument(
        "--license", metavar="LICENCE", help="such as apache-2.0 (default: what the model's card says)"
    )
    parser.add_argument(
        "--language", metavar="CODE", action="append", default=[], help="such as en (default: the data's)"
    )
    parser.add_argument(
        "--dataset", metavar="ID", action="append", default=[], help="training data of a model, on the hub"
    )
    parser.add_argument("--private", action="store_true", help="make a new repository private")
    add_trust(parser)
    parser.set_defaults(do=do)


def do(options: argparse.Namespace) -> int:
    """Upload, and print the address and what others will miss."""
    from auralign.publish.exchange import push_model, push_targets
    from auralign.run_folder import RunFolder

    common = {"license": options.license, "languages": options.language, "private": options.private}
    if options.targets:
        if options.dataset:
            raise ValueError("--dataset: of a model's card; leave it out with --targets")
        run = RunFolder.open(options.source, trust_of(options))
        with run.working_here():
            address, notes = push_targets(run, options.id, **common)
    else:
        address, notes = push_model(options.source, options.id, datasets=options.dataset, **common)
    for note in notes:
        print(f"{options.id}: {note}", file=sys.stderr)
    print(address)
    return 0
