"""The content of `auralign.json`: how parts are written, read and checked.

A part (encoder, connector, LLM) is written as {"call": constructor, "args": [...], "with": {argument: value}, "places":
{argument: hash of the folder at that path}}. A file is not trusted: it can name only constructors of `auralign.models`.
"""

import contextlib
import functools
import importlib
import os
import re
from pathlib import Path

from auralign import __version__
from auralign.bases import hash_content
from auralign.files import hash_path, hash_value, read_json, recall_path, remember_path, write_json
from auralign.hub import MODEL_FOLDER, Reference, has_form_of_id, parse, reference_of, resolve
from auralign.layout import Code, Speech, Text
from auralign.method import in_slot
from auralign.names import canonical
from auralign.train.checkpoint import HASHES_OF_EXPORT as HASHES
from auralign.train.checkpoint import check_hashes

CONFIG, CARD = MODEL_FOLDER, "README.md"
TRANSCRIPT = "{transcript}"  # marks the transcript in the slot of a model that is given one beside the speech
SCHEMA = 1
ALLOWED = "auralign.models."
NEEDED = (
    "llm",
    "encoder",
    "connector",
    "lora",
    "system_prompt",
    "template_options",
    "frame_hash",
    "slot",
    "decoding",
)
KNOWN = {
    *NEEDED, HASHES, "schema", "auralign", "method", "paper", "branches", "lora_scope", "train_llm", "sample_rate", "prompts",
    "books", "step", "valid_loss", "averaged_steps", "history", "assisted_slot", "questions",
}  # fmt: skip


def write_config(folder, config: dict) -> None:
    """Write the `auralign.json` of a folder that holds its other files already, with their SHA-256."""
    folder = Path(folder)
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name not in (CONFIG, CARD))
    hashes = {file.relative_to(folder).as_posix(): hash_path(file) for file in files}
    write_json(folder / CONFIG, {**config, HASHES: {**hashes, CONFIG: hash_value(config)}})


def read_config(folder) -> dict:
    """Read the `auralign.json` of a model folder.

    Arguments
    ---------
    folder : path
        Written by `auralign.publish.export.export`, of this auralign or an earlier one.

    Returns dict.

    Raises
    ------
    FileNotFoundError : the folder is not a model folder.
    ValueError : the file is not JSON, has another schema, lacks a key or has an unknown one, or a file of the folder is not
        the one that was exported.
    """
    path = Path(folder) / CONFIG
    if not path.is_file():
        raise FileNotFoundError(_tell_absent(Path(folder)))
    config = read_json(path, repair="export or copy the folder again")
    if not isinstance(config, dict):
        raise ValueError(f"{path}: not a JSON object, {{...}}; export or copy the folder again")
    if config.get("schema") != SCHEMA:
        raise ValueError(f"{path}: schema {config.get('schema')}, this auralign {__version__} reads {SCHEMA}")
    missing = [name for name in NEEDED if name not in config]
    if missing:
        raise ValueError(f"{path}: lacks {', '.join(missing)}; export the model again")
    unknown = sorted(config.keys() - KNOWN)
    if unknown:
        raise ValueError(
            f"{path}: auralign {__version__} does not know {', '.join(unknown)}; update auralign, or export the model again"
        )
    check_hashes(folder, config)
    return config


def _tell_absent(folder: Path) -> str:
    """Why there is no model folder, and what to give."""
    wanted = "give a folder that `auralign export` wrote"
    if re.match(r"https?:/", str(folder)):
        return f"{folder}: is an address; give the id of the hub, org/name"
    if (folder / "config.json").is_file():
        return (
            f"no {CONFIG} in {folder}, which is a model of transformers, as `auralign export --as` writes it; load it with the "
            "class that its README.md names, or export without --as"
        )
    if folder.exists():
        return f"no {CONFIG} in {folder}; {wanted}"
    return f"there is no folder {folder}; {wanted}, or its id on the hub{_hidden_by(folder)}"


def _hidden_by(name) -> str:
    """A hint about the local folder that keeps an id of the hub from being looked up; empty if there is none."""
    parent = Path(name).parent
    is_hidden = has_form_of_id(str(name)) and parent.is_dir()
    return f"; the folder {parent} hides the hub's: say {name}@main if that is meant" if is_hidden else ""


def account_of_slot(method, transcript: str) -> list:
    """The segments that replace `{speech}`, as JSON: ["text", text], ["speech", branch, start, end] or ["code", book, *ids].

    Arguments
    ---------
    method : AlignmentMethod
    transcript : str
        "" if the model is used without one, else `TRANSCRIPT`.

    Returns list.
    """
    return [_account_of_segment(segment) for segment in in_slot(method, transcript)]


def _account_of_segment(segment) -> list:
    if isinstance(segment, Speech):
        return ["speech", segment.branch, *segment.span]
    return ["code", segment.book, *segment.ids] if isinstance(segment, Code) else ["text", segment.text]


