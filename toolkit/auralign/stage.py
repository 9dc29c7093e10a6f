"""One stage of a recipe: skipped if complete, resumed if interrupted, run again if its inputs changed.

    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> def run():
    ...     with Stage("demo", folder, inputs={"lr": 1e-3}, outputs=[folder / "out.txt"]) as stage:
    ...         if not stage.complete:
    ...             _ = (folder / "out.txt").write_text("made")
    >>> run()
    >>> run()
    demo: already complete for these inputs, skipped

A stage is complete if `.<name>.done.json` holds the same inputs and the hashes of the outputs as they are on disk; it also
records when, how long and on what the stage ran, for the report. A stage
writes each output under another name and renames it, so the old version of a file is in place until the new one is whole.
Half-done work has the hash of its inputs in its name (`Stage.partial`): a run with other inputs neither reads nor removes it.
Until all outputs are written, a stage has a mark `.<name>.started.json`, which names them; `require` and `content` refuse
outputs of which some are new and others old. The marks are described in `auralign.marks`, folders with numbered versions, such as
checkpoints, in `auralign.versions`. More than 300 lines, as the steps of a stage are one protocol, in which each kill leaves what
the next run understands.
"""

import contextlib
import fcntl
import glob
import os
import sys
import time
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

from auralign.changes import show_change
from auralign.environment import describe_environment
from auralign.files import (
    TEMPORARY,
    hash_path,
    hash_value,
    is_at,
    partial_path,
    partial_paths,
    temporary_path,
    write_json,
)
from auralign.fingerprint import same
from auralign.marks import (
    DONE,
    LOCK,
    STARTED,
    are_as_recorded,
    begin_work,
    being_replaced,
    check_output,
    describe_process,
    end_work,
    hash_outputs,
    mark_path,
    read_done,
    read_started,
    take,
    working_process,
)
from auralign.syntax import changed_modules, describe_code


class StageBusyError(RuntimeError):
    """Another process is running this stage in this folder."""


