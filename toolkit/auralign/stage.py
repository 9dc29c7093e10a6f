"""One stage of a recipe: skipped when complete, resumed when interrupted, redone when its inputs changed.

    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> def run():
    ...     with Stage("demo", folder, inputs={"lr": 1e-3}, outputs=[folder / "out.txt"]) as stage:
    ...         if not stage.complete:
    ...             _ = (folder / "out.txt").write_text("made")
    >>> run()
    >>> run()
    demo: already complete for these inputs, skipped

A stage is complete when `.<name>.done.json`, written last, names the same inputs and the outputs still have the content
that it recorded. A stage that was started with the same inputs and not finished is resumed: it finds its partial outputs
as it left them. With other inputs, what is there steps aside, finished or not, and is removed when the new run is finished.
Until then a run with the inputs of before finds it again; a run that fails before it has written anything, over a
misspelt path, puts back what was finished. Training removes nothing at all: see `auralign.train.resume`.
"""

import fcntl
import os
import re
import shutil
import sys
from pathlib import Path

from auralign.files import hash_path, hash_value, read_json, write_json
from auralign.fingerprint import same


class StageBusyError(RuntimeError):
    """Another process is running this stage in this folder."""


# Names that files get when they step aside: `out.txt.before`. The last two have the hash of their run's inputs behind them.
BEFORE, UNFINISHED, KEPT = "before", "unfinished", "kept"


class Stage:
    """Context manager around the work of a stage.

    Arguments
    ---------
    name : str
        Shown to the user, and part of the file names of the stage's marks. Without what may change between two runs into
        one folder, so that the second sees the first.
    folder : Path
        Where the marks are kept.
    inputs : dict
        JSON-able: everything that the outputs depend on (content hashes of files, settings).
    outputs : list of Path
        Files and folders that the stage makes.
    partial : list of Path
        Where it keeps half-done work: left for a run that resumes.
    needed_by : Path, optional
        Folder of checkpoints that were trained on the outputs: while it holds any, what stepped aside is kept for good, so that
        the run can be taken up again.

    Attributes
    ----------
    complete : bool
        True inside the `with` block when there is nothing to do.

    Raises StageBusyError on entry while another process holds the stage.
    """

    def __init__(self, name: str, folder, *, inputs: dict, outputs: list, partial: list = (), needed_by=None):
        self.name = name
        self.folder = Path(folder)
        self.inputs = inputs
        self.outputs = [Path(output) for output in outputs]
        self.partial = [Path(path) for path in partial]
        self.needed_by = needed_by
        mark = name.replace(" ", "_")
        self._done = self.folder / f".{mark}.done.json"
        self._started = self.folder / f".{mark}.started.json"
        self._lock_path = self.folder / f".{mark}.lock"
        self.complete = False

    def __enter__(self) -> "Stage":
        self.folder.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        try:
            self._begin()
        except BaseException:
            self._lock.close()
            raise
        return self

    def _begin(self) -> None:
        """Find out what is there: finished, to be resumed, or to step aside."""
        aside = _beside(self._done, BEFORE)
        if aside.exists() and not self._done.exists() and same(read_json(aside)["inputs"], self.inputs):
            self._put_back()  # a run with other inputs was begun and given up
        done = read_json(self._done) if self._done.exists() else None
        finished = done is not None and self._outputs_stand(done)
        before = done["inputs"] if done else read_json(self._started) if self._started.exists() else None
        if finished and same(before, self.inputs):
            self._skip()
            return
        if done is None and before is not None and same(before, self.inputs):
            print(f"{self.name}: resuming where it was interrupted", file=sys.stderr)
            return
        if before is not None:
            self._refuse_another_method(before)
            self._say_what_changed(before)
        if finished:
            if self._is_needed():
                self._keep_finished()  # what a kill left of the run before this one
            self._move([self._done, *self.outputs], BEFORE)
        else:
            self._done.unlink(missing_ok=True)
            self._leave_unfinished(before)
        if self._take_up():
            self._begin()
        else:
            write_json(self._started, self.inputs)

    def _skip(self) -> None:
        self.complete = True
        print(f"{self.name}: already complete for these inputs, skipped", flush=True)

    def __exit__(self, kind, error, trace) -> None:
        if kind is None and not self.complete:
            missing = [str(output) for output in self.outputs if not output.exists()]
            if missing:
                raise RuntimeError(
                    f"{self.name}: ended without writing {', '.join(missing)}; this is a defect of the stage"
                )
            write_json(self._done, {"inputs": self.inputs, "outputs": self._output_hashes()})
            self._started.unlink(missing_ok=True)
            self._settle()
        elif kind is not None:
            self._fail()
        self._lock.close()

    def _fail(self) -> None:
        """Put back what was finished, when the run that ends with an error has written nothing."""
        if _beside(self._done, BEFORE).exists() and not any(map(Path.exists, self._work())):
            self._put_back()
            print(f"{self.name}: what was finished before is kept", file=sys.stderr)

    def _work(self) -> list[Path]:
        return [*self.outputs, *self.partial]

    def _put_back(self) -> None:
        """Restore what was finished; what was begun over it steps aside."""
        if self._started.exists():
            self._leave_unfinished(read_json(self._started))
        # What has not stepped aside, as after a kill in between, is still the finished one. The mark comes last.
        for path in (*self.outputs, self._done):
            if _beside(path, BEFORE).exists():
                _remove(path)
                os.replace(_beside(path, BEFORE), path)

    def _leave_unfinished(self, inputs: dict | None) -> None:
        """Set half-done work aside under the inputs that it was begun with, where these are known."""
        if any(map(Path.exists, self._work())):
            self._move([*self._work(), self._started], f"{UNFINISHED}-{_tag(inputs)}")
        self._started.unlink(missing_ok=True)

    def _take_up(self) -> bool:
        """Bring back what an earlier run with the present inputs has left, finished or not."""
        for name, mark in ((KEPT, self._done), (UNFINISHED, self._started)):
            tag = f"{name}-{_tag(self.inputs)}"
            if _beside(mark, tag).exists():
                self._keep_finished()
                for path in (*self._work(), mark):
                    if _beside(path, tag).exists():
                        _remove(path)
                        os.replace(_beside(path, tag), path)
                return True
        return False

    def _move(self, paths: list[Path], tag: str) -> None:
        for path in paths:
            if path.exists():
                self._discard(_beside(path, tag))
                os.replace(path, _beside(path, tag))

    def _settle(self) -> None:
        """The stage is finished: remove what stepped aside for it, unless that is needed."""
        if self._is_needed():
            self._keep_finished()
        for path in (*self._work(), self._done, self._started):
            for aside in _asides(path):
                if not (self._is_needed() and f".{KEPT}-" in aside.name):
                    self._discard(aside)

    def _keep_finished(self) -> None:
        """Give what was finished before a name of its own, under which a run with its inputs finds it again."""
        aside = _beside(self._done, BEFORE)
        if aside.exists():
            tag = f"{KEPT}-{_tag(read_json(aside)['inputs'])}"
            for path in (*self.outputs, self._done):
                if _beside(path, BEFORE).exists():
                    _remove(_beside(path, tag))
                    os.replace(_beside(path, BEFORE), _beside(path, tag))

    def _discard(self, aside: Path) -> None:
        _remove(aside)

    def _is_needed(self) -> bool:
        return self.needed_by is not None and any(Path(self.needed_by).glob("step_*"))

    def _take_lock(self) -> None:
        # The kernel drops the lock with the process, so a killed run never leaves a stale one.
        self._lock = open(self._lock_path, "a+", encoding="utf-8")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.seek(0)
            holder = self._lock.read().strip()
            self._lock.close()
            raise StageBusyError(
                f"{self.name}: another run ({holder or 'unknown'}) is at work in {self.folder}; "
                "wait for it, or give this one its own --output_folder"
            ) from None
        self._lock.truncate(0)
        self._lock.write(f"process {os.getpid()}")
        self._lock.flush()

    def _outputs_stand(self, done: dict) -> bool:
        return all(output.exists() for output in self.outputs) and done["outputs"] == self._output_hashes()

    def _refuse_another_method(self, before: dict) -> None:
        """Raise ValueError where the folder holds a run of another method: its results are not to be lost to a copied YAML."""
        theirs, ours = (_method_name(inputs) for inputs in (before, self.inputs))
        if theirs != ours:
            raise ValueError(
                f"{self.folder} holds a run of the method {theirs!r}, this is {ours!r}; give it its own output_folder"
            )

    def _say_what_changed(self, before: dict) -> None:
        changes = [
            _tell(key, before.get(key), self.inputs.get(key))
            for key in sorted(set(before) | set(self.inputs))
            if not same(before.get(key), self.inputs.get(key))
        ]
        print(f"{self.name}: {', '.join(changes) or 'an output'} changed, starting over", file=sys.stderr)
        if changes and self._is_needed():
            print(
                f"{self.name}: the checkpoints in {self.needed_by} were trained on what is there now, which is kept; stage 3 "
                "will want another output_folder, or --restart",
                file=sys.stderr,
            )

    def _output_hashes(self) -> dict:
        return {str(number): hash_path(output) for number, output in enumerate(self.outputs)}


