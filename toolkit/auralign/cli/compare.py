"""`auralign compare`: set finished runs against each other in one ledger."""

import argparse
import subprocess
import sys
from pathlib import Path

from auralign.cli.arguments import RUN_HELP, Commands

DESCRIPTION = """\
Set the answers of finished runs against each other, and against the LLM's own answers to text, in one gap ledger. The runs are of
one test set, LLM, encoder, recognizer and decoding: several methods, several seeds, or the steps of a sweep. The recipe's
score.py says what an answer is worth.
"""


def add(commands: Commands) -> None:
    """Add the parser of `auralign compare`."""
    parser = commands.add_parser(
        "compare",
        help="set finished runs against each other",
        description=DESCRIPTION,
        epilog="example: auralign compare exp/synthetic/sift/seed_1 exp/synthetic/sift/seed_2 --output exp/seeds",
    )
    parser.add_argument("run", metavar="RUN", nargs="+", help=RUN_HELP)
    parser.add_argument(
        "--output",
        metavar="DIR",
        default="comparison",
        help="folder of the ledger (default: ./comparison)",
    )
    parser.set_defaults(do=do, overrides={})


def do(options: argparse.Namespace) -> int:
    """Run the recipe's stage 5 over the runs; returns its exit code."""
    from auralign.run_folder import RunFolder

    run = RunFolder.open(options.run[0], options.overrides)
    folder = run.recipe.source.folder
    if not (folder / "score.py").is_file():
        raise FileNotFoundError(f"no score.py in {folder}, the folder of the recipe of {options.run[0]}")
    runs = [str(Path(run).resolve()) if Path(run).exists() else run for run in options.run]
    given = {**options.overrides, "score_folder": str(Path(options.output).resolve())}
    words = [word for name, value in given.items() for word in (f"--{name}", value)]
    return subprocess.run([sys.executable, "score.py", *runs, *words], cwd=folder, check=False).returncode