class Stage:
    """Context manager around the work of a stage.

    Arguments
    ---------
    name : str
        Shown to the user, and part of the names of the marks. It must not contain a value that may change between two runs in
        one folder, because the second run finds the first by its name.
    folder : str or Path
        Folder of the marks.
    inputs : dict
        Everything that the outputs depend on, as JSON values (content hashes of files, settings).
    outputs : list of Path
        Files and folders that the stage makes.
    protected : collection of str
        Content hashes of outputs that must not be replaced, because checkpoints were trained on them. Default: none.
    restart : bool, optional
        Whether the stage begins again if the toolkit's code was edited since it ran; otherwise that is only said. Default: None,
        for a stage whose command has no such option.
    always : bool
        Whether the stage works even if it is complete, as what it reads is known only when it was read. Default: False.

    Attributes
    ----------
    complete : bool
        True inside the `with` block if there is nothing to do.

    Raises
    ------
    StageBusyError
        On entry, if another process runs the stage.
    ValueError
        On entry, if the folder holds a run of another method, or a protected output that would be replaced.
    """

    def __init__(
        self,
        name: str,
        folder,
        *,
        inputs: dict,
        outputs: list,
        protected: Collection[str] = (),
        restart: bool | None = None,
        always: bool = False,
    ):
        self.name = name
        self.folder = Path(folder)
        self.inputs = inputs
        self.outputs = [Path(output) for output in outputs]
        self.protected, self.restart, self.always = protected, restart, always
        self.complete = False
        self._is_resumed = False

    def partial(self, path) -> Path:
        """File for half-done work on the output `path`, which a resumed run with the same inputs finds again."""
        return partial_path(path, hash_value(self.inputs)[:12])

    def __enter__(self) -> "Stage":
        self.folder.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        try:
            self._begin()
        except BaseException:
            self._lock.close()
            raise
        begin_work(self.inputs)
        return self

    def __exit__(self, kind, error, trace) -> None:
        try:
            if kind is not None:
                self._fail()
            elif not self.complete:
                self._finish()
        finally:
            end_work()
            self._lock.close()

    def _begin(self) -> None:
        """Find out what is there: complete, to be resumed, or of other inputs."""
        if self.always:
            self._start()
            return
        edited = changed_code(self.folder, self.name) if self.restart else []
        if self._is_finished() and same(read_done(self._done)["inputs"], self.inputs) and not edited:
            self._skip()
            return
        if edited:
            for output in self.outputs:
                self.partial(output).unlink(missing_ok=True)
        before = begun_with(self.folder, self.name)
        if before is not None:
            self._refuse_another_method(before)
        self._refuse_protected(before)
        started = read_started(self._started)["inputs"] if self._started.exists() else None
        if edited:
            is_resumed = False
        elif started is not None and same(started, self.inputs):
            self._name_partials()
            self._say_edited("begun", STARTED)
            is_resumed = True
        else:
            is_resumed = any(self.partial(output).exists() for output in self.outputs)
        self._is_resumed = is_resumed
        if is_resumed:
            print(f"{self.name}: resuming the interrupted run", file=sys.stderr)
        elif before is not None:
            print(f"{self.name}: starting over: {self._changes(before, edited)}", file=sys.stderr)
        self._start()

    def _name_partials(self) -> None:
        """Add the hash of the inputs to the names of half-done work that an earlier auralign left."""
        for output in self.outputs:
            if partial_path(output).exists():
                os.replace(partial_path(output), self.partial(output))

    def _start(self) -> None:
        self._began = time.monotonic()
        self._write_started(process=describe_process())

    def _write_started(self, *, process: list | None) -> None:
        mark = {"inputs": self.inputs, "outputs": self._names(), "process": process, "code": describe_code()}
        write_json(self._started, mark)

    def _say_edited(self, what: str, kind: str) -> None:
        """Say on stderr which modules were edited since a mark was written, if any were; `what` is what was done then."""
        edited = changed_code(self.folder, self.name, kinds=(kind,))
        if edited:
            again = (
                f"delete {mark_path(self.folder, self.name, kind)}" if self.restart is None else "--restart"
            )
            print(
                f"{self.name}: the code of {_few(edited)} was edited since this was {what}; what was made stands, and {again} "
                "makes it again",
                file=sys.stderr,
            )

    def _names(self) -> list[str]:
        return [os.path.relpath(output, self.folder) for output in self.outputs]

    def _skip(self) -> None:
        self._started.unlink(missing_ok=True)  # of a run with other inputs that wrote no output
        for output in self.outputs:  # of a run that was killed after it had written its mark
            self.partial(output).unlink(missing_ok=True)
        self._clear_temporary()
        self.complete = True
        print(f"{self.name}: already complete for these inputs, skipped", flush=True)
        self._say_edited("finished", DONE)

    def _finish(self) -> None:
        missing = [str(output) for output in self.outputs if not output.exists()]
        if missing:
            raise RuntimeError(
                f"{self.name}: ended without writing {', '.join(missing)}; this is a defect of the stage"
            )
        done = {
            "inputs": self.inputs,
            "outputs": hash_outputs(self.outputs),
            "names": self._names(),
            "code": describe_code(),
            "run": self._describe_run(),
        }
        # As long as the mark of the start is there, nobody compares the outputs with the mark of an earlier run.
        write_json(self._done, done)
        self._started.unlink(missing_ok=True)
        for output in self.outputs:
            for path in partial_paths(output):
                path.unlink()
        self._clear_temporary()

    def _clear_temporary(self) -> None:
        """Remove what killed runs were writing, and what an earlier auralign put away. Nobody else does: the stage is locked."""
        for path in (*self.outputs, self._done, self._started):
            litter = [temporary_path(path), path.with_name(f"{path.name}.before")]
            # Also of the files that are made beside an output, such as `train.lengths.npz` beside `train.jsonl`.
            litter += path.parent.glob(f"{glob.escape(path.stem)}.*{TEMPORARY}")
            for found in litter:
                if found.is_file():
                    found.unlink()

    def _describe_run(self) -> dict:
        """When, how long and on what the stage ran; no part of its inputs, so that nothing is made again for it."""
        return {
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - self._began, 1),
            "resumed": self._is_resumed,  # the seconds are those after the last interruption
            **describe_environment(),
        }

    def _fail(self) -> None:
        """If a run ends with an error before it has replaced an output, the finished run is still valid."""
        if self.complete:
            return
        if self._is_finished():
            self._started.unlink(missing_ok=True)
            print(f"{self.name}: what was finished before is kept", file=sys.stderr)
        elif self._started.exists():  # this process may live on, and is not at work any more
            with contextlib.suppress(OSError):
                self._write_started(process=None)

    @property
    def _done(self) -> Path:
        return mark_path(self.folder, self.name, DONE)

    @property
    def _started(self) -> Path:
        return mark_path(self.folder, self.name, STARTED)

    def _is_finished(self) -> bool:
        """Whether the outputs are as the mark of a finished run says, for whatever inputs."""
        return are_as_recorded(self.outputs, self._done)

    def _take_lock(self) -> None:
        # The kernel drops the lock with the process, so a killed run never leaves a stale one.
        self._lock = open(mark_path(self.folder, self.name, LOCK), "a+", encoding="utf-8")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.seek(0)
            holder = self._lock.read().strip()
            self._lock.close()
            raise self._busy(holder or "unknown") from None
        if not is_at(self._lock.name, self._lock):  # the file was deleted since it was opened
            self._lock.close()
            self._take_lock()
            return
        holder = working_process(self._started)
        if holder is not None:  # its lock file was deleted
            self._lock.close()
            raise self._busy(f"process {holder}")
        self._lock.truncate(0)
        self._lock.write(f"process {os.getpid()}")
        self._lock.flush()

    def _busy(self, holder: str) -> StageBusyError:
        return StageBusyError(
            f"{self.name}: another run ({holder}) is at work in {self.folder}; "
            "wait for it, or give this one its own --output_folder"
        )

    def _refuse_another_method(self, before: dict) -> None:
        """Raise ValueError if the folder holds a run of another method: a copied YAML must not replace its results."""
        theirs, ours = (_method_name(inputs) for inputs in (before, self.inputs))
        if theirs != ours:
            raise ValueError(
                f"{self.folder} holds a run of the method {theirs!r}, this is {ours!r}; give it its own output_folder"
            )

    def _refuse_protected(self, before: dict | None) -> None:
        """Raise ValueError if an output that checkpoints were trained on would be replaced."""
        for output in self.outputs:
            if self.protected and output.exists() and hash_path(output) in self.protected:
                raise ValueError(
                    f"{self.name}: checkpoints were trained on {output}, which this run would replace: "
                    f"{self._changes(before or {})}; give this run another output_folder, or --restart, which keeps that "
                    "version and makes a new one beside it (with run.sh: -- --restart)"
                )

    def _changes(self, before: dict, edited: Collection[str] = ()) -> str:
        """The changed inputs, with what they were and are, and edited modules of the toolkit."""
        changes = [
            show_change(key, before.get(key), self.inputs.get(key))
            for key in sorted(set(before) | set(self.inputs))
            if not same(before.get(key), self.inputs.get(key))
        ]
        changes += [f"the code of {_few(edited)}"] * bool(edited)
        return ", ".join(changes) or "an output was changed"


