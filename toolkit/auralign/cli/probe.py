"""`auralign probe`: what happens inside a trained model."""

import argparse
import sys

from auralign.cli.arguments import Commands, add_run

DESCRIPTION = """\
Measure what happens inside the trained model of a run: how far its answers are drawn from the speech and how far from the
instruction, layer by layer, against the original LLM that reads the text; how alike speech and text are to the LLM (linear CKA);
and what the LLM forgot of text, if it is trained. Every value has an interval over speakers. Writes probe.html, probe.md,
probe.png and probe.json; docs/probe.md defines every measure.
"""


def add(commands: Commands) -> None:
    """Add the parser of `auralign probe`."""
    parser = commands.add_parser(
        "probe",
        help="measure the flow from speech and instruction, CKA and forgetting",
        description=DESCRIPTION,
        epilog="example: auralign probe exp/synthetic/sift/seed_1 --sample 200",
    )
    add_run(parser)
    parser.add_argument(
        "--sample",
        type=int,
        default=100,
        metavar="N",
        help="questions of the test set that are asked, drawn at random (default: %(default)s)",
    )
    parser.add_argument(
        "--probe-seed",
        type=int,
        default=1,
        metavar="N",
        help="of the sample and the intervals (default: 1)",
    )
    parser.add_argument(
        "--output", metavar="DIR", help="the folder that is written (default: probe, in the run's folder)"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(do=do)


def do(options: argparse.Namespace) -> int:
    """Write the page and print the result."""
    from auralign.probe.page import HTML, JSON, format_text
    from auralign.probe.run import probe, read_probe

    folder = probe(
        options.run,
        output=options.output,
        sample=options.sample,
        seed=options.probe_seed,
        overrides=options.overrides,
    )
    print((folder / JSON).read_text(encoding="utf-8") if options.json else format_text(read_probe(folder)))
    print(f"probe: the page is {folder / HTML}", file=sys.stderr)
    return 0
