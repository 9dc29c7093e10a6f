"""A training that cannot be lost: which changes it goes on with, and where what stands in the way goes.

    >>> [found.key for found in differences({"lr": 0.01, "device": "cpu"}, {"lr": 0.005, "device": "cpu"})]
    ['lr']

A run is begun once and goes on from its newest checkpoint, which says what it was trained with. What changed since is sorted
by the `change` of its key in `auralign.hparams.KEYS`: where the files are kept and what is logged changes no weight; of a
device, or of the size of a pack, the checkpoints keep a history; more steps are trained with the rates of the new schedule
from the step reached on, and so are fewer, as long as the run is not beyond them. All else is another run. It is refused
in one line, unless it is given another `output_folder`, or `--restart`, which moves the old run into `before_1` (or the next
number) below its folder. Nothing here removes a checkpoint.
"""

import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from auralign.files import read_json, write_json
from auralign.fingerprint import describe, same
from auralign.recipe import FIXED, KEYS, NOTED, SAME, STEPS
from auralign.stage import BEFORE, Stage
from auralign.train.checkpoint import Checkpoints

# The inputs of stage 3 with what a change of each means: keys of the YAML, and what `train.py` adds to them.
INPUTS = {name: key.change for name, key in KEYS.items() if key.change != SAME} | {
    "auralign": NOTED,
    "ranks": NOTED,
    "manifests": FIXED,
    "targets": FIXED,
    "teacher": FIXED,
}
LONGEST_VALUE = 60  # characters of a changed value in a line


@dataclass(frozen=True)
class Difference:
    """An input of training that is not what it was; `change` is one of `auralign.hparams.CHANGES`."""

    key: str
    before: object
    now: object
    change: str

    def __str__(self):
        """What differs, down to the part of it: `connector.stride 8 -> 4`."""
        parts = list(_parts(self.key, self.before, self.now))
        return ", ".join(f"{name} {_show(before)} -> {_show(now)}" for name, before, now in parts)


def differences(before: dict, now: dict) -> list[Difference]:
    """What differs between the inputs recorded of a run and those of now.

    A record of an earlier auralign may lack a key: it had the effect of the key's default then, if it has any.
    """
    found = []
    for key, change in INPUTS.items():
        if key not in now or (key not in before and (change == NOTED or not _has_default(key))):
            continue
        was = before[key] if key in before else describe(KEYS[key].default)
        alike = KEYS[key].alike if key in KEYS else ()
        if not same(was, now[key]) and not (was in alike and now[key] in alike):
            found.append(Difference(key, was, now[key], change))
    return found


