"""What a stage says on disk: its mark when it has started, and its mark when it is finished, with the hashes of its outputs.

    >>> import tempfile, pathlib
    >>> from auralign.files import hash_path, write_json
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.jsonl").write_text("made")
    >>> digest = hash_path(folder / "a.jsonl")
    >>> mark = {"inputs": {}, "outputs": {"0": digest}, "names": ["a.jsonl"]}
    >>> write_json(mark_path(folder, "demo", "done"), mark)
    >>> recorded_hashes(folder / "a.jsonl").keys() == {digest}
    True

`.<name>.done.json` has the inputs, the SHA-256 of each output by its number, and their names; marks of an earlier auralign lack
the names. `.<name>.started.json` has the inputs and the names of the outputs that are being made. Whoever reads an output
compares it with its mark, so that no damaged byte goes unnoticed.
"""

import contextlib
import json
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from auralign.files import PathLike, hash_path, read_json

DONE, STARTED, LOCK = "done", "started", "lock"


class ChangedOutputError(ValueError):
    """A file is not as the stage that made it left it."""


def mark_path(folder: PathLike, name: str, kind: str) -> Path:
    """The mark of the stage `name` in `folder`; `kind` is DONE, STARTED or LOCK."""
    suffix = LOCK if kind == LOCK else f"{kind}.json"
    return Path(folder) / f".{name.replace(' ', '_')}.{suffix}"


def read_done(path: Path) -> dict[str, Any]:
    """The mark of a finished stage: `inputs`, `outputs` (number to hash), and unless an earlier auralign wrote it `names`.

    Raises ValueError if the file is no such mark.
    """
    mark = read_json(path)
    is_mark = isinstance(mark, dict) and all(isinstance(mark.get(key), dict) for key in ("inputs", "outputs"))
    if is_mark:
        is_mark = (
            all(isinstance(value, str) for value in mark["outputs"].values())
            and isinstance(mark.get("run", {}), dict)
            and isinstance(mark.get("code", {}), dict)
            and _are_names(mark.get("names", []), len(mark["outputs"]))
        )
    if not is_mark:
        raise ValueError(f"{path}: is no mark of a finished stage; delete the file and run the stage again")
    return mark


def _are_names(names: Any, most: int) -> bool:
    return isinstance(names, list) and len(names) <= most and all(isinstance(name, str) for name in names)


def read_started(path: Path) -> dict[str, Any]:
    """The mark of a stage that has started: `inputs`, `outputs` (a list of names) and `process`, as `describe_process` gives it.

    Raises ValueError if the file is no such mark.
    """
    mark = read_json(path)
    if isinstance(mark, dict):
        # An earlier auralign wrote the inputs alone, or no process.
        mark = {"inputs": mark, "outputs": [], "process": None, **(mark if "inputs" in mark else {})}
    if not (
        isinstance(mark, dict)
        and isinstance(mark["inputs"], dict)
        and isinstance(mark.get("code", {}), dict)
        and _are_names(mark["outputs"], sys.maxsize)
    ):
        raise ValueError(f"{path}: is no mark of a started stage; delete the file and run the stage again")
    return mark


def describe_process() -> list[Any]:
    """This process: its machine, its number, and when it started, in ticks of the kernel's clock (None if that is not known)."""
    return [platform.node(), os.getpid(), _start_of(os.getpid())]


def _start_of(pid: int) -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        # "7 (python) S 1 ...": the name may hold spaces and brackets, and the 20th field after it is the time of the start
        state, *fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return None if state in "ZX" else int(fields[18])  # Z, X: it has ended
    return None


def working_process(started: Path) -> int | None:
    """The number of the other process that wrote a mark of the start and is still at work; None if there is none.

    It keeps others out if its lock file was deleted. A process on another machine is not seen.
    """
    process = read_started(started)["process"] if started.exists() else None
    if not (isinstance(process, list) and len(process) == 3 and type(process[1]) is int):
        return None
    node, pid, start = process
    is_alive = node == platform.node() and start is not None and start == _start_of(pid)
    return pid if is_alive and pid != os.getpid() else None


def hash_outputs(outputs: list[Path]) -> dict[str, str]:
    """The outputs of a mark: number to hash."""
    return {str(number): hash_path(output) for number, output in enumerate(outputs)}


def are_as_recorded(outputs: list[Path], done: Path) -> bool:
    """Whether the mark `done` exists and the outputs have the content that it recorded."""
    return (
        done.exists()
        and all(output.exists() for output in outputs)
        and read_done(done)["outputs"] == hash_outputs(outputs)
    )


