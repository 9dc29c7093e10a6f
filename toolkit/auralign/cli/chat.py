"""`auralign chat`: talk to a model folder, by text, audio files and the microphone; earlier turns are kept."""

import argparse
import contextlib
import difflib
import json
import os
import re
import shlex
import sys
from typing import TYPE_CHECKING, Any, TextIO

from auralign.cli.arguments import Commands, add_decoding, add_model, decoding_of, load_model, print_stream
from auralign.layout import DEFAULT

if TYPE_CHECKING:
    from auralign.publish.conversation import Conversation

HELP = """\
TEXT                   send text
PATH                   send an audio file
/audio PATH [PROMPT]   send an audio file, with words beside it; {speech} in them marks its position
/record [PROMPT]       record from the microphone until Enter, and send it
/system [TEXT]         show the system prompt, or set it: TEXT, none, or default for the model's own
/reset                 forget all turns
/help                  print this
/quit                  end, as Ctrl-D does; Ctrl-C stops an answer, whose turn is then not kept"""
PATH_AND_PROMPT = re.compile(r"""("[^"]*"|'[^']*'|(?:\\.|\S)+)\s*(.*)""")
SYSTEMS = {"none": None, "default": DEFAULT}
COMMANDS = ("audio", "record", "system", "reset", "help", "quit")


def add(commands: Commands) -> None:
    """Add the parser of `auralign chat`."""
    parser = commands.add_parser(
        "chat",
        help="talk to a model folder, turn by turn",
        description="Talk to a model folder. It is loaded once, and hears and reads all earlier turns of the conversation.",
        epilog=f"Each line is a turn or a command:\n{HELP}".replace("%", "%%"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_model(parser)
    parser.add_argument(
        "--system",
        metavar="TEXT",
        default="default",
        help="system prompt; none: without one; default: the model's own",
    )
    parser.add_argument(
        "--transcript",
        metavar="FILE",
        help="append each turn to FILE, as a line of JSON: prompt, speech, answer",
    )
    add_decoding(parser)
    parser.set_defaults(do=do)


def do(options: argparse.Namespace) -> int:
    """Answer the lines of stdin; returns 1 if a line failed and stdin is no terminal."""
    transcript = open(options.transcript, "a", encoding="utf-8") if options.transcript else None  # noqa: SIM115
    try:
        model = load_model(options)
        conversation = model.chat(system=SYSTEMS.get(options.system, options.system))
        return Chat(conversation, decoding_of(options), transcript).run()
    finally:
        if transcript is not None:
            transcript.close()


class Chat:
    """The loop of `auralign chat`.

    Arguments
    ---------
    conversation : Conversation
    decoding : dict
        Options of each answer.
    transcript : file, optional
        Each turn is appended to it; default none.
    """

    def __init__(
        self, conversation: "Conversation", decoding: dict[str, Any], transcript: TextIO | None = None
    ):
        self.conversation, self.decoding, self.transcript = conversation, decoding, transcript
        self.asks = sys.stdin.isatty()

    def run(self) -> int:
        """Answer lines until /quit or the end of stdin; returns 1 if a line failed and stdin is no terminal."""
        num_failed = 0
        if self.asks:
            import readline  # noqa: F401  lets the user edit the line, and find earlier ones

            print(f"{self.conversation.model!r}\n/help lists the commands, /quit ends", file=sys.stderr)
        while (line := self._read_line()) is not None:
            try:
                if not self._do_line(line.strip()):
                    break
            except KeyboardInterrupt:
                print("\nthe answer was stopped; this turn is not kept", file=sys.stderr)
            except (ValueError, OSError) as error:
                num_failed += 1
                print(f"auralign: error: {error}", file=sys.stderr)
        return 1 if num_failed and not self.asks else 0

    def _read_line(self) -> str | None:
        try:
            return input("> " if self.asks else "")
        except (EOFError, KeyboardInterrupt):
            return None

    def _do_line(self, line: str) -> bool:
        """Do what a line says; returns False if it ends the conversation."""
        from auralign.publish.conversation import find_path

        if not line:
            return True
        path = find_path(line)
        if path is not None:
            self._answer(path)
        elif line.startswith("/"):
            name, _, rest = line[1:].partition(" ")
            return self._do_command(name, rest.strip())
        else:
            self._answer(None, line)
        return True

    def _do_command(self, name: str, rest: str) -> bool:
        if name in ("quit", "exit"):
            return False
        if name == "audio":
            self._answer(*_split_audio(rest))
        elif name == "record":
            self._answer(self._record(), rest or None)
        elif name == "system":
            self._set_system(rest)
        elif name == "reset":
            self.conversation.reset()
            print("all turns are forgotten", file=sys.stderr)
        elif name == "help":
            print(HELP)
        else:
            close = difflib.get_close_matches(name, COMMANDS, n=1)
            hint = f"did you mean /{close[0]}?" if close else "/help lists the commands"
            raise ValueError(f"no command or file /{name}; {hint}")
        return True

    def _answer(self, speech: Any, prompt: str | None = None) -> None:
        pieces = self.conversation.stream(speech, prompt, **self.decoding)
        with contextlib.closing(pieces):  # an interrupted answer is not decoded to its end
            print_stream(pieces, live=sys.stdout.isatty())
        if self.transcript is not None:
            turn = self.conversation.turns[-1]
            number = len(self.conversation.turns)
            row = {"turn": number, "prompt": turn.prompt, "speech": turn.speech, "answer": turn.answer}
            print(json.dumps(row, ensure_ascii=False), file=self.transcript, flush=True)

    def _record(self) -> Any:
        from auralign.data.microphone import record

        def wait() -> None:
            print("recording; press Enter to end", file=sys.stderr)
            input()

        rate, samples = record(wait, sample_rate=self.conversation.model.model.encoder.sample_rate)
        return {"array": samples, "sampling_rate": rate, "path": "the microphone"}

    def _set_system(self, text: str) -> None:
        if text:
            self.conversation.system = SYSTEMS.get(text, text)
        system = self.conversation.system
        shown = "the model's own" if system is DEFAULT else "none" if system is None else repr(system)
        print(f"system prompt: {shown}", file=sys.stderr)


def _split_audio(rest: str) -> tuple[str, str | None]:
    """The path and the prompt behind /audio; a path with spaces is quoted or escaped, as in a shell."""
    found = PATH_AND_PROMPT.fullmatch(rest)
    if found is None:
        raise ValueError("/audio needs the path of an audio file")
    for given, prompt in ((rest, ""), (found[1], found[2])):
        try:
            (path,) = [given] if os.path.isfile(os.path.expanduser(given)) else shlex.split(given)
        except ValueError:  # several words, or an apostrophe: not a path
            continue
        if os.path.isfile(os.path.expanduser(path)):
            return os.path.expanduser(path), prompt or None
    raise FileNotFoundError(f'no file at {found[1]}; quote a path with spaces: /audio "my file.wav"')
