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
as it left them. With other inputs, what was finished steps aside until the new run is; a run that fails before it has
written anything, over a misspelt path, puts it back.
"""

import fcntl
import inspect
import os
import shutil
import sys
from pathlib import Path

from auralign.files import hash_path, hash_value, read_json, write_json


class StageBusyError(RuntimeError):
    """Another process is running this stage in this folder."""


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
        Where it keeps half-done work: left for a run that resumes, removed for one that starts over.

    Attributes
    ----------
    complete : bool
        True inside the `with` block when there is nothing to do.

    Raises StageBusyError on entry while another process holds the stage.
    """

    def __init__(self, name: str, folder, *, inputs: dict, outputs: list, partial: list = ()):
        self.name = name
        self.folder = Path(folder)
        self.inputs = inputs
        self.outputs = [Path(output) for output in outputs]
        self.partial = [Path(path) for path in partial]
        mark = name.replace(" ", "_")
        self._done = self.folder / f".{mark}.done.json"
        self._started = self.folder / f".{mark}.started.json"
        self._lock_path = self.folder / f".{mark}.lock"
        self.complete = False

    def __enter__(self) -> "Stage":
        self.folder.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        aside = _aside(self._done)
        if aside.exists() and not self._done.exists() and read_json(aside)["inputs"] == self.inputs:
            self._put_back()  # a run with other inputs was begun and given up
        if self._done.exists():
            done = read_json(self._done)
            if done["inputs"] == self.inputs and self._outputs_stand(done):
                self.complete = True
                print(f"{self.name}: already complete for these inputs, skipped", flush=True)
                return self
            self._start_over(done["inputs"], finished=self._outputs_stand(done))
        elif self._started.exists():
            before = read_json(self._started)
            if before == self.inputs:
                print(f"{self.name}: resuming where it was interrupted", file=sys.stderr)
                return self
            self._start_over(before)
        else:
            self._remove_outputs()
        write_json(self._started, self.inputs)
        return self

    def __exit__(self, kind, error, trace) -> None:
        if kind is None and not self.complete:
            missing = [str(output) for output in self.outputs if not output.exists()]
            if missing:
                raise RuntimeError(
                    f"{self.name}: ended without writing {', '.join(missing)}; this is a defect of the stage"
                )
            write_json(self._done, {"inputs": self.inputs, "outputs": self._output_hashes()})
            self._started.unlink(missing_ok=True)
            for path in self._kept():
                _remove(_aside(path))
        elif kind is not None and _aside(self._done).exists() and not self._has_written():
            self._put_back()
            print(f"{self.name}: what was finished before is kept", file=sys.stderr)
        self._lock.close()

    def _kept(self) -> list[Path]:
        """What steps aside: the mark last, so that it never stands alone."""
        return [*self.outputs, self._done]

    def _put_back(self) -> None:
        for path in self.partial:
            _remove(path)
        for path in self._kept():
            if _aside(
                path
            ).exists():  # what has not stepped aside, as after a kill in between, is still the finished one
                _remove(path)
                os.replace(_aside(path), path)
        self._started.unlink(missing_ok=True)

    def _has_written(self) -> bool:
        return any(path.exists() for path in (*self.outputs, *self.partial))

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

    def _start_over(self, before: dict, *, finished: bool = False) -> None:
        """Make room for a run with other inputs.

        Raises ValueError where the folder holds a run of another method: its results are not to be lost to a copied YAML.
        """
        theirs, ours = (_method_name(inputs) for inputs in (before, self.inputs))
        if theirs != ours:
            self._lock.close()
            raise ValueError(
                f"{self.folder} holds a run of the method {theirs!r}, this is {ours!r}; give it its own output_folder"
            )
        changes = [
            _tell(key, before.get(key), self.inputs.get(key))
            for key in sorted(set(before) | set(self.inputs))
            if before.get(key) != self.inputs.get(key)
        ]
        print(f"{self.name}: {', '.join(changes) or 'an output'} changed, starting over", file=sys.stderr)
        self._started.unlink(missing_ok=True)
        if finished:
            os.replace(self._done, _aside(self._done))
            for path in self.outputs:
                _remove(_aside(path))
                os.replace(path, _aside(path))
        self._done.unlink(missing_ok=True)
        self._remove_outputs()

    def _output_hashes(self) -> dict:
        return {str(number): hash_path(output) for number, output in enumerate(self.outputs)}

    def _remove_outputs(self) -> None:
        for output in (*self.outputs, *self.partial):
            _remove(output)


def _aside(path: Path) -> Path:
    return path.with_name(f"{path.name}.before")


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


def describe(value) -> object:
    """A JSON-able account of a value from a YAML file, by which a stage knows that it changed.

    A `!name:` constructor is told by its path and arguments, and by the content of files and folders among them; a method
    by its options and its source. Raises TypeError on values that are neither plain, nor constructors, nor methods.
    """
    if hasattr(value, "func") and hasattr(value, "keywords"):
        call = f"{value.func.__module__}.{value.func.__qualname__}"
        account = {"call": call, "args": describe(value.args), "with": describe(value.keywords)}
        paths = [path for path in (*value.args, *value.keywords.values()) if _is_path(path)]
        return {**account, "content": [hash_path(path) for path in paths]} if paths else account
    if isinstance(value, dict):
        return {str(key): describe(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [describe(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if hasattr(value, "options") and hasattr(value, "name"):
        # The source too: whoever writes a method edits it, and its old targets are then no longer what it asks for. Of whole
        # files, with constants and helpers, and with those of its parents.
        files = {inspect.getsourcefile(kind) for kind in type(value).__mro__ if hasattr(kind, "layout")}
        source = hash_value(sorted(hash_path(file) for file in files))[:16]
        options = describe(value.options())
        return {"method": value.name, "version": value.version, "options": options, "source": source}
    if callable(value) and hasattr(value, "__qualname__"):
        return {"call": f"{value.__module__}.{value.__qualname__}", "with": {}}
    raise TypeError(
        f"cannot say what {value!r} is: give the YAML plain values, !name: constructors or a method"
    )


def _is_path(value) -> bool:
    return isinstance(value, (str, Path)) and bool(str(value)) and Path(value).exists()


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
