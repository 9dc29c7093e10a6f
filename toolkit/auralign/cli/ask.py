"""`auralign ask`: print the answers of a model folder to a prompt about audio files."""

import argparse
import os
import sys

from auralign.cli.arguments import Commands, parse_pairs


def add(commands: Commands) -> None:
    """Add the parser of `auralign ask`."""
    parser = commands.add_parser(
        "ask",
        help="ask a model folder about audio",
        description="Print the answer of a model folder to a prompt about each audio file.",
    )
    parser.add_argument(
        "folder", metavar="MODEL", help="model folder, written by export, or its id on the hub: org/name"
    )
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
        "--llm",
        metavar="MODEL",
        help="the LLM's folder or hub id, if it is not the one that the export names",
    )
    parser.add_argument("--encoder", metavar="MODEL", help="the encoder's folder or hub id, likewise")
    parser.add_argument(
        "--branch",
        metavar="NAME=PATH",
        action="append",
        default=[],
        help="the folder of a further branch's encoder, likewise",
    )
    parser.add_argument(
        "--transcript",
        metavar="TEXT",
        help="transcript of the audio, for a model that was trained with one beside the speech",
    )
    parser.add_argument("--max-new-tokens", type=int, metavar="N", help="length limit of an answer")
    parser.add_argument("--num-beams", type=int, metavar="N", help="1 is greedy; more is beam search")
    parser.add_argument(
        "--trust-remote-code", action="store_true", help="run Python code that came with the LLM's folder"
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda:N")
    parser.set_defaults(do=do)


def do(options: argparse.Namespace) -> int:
    """Print an answer for each audio file that can be used, and an error for each other; returns 1 if there is one."""
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
        branches=parse_pairs(options.branch, "--branch"),
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
