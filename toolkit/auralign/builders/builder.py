"""Run a builder as a stage: skipped if complete, resumed if interrupted, with an account of what was kept and left out.

    summary = build(Measure(), "data/own/train.jsonl", "data/measured/train.jsonl")

Beside the manifest are `<name>.rejected.jsonl`, which lists each row that was left out, with its reason, and
`<name>.built.json`, the account: how many rows were read, kept and left out, and why.
"""

import dataclasses
import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from auralign import __version__
from auralign.data.manifest import Summary
from auralign.data.rejected import Item, Note, Rejected, Rejection, rejected_path
from auralign.files import PathLike, write_json
from auralign.marks import check_taken
from auralign.progress import track
from auralign.records import Records, Utterance, from_line, to_line, write_records
from auralign.stage import Stage, content
from auralign.store import Store

KEPT_EVERY = 1.0  # seconds of work that a kill may lose
KINDS = {"utterance": Utterance, "rejection": Rejection, "note": Note}
REPAIR = "mend the data, or raise the limit (--max-rejected)"


class Rows(Protocol):
    """The rows that a builder reads: they may be read several times; their audio is an absolute path, or "" if there is none."""

    def __iter__(self) -> Iterator[Utterance]: ...

    def __len__(self) -> int: ...


Step = tuple[str, Callable[[], Iterable[Item]]]  # its name, unique among the steps, and what makes its items


class Builder(Protocol):
    """What makes a manifest of rows.

    Attributes
    ----------
    name : str
    """

    name: str

    def describe(self) -> dict[str, Any]:
        """All that its output depends on beside the rows, as JSON values."""

    def steps(self, rows: Rows, folder: Path) -> Iterator[Step]:
        """Its steps in the order of the output, each of which depends on the rows and `describe` alone.

        `folder` is for audio that it writes; items name audio by absolute paths.
        """


@dataclass(frozen=True)
class _Made:
    """What a step made, as kept on disk until all steps are done."""

    key: str
    items: Any


def build(
    builder: Builder, source: PathLike, output: PathLike, *, max_rejected: float = 0.01
) -> Summary | None:
    """Make a manifest.

    Arguments
    ---------
    builder : Builder
    source : path
        A manifest, or a text file (.txt) with one document on each line.
    output : path
        The manifest to write, .jsonl, or a folder, in which it then has the name of the source. Audio is relative to its folder.
    max_rejected : float
        Share of rows left out above which nothing is written; see `auralign.data.rejected.Rejected`.

    Returns Summary, or None if the manifest was complete already.

    Raises ValueError if the output is no .jsonl or is the source, TooManyRejectedError, and what the builder raises.
    """
    source, output = Path(source), Path(output)
    if output.is_dir() or not output.suffix:
        output /= f"{source.stem}.jsonl"
    if output.suffix != ".jsonl":
        raise ValueError(f"--output {output}: a manifest's name ends with .jsonl; give one that does")
    if output.resolve() == source.resolve():
        raise ValueError(f"--output {output}: is what the builder reads; give the new manifest another name")
    inputs = {
        "auralign": __version__,
        "builder": builder.name,
        "manifest": content(source, made_by="auralign prepare"),
        "options": builder.describe(),
        "max_rejected": max_rejected,
    }
    account = account_path(output)
    outputs = [output, rejected_path(output), account]
    with Stage(f"build {output.stem}", output.parent, inputs=inputs, outputs=outputs) as stage:
        if stage.complete:
            return None
        rows = _TextRows(source) if source.suffix == ".txt" else _ManifestRows(source)
        steps = builder.steps(rows, output.with_suffix("").absolute())
        with Store(stage.partial(output), _Made) as store:
            keys = _run(steps, store, source, output, f"build {builder.name}: {output.stem}")
            summary = _write(keys, store, output, max_rejected, num_read=len(rows), about=inputs)
    return summary


def account_path(path: PathLike) -> Path:
    """`train.built.json` beside `train.jsonl`."""
    return Path(path).with_suffix(".built.json")


def _run(steps: Iterable[Step], store: Store, source: Path, output: Path, about: str) -> list[str]:
    """Run the steps that were not run before; returns the keys of all."""
    keys: list[str] = []
    waiting: list[_Made] = []
    kept = time.monotonic()
    for key, make in track(steps, about, unit="step"):
        keys.append(key)
        if key in store.keys:
            continue
        waiting.append(_Made(key, [_encode(item, output.parent) for item in make()]))
        if time.monotonic() - kept > KEPT_EVERY:
            store.append(waiting)
            waiting, kept = [], time.monotonic()
    store.append(waiting)
    if len(set(keys)) < len(keys):
        twice = next(key for key, count in Counter(keys).items() if count > 1)
        raise ValueError(f"{source}: the builder has two steps named {twice!r}; ids must be unique")
    return keys


