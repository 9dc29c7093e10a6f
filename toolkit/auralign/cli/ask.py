"""`auralign ask`: print the answers of a model folder to a prompt about audio files."""

import argparse
import os
import re
import sys

from auralign.cli.arguments import Commands, add_decoding, add_model, decoding_of, load_model, print_stream


def add(commands: Commands) -> None:
    """Add the parser of `auralign ask`."""
    parser = commands.add_parser(
        "ask",
        help="ask a model folder about audio",
        description="Print the answer of a model folder to a prompt about each audio file; on a terminal while it is decoded.",
    )
    add_model(parser)
    parser.add_argument(
        "words",
        metavar="AUDIO",
        nargs="+",
        help="audio files: WAV, FLAC, Opus, MP3, ...; M4A and WebM with auralign[av]; and last, if it is no file, the question: "
        "{speech} in it marks the position of the speech. Without it the speech is all that is asked",
    )
    parser.add_argument(
        "--transcript",
        metavar="TEXT",
        help="transcript of the audio, for a model that was trained with one beside the speech",
    )
    add_decoding(parser)
    parser.set_defaults(do=do)


def do(options: argparse.Namespace) -> int:
    """Print an answer for each audio file that can be used, and an error for each other; returns 1 if there is one.

    On a terminal, an answer is printed while it is decoded."""
    from auralign.data.audio import AudioError

    files, prompt = split_words(options.words)
    if options.transcript is not None and len(files) > 1:
        raise ValueError(f"--transcript is of one audio file; {len(files)} are given")
    model, decoding, live = load_model(options), decoding_of(options), sys.stdout.isatty()
    num_failed = 0
    for audio in files:
        try:
            pieces = model.stream(audio, prompt, transcript=options.transcript, **decoding)
            print(f"{audio}: " if len(files) > 1 else "", end="", flush=True)
            print_stream(pieces, live=live)
        except AudioError as error:
            num_failed += 1
            print(f"auralign: error: {error}", file=sys.stderr)
    return 1 if num_failed else 0


def split_words(words: list[str]) -> tuple[list[str], str | None]:
    """The audio files of a command line, and the prompt behind them, if there is one.

    >>> split_words(["a.wav", "b.flac", "sort {speech}"])
    (['a.wav', 'b.flac'], 'sort {speech}')
    >>> split_words(["a.wav", "absent.wav"]), split_words(["a.wav", ""])
    ((['a.wav', 'absent.wav'], None), (['a.wav'], None))
    """
    *files, last = words
    is_file = os.path.isfile(last) or re.fullmatch(r"\S+\.\w{2,5}", last)
    return (words, None) if not files or is_file else (files, last or None)
