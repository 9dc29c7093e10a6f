"""`auralign prepare`: turn a corpus of one's own into a checked manifest, with questions about a test set."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from auralign.cli.arguments import Commands, number, parse_pairs

if TYPE_CHECKING:
    from auralign.data.conditions import Condition
    from auralign.stage import Stage

SEPARATORS = {"tab": "\t", "\\t": "\t"}  # as they are typed in a shell
DESCRIPTION = """\
Read every audio file of a corpus of your own once, and write a manifest of the utterances whose audio is sound. Rejected
utterances, and utterances that are kept although their audio is unusual, are listed beside the manifest with reasons. The
source is JSONL, a table (csv, tsv; columns separated by , ; | or tabs), a Kaldi data folder, a lhotse manifest of cuts, a folder
of tar files (WebDataset, or lhotse's Shar), or a Hugging Face dataset: parquet files, a folder that save_to_disk wrote, or
hf://owner/name of the hub.
"""


def add(commands: Commands) -> None:
    """Add the parser of `auralign prepare`."""
    parser = commands.add_parser(
        "prepare",
        help="turn a corpus of your own into a checked manifest",
        description=DESCRIPTION,
        epilog='example: auralign prepare test.csv data/test.jsonl --column text=sentence --ask "Translate: {speech}" german',
    )
    parser.add_argument("source", metavar="SOURCE", help="file or folder, or hf://owner/name")
    parser.add_argument("manifest", metavar="MANIFEST", help="file to write, such as data/train.jsonl")
    parser.add_argument(
        "--form",
        help="jsonl, csv, tsv, kaldi, lhotse, parquet, datasets, hub, webdataset or shar (default: found from the path)",
    )
    parser.add_argument("--split", metavar="NAME", help="split of a Hugging Face dataset that has several")
    parser.add_argument(
        "--config", metavar="NAME", help="configuration of a dataset of the hub that has several"
    )
    parser.add_argument(
        "--separator",
        metavar="LETTER",
        help="separator of a table's columns (default: found from its header); with ; numbers may have a decimal comma",
    )
    parser.add_argument(
        "--names",
        metavar="NAME,NAME",
        help="names of the columns of a table without a header, such as LJSpeech's: --names id,raw,text --column "
        "audio=wavs/{id}.wav",
    )
    parser.add_argument(
        "--column",
        metavar="FIELD=COLUMN",
        action="append",
        default=[],
        help="column of the id, audio, text, seconds, start, end, channel, speaker or language, if it has not one of the usual "
        "names (such as path or audio_filepath, sentence or transcript, duration, offset, client_id, locale); {NAME} in COLUMN "
        "is replaced by the value of the column NAME",
    )
    parser.add_argument(
        "--label",
        metavar="NAME=COLUMN",
        action="append",
        default=[],
        help="also keep this column, as a label",
    )
    parser.add_argument(
        "--attribute",
        metavar="NAME=COLUMN",
        action="append",
        default=[],
        help="also keep this column, as an attribute of the speaker or the speech, such as emotion, that methods may show to "
        "the LLM",
    )
    parser.add_argument(
        "--where",
        metavar="CONDITION",
        action="append",
        default=[],
        help="read only the rows that fit: COLUMN=VALUE, or != < > <= >= for the =, or COLUMN in VALUE,VALUE; COLUMN!= is one "
        "that is not empty; numbers are "
        "compared as numbers; a row must fit all conditions; quote each for the shell",
    )
    parser.add_argument(
        "--audio-folder",
        metavar="DIR",
        help="folder that relative audio paths start from (default: that of SOURCE; for kaldi, lhotse and hub the working "
        "folder)",
    )
    parser.add_argument(
        "--ask",
        nargs="+",
        metavar=("INSTRUCTION", "COLUMN"),
        action="append",
        default=[],
        help="for a test set: ask this about every utterance; {speech} marks the position of the speech; COLUMN holds the right "
        "answers, without COLUMN the LLM's answer to the text is the right one; give this option last",
    )
    parser.add_argument(
        "--max-seconds",
        type=number,
        default=300.0,
        metavar="S",
        help="reject longer utterances (default: %(default)g)",
    )
    parser.add_argument(
        "--max-rejected",
        type=number,
        default=0.01,
        metavar="SHARE",
        help="stop if more than this share is rejected (default: %(default)g); if SHARE is above 0, up to 3 utterances "
        "that are at most a quarter of all never stop it",
    )
    parser.set_defaults(do=do)


def do(options: argparse.Namespace) -> int:
    """Write the manifest and the questions, and print how many there are."""
    from auralign.data.own_corpus import prepare_own_corpus, questions_path
    from auralign.data.sources import Columns

    summary, num_questions = prepare_own_corpus(
        options.source,
        options.manifest,
        stage=_stage(options),
        asked=[_parse_ask(words) for words in options.ask],
        audio_folder=options.audio_folder,
        max_seconds=options.max_seconds,
        max_rejected=options.max_rejected,
        form=options.form,
        split=options.split,
        config=options.config,
        separator=SEPARATORS.get(options.separator, options.separator),
        names=[name.strip() for name in options.names.split(",")] if options.names else None,
        columns=Columns(
            fields=parse_pairs(options.column, "--column"),
            labels=parse_pairs(options.label, "--label"),
            attributes=parse_pairs(options.attribute, "--attribute"),
            where=tuple(_parse_condition(text) for text in options.where),
        ),
    )
    print(f"prepare: {summary}")
    if num_questions:
        print(f"prepare: {num_questions} questions in {questions_path(options.manifest)}")
    return 0


def _stage(options: argparse.Namespace) -> "Stage":
    """The stage that marks the manifest as whole, as stage 1 of a recipe does."""
    from auralign import __version__
    from auralign.data.own_corpus import questions_path
    from auralign.data.rejected import rejected_path
    from auralign.stage import Stage

    manifest = Path(options.manifest)
    outputs = [manifest, rejected_path(manifest), *([questions_path(manifest)] if options.ask else [])]
    given = {name: value for name, value in sorted(vars(options).items()) if name != "do"}
    # The audio is known only when it was read: it is always read again.
    return Stage(
        f"prepare {manifest.stem}",
        manifest.parent,
        inputs={"auralign": __version__, "options": given},
        outputs=outputs,
        always=True,
    )


def _parse_ask(words: list[str]) -> tuple[str, str | None]:
    """The instruction and the column of its answers, or None."""
    instruction, *column = words
    if len(column) > 1:
        raise ValueError(
            f"--ask {instruction!r}: expected at most one COLUMN after it, found {', '.join(column)}"
        )
    return instruction, column[0] if column else None


def _parse_condition(text: str) -> "Condition":
    from auralign.data.conditions import Condition

    try:
        return Condition.parse(text)
    except ValueError as error:
        raise ValueError(f"--where {error}") from error