class TrainingStage(Stage):
    """The stage that trains: it goes on with what was trained, or refuses; it never starts over.

    Arguments
    ---------
    folder : path
        The output_folder.
    inputs : dict
        Of `INPUTS`; the description of each checkpoint holds them too.
    outputs : list of Path
        With the folder `checkpoints`.
    restart : bool
        Move a run with other inputs aside. One with the same inputs goes on, so that a command that was killed can be given
        again.

    Raises ValueError on entry where a run stands that this one cannot go on with.
    """

    def __init__(self, folder, *, inputs: dict, outputs: list, restart: bool = False):
        super().__init__("train", folder, inputs=inputs, outputs=outputs)
        self.restart = restart
        self._checkpoints = Checkpoints(self.folder / "checkpoints")
        self._moved: Path | None = None

    def _begin(self) -> None:
        if not self._checkpoints.exist():
            super()._begin()  # nothing is trained yet
            return
        done = self._find_done()
        if done is not None and not differences(done["inputs"], self.inputs):
            self._skip()
            return
        last = self._checkpoints.last()
        before = last.description if last else self._read_inputs()
        changes = differences(done["inputs"] if done else before, self.inputs)
        if changes and self.restart:
            self._move_aside()
        elif done is not None and all(change.change == NOTED for change in changes):
            self._skip()  # what was trained stays as it is
            return
        else:
            self._refuse(changes, step=last.step if last else 0)
            print(f"{self.name}: resuming where it was interrupted", file=sys.stderr)
            if self._done.exists():
                os.replace(self._done, self._done_before)
        write_json(self._started, self.inputs)

    @property
    def _done_before(self) -> Path:
        return self._done.with_name(f"{self._done.name}.{BEFORE}")

    def _find_done(self) -> dict | None:
        """The mark of a finished run, if the outputs are still what it says. Also of one that another run was to go on with
        and was killed before it had written anything."""
        for mark in (self._done, self._done_before):
            if mark.exists():
                done = read_json(mark)
                if self._outputs_stand(done):
                    os.replace(mark, self._done)
                    return done
        return None

    def _read_inputs(self) -> dict:
        """The inputs of a run without a sound checkpoint, by its marks."""
        if self._done.exists():
            return read_json(self._done)["inputs"]
        return read_json(self._started) if self._started.exists() else {}

    def _refuse(self, changes: list[Difference], *, step: int) -> None:
        told = [change for change in changes if change.change == FIXED]
        least = ""
        for change in changes:
            if change.change == STEPS and change.now < step:
                told.append(change)
                least = f"give num_steps {step} or more, "
        if told:
            ways = f"{least or 'give '}{'or ' * bool(least)}this one another output_folder, or --restart"
            raise ValueError(
                f"{self.folder} holds a run, trained to step {step}, that this one cannot go on with: "
                f"{', '.join(map(str, told))}; {ways}, which moves that run aside (with run.sh: -- --restart)"
            )

    def _move_aside(self) -> None:
        """Move all that the run has written into a folder of its own; the checkpoints last, as they say what it was."""
        self._moved = _new_folder(self.folder)
        for path in self._of_run(self.folder):
            if path.exists():
                os.replace(path, self._moved / path.name)
        print(f"{self.name}: the run that was here is now in {self._moved}", file=sys.stderr)

    def _of_run(self, folder: Path) -> list[Path]:
        outputs = sorted((path.name for path in self.outputs), key=self._checkpoints.folder.name.__eq__)
        names = [self._done.name, self._done_before.name, self._started.name, "curves", *outputs]
        return [folder / name for name in names]

    def _fail(self) -> None:
        """Put back what stood there, if the run that ends with an error has trained nothing."""
        if self.complete:
            return
        if self._moved is not None and not self._checkpoints.exist():
            for path in self._of_run(self.folder):
                self._discard(path)
            for path in self._of_run(self._moved):
                if path.exists():
                    os.replace(path, self.folder / path.name)
            self._moved.rmdir()
        elif self._find_done() is not None:
            self._started.unlink(missing_ok=True)
        elif not self._checkpoints.exist():
            super()._fail()
            return
        else:
            return
        print(f"{self.name}: what was trained before is kept", file=sys.stderr)

    def _discard(self, aside: Path) -> None:
        """Remove what stepped aside, unless it was trained: an earlier auralign let checkpoints step aside."""
        if Checkpoints(aside).exist():
            os.replace(aside, _new_folder(self.folder) / self._checkpoints.folder.name)
        else:
            super()._discard(aside)


def history_of(last: dict, now: dict) -> list[dict]:
    """The changes under which a run has gone on, oldest first: those of its last checkpoint's description, and what differs
    between that and the description of now. Each entry has the `step` reached, and what was changed, with both values."""
    history = list(last.get("history", []))
    changes = differences(last, now)
    if changes:
        changed = {change.key: [change.before, change.now] for change in changes}
        history.append({"step": last["step"], "changed": changed})
    return history


def tell_changes(entry: dict) -> str:
    """An entry of a history in words: `device cpu -> cuda, num_steps 10 -> 20`."""
    return ", ".join(
        f"{key} {_show(before)} -> {_show(now)}" for key, (before, now) in entry["changed"].items()
    )


def _new_folder(folder: Path) -> Path:
    """Make `before_<number>` below a folder, with a number that is free."""
    number = 1
    while True:
        try:
            (folder / f"before_{number}").mkdir()
            return folder / f"before_{number}"
        except FileExistsError:
            number += 1


def _has_default(key: str) -> bool:
    return key in KEYS and KEYS[key].default is not ...


def _parts(name: str, before, now):
    """(name, before, now) of each part in which two values differ."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted({*before, *now}):
            if key in before and not same({key: before[key]}, {key: now.get(key)}):
                absent = "absent" if key == "content" else None  # of a file or folder that is there no more
                yield from _parts(
                    name if key == "with" else f"{name}.{key}", before[key], now.get(key, absent)
                )
            elif key not in before and not same({}, {key: now[key]}):
                yield from _parts(name if key == "with" else f"{name}.{key}", None, now[key])
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for number, (was, is_now) in enumerate(zip(before, now, strict=True)):
            if not same(was, is_now):
                yield from _parts(f"{name}[{number}]", was, is_now)
    else:
        yield name, before, now


def _show(value) -> str:
    if isinstance(value, str) and re.fullmatch(r"[0-9a-f]{16,}", value):
        return value[:8]  # of the hash of a content
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"
