"""`auralign ask`: print the answers of a model folder to a prompt about audio files."""

import argparse
import os
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
        "audio",
        metavar="AUDIO",
        nargs="+",
        help="audio files: WAV, FLAC, Opus, MP3, ...; M4A and WebM with auralign[av]",
    )
    parser.add_argument(
        "prompt",
        metavar="PROMPT",
        help='the question; {speech} marks the position of the speech, "" asks nothing beside the speech',
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

    if options.transcript is not None and len(options.audio) > 1:
        raise ValueError(f"--transcript is of one audio file; {len(options.audio)} are given")
    if os.path.exists(options.prompt):
        raise ValueError(f'the prompt {options.prompt!r} is a file; the prompt comes last ("" asks nothing)')
    model, decoding, live = load_model(options), decoding_of(options), sys.stdout.isatty()
    num_failed = 0
    for audio in options.audio:
        try:
            pieces = model.stream(audio, options.prompt or None, transcript=options.transcript, **decoding)
            print(f"{audio}: " if len(options.audio) > 1 else "", end="", flush=True)
            print_stream(pieces, live=live)
        except AudioError as error:
            num_failed += 1
            print(f"auralign: error: {error}", file=sys.stderr)
    return 1 if num_failed else 0