def _beside(path: Path, tag: str) -> Path:
    return path.with_name(f"{path.name}.{tag}")


def _asides(path: Path) -> list[Path]:
    """What has stepped aside for `path`, under whatever name."""
    tag = re.compile(rf"{re.escape(path.name)}\.({BEFORE}|({UNFINISHED}|{KEPT})-\w+)")
    return [found for found in path.parent.glob("*") if tag.fullmatch(found.name)]


def _tag(inputs: dict | None) -> str:
    return "unknown" if inputs is None else hash_value(inputs)[:12]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _method_name(inputs: dict) -> str | None:
    method = inputs.get("method")
    return method.get("method") if isinstance(method, dict) else None


def _tell(key: str, before, now) -> str:
    """A changed input: plain values with what they were and are."""
    plain = all(value is None or isinstance(value, (bool, int, float)) for value in (before, now))
    return f"{key} ({before} -> {now})" if plain else key


def renew(folder, *, before: str, after: str) -> None:
    """Let the finished stages of a folder stand by a file that was changed with a purpose: its hash was `before`, is `after`."""
    for mark in Path(folder).glob(".*.done.json"):
        done = read_json(mark)
        outputs = {number: after if value == before else value for number, value in done["outputs"].items()}
        if outputs != done["outputs"]:
            write_json(mark, {**done, "outputs": outputs})


def require(folder, name: str, *, made_by: str) -> None:
    """Raise FileNotFoundError where the stage `name` was never finished in `folder`: half its work is not to be used."""
    mark = name.replace(" ", "_")
    if not (Path(folder) / f".{mark}.done.json").exists():
        raise FileNotFoundError(f"{made_by} is not finished in {folder}; run it first")


def content(path, *, made_by: str) -> str:
    """Hash of a file or folder that another stage made; FileNotFoundError names that stage where it is absent."""
    if not Path(path).exists():
        raise FileNotFoundError(f"no {path}; run {made_by} first")
    return hash_path(path)
