"""What the commands share: types of arguments, the arguments that load and use a model, the import path of a recipe's folder."""

import argparse
import ipaddress
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from auralign.publish.pretrained import PretrainedModel

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]
else:
    Commands = argparse._SubParsersAction


def number(text: str) -> float:
    """A number of at least 0, as a type for argparse, which names this function in its message; NaN is refused."""
    value = float(text)
    if not value >= 0:
        raise ValueError
    return value


def parse_pairs(given: Sequence[str], option: str) -> dict[str, str]:
    """{"a": "b"} from ["a=b"]; raises ValueError, naming the option, on anything else and on a name given twice."""
    found: dict[str, str] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not (name and equals and value) or name in found:
            raise ValueError(f"{option} {pair}: expected NAME=VALUE, each name once")
        found[name] = value
    return found


def add_address(parser: argparse.ArgumentParser, *, port: int) -> None:
    """The options of a command that serves: host and port."""
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen at; default %(default)s, which only this machine reaches",
    )
    parser.add_argument(
        "--port", type=port_number, default=port, metavar="N", help="default %(default)s; 0 chooses one"
    )


def port_number(text: str) -> int:
    """A TCP port, as a type for argparse."""
    value = int(text)
    if not 0 <= value < 2**16:
        raise ValueError
    return value


def positive(text: str) -> float:
    """A finite number above 0, as a type for argparse."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError
    return value


def bind(options: argparse.Namespace) -> socket.socket:
    """A socket bound to the address of `add_address`, before the model is loaded: a port that is taken is found at once.

    Prints a warning if other machines reach the address. Raises ValueError if it is none of this machine, or is taken.
    """
    try:
        place = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(*place[:3])
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(place[4])
    except OSError as error:
        raise ValueError(
            f"cannot listen at --host {options.host} --port {options.port}: {error.strerror or error}; give an address of this "
            "machine and a free port, or --port 0"
        ) from error
    address = bound.getsockname()[0]
    if not ipaddress.ip_address(address.partition("%")[0]).is_loopback:
        print(
            f"warning: everybody who reaches {address} of this machine can use the model; there is no password and no "
            "encryption",
            file=sys.stderr,
        )
    return bound


RUN_HELP = (
    "output folder of a run, or a YAML, or the name of one in hparams/; keys of the YAML can follow, such as --seed 2, and "
    "--trust-config (see `auralign check-config`)"
)


def add_run(parser: argparse.ArgumentParser) -> None:
    """The argument by which a command finds a run, with `options.overrides` for keys of its YAML."""
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.set_defaults(overrides={})


def add_trust(parser: argparse.ArgumentParser) -> None:
    """The option of a command that takes no other keys of the YAML; `trust_of` gives it to `RunFolder.open`."""
    parser.add_argument(
        "--trust-config",
        action="store_true",
        help="let the recipe's YAML construct anything (see `auralign check-config`)",
    )


def trust_of(options: argparse.Namespace) -> dict[str, bool]:
    """The overrides for a recipe that the option of `add_trust` makes."""
    return {"trust_config": True} if options.trust_config else {}


def parse_overrides(words: list[str]) -> dict[str, str]:
    """Values by key, of what follows a command's own options.

    Raises RecipeError on words that belong to no option.
    """
    from auralign.recipe import RecipeError, parse_arguments

    others, overrides = parse_arguments(words)
    if others:
        raise RecipeError(f"unexpected argument {others[0]!r}")
    return overrides


def import_from_working_folder() -> None:
    """Make modules in the working folder importable, as they are for a recipe's scripts: its YAML may name them."""
    sys.path.append(os.getcwd())


DECODING = ("max_new_tokens", "num_beams", "temperature", "top_p", "top_k", "seed")


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `load_model`."""
    parser.add_argument("folder", metavar="MODEL", help="model folder, written by export, or its hub id")
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
        "--trust-remote-code", action="store_true", help="run Python code that came with the LLM's folder"
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda:N")


def load_model(options: argparse.Namespace) -> "PretrainedModel":
    """Load the model folder that the arguments of `add_model` name."""
    from auralign.publish.load import load

    return load(
        options.folder,
        llm=options.llm,
        encoder=options.encoder,
        branches=parse_pairs(options.branch, "--branch"),
        device=options.device,
        trust_remote_code=options.trust_remote_code,
    )


def add_decoding(parser: argparse.ArgumentParser) -> None:
    """Add the options of `decoding_of`."""
    parser.add_argument("--max-new-tokens", type=int, metavar="N", help="length limit of an answer")
    parser.add_argument("--num-beams", type=int, metavar="N", help="1 is greedy; more is beam search")
    parser.add_argument(
        "--temperature", type=float, metavar="T", help="draw tokens, more freely the higher; default: greedy"
    )
    parser.add_argument(
        "--top-p",
        type=float,
        metavar="P",
        help="draw among the likeliest tokens that add up to probability P",
    )
    parser.add_argument("--top-k", type=int, metavar="K", help="draw among the K likeliest tokens")
    parser.add_argument("--seed", type=int, metavar="N", help="the same seed draws the same answer")


def decoding_of(options: argparse.Namespace) -> dict[str, Any]:
    """The options of `PretrainedModel.answer` that were given on the command line."""
    return {name: value for name in DECODING if (value := getattr(options, name)) is not None}


def print_stream(pieces: Iterator[str], *, live: bool) -> str:
    """Print an answer, piece by piece if `live`, otherwise when it is complete; returns it.

    `live` is for terminals, which obey control characters: these are shown as their codes.
    """
    from auralign.text.characters import show_controls

    said = []
    for piece in pieces:
        said.append(piece)
        if live:
            print(show_controls(piece), end="", flush=True)
    text = "".join(said)
    print("" if live else text, flush=True)
    return text