def _method_name(inputs: dict) -> str | None:
    method = inputs.get("method")
    return method.get("method") if isinstance(method, dict) else None


def _few(names: Collection[str]) -> str:
    """Names as text; of many the first five."""
    shown = ", ".join(list(names)[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"


def changed_code(folder, name: str, *, kinds: tuple[str, ...] = (DONE, STARTED)) -> list[str]:
    """The modules of the toolkit whose code was edited since the stage `name` ran in `folder`.

    Empty if none was, or if an earlier auralign ran it. `kinds` are the marks of which the first that exists is compared.
    """
    for kind in kinds:
        path = mark_path(folder, name, kind)
        if path.exists():
            return changed_modules((read_done if kind == DONE else read_started)(path).get("code", {}))
    return []


def begun_with(folder, name: str) -> dict | None:
    """Inputs of the finished run of the stage `name` in `folder`, or else of the run that was started; None if neither exists."""
    done, started = mark_path(folder, name, DONE), mark_path(folder, name, STARTED)
    if done.exists():
        return read_done(done)["inputs"]
    return read_started(started)["inputs"] if started.exists() else None


def find_runs(folder) -> list[tuple[str, dict]]:
    """Names of the finished stages in `folder`, with when, how long and on what they ran; empty if an earlier auralign ran them.

    The order is that in which they were finished.
    """
    found = [(path, read_done(path).get("run", {})) for path in Path(folder).glob(f".*.{DONE}.json")]
    found.sort(key=lambda pair: (str(pair[1].get("finished", "")), pair[0].name))
    return [(path.name[1:].removesuffix(".done.json").replace("_", " "), run) for path, run in found]


def output_hashes(folder, name: str) -> set[str]:
    """Hashes of the outputs of the finished run of the stage `name` in `folder`; empty if no run is finished."""
    done = mark_path(folder, name, DONE)
    return set(read_done(done)["outputs"].values()) if done.exists() else set()


def renew(folder, *, before: str, after: str) -> None:
    """Accept a deliberately changed output, so that completed stages are not run again.

    Arguments
    ---------
    folder : str or Path
        Folder of the stages' marks.
    before, after : str
        Content hash of the output before and after the change.
    """
    for mark in Path(folder).glob(f".*.{DONE}.json"):
        done = read_done(mark)
        outputs = {number: after if value == before else value for number, value in done["outputs"].items()}
        if outputs != done["outputs"]:
            write_json(mark, {**done, "outputs": outputs})


def require(folder, name: str, *, made_by: str) -> None:
    """Raise FileNotFoundError if the stage `name` in `folder` is not finished; `made_by` names it in the message."""
    started = mark_path(folder, name, STARTED)
    if not mark_path(folder, name, DONE).exists() or (started.exists() and being_replaced(started)):
        raise FileNotFoundError(f"{made_by} is not finished in {folder}; run it first")


def content(path, *, made_by: str) -> str:
    """Hash of a file or folder that another stage made.

    Raises
    ------
    FileNotFoundError
        If it is absent, or if the stage that makes it was started and has not finished. `made_by` names the stage.
    ChangedOutputError
        If it is not as the stage that made it recorded. A file of records is compared by whoever reads it.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no {path}; run {made_by} first")
    for mark in path.parent.glob(f".*.{STARTED}.json"):
        if path in being_replaced(mark):
            raise FileNotFoundError(f"{made_by} is not finished in {path.parent}; run it first")
    digest = hash_path(path)
    take(path, digest)
    if path.suffix != ".jsonl":
        check_output(path, digest)
    return digest
