"""`auralign evaluate`: try a finished model on any test set."""

import argparse

from auralign.cli.arguments import RUN_HELP, Commands

DESCRIPTION = """\
Answer the questions of a test set from speech, from another utterance's speech and from text, and set them against each other in
the gap ledger. Nothing is trained or overwritten: each test set has a folder of its own, with the answers as JSONL.
"""


def add(commands: Commands) -> None:
    """Add the parser of `auralign evaluate`."""
    parser = commands.add_parser(
        "evaluate",
        help="try a finished model on any test set",
        description=DESCRIPTION,
        epilog='example: auralign evaluate exp/synthetic/sift/seed_1 --manifest data/other.jsonl --ask "Repeat: {speech}"',
    )
    parser.add_argument("model", metavar="RUN_OR_MODEL", help=f"model folder, or {RUN_HELP}")
    parser.add_argument(
        "--manifest",
        metavar="FILE",
        required=True,
        help="the utterances; auralign prepare writes one of any corpus",
    )
    parser.add_argument(
        "--questions",
        metavar="FILE",
        help="what is asked about them (default: NAME.questions.jsonl beside NAME.jsonl)",
    )
    parser.add_argument(
        "--ask",
        metavar="INSTRUCTION",
        action="append",
        default=[],
        help="ask this about every utterance instead; {speech} marks the position of the speech",
    )
    parser.add_argument("--output", metavar="DIR", help="the folder in which the evaluation's folder is made")
    parser.add_argument(
        "--seed", type=int, default=1, help="of the shuffled speech and the bootstrap (default: 1)"
    )
    parser.add_argument("--llm", metavar="MODEL", help="the LLM's folder or hub id, if it was moved")
    parser.add_argument("--encoder", metavar="MODEL", help="the encoder's folder or hub id, likewise")
    parser.add_argument("--device", help="cpu or cuda:N (default: that of the run, or cpu)")
    parser.set_defaults(do=do, overrides={})


def do(options: argparse.Namespace) -> int:
    """Write the answers and the ledger, and print it beside the earlier evaluations of the same model."""
    from auralign.evaluation import describe_evaluations, evaluate

    folder = evaluate(
        options.model,
        options.manifest,
        questions=options.questions,
        ask=options.ask,
        output=options.output,
        seed=options.seed,
        llm=options.llm,
        encoder=options.encoder,
        device=options.device,
        overrides=options.overrides,
    )
    print(describe_evaluations(folder))
    return 0
