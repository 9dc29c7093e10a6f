"""`auralign export`: write a trained connector as a model folder."""

import argparse

from auralign.cli.arguments import Commands, import_from_working_folder


def add(commands: Commands) -> None:
    """Add the parser of `auralign export`."""
    parser = commands.add_parser(
        "export",
        help="write a trained connector as a model folder",
        description="Write a recipe's best checkpoint as a model folder; run it in the recipe's folder, after stage 3.",
    )
    parser.add_argument("method", metavar="METHOD", help="name of a YAML in hparams/, or the path of one")
    parser.add_argument("folder", metavar="FOLDER", help="model folder to write; it must not exist yet")
    parser.set_defaults(do=do)


def do(options: argparse.Namespace) -> int:
    """Write the model folder, with the report of the scores if there is one."""
    from pathlib import Path

    from auralign.hparams import load_hparams
    from auralign.pretrained import export
    from auralign.show import find_yaml

    import_from_working_folder()
    hparams = load_hparams(find_yaml(options.method))
    report = Path(hparams.score_folder) / "report.md"
    export(hparams, options.folder, report=report if report.is_file() else None)
    print(f"{options.folder}: {hparams.method.name} of {hparams.output_folder}")
    return 0
