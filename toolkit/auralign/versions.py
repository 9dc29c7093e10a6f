"""Versions of a run's targets and training: `--restart` begins a new numbered folder, a pointer file names the current one.

    >>> import tempfile, pathlib
    >>> output = pathlib.Path(tempfile.mkdtemp())
    >>> current_checkpoints(output).relative_to(output).as_posix()      # no pointer: the first version
    'checkpoints'
    >>> trainings(output).make_current(output / "train_2")
    >>> current_checkpoints(output).relative_to(output).as_posix()
    'train_2/checkpoints'

The first version of the targets is in `targets`, the next in `targets_2`; the file `targets.current` names the one that
stage 3 reads. The first training is in the output_folder itself (`checkpoints`, `log.json`, `curves`, what was rejected), the
next in `train_2`, which holds the same names; `train.current` names the one that stage 4 reads. The pointer is renamed when
a version is finished. Nothing is moved or removed, so that each version can be used by its own path at any time.
"""

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path

from auralign.files import hash_path, read_json, write_atomically
from auralign.fingerprint import same
from auralign.stage import begun_with, changed_code, output_hashes

CHECKPOINTS, LOG, CURVES = "checkpoints", "log.json", "curves"  # in the folder of one training


class Versions:
    """Numbered versions of one thing in an output_folder.

    Arguments
    ---------
    folder : str or Path
        The output_folder.
    name : str
        Version 2 is `<folder>/<name>_2`, and the pointer file `<folder>/<name>.current`.
    first : Path
        Folder of the first version.
    """

    def __init__(self, folder, name: str, *, first: Path):
        self.folder, self.name, self.first = Path(folder), name, first
        self._pointer = self.folder / f"{name}.current"

    @property
    def current(self) -> Path:
        """The version that later stages read."""
        if not self._pointer.exists():
            return self.first
        return self.folder / self._pointer.read_text(encoding="utf-8").strip()

    def make_current(self, version: Path) -> None:
        """Let later stages read `version`, one of `all`."""
        if version != self.current:
            with write_atomically(self._pointer) as file:
                file.write(f"{version.relative_to(self.folder)}\n")

    def all(self) -> list[Path]:
        """The folders of all versions, the newest first."""
        return [*(self._numbered(number) for number in self._numbers()), self.first]

    def choose(self, *, has_inputs: Callable[[Path], bool], may_change: Callable[[Path], bool]) -> Path:
        """The version for a run: one that was begun with its inputs, else one that it may change, else a new one.

        The current version is asked first, then the others from the newest to the first.
        """
        for suits in (has_inputs, may_change):
            for version in (self.current, *self.all()):
                if suits(version):
                    return version
        return self._numbered(max(self._numbers(), default=1) + 1)

    def _numbered(self, number: int) -> Path:
        return self.folder / f"{self.name}_{number}"

    def _numbers(self) -> list[int]:
        ends = (path.name.removeprefix(f"{self.name}_") for path in self.folder.glob(f"{self.name}_*/"))
        return sorted((int(end) for end in ends if end.isdecimal()), reverse=True)


def target_folders(output_folder) -> Versions:
    """The versions of a run's targets."""
    return Versions(output_folder, "targets", first=Path(output_folder) / "targets")


def trainings(output_folder) -> Versions:
    """The versions of a run's training: folders that hold `checkpoints`, `log.json` and `curves`."""
    return Versions(output_folder, "train", first=Path(output_folder))


def current_targets(output_folder) -> Path:
    """Folder of the targets that stage 3 reads."""
    return target_folders(output_folder).current


def current_checkpoints(output_folder) -> Path:
    """Folder of the checkpoints that stage 4 reads."""
    return trainings(output_folder).current / CHECKPOINTS


def trained_on(output_folder) -> set[str]:
    """Content hashes of the targets, and of what stage 2 computed of a teacher, on which any training of the run depends."""
    found: set[str] = set()
    for below in ("", "*/"):  # also those that an earlier auralign moved to before_1
        for path in Path(output_folder).glob(f"{below}checkpoints/step_*/checkpoint.json"):
            with contextlib.suppress(FileNotFoundError):  # a training that is running has removed it
                description = read_json(path, keys=())
                found.update(description.get("targets", ()), description.get("teacher", ()))
    return found


def choose_targets(output_folder, inputs: Mapping[str, dict], *, restart: bool) -> Path:
    """Folder in which stage 2 writes targets.

    Arguments
    ---------
    output_folder : str or Path
    inputs : mapping of str to dict
        Name of each stage to its inputs.
    restart : bool
        Whether this run may begin a new version. Without it, `Stage` refuses to replace what was trained on.
    """
    versions, protected = target_folders(output_folder), trained_on(output_folder)

    def hashes(version: Path) -> set[str]:
        return {hash_path(path) for path in version.glob("*") if path.is_file()}

    def has_inputs(version: Path) -> bool:
        if restart and any(changed_code(version, name) for name in inputs):
            return False
        before = {name: begun_with(version, name) for name in inputs}
        if not all(before[name] is not None and same(before[name], inputs[name]) for name in inputs):
            return False
        recorded = set().union(*(output_hashes(version, name) for name in inputs))
        return recorded <= hashes(version)  # or they were edited since

    def may_change(version: Path) -> bool:
        return not restart or hashes(version).isdisjoint(protected)

    return versions.choose(has_inputs=has_inputs, may_change=may_change)
