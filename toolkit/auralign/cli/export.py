"""`auralign export`: write what a run has trained as a model folder."""

import argparse
import sys

from auralign.cli.arguments import Commands, add_run
from auralign.publish.native.architectures import ARCHITECTURES


def add(commands: Commands) -> None:
    """Add the parser of `auralign export`."""
    parser = commands.add_parser(
        "export",
        help="write a trained connector as a model folder",
        description="Write the trained weights of a run as a model folder, or as a model of other software, after stage 3.",
        epilog="example: auralign export exp/synthetic/sift/seed_1 my_model",
    )
    add_run(parser)
    parser.add_argument("folder", metavar="FOLDER", help="model folder to write; it must not exist yet")
    parser.add_argument(
        "--as",
        dest="architecture",
        metavar="NAME",
        choices=list(ARCHITECTURES),
        help="write encoder, connector and LLM as a class of transformers that loads without auralign "
        f"({', '.join(name for name, one in ARCHITECTURES.items() if one.class_name)}), or ultravox: what vLLM reads beside the "
        "LLM; `auralign show RUN` says which fit",
    )
    parser.add_argument(
        "--llm-id",
        metavar="ID",
        help="hub id by which others find the LLM (default: its place here, or its id and commit)",
    )
    parser.add_argument("--encoder-id", metavar="ID", help="hub id of the encoder, likewise")
    parser.add_argument(
        "--dtype", help="of the stored weights: float32, bfloat16 or float16 (default: as they were trained)"
    )
    parser.add_argument(
        "--examples",
        action="store_true",
        help="with three wrong and three right answers to the test set and their recordings, for `auralign demo`; after stage 4, "
        "and only if they may be published",
    )
    parser.set_defaults(do=do)


def do(options: argparse.Namespace) -> int:
    """Write the model folder, with the report of the scores if there is one."""
    from pathlib import Path

    from auralign.decode.stage import answered_by_another
    from auralign.publish.examples import read_examples
    from auralign.publish.export import export
    from auralign.run_folder import RunFolder

    folder = Path(options.folder).resolve()
    ids = {"llm": options.llm_id, "encoder": options.encoder_id}
    run = RunFolder.open(options.run, options.overrides)
    with run.working_here():
        is_stale = answered_by_another(run)
        report = None if is_stale else run.report
        if is_stale and options.examples:
            raise ValueError(
                f"--examples: the answers in {run.hypotheses('speech')} are of another checkpoint; run stage 4 again"
            )
    examples = read_examples(options.run, overrides=options.overrides) if options.examples else []
    with run.working_here():
        export(
            run.recipe,
            folder,
            report=report,
            architecture=options.architecture,
            ids={what: name for what, name in ids.items() if name},
            dtype=options.dtype,
            examples=examples,
        )
    if is_stale:
        print(
            f"the answers of {run.folder} are of another checkpoint: the model card has no ledger; run stages 4 and 5 again",
            file=sys.stderr,
        )
    elif report is None:
        print(
            f"no ledger of this run in {run.score_folder}: the model card has none; run stages 4 and 5",
            file=sys.stderr,
        )
    print(f"{options.folder}: {run.recipe.method.name} of {run.folder}")
    return 0
