"""`auralign build`: a step of stage 1 that makes a manifest of a manifest, or of a text corpus."""

import argparse
from typing import TYPE_CHECKING, Any

from auralign.cli.arguments import Commands, import_from_working_folder, number, parse_pairs

if TYPE_CHECKING:
    from auralign.builders import Builder

DESCRIPTION = """\
Make a manifest of another one, or of a text file with one document on each line. Beside it are written the list of what was left
out, with reasons, and an account. The command is a stage: it is skipped if it is complete, and resumed if it was interrupted.
"""


def add(commands: Commands) -> None:
    """Add the parser of `auralign build`, with one of its own for each builder."""
    parser = commands.add_parser(
        "build", help="label, cut, relate or voice the rows of a manifest", description=DESCRIPTION
    )
    builders = parser.add_subparsers(title="builders", metavar="NAME", required=True)
    for name, (about, add_options) in BUILDERS.items():
        one = builders.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.")
        one.add_argument(
            "--manifest", required=True, metavar="IN", help="a manifest, or a .txt with one document a line"
        )
        one.add_argument(
            "--output", required=True, metavar="OUT", help="the manifest to write, .jsonl, or its folder"
        )
        one.add_argument(
            "--max-rejected",
            type=number,
            default=0.01,
            metavar="SHARE",
            help="stop if more than this share of the rows is left out (default: %(default)g)",
        )
        one.add_argument(
            "--exclude",
            action="append",
            default=[],
            metavar="TEST",
            help="a test manifest, again for each: rows with its ids or sentences, and those that name them, are left out",
        )
        add_options(one)
        one.set_defaults(do=do, builder=name)


def do(options: argparse.Namespace) -> int:
    """Run the builder and print what was kept."""
    from auralign.builders import build

    import_from_working_folder()
    summary = build(
        _make(options),
        options.manifest,
        options.output,
        max_rejected=options.max_rejected,
        exclude=options.exclude,
    )
    if summary is not None:
        print(f"build {options.builder}: {summary}")
    return 0


def _make(options: argparse.Namespace) -> "Builder":
    """The builder with its options; those that were not given have the defaults of its class."""
    from auralign import builders

    common = {"do", "builder", "manifest", "output", "max_rejected", "exclude", "label"}
    given: dict[str, Any] = {
        name: value for name, value in vars(options).items() if name not in common and value is not None
    }
    if options.builder == "measure":
        given["functions"] = parse_pairs(options.label, "--label")
    made: Builder = getattr(builders, builders.BUILDERS[options.builder])(**given)
    return made


def _add_measure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--label",
        metavar="NAME=MODULE:FUNCTION",
        action="append",
        default=[],
        help="a further label, which a function of yours gives: it is called with the Utterance and its samples at 16 kHz",
    )


def _add_chunk(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--max-seconds", type=number, metavar="S", help="of a piece (default: 20)")
    parser.add_argument("--min-seconds", type=number, metavar="S", help="of speech (default: 0.2)")
    parser.add_argument("--min-silence", type=number, metavar="S", help="of a pause that cuts (default: 0.3)")
    parser.add_argument("--margin", type=number, metavar="S", help="of silence around a piece (default: 0.1)")
    _add_recognizer(parser, "writes the text of pieces whose row has no word times")


def _add_relate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--by",
        metavar="WHAT",
        help="text (default): nearest neighbours; recording: of one recording; speaker; or the name of a label",
    )
    parser.add_argument("--size", type=int, metavar="N", help="rows of a context (default: 4)")
    parser.add_argument("--neighbours", type=int, metavar="N", help="of a row in the graph (default: 10)")
    parser.add_argument(
        "--max-similarity",
        type=number,
        metavar="COSINE",
        help="of two rows; of near-duplicates above it the later one is left out; 1 keeps all (default: 0.95)",
    )
    parser.add_argument(
        "--embedding",
        metavar="MODULE:FUNCTION",
        help="a function of yours from a list of N texts to vectors (N, D) (default: TF-IDF)",
    )


def _add_negate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--number", type=int, metavar="N", help="rows of other texts for each row (default: 8)"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="default: 1")


def _add_voice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--spans", choices=("words", "sentences"), help="what is spoken (default: words)")
    parser.add_argument(
        "--share", type=number, metavar="SHARE", help="of the words that is spoken (default: 0.3)"
    )
    parser.add_argument("--min-words", type=int, metavar="N", help="of a span of words (default: 5)")
    parser.add_argument(
        "--engine",
        metavar="NAME",
        help="espeak (default) or hibari, both of pip install 'auralign[voices]'; or module:Class of yours",
    )
    parser.add_argument(
        "--voices", metavar="NAME,NAME", type=_names, help="of the engine (default: all that it lists)"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="default: 1")
    _add_recognizer(parser, "checks the speech")
    parser.add_argument(
        "--max-wer",
        type=number,
        metavar="RATE",
        help="word error rate of the recognizer above which a span is left as text (default: 0.2)",
    )


def _add_recognizer(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument(
        "--recognizer", metavar="MODEL", help=f"the folder or hub id of a Whisper, which {what}"
    )
    parser.add_argument("--device", help="of the recognizer: cpu (default) or cuda:N")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


BUILDERS = {
    "measure": ("label rows: signal-to-noise ratio, clipping, seconds a word, language", _add_measure),
    "chunk": ("cut long recordings at pauses", _add_chunk),
    "relate": ("order rows so that related ones follow each other", _add_relate),
    "negate": ("name rows of other texts for each row", _add_negate),
    "voice": ("speak spans of documents by speech synthesis", _add_voice),
}
