"""A training that cannot be lost: which changes it continues with, and which need a run of their own.

    >>> [found.key for found in differences({"lr": 0.01, "device": "cpu"}, {"lr": 0.005, "device": "cpu"})]
    ['lr']

A training is begun once and continues from its newest checkpoint, which records what it was trained with. A value that changed
since is treated by the `change` of its key in `auralign.recipe.KEYS`. The locations of files and the logging change no
weight. If the device or the size of a pack changes, the checkpoints keep a history of it. If the number of steps changes, the
training continues with the learning rates of the new schedule, unless it is already beyond its end. Every other change is
another run: it is refused in one line, unless it has another `output_folder`, or `--restart`, which trains in a new numbered
folder (`auralign.versions`). Nothing here removes, moves or replaces a checkpoint of another run.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from auralign.changes import show_change, show_value
from auralign.fingerprint import describe, same
from auralign.marks import STARTED
from auralign.recipe import FIXED, KEYS, NOTED, SAME, STEPS
from auralign.stage import Stage, begun_with, changed_code
from auralign.train.checkpoint import Checkpoints
from auralign.versions import CHECKPOINTS, trainings

# The inputs of stage 3, and what a change of each means: keys of the YAML, and what `train.py` adds to them.
INPUTS = {name: key.change for name, key in KEYS.items() if key.change != SAME} | {
    "auralign": NOTED,
    "ranks": NOTED,
    "manifests": FIXED,
    "targets": FIXED,
    "teacher": FIXED,
}


@dataclass(frozen=True)
class Difference:
    """An input of training that has changed; `change` is one of `auralign.recipe.CHANGES`."""

    key: str
    before: object
    now: object
    change: str

    def __str__(self):
        """The parts of the value that differ: `connector.stride 8 -> 4`."""
        return show_change(self.key, self.before, self.now)


def differences(before: dict, now: dict) -> list[Difference]:
    """The differences between the recorded inputs of a run and the present ones.

    A record of an earlier auralign may lack a key: it had the effect of the key's default, if the key has one. So have the inputs
    of a key that came later and is not set.
    """
    found = []
    for key, change in INPUTS.items():
        if key not in before and (key not in now or change == NOTED or not _has_default(key)):
            continue
        if key not in now and not (key in KEYS and KEYS[key].is_new):
            continue
        was, is_now = (side[key] if key in side else describe(KEYS[key].default) for side in (before, now))
        alike = KEYS[key].alike if key in KEYS else ()
        if not same(was, is_now) and not (was in alike and is_now in alike):
            found.append(Difference(key, was, is_now, change))
    return found


class TrainingStage(Stage):
    """The stage that trains: it continues a run or refuses to; with `restart` it trains another version and keeps the old one.

    Arguments
    ---------
    output_folder : str or Path
        Folder of the run. The training is in one of `auralign.versions.trainings(output_folder)`, which is the attribute
        `folder` inside the `with` block.
    inputs : dict
        Values of `INPUTS`; the description of each checkpoint holds them too.
    outputs : sequence of str
        Names of what is written in that folder, with "checkpoints".
    restart : bool
        Whether a run with other inputs begins a version of its own instead of being refused. If a version was begun with the
        same inputs and the same code of the toolkit, that one is continued, so that a command that was killed can be given
        again. Default: False.

    Raises
    ------
    ValueError
        On entry, if there is a run that this one cannot continue.
    """

    def __init__(self, output_folder, *, inputs: dict, outputs: Sequence[str], restart: bool = False):
        self.versions = trainings(output_folder)
        super().__init__("train", self.versions.folder, inputs=inputs, outputs=[], restart=restart)
        self.names = outputs

    def _begin(self) -> None:
        self.folder = self.versions.current
        if self.restart:
            self.folder = self.versions.choose(has_inputs=self._has_inputs, may_change=self._is_untrained)
        self.outputs = [self.folder / name for name in self.names]
        if self._is_untrained(self.folder):
            super()._begin()
            return
        finished = self._is_finished()
        last = Checkpoints(self.folder / CHECKPOINTS).last()
        # The mark of a run whose files changed may be older than its last checkpoint. None of the checkpoints may be sound.
        before = last.description if last and not finished else begun_with(self.folder, self.name) or {}
        changes = differences(before, self.inputs)
        if finished and all(change.change == NOTED for change in changes):
            self._skip()  # what was trained stays as it is
            return
        self._refuse(changes, step=last.step if last else 0)
        print(f"{self.name}: resuming where it was interrupted", file=sys.stderr)
        self._say_edited("begun", STARTED)
        self._start()

    def _skip(self) -> None:
        super()._skip()
        self._make_current()

    def _finish(self) -> None:
        super()._finish()
        self._make_current()

    def _make_current(self) -> None:
        if self.folder != self.versions.current:
            self.versions.make_current(self.folder)
            print(
                f"{self.name}: later stages now read {self.folder}; earlier versions are kept",
                file=sys.stderr,
            )

    def _is_untrained(self, version: Path) -> bool:
        return not Checkpoints(version / CHECKPOINTS).exist()

    def _has_inputs(self, version: Path) -> bool:
        """Whether a version was trained with these inputs and the present code, to its end or not."""
        if changed_code(version, self.name):
            return False
        last = Checkpoints(version / CHECKPOINTS).last()
        return last is not None and all(
            change.change == NOTED for change in differences(last.description, self.inputs)
        )

    def _refuse(self, changes: list[Difference], *, step: int) -> None:
        fixed = [change for change in changes if change.change == FIXED]
        least = ""
        for change in changes:
            if change.change == STEPS and change.now < step:
                fixed.append(change)
                least = f"give num_steps {step} or more, "
        if fixed:
            data = {change.key for change in fixed} & {"manifests", "targets", "teacher"}
            damaged = (
                "; if the data were not changed on purpose, run the stage that writes them again" * bool(data)
            )
            ways = f"{least or 'give '}{'or ' * bool(least)}this one another output_folder, or --restart"
            raise ValueError(
                f"{self.folder} holds a run, trained to step {step}, that this one cannot continue: "
                f"{', '.join(map(str, fixed))}; {ways}, which keeps that run and trains beside it (with run.sh: -- "
                f"--restart){damaged}"
            )


def history_of(last: dict, now: dict) -> list[dict]:
    """The changes under which a run was continued, oldest first: those in the description of its last checkpoint, and the
    differences between that description and the present one. Each entry has the `step` that was reached, and the old and new
    value of each changed input."""
    history = list(last.get("history", []))
    changes = differences(last, now)
    if changes:
        changed = {change.key: [change.before, change.now] for change in changes}
        history.append({"step": last["step"], "changed": changed})
    return history


def describe_changes(entry: dict) -> str:
    """An entry of a history as text: `device cpu -> cuda, num_steps 10 -> 20`."""
    return ", ".join(
        f"{key} {show_value(before)} -> {show_value(now)}" for key, (before, now) in entry["changed"].items()
    )


def _has_default(key: str) -> bool:
    return key in KEYS and KEYS[key].default is not ...