def segments_of_slot(account: list, transcript: str) -> list[Speech | Text | Code]:
    """The segments that `account_of_slot` wrote, with a transcript instead of `TRANSCRIPT`."""
    segments: list[Speech | Text | Code] = []
    for kind, value, *more in account:
        if kind == "speech":
            segments.append(Speech("", branch=value, span=tuple(more) or (0.0, 1.0)))
        elif kind == "code":
            segments.append(Code(value, tuple(more)))
        else:
            segments.append(Text(value.replace(TRANSCRIPT, transcript), tag="slot"))
    return segments


def account_of_part(described: dict, folder) -> dict:
    """A constructor and its arguments as they are published.

    Arguments
    ---------
    described : dict
        The description of the constructor by `auralign.fingerprint.describe`.
    folder : path
        The model folder. Paths among the arguments are written from there, or by their name alone if the path would reveal
        more of this machine; snapshots in the hub's cache by their id and commit.

    Returns dict with "call", "args", "with", and "places", the hash of the content of each path, if there are paths.
    """
    written, places = {}, {}
    for name, value in described["with"].items():
        if isinstance(value, dict) and "call" in value:
            value = account_of_part(value, folder)
        elif isinstance(value, str) and reference_of(value):  # a snapshot in the hub's cache
            value = str(reference_of(value))
        elif isinstance(value, str) and (name == "path" or os.sep in value) and os.path.exists(value):
            places[name] = hash_content(value)
            remember_path(places[name], value)
            value = _seen_from(folder, value)
        written[name] = value
    args = [
        Path(value).name if isinstance(value, str) and os.path.isabs(value) else value
        for value in described.get("args", [])
    ]
    account = {"call": canonical(described["call"]), "args": args, "with": written}
    return account | ({"places": places} if places else {})


def hub_id_of(account: dict) -> Reference | None:
    """The model of the hub that the account of an LLM or encoder names; None if it names a folder, which has a place."""
    return None if "path" in account.get("places", {}) else parse(str(account["with"].get("path", "")))


def _seen_from(folder, path) -> str:
    """A path relative to a folder, or its name alone if the two share only the root or the parent of a home folder."""
    start, target, home = (Path(item).resolve() for item in (folder, path, Path.home()))
    common = Path(os.path.commonpath([start, target]))
    is_private = target.is_relative_to(home) and not start.is_relative_to(home)
    if is_private or (len(common.parts) < 3 and common != home):
        return target.name
    return os.path.relpath(target, start)


def _find_path(written: str, digest: str, folder: Path) -> str:
    """Resolve a path of an account: as written, or the path at which this user last had content of this hash under that name."""
    if not (folder / written).exists():
        remembered = recall_path(digest)
        return str(remembered) if remembered and remembered.name == Path(written).name else written
    return str(folder / written)


def constructor_of(
    account: dict, holder, *, path_now=None, what: str = "", option: str = ""
) -> functools.partial:
    """The constructor of an account, with its arguments.

    Arguments
    ---------
    account : dict
        Written by `account_of_part`; names of an earlier auralign are accepted.
    holder : Path
        The file that holds it: paths are resolved from its folder, and errors name it.
    path_now : path, optional
        The part's folder now, or its id on the hub; default: the path in the account.
    what : str
        The kind of part, "llm" or "encoder", if it is loaded from a folder.
    option : str
        The argument of `load` by which the user can give another; default `what`.

    Raises
    ------
    FileNotFoundError : the part's folder is absent.
    ValueError : the account names anything but a constructor of `auralign.models`.
    """
    path = canonical(account["call"])
    module, _, name = path.rpartition(".")
    found = None
    if f"{module}.".startswith(ALLOWED):
        with contextlib.suppress(ModuleNotFoundError):
            found = getattr(importlib.import_module(module), name, None)
    if canonical(f"{getattr(found, '__module__', '')}.{getattr(found, '__qualname__', '')}") != path:
        form = {
            "": "its class, or a functools.partial with its arguments",
            "encoder": f"an object, {name}(...)",
        }
        raise ValueError(
            f"{holder}: names {account['call']}, which is not among {ALLOWED}*; if you trust it, import it yourself and give "
            f"it to load(..., {option or (what or 'connector') + '=...'})"
            + (f": {form[what]}" if what in form else "")
        )
    arguments = {
        key: constructor_of(value, holder) if isinstance(value, dict) and "call" in value else value
        for key, value in account["with"].items()
        if key != "trust_remote_code"
    }
    for key, digest in account.get("places", {}).items():
        arguments[key] = _find_path(arguments[key], digest, Path(holder).parent)
    if what:
        recorded = str(arguments.get("path"))
        if path_now or hub_id_of(account):
            recorded = str(resolve(path_now or recorded))
        arguments["path"] = recorded
        if path_now and not Path(arguments["path"]).exists():
            raise FileNotFoundError(
                f"no {what} at {path_now}: no such folder, and not an id of the hub{_hidden_by(path_now)}"
            )
        if not Path(arguments["path"]).exists():
            raise FileNotFoundError(
                f"{holder}: its {what} was at {arguments['path']}, which does not exist; give its path: load(..., "
                f"{option or what + '=PATH'})"
            )
    return functools.partial(found, *account["args"], **arguments)