def _write(
    keys: list[str], store: Store, output: Path, limit: float, *, num_read: int, about: dict[str, Any]
) -> Summary:
    """Write the manifest, the list of what was left out, and the account."""
    rejected, summary = Rejected(limit=limit), Summary(output)
    lost = _without_others(_items(keys, store))

    def kept() -> Iterator[Utterance]:
        for item in _items(keys, store):
            if isinstance(item, Rejection):
                rejected.add(item.id, item.reason, item.detail)
            elif isinstance(item, Note):
                summary.notes[item.text] += item.count
            elif item.id in lost:
                rejected.add(item.id, "names a row that is not there", lost[item.id])
            else:
                summary.num_kept += 1
                summary.seconds += item.seconds
                yield item
        rejected.write(rejected_path(output), num_kept=summary.num_kept, repair=REPAIR)

    write_records(output, kept(), kind=Utterance)
    summary.rejected = rejected.summary(num_kept=summary.num_kept)
    reasons = Counter(item["reason"] for item in rejected.items)
    write_json(
        account_path(output),
        {
            "builder": about["builder"],
            "options": about["options"],
            "read": num_read,
            "kept": summary.num_kept,
            "seconds": round(summary.seconds, 3),
            "left out": dict(reasons),
            "notes": dict(summary.notes),
        },
    )
    return summary


def _items(keys: Iterable[str], store: Store) -> Iterator[Item]:
    return (_decode(values) for key in keys for values in store.read(key).items)


def _without_others(items: Iterable[Item]) -> dict[str, str]:
    """Rows that name, among their `others`, a row that was left out, or that itself names one; with the id of that row."""
    there: set[str] = set()
    naming: dict[str, tuple[str, ...]] = {}
    for item in items:
        if isinstance(item, Utterance):
            there.add(item.id)
            if item.others:
                naming[item.id] = item.others
    lost: dict[str, str] = {}
    while True:
        new = {
            one: missing[0]
            for one, others in naming.items()
            if one not in lost and (missing := [other for other in others if other not in there])
        }
        if not new:
            return lost
        lost |= new
        there -= new.keys()


def _encode(item: Item, folder: Path) -> dict[str, Any]:
    """An item as JSON values; audio becomes relative to the manifest's folder."""
    if isinstance(item, Utterance):
        if item.audio:
            item = replace(
                item, audio=os.path.relpath(os.path.realpath(item.audio), os.path.realpath(folder))
            )
        return {"utterance": json.loads(to_line(item))}
    return {type(item).__name__.lower(): dataclasses.asdict(item)}


def _decode(values: Mapping[str, Any]) -> Item:
    ((kind, fields),) = values.items()
    if kind == "utterance":
        item: Item = from_line(json.dumps(fields), Utterance)
        return item
    made: Item = KINDS[kind](**fields)
    return made


class _ManifestRows:
    """The utterances of a manifest, with absolute paths."""

    def __init__(self, path: Path):
        self._records = Records(path, Utterance)
        self._folder = path.parent.absolute()
        if not len(self._records):
            raise ValueError(f"{path}: holds no utterance; give a manifest that does")

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Utterance]:
        for utterance in self._records:
            audio = str(self._folder / utterance.audio) if utterance.audio else ""
            yield replace(utterance, audio=audio)


class _TextRows:
    """The lines of a text file as documents, without those that hold only white space.

    The file stays open, so that all is read of one content, should another file get its name. Raises ChangedOutputError if it is
    not that which the stage has taken as its input.
    """

    def __init__(self, path: Path):
        self.path = path
        if path.is_dir():
            raise ValueError(
                f"--manifest {path}: is a folder; give a manifest, or a file with one document on each line"
            )
        self._file = open(path, "rb")  # noqa: SIM115 (closed with the object)
        digest = hashlib.sha256()
        for block in self._blocks():
            digest.update(block)
        check_taken(path, digest.hexdigest)
        self._count = sum(1 for _ in self)
        if not self._count:
            raise ValueError(f"{path}: holds no text; give a file with one document on each line")

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Utterance]:
        for number, line in enumerate(self._lines(), start=1):
            try:
                text = line.decode("utf-8").removeprefix("\ufeff" if number == 1 else "").strip()
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"{self.path}:{number}: not UTF-8 ({error.reason}); convert the file to UTF-8"
                ) from error
            if text:
                yield Utterance(id=f"{self.path.stem}-{number:07d}", audio="", seconds=0.0, text=text)

    def _lines(self) -> Iterator[bytes]:
        rest = b""
        for block in self._blocks():
            *lines, rest = (rest + block).split(b"\n")
            yield from lines
        yield rest

    def _blocks(self) -> Iterator[bytes]:
        position = 0
        while block := os.pread(self._file.fileno(), 2**20, position):  # moves no file position
            position += len(block)
            yield block
