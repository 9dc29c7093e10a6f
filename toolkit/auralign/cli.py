"""The command `auralign`: what is installed, and what one example looks like."""

import argparse
import inspect
import sys

from auralign import __version__, script


def main() -> None:
    """Entry point of the console script."""
    script.run(run)


def run(argv: list[str]) -> int:
    """Parse the command line and do what it says; returns the exit code."""
    options = make_parser().parse_args(argv)
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
    show = commands.add_parser(
        "show",
        help="print one example as the model reads it",
        description="Print the rendered views of one utterance: text, token ids, positions, tags, loss mask.",
    )
    show.add_argument("method", metavar="METHOD", help="name of a YAML in hparams/, or the path of one")
    show.add_argument("--utt", metavar="ID", help="utterance id; the first of the training set unless given")
    show.set_defaults(do=do_show)
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
    ask.add_argument("audio", metavar="AUDIO", nargs="+", help="audio files: WAV, FLAC, Opus, MP3, ...")
    ask.add_argument(
        "prompt",
        metavar="PROMPT",
        help='what is asked; {speech} stands where the speech goes, "" asks nothing',
    )
    ask.add_argument("--llm", metavar="PATH", help="where the LLM stands now")
    ask.add_argument("--encoder", metavar="PATH", help="where the encoder stands now")
    ask.add_argument("--max-new-tokens", type=int, metavar="N", help="length limit of an answer")
    ask.add_argument("--device", default="cpu", help="cpu or cuda:N")
    ask.set_defaults(do=do_ask)
    return parser


def do_methods(options) -> int:
    """`auralign methods`."""
    from auralign.plugins import find_methods

    if options.name:
        return describe_method(options.name)
    entries = find_methods()
    if options.check:
        return check_methods(entries)
    width = max((len(entry.name) for entry in entries), default=0)
    for entry in entries:
        print(f"{entry.name:<{width}}  {entry.package} {entry.version}  {entry.value}")
    if not entries:
        print("no alignment methods are announced; install auralign again: pip install -e .", file=sys.stderr)
    return 0 if entries else 1


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
    from auralign.plugins import find_method, load_class

    entry = find_method(name)
    method = load_class(entry)
    file, (_, line) = inspect.getsourcefile(method), inspect.getsourcelines(method)
    print(f"{name} (version {method.version}) of {entry.package} {entry.version}, arXiv:{method.paper}")
    print(f"{file}:{line}")
    print(
        f"load_method({name!r}{''.join(f', {parameter}' for parameter in inspect.signature(method).parameters.values())})\n"
    )
    print(inspect.getdoc(method))
    return 0


def do_show(options) -> int:
    """`auralign show`."""
    from auralign.show import show

    show(options.method, options.utt)
    return 0


def do_export(options) -> int:
    """`auralign export`."""
    from pathlib import Path

    from auralign.hparams import load_hparams
    from auralign.pretrained import export
    from auralign.show import find_yaml

    hparams = load_hparams(find_yaml(options.method))
    report = Path(hparams.score_folder) / "report.md"
    export(hparams, options.folder, report=report if report.is_file() else None)
    print(f"{options.folder}: {hparams.method.name} of {hparams.output_folder}")
    return 0


def do_ask(options) -> int:
    """`auralign ask`. Audio that cannot be used is named, the rest is answered; returns 1 then."""
    from auralign.data.audio import AudioError
    from auralign.pretrained import load

    model = load(options.folder, llm=options.llm, encoder=options.encoder, device=options.device)
    num_failed = 0
    for audio in options.audio:
        try:
            answer = model.answer(audio, options.prompt or None, max_new_tokens=options.max_new_tokens)
            print(f"{audio}: {answer}" if len(options.audio) > 1 else answer)
        except AudioError as error:
            num_failed += 1
            print(f"auralign: error: {error}", file=sys.stderr)
    return 1 if num_failed else 0


if __name__ == "__main__":
    main()
