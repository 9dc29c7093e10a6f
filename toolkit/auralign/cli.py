"""The command `auralign`: what is installed, and what one example looks like."""

import argparse
import inspect
import os
import re
import sys

from auralign import __version__, script

OPTION = re.compile(
    r"^--[a-z]\w*(?:[-_]\w+)*(?=$|=)"
)  # --max_seconds is --max-seconds, as of a recipe's YAML
MAX_OPTION = 80  # characters of an option that are shown


def main() -> None:
    """Entry point of the console script."""
    script.run(run)


def run(argv: list[str]) -> int:
    """Parse the command line and do what it says; returns the exit code."""
    options = make_parser().parse_args(
        [OPTION.sub(lambda name: name[0].replace("_", "-"), word) for word in argv]
    )
    return options.do(options) or 0


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands; nothing heavy is imported for it."""
    parser = argparse.ArgumentParser(
        prog="auralign",
        description="Gives text LLMs ears, with targets that the LLM writes itself.",
        epilog="Training runs from a recipe's folder, for example egs/digits/run.sh --help.",
    )
    parser.add_argument("--version", action="version", version=f"auralign {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    methods = commands.add_parser(
        "methods",
        help="list the installed alignment methods, or describe one",
        description="List the installed alignment methods, describe one, or check that all can be loaded.",
    )
    methods.add_argument(
        "name", nargs="?", metavar="NAME", help="print the file, options and description of this method"
    )
    methods.add_argument(
        "--check", action="store_true", help="import every method and say what is wrong with those that fail"
    )
    methods.set_defaults(do=do_methods)
    add_prepare(commands)
    add_align(commands)
    add_bench(commands)
    show = commands.add_parser(
        "show",
        help="print one example as the model reads it",
        description="Print the rendered views of one utterance: text, token ids, positions, tags, loss mask.",
    )
    show.add_argument("method", metavar="METHOD", help="name of a YAML in hparams/, or the path of one")
    show.add_argument("--utt", metavar="ID", help="utterance id; the first of the training set unless given")
    show.set_defaults(do=do_show)
    new_method = commands.add_parser(
        "new-method",
        help="write a working package for an alignment method of your own",
        description="Write a folder NAME with a method, its entry point and its test, ready to install and to change.",
    )
    new_method.add_argument("name", metavar="NAME", help="of the method, such as keyword_spotting")
    new_method.add_argument("--folder", metavar="DIR", help="where to write it (default: ./auralign-NAME)")
    new_method.set_defaults(do=do_new_method)
    new_recipe = commands.add_parser(
        "new-recipe",
        help="write a working recipe for a corpus of your own",
        description="Write a recipe's folder for the corpus NAME into a checkout of auralign, ready to run and to change.",
    )
    new_recipe.add_argument("name", metavar="NAME", help="of the corpus, such as MyCorpus")
    new_recipe.add_argument(
        "--folder", metavar="DIR", help="where to write it (default: recipes/NAME of this checkout)"
    )
    new_recipe.set_defaults(do=do_new_recipe)
    export = commands.add_parser(
        "export",
        help="write a trained connector as a model folder",
        description="Write a recipe's best checkpoint as a model folder; run it in the recipe's folder, after stage 3.",
    )
    export.add_argument("method", metavar="METHOD", help="name of a YAML in hparams/, or the path of one")
    export.add_argument("folder", metavar="FOLDER", help="the model folder, which must not exist yet")
    export.set_defaults(do=do_export)
    ask = commands.add_parser(
        "ask",
        help="ask a model folder about audio",
        description="Print the answer of a model folder to a prompt about each audio file.",
    )
    ask.add_argument("folder", metavar="FOLDER", help="model folder, written by export")
    ask.add_argument(
        "audio",
        metavar="AUDIO",
        nargs="+",
        help="audio files: WAV, FLAC, Opus, MP3, ...; M4A and WebM with auralign[av]",
    )
    ask.add_argument(
        "prompt",
        metavar="PROMPT",
        help='what is asked; {speech} stands where the speech goes, "" asks nothing',
    )
    ask.add_argument("--llm", metavar="PATH", help="where the LLM stands now")
    ask.add_argument("--encoder", metavar="PATH", help="where the encoder stands now")
    ask.add_argument(
        "--branch",
        metavar="NAME=PATH",
        action="append",
        default=[],
        help="where the encoder of a further branch stands now",
    )
    ask.add_argument(
        "--transcript",
        metavar="TEXT",
        help="of the audio, for a model that was trained with one beside the speech",
    )
    ask.add_argument("--max-new-tokens", type=int, metavar="N", help="length limit of an answer")
    ask.add_argument("--num-beams", type=int, metavar="N", help="1 is greedy; more is beam search")
    ask.add_argument(
        "--trust-remote-code", action="store_true", help="run Python code that came with the LLM's folder"
    )
    ask.add_argument("--device", default="cpu", help="cpu or cuda:N")
    ask.set_defaults(do=do_ask)
    return parser


SEPARATORS = {"tab": "\t", "\\t": "\t"}  # as they are typed
AS_TEXT = "answered as the text"  # the group of questions whose right answer is the LLM's own
PREPARE = """\
Read every audio file of a corpus of your own once, and write a manifest of those that are sound; what is rejected, and what is
kept and sounds odd, is listed beside it with reasons. The source is JSONL, a table (csv, tsv; columns apart by , ; | or tabs), a
Kaldi data folder, a lhotse manifest of cuts, or a Hugging Face dataset: parquet files, a folder that save_to_disk wrote, or
hf://owner/name of the hub.
"""


def add_prepare(commands) -> None:
    """`auralign prepare --help`."""
    prepare = commands.add_parser(
        "prepare",
        help="turn a corpus of your own into a checked manifest",
        description=PREPARE,
        epilog='example: auralign prepare test.csv data/test.jsonl --column text=sentence --ask "Translate: {speech}" german',
    )
    prepare.add_argument("source", metavar="SOURCE", help="file or folder, or hf://owner/name")
    prepare.add_argument("manifest", metavar="MANIFEST", help="what to write, such as data/train.jsonl")
    prepare.add_argument(
        "--form", help="jsonl, csv, tsv, kaldi, lhotse, parquet, datasets or hub; else told by the path"
    )
    prepare.add_argument("--split", metavar="NAME", help="of a Hugging Face dataset that has several")
    prepare.add_argument("--config", metavar="NAME", help="of a dataset of the hub that has several")
    prepare.add_argument(
        "--separator",
        metavar="LETTER",
        help="between the columns of a table; else found by its header. With ; a number may have a decimal comma",
    )
    prepare.add_argument(
        "--names",
        metavar="NAME,NAME",
        help="of the columns of a table without a header, such as LJSpeech's: --names id,raw,text --column audio=wavs/{id}.wav",
    )
    prepare.add_argument(
        "--column",
        metavar="FIELD=COLUMN",
        action="append",
        default=[],
        help="column of the id, audio, text, seconds, start, end, channel, speaker or language, where its name is not a usual "
        "one (such as path or audio_filepath, sentence or transcript, duration, offset, client_id, locale); what holds {NAME} is "
        "put together of columns",
    )
    prepare.add_argument(
        "--label", metavar="NAME=COLUMN", action="append", default=[], help="keep this column too, as a label"
    )
    prepare.add_argument(
        "--attribute",
        metavar="NAME=COLUMN",
        action="append",
        default=[],
        help="keep this column as what is known of the speaker or the speech, such as emotion: methods may tell the LLM",
    )
    prepare.add_argument(
        "--where",
        metavar="CONDITION",
        action="append",
        default=[],
        help="read only the rows that fit: COLUMN=VALUE, or != < > <= >= for the =, or COLUMN in VALUE,VALUE; numbers are "
        "compared as numbers; of several all must fit; quote it for the shell",
    )
    prepare.add_argument(
        "--audio-folder",
        metavar="DIR",
        help="where relative audio paths start; else beside SOURCE (kaldi, lhotse, hub: here)",
    )
    prepare.add_argument(
        "--ask",
        nargs="+",
        metavar=("INSTRUCTION", "COLUMN"),
        action="append",
        default=[],
        help="for a test set: ask this about every utterance, with {speech} where the speech goes; the right answer stands in "
        "COLUMN (one), or else is what the LLM answers to the text; give this option last",
    )
    prepare.add_argument(
        "--max-seconds",
        type=_number,
        default=300.0,
        metavar="S",
        help="reject what is longer (default: %(default)g)",
    )
    prepare.add_argument(
        "--max-rejected",
        type=_number,
        default=0.01,
        metavar="SHARE",
        help="stop above this share (default: %(default)g); unless it is 0, not for up to 3 utterances that are at most a "
        "quarter of all",
    )
    prepare.set_defaults(do=do_prepare)


def do_prepare(options) -> int:
    """`auralign prepare`."""
    from pathlib import Path

    from auralign.data.conditions import Condition
    from auralign.data.manifest import write_manifest
    from auralign.data.sources import HERE, Columns, guess_form, hub_name, read_source
    from auralign.files import locked
    from auralign.layout import Speech, fill
    from auralign.records import Question, Records, Utterance, write_records

    source, manifest = Path(options.source), Path(options.manifest)
    for instruction, *column in options.ask:
        fill(instruction, Speech(""))  # raises where it has no slot
        if len(column) > 1:
            raise ValueError(
                f"--ask {instruction!r}: expected at most one COLUMN after it, found {', '.join(column)}"
            )
    if manifest.suffix != ".jsonl":
        raise ValueError(
            f"{manifest}: the manifest's name ends in .jsonl; it is read as data/train.jsonl and so on"
        )
    asked = {column: column for _, *columns in options.ask for column in columns}
    labels = _pairs(options.label, "--label") | asked
    columns = Columns(
        fields=_pairs(options.column, "--column"),
        labels=labels,
        attributes=_pairs(options.attribute, "--attribute"),
        where=tuple(_condition(text, Condition) for text in options.where),
    )
    form = options.form or ("hub" if hub_name(options.source) else None)
    form = form or (guess_form(source) if source.exists() else None)
    beside = source if source.is_dir() else source.parent
    utterances = read_source(
        options.source,
        form=form,
        split=options.split,
        config=options.config,
        separator=SEPARATORS.get(options.separator, options.separator),
        names=[name.strip() for name in options.names.split(",")] if options.names else None,
        columns=columns,
        audio_out=manifest.with_suffix(".audio"),
    )
    questions = manifest.with_suffix(".questions.jsonl")
    if options.audio_folder and not Path(options.audio_folder).is_dir():
        raise FileNotFoundError(f"--audio-folder {options.audio_folder}: no such folder")
    with locked(manifest.with_name(f".{manifest.stem}.lock")):
        for path in (
            manifest,
            questions,
        ):  # of an earlier run: not to be taken for this one's, should it fail
            path.unlink(missing_ok=True)
        summary = write_manifest(
            manifest,
            utterances,
            audio_folder=options.audio_folder or (Path() if form in HERE else beside),
            limit=options.max_rejected,
            max_seconds=options.max_seconds,
        )
        print(f"prepare: {summary}")
        if options.ask:
            write_records(questions, _questions(Records(manifest, Utterance), options.ask), kind=Question)
            print(f"prepare: {summary.num_kept * len(options.ask)} questions in {questions}")
    return 0


ALIGN = """\
Write a manifest again with the times of its utterances' words, from the alignments of others or by CTC. Utterances that have
them already are left as they are; whoever stays without is listed beside the manifest with the reason. Do it before stage 2: a
changed manifest has its targets asked for again, and training stops where it would replace a run of before.
"""


def add_align(commands) -> None:
    """`auralign align --help`."""
    align = commands.add_parser(
        "align", help="give the utterances of a manifest their word times", description=ALIGN
    )
    align.add_argument("manifest", metavar="MANIFEST", help="such as data/train.jsonl")
    source = align.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--textgrids",
        metavar="DIR",
        help="a folder with <utterance id>.TextGrid anywhere in it, as the Montreal Forced Aligner writes them",
    )
    source.add_argument(
        "--librispeech", metavar="DIR", help="a folder with <speaker>-<chapter>.alignment.txt anywhere in it"
    )
    source.add_argument(
        "--recipe",
        metavar="YAML",
        help="align with this recipe's encoder and recognizer: path of a YAML, or a name in hparams/",
    )
    align.add_argument("--tier", metavar="NAME", help="tier of the TextGrids (default: words)")
    align.add_argument("--force", action="store_true", help="also where there are word times already")
    align.set_defaults(do=do_align)


def do_align(options) -> int:
    """`auralign align`."""
    from pathlib import Path

    from auralign.align import align, from_librispeech, from_recipe, from_textgrids
    from auralign.files import hash_path, locked
    from auralign.hparams import load_hparams
    from auralign.records import Records, Utterance
    from auralign.show import find_yaml
    from auralign.stage import renew

    path = Path(options.manifest)
    if options.tier and not options.textgrids:
        raise ValueError(f"--tier {options.tier}: only TextGrids have tiers; leave it out")
    if not path.is_file():
        raise FileNotFoundError(
            f"no manifest at {path}; write it first: auralign prepare, or stage 1 of the recipe"
        )
    with locked(path.with_name(f".{path.stem}.lock")):
        manifest = Records(path, Utterance)
        if options.textgrids:
            source = from_textgrids(options.textgrids, options.tier or "words")
        elif options.librispeech:
            source = from_librispeech(options.librispeech)
        else:
            sys.path.append(os.getcwd())
            yaml = find_yaml(options.recipe)
            source = from_recipe(load_hparams(yaml), manifest, place=yaml)
        before = hash_path(path)
        print(f"align: {align(manifest, source, force=options.force)}")
        renew(path.parent, before=before, after=hash_path(path))
    return 0


def _questions(manifest, asked):
    """A Question for each instruction and utterance."""
    from auralign.files import hash_value
    from auralign.records import Question, RecordError

    for number, (instruction, *column) in enumerate(asked):
        for utterance in manifest:
            reference = utterance.labels[column[0]] if column else None
            if column and not (isinstance(reference, str) and reference.strip()):
                raise RecordError(
                    f"{manifest.path}: {utterance.id} has no answer in the column {column[0]!r}; leave such rows out (--where)"
                )
            yield Question(
                # With what is asked: answers to another question are then no answers to this one.
                key=f"{utterance.id}:{number}:{hash_value([instruction, reference])[:8]}",
                utt_id=utterance.id,
                group=column[0] if column else AS_TEXT,
                task=instruction,
                instruction=instruction,
                reference=reference,
            )


def _number(text: str) -> float:
    """A number of at least 0, for argparse; NaN is none."""
    value = float(text)
    if not value >= 0:
        raise ValueError
    return value


_number.__name__ = "number"  # in argparse's message


def _condition(text: str, kind):
    try:
        return kind.parse(text)
    except ValueError as error:
        raise ValueError(f"--where {error}") from error


def _pairs(given: list[str], option: str) -> dict[str, str]:
    """{"a": "b"} of ["a=b"]."""
    found = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not (name and equals and value) or name in found:
            raise ValueError(f"{option} {pair}: expected NAME=VALUE, each name once")
        found[name] = value
    return found


def add_bench(commands) -> None:
    """`auralign bench --help`."""
    bench = commands.add_parser(
        "bench",
        help="measure on this machine what auralign promises of its speed",
        description="Measure speed on this machine, in CPU seconds. BENCHMARKS.md of the checkout has figures.",
    )
    bench.add_argument(
        "name", nargs="*", metavar="NAME", help="of a benchmark, such as scan; all unless given"
    )
    bench.add_argument("--repeats", type=int, default=5, metavar="N", help="runs of each (default: 5)")
    bench.set_defaults(do=do_bench)


def do_bench(options) -> int:
    """`auralign bench`."""
    from auralign.bench import BENCHMARKS

    unknown = [name for name in options.name if name not in BENCHMARKS]
    if unknown or options.repeats < 1:
        raise ValueError(
            f"no benchmark {unknown[0]!r}; there are: {', '.join(BENCHMARKS)}"
            if unknown
            else f"--repeats {options.repeats}: give at least 1"
        )
    for name in options.name or BENCHMARKS:
        print(BENCHMARKS[name](options.repeats), flush=True)
    return 0


def do_methods(options) -> int:
    """`auralign methods`."""
    from auralign.plugins import find_methods

    if options.name:
        return describe_method(options.name)
    entries = find_methods()
    if options.check:
        return check_methods(entries)
    rows = [(entry.name, *_tell(entry), f"{entry.package} {entry.version}") for entry in entries]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    if not entries:
        print("no alignment methods are announced; install auralign again: pip install -e .", file=sys.stderr)
    return 0 if entries else 1


def _tell(entry) -> tuple[str, str]:
    """Fidelity and paper of a method; one that cannot be loaded says so and hides no other."""
    from auralign.method import cite
    from auralign.plugins import MethodError, load_class

    try:
        method = load_class(entry)
    except MethodError:
        return "broken", "cannot be loaded: auralign methods --check"
    return method.fidelity, cite(method.paper)


def check_methods(entries) -> int:
    """Load every method; one that fails hides no other. Returns 1 where one fails."""
    from auralign.plugins import MethodError, find_method, load_class

    num_failed = 0
    for entry in entries:
        try:
            find_method(entry.name)
            load_class(entry)
            print(f"ok    {entry.name}")
        except MethodError as error:
            num_failed += 1
            print(f"FAIL  {entry.name}: {error}")
    return 1 if num_failed else 0


def describe_method(name: str) -> int:
    """Print where a method comes from, what it takes and what it says of itself."""
    from auralign.method import cite
    from auralign.plugins import find_method, load_class

    entry = find_method(name)
    method = load_class(entry)
    file, (_, line) = inspect.getsourcefile(method), inspect.getsourcelines(method)
    facts = [
        f"{name} (version {method.version}) of {entry.package} {entry.version}",
        method.fidelity,
        cite(method.paper),
    ]
    print(", ".join(fact for fact in facts if fact))
    print(f"{file}:{line}")
    options = [str(parameter) for parameter in inspect.signature(method).parameters.values()]
    shown = [option if len(option) <= MAX_OPTION else f"{option[:MAX_OPTION]}..." for option in options]
    print(f"load_method({', '.join([repr(name), *shown])})\n")
    print(inspect.getdoc(method))
    return 0


def do_show(options) -> int:
    """`auralign show`."""
    from auralign.show import show

    sys.path.append(os.getcwd())  # as of a recipe's scripts: `!new:my_file.MyMethod` stands beside them
    show(options.method, options.utt)
    return 0


def do_new_method(options) -> int:
    """`auralign new-method`."""
    from auralign.new import new_method

    folder = new_method(options.name, options.folder)
    print(f"{folder}: a method {options.name!r} to change; pip install -e {folder}, then pytest {folder}")
    return 0


def do_new_recipe(options) -> int:
    """`auralign new-recipe`."""
    from auralign.new import new_recipe

    folder = new_recipe(options.name, options.folder)
    print(f"{folder}: a recipe to change; edit prepare.py and score.py where they say EDIT, then")
    print(f"{folder}/run.sh --config hparams/smoke.yaml --data DIR")
    return 0


def do_export(options) -> int:
    """`auralign export`."""
    from pathlib import Path

    from auralign.hparams import load_hparams
    from auralign.publish.export import export
    from auralign.show import find_yaml

    sys.path.append(os.getcwd())
    hparams = load_hparams(find_yaml(options.method))
    report = Path(hparams.score_folder) / "report.md"
    export(hparams, options.folder, report=report if report.is_file() else None)
    print(f"{options.folder}: {hparams.method.name} of {hparams.output_folder}")
    return 0


def do_ask(options) -> int:
    """`auralign ask`. Audio that cannot be used is named, the rest is answered; returns 1 then."""
    from auralign.data.audio import AudioError
    from auralign.publish.load import load

    if options.transcript is not None and len(options.audio) > 1:
        raise ValueError(f"--transcript is of one audio file; {len(options.audio)} are given")
    if os.path.exists(options.prompt):
        raise ValueError(f'the prompt {options.prompt!r} is a file; the prompt comes last ("" asks nothing)')
    model = load(
        options.folder,
        llm=options.llm,
        encoder=options.encoder,
        branches=_pairs(options.branch, "--branch"),
        device=options.device,
        trust_remote_code=options.trust_remote_code,
    )
    given = {"max_new_tokens": options.max_new_tokens, "num_beams": options.num_beams}
    decoding = {name: value for name, value in given.items() if value is not None}
    num_failed = 0
    for audio in options.audio:
        try:
            answer = model.answer(audio, options.prompt or None, transcript=options.transcript, **decoding)
            print(f"{audio}: {answer}" if len(options.audio) > 1 else answer)
        except AudioError as error:
            num_failed += 1
            print(f"auralign: error: {error}", file=sys.stderr)
    return 1 if num_failed else 0


if __name__ == "__main__":
    main()
