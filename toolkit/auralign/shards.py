"""A stage dealt to several processes: each makes one contiguous part; joined, these are the file that one process makes.

    >>> Shard.parse("2/3").cut(10)
    range(3, 6)
    >>> deal([7, 2, 2, 9], 2)                                  # rows of utterances, two questions about the third
    [2, 1, 1, 2]

Each shard is a stage of its own in `<output>.shards`, with its lock, marks and half-done work: it resumes after a kill, whatever
the others do. Whoever finds all shards finished, or the command without `--shard`, joins them; the marks and the outputs are then
those of a run without shards, and the folder of the parts is removed.
"""

import contextlib
import os
import re
import shutil
from abc import abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from auralign.changes import show_change
from auralign.files import locked
from auralign.fingerprint import same
from auralign.marks import DONE, LOCK, mark_path, read_done, read_started
from auralign.stage import Stage, StageBusyError, begun_with

OPTION = "--shard"


class Shard(NamedTuple):
    """One of `num_shards` equal parts of the work; `number` counts from 1."""

    number: int
    num_shards: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """The shard that `i/n` names.

        Raises ValueError if it names none.
        """
        found = re.fullmatch(r"([0-9]+)/([0-9]+)", text)
        shard = cls(*map(int, found.groups())) if found else None
        if shard is None or not 1 <= shard.number <= shard.num_shards:
            raise ValueError(
                f"{OPTION} {text!r}: give i/n, the number of this shard, from 1 on, and of all of them, as in {OPTION} 1/4"
            )
        return shard

    @classmethod
    def of_arguments(cls, argv: Sequence[str]) -> tuple["Shard | None", list[str]]:
        """The shard that a command line names, None if it names none, and the other arguments.

        Raises ValueError on a value that is no shard, or on two of them.
        """
        shards, rest, words = [], [], iter(argv)
        for word in words:
            name, equals, value = word.partition("=")
            if name == OPTION:
                shards.append(cls.parse(value if equals else next(words, "")))
            else:
                rest.append(word)
        if len(shards) > 1:
            raise ValueError(f"{OPTION} is given twice, {shards[0]} and {shards[1]}; give one")
        return (shards[0] if shards else None), rest

    def __str__(self) -> str:
        return f"{self.number}/{self.num_shards}"

    def cut(self, num_items: int, *, block: int = 1) -> range:
        """This shard's range of so many items; all ranges begin at multiples of `block`."""
        blocks = -(-num_items // block)
        start, end = (
            block * (blocks * number // self.num_shards) for number in (self.number - 1, self.number)
        )
        return range(start, min(end, num_items))


def deal(rows: Sequence[int], count: int) -> list[int]:
    """The number, from 1, of the shard of each item; an item belongs to a row.

    Shards are contiguous ranges of rows, with about equally many items, so that the items of a row share a shard.
    """
    order = sorted(rows)
    middles = {row: bisect_left(order, row) + bisect_right(order, row) for row in set(rows)}
    return [1 + count * middles[row] // (2 * len(order)) for row in rows]


def common_header(parts: Sequence[Path]) -> bytes:
    """The first line of all parts, which describes the prompts and the models that made their records.

    Raises ValueError if two of them differ.
    """
    lines = []
    for part in parts:
        with open(part, "rb") as file:
            lines.append(file.readline())
        if lines[-1] != lines[0]:
            raise ValueError(
                f"{part}: was made with other prompts or models than {parts[0]}; delete both and run their shards again"
            )
    return lines[0]


class DealtStage(Stage):
    """A stage that can be dealt to shards; the subclass says how their parts are joined. Its main output is `path`."""

    path: Path
    shard: Shard | None = None
    _joined: Sequence[dict] = ()  # the marks of the shards

    @abstractmethod
    def join(self, parts: list[Path]) -> str:
        """Write the outputs from the main outputs of all shards, in order; returns a one-line summary."""

    @property
    def whole(self) -> "DealtStage":
        """The stage that a shard is of."""
        return self

    def part(self, shard: Shard) -> "PartStage":
        """The stage of one shard."""
        return PartStage(self, shard)

    @property
    def parts_folder(self) -> Path:
        """Folder of the shards' parts, marks and half-done work."""
        return self.path.with_suffix(".shards")

    def __enter__(self) -> "DealtStage":
        super().__enter__()
        if not self.complete and self._begun():
            try:
                self._join()
            except BaseException:
                self._fail()
                self._lock.close()
                raise
        return self

    def enter_if_joinable(self) -> None:
        """Join the parts if all shards are finished, unless another process does it at this moment."""
        try:
            shards = self._begun()
            is_whole = self.is_done() or bool(shards and not self._unfinished(next(iter(shards)).num_shards))
        except FileNotFoundError:  # another process has joined them at this moment, and removes the parts
            is_whole = self.is_done()
        if is_whole:
            with contextlib.suppress(StageBusyError), self:
                pass

    def check_part(self, shard: Shard) -> None:
        """Raise ValueError if a shard cannot be made: others are of another number of shards or of other inputs, or the run may
        not replace the outputs."""
        before = begun_with(self.folder, self.name)
        if before is not None:
            self._refuse_another_method(before)
        self._refuse_protected(before)
        for other, inputs in self._begun().items():
            changes = ", ".join(
                show_change(key, inputs.get(key), self.inputs.get(key))
                for key in sorted(set(inputs) | set(self.inputs))
                if not same(inputs.get(key), self.inputs.get(key))
            )
            if other.num_shards != shard.num_shards:
                changes = f"into {other.num_shards} shards, not {shard.num_shards}"
            if changes:
                raise ValueError(
                    f"{self.name} {shard}: {self.parts_folder} holds a run that was dealt otherwise: {changes}; go on with "
                    "that one, or delete the folder"
                )

    def _start(self) -> None:
        shards = self._begun()
        if shards:
            self.check_part(next(iter(shards)))
            missing = self._unfinished(next(iter(shards)).num_shards)
            if missing:
                names = ", ".join(map(str, missing[:5])) + (
                    f" and {len(missing) - 5} more" * (len(missing) > 5)
                )
                raise ValueError(
                    f"{self.name}: not finished: shard{'s' * (len(missing) > 1)} {names}; run the same command with "
                    f"{OPTION} {missing[0]}, or delete {self.parts_folder} to begin again without shards"
                )
        super()._start()

    def _skip(self) -> None:
        super()._skip()
        self._clear_parts()

    def _join(self) -> None:
        count = next(iter(self._begun())).num_shards
        parts = [self.part(Shard(number, count)) for number in range(1, count + 1)]
        for part in parts:  # a process that has written its mark may still be clearing up
            with locked(mark_path(part.folder, part.name, LOCK)):
                pass
        print(f"{self.name}: {count} shards: {self.join([part.path for part in parts])}", flush=True)
        self._joined = [read_done(part._done) for part in parts]
        self._finish()
        self.complete = True
        self._clear_parts()

    def _describe_work(self) -> dict:
        """Of shards the code of all, and their seconds together."""
        work = super()._describe_work()
        if self._joined:
            work["run"] |= {
                "shards": len(self._joined),
                "seconds": round(sum(mark["run"]["seconds"] for mark in self._joined), 1),
            }
            work["code"] = {
                name: tree for mark in self._joined for name, tree in mark["code"].items()
            } | work["code"]
        return work

    def _clear_parts(self) -> None:
        """Remove the parts of a run with these inputs: they are in the outputs."""
        if all(same(inputs, self.inputs) for inputs in self._begun().values()):
            shutil.rmtree(self.parts_folder, ignore_errors=True)

    def _begun(self) -> dict[Shard, dict]:
        """The shards that were begun, or finished, and the inputs of each."""
        found = {}
        pattern = re.compile(r"\..*_shard_(\d+)_of_(\d+)\.(done|started)\.json")
        for path in sorted(self.parts_folder.glob(".*_shard_*.json")):
            named = pattern.fullmatch(path.name)
            if named:
                with contextlib.suppress(FileNotFoundError):  # its process has finished it, or joined all
                    read = read_done if named[3] == DONE else read_started
                    inputs = dict(read(path)["inputs"])
                    inputs.pop("shard", None)
                    found[Shard(int(named[1]), int(named[2]))] = inputs
        return found

    def _unfinished(self, count: int) -> list[Shard]:
        shards = [Shard(number, count) for number in range(1, count + 1)]
        return [shard for shard in shards if not self.part(shard).is_done()]


class PartStage(Stage):
    """The stage of one shard of a `DealtStage`; when it ends, it joins the parts if it is the last one.

    Arguments
    ---------
    whole : DealtStage
    shard : Shard
    """

    def __init__(self, whole: DealtStage, shard: Shard):
        stem, folder = f"{shard.number}-of-{shard.num_shards}", whole.parts_folder
        super().__init__(
            f"{whole.name} shard {shard.number} of {shard.num_shards}",
            folder,
            inputs={**whole.inputs, "shard": str(shard)},
            outputs=[folder / f"{stem}{path.name.removeprefix(whole.path.stem)}" for path in whole.outputs],
            restart=whole.restart,
        )
        self.whole, self.shard = whole, shard
        self.path = folder / f"{stem}{whole.path.suffix}"

    def __enter__(self) -> "PartStage":
        try:
            if not self.whole.is_done():
                super().__enter__()
                return self
        except FileNotFoundError:  # another process has joined all parts at this moment, and removed them
            if not self.whole.is_done():
                raise
        self.complete, self._lock = True, open(os.devnull, encoding="utf-8")
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        super().__exit__(kind, error, trace)
        if kind is None:
            self.whole.enter_if_joinable()

    def _begin(self) -> None:
        self.whole.check_part(self.shard)
        super()._begin()
        # Asked last: whoever has joined and removed the parts in between has finished the whole before.
        if not self.complete and self.whole.is_done():
            self._skip()
