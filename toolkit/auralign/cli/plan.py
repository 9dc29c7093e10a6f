"""`auralign plan`: what a run will need, before it starts."""

import argparse
import json

from auralign.cli.arguments import Commands, add_run, positive

DESCRIPTION = """\
Estimate what a run will need before it starts: parameters, memory of a device by part, the largest tokens_per_pack that
fits, steps, positions, time and disk. The models' configs are read, their weights are not. The positions are those that
stage 2 counted; before stage 2 they are estimated from the manifest and max_new_tokens. The exit code is 1 if the packs of
the recipe do not fit.
"""


def add(commands: Commands) -> None:
    """Add the parser of `auralign plan`."""
    parser = commands.add_parser(
        "plan",
        help="estimate memory, time and disk of a run before it starts",
        description=DESCRIPTION,
        epilog="example: auralign plan hparams/sift.yaml --gpus 8 --memory 80 --rate 300",
    )
    add_run(parser)
    parser.add_argument(
        "--gpus", type=int, default=1, metavar="N", help="devices that train together (default: 1)"
    )
    parser.add_argument(
        "--memory", type=positive, metavar="GB", help="memory of one device (default: that of this machine's)"
    )
    parser.add_argument(
        "--rate",
        type=positive,
        metavar="TERA",
        help="10^12 floating-point operations a second that one device does (default: measured, by products of matrices)",
    )
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.set_defaults(do=do)


def do(options: argparse.Namespace) -> int:
    """Print the plan."""
    from auralign.plan import plan
    from auralign.plan.text import describe
    from auralign.run_folder import RunFolder

    if options.gpus < 1:
        raise ValueError(f"--gpus {options.gpus}: give at least 1")
    run = RunFolder.open(options.run, options.overrides)
    with run.working_here():
        found = plan(
            run,
            gpus=options.gpus,
            memory=options.memory and options.memory * 1e9,
            rate=options.rate and options.rate * 1e12,
        )
    print(json.dumps(found.to_dict(), indent=2) if options.json else describe(found, run, gpus=options.gpus))
    return 0 if found.fits else 1