def being_replaced(started: Path) -> list[Path]:
    """Outputs that the mark `started` names; [] if all are those of a finished run, or if an earlier auralign wrote it."""
    outputs = [started.parent / name for name in read_started(started)["outputs"]]
    done = started.with_name(started.name.replace(f".{STARTED}.json", f".{DONE}.json"))
    return [] if are_as_recorded(outputs, done) else outputs


def recorded_hashes(path: PathLike) -> dict[str, Path]:
    """The hashes that the marks of finished stages record for an output, usually one, and the mark of each.

    Empty if no mark names the file.
    """
    path, found = Path(path), {}
    for done in sorted(path.parent.glob(f".*.{DONE}.json")):
        mark = read_done(done)
        for number, name in enumerate(mark.get("names", ())):
            if name == path.name and str(number) in mark["outputs"]:
                found[mark["outputs"][str(number)]] = done
    return found


def is_recorded(path: PathLike, digest: str) -> bool:
    """Whether a mark beside a file records this content as an output; those of an earlier auralign have no names of outputs."""
    marks = Path(path).parent.glob(f".*.{DONE}.json")
    return any(digest in read_done(done)["outputs"].values() for done in marks)


def check_recorded(path: PathLike, digest: str) -> None:
    """Compare a file of records that was read with what its stage recorded; name it on stderr, once, if no mark records it.

    Arguments
    ---------
    path : path
    digest : str
        SHA-256 of its content, in hexadecimal digits.

    Raises ChangedOutputError if the content is another, or is not that which the stage at work has taken as its input. While the
    stage that makes the file is at work, nothing is said.
    """
    path = Path(path)
    check_taken(path, lambda: digest)
    if _is_being_made(path):
        return
    if not check_output(path, digest):
        _name_once(path, digest)


def check_output(path: Path, digest: str) -> bool:
    """Whether a mark records an output with this hash; False if no mark records it at all.

    Raises ChangedOutputError if it is recorded with another, unless `accept_changed` was called for it.
    """
    recorded = recorded_hashes(path)
    if recorded and digest not in recorded:
        (was, mark), *_ = recorded.items()
        said = f"{path}: is not what the stage wrote, which {mark.name} records (SHA-256 {digest[:12]}, was {was[:12]})"
        if os.path.abspath(path) not in _accepted:
            raise ChangedOutputError(
                f"{said}: it was damaged or edited; run that stage again, or to use the file as it is, delete {mark}"
            )
        print(f"{said}; used as it is, as --restart was given", file=sys.stderr)
    return bool(recorded)


def take(path: PathLike, digest: str) -> None:
    """Note the hash of a file that is an input of the stage that begins next: `check_recorded` refuses another content of it."""
    _taken[os.path.abspath(path)] = digest


def check_taken(path: PathLike, digest: Callable[[], str]) -> None:
    """Raise ChangedOutputError if the stage at work has another content of the path among its inputs; `digest` gives the present
    hash."""
    taken = _taken.get(os.path.abspath(path))
    if taken is not None and taken in _inputs_at_work and (now := digest()) != taken:
        raise ChangedOutputError(
            f"{path}: was changed while this stage was at work (SHA-256 {now[:12]}, was {taken[:12]}); run the "
            "same command again"
        )


def begin_work(inputs: dict[str, Any]) -> None:
    """A stage is at work from now on, in this process; its files are those of which `take` has noted a hash that is among its
    inputs, and not those of another stage, which may begin later or not at all."""
    global _inputs_at_work
    _inputs_at_work = json.dumps(inputs)


def end_work() -> None:
    """The stage has ended: its inputs may change."""
    global _inputs_at_work
    _inputs_at_work = ""


_taken: dict[str, str] = {}
_inputs_at_work = ""  # as JSON; "" if no stage is at work


def accept_changed(path: PathLike) -> None:
    """Let this process use an output that is not as its stage recorded it, which is then said on stderr and is no error."""
    _accepted.add(os.path.abspath(path))


_accepted: set[str] = set()


def _is_being_made(path: Path) -> bool:
    return any(path.name in read_started(mark)["outputs"] for mark in path.parent.glob(f".*.{STARTED}.json"))


_named: set[str] = set()  # files that this process has named already


def _name_once(path: Path, digest: str) -> None:
    if not is_recorded(path, digest) and os.path.abspath(path) not in _named:
        _named.add(os.path.abspath(path))
        print(
            f"{path}: no stage recorded its content (written by hand, or elsewhere?); read as it is",
            file=sys.stderr,
        )
