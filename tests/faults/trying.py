"""One fault: a process of its own, forked after the imports, and the signal that it gets at one of its file events."""

import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SURVIVED, LOST, SILENT = "survived", "lost", "silent"
CHANGING = ("replace", "rename", "fsync", "unlink", "remove")  # functions of os, beside opening for writing
CRASHED = 70  # exit code of a child whose work raised


@dataclass(frozen=True)
class Try:
    """One fault and what became of it; `detail` says what is wrong with one that did not survive."""

    name: str
    outcome: str
    detail: str = ""


Planned = Callable[[], Try]


def forked(work: Callable[[], int | None], log: Path) -> int:
    """Run some work in a child of this process, what it prints into a file; returns its exit code, or minus the signal.

    The parent must not have worked with tensors: threads of torch do not survive a fork.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if not child:
        code: int | None = CRASHED
        try:
            written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(written, 1)
            os.dup2(written, 2)
            # A child of a child replaces these: they must not close what they write to.
            sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)
            code = work()
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code or 0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class Events:
    """The file events of this process below a folder; at one of them the process gets a signal. For a child: it cannot be undone.

    Arguments
    ---------
    folder : Path
    at : int, optional
        Number of the event. Default: none, so that events are only counted.
    number : int
        The signal.
    """

    def __init__(self, folder: Path, at: int | None = None, number: int = signal.SIGKILL):
        self.folder, self.at, self.number = f"{folder.resolve()}/", at, number
        self.count = 0

    def watch(self) -> None:
        """Count from now on."""
        sys.addaudithook(self._on_open)
        for name in CHANGING:
            setattr(os, name, self._around(getattr(os, name)))

    def _on_open(self, event: str, arguments: tuple) -> None:
        if event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            self._meet(arguments[0])

    def _around(self, real: Callable) -> Callable:
        def call(path, *arguments, **options):
            self._meet(path)
            found = real(path, *arguments, **options)
            self._meet(path)
            return found

        return call

    def _meet(self, path) -> None:
        if isinstance(path, int):
            with contextlib.suppress(OSError):
                path = os.readlink(f"/proc/self/fd/{path}")
        if isinstance(path, int) or not os.path.abspath(os.fsdecode(path)).startswith(self.folder):
            return
        self.count += 1
        if self.count == self.at:
            os.kill(os.getpid(), self.number)


def run_stage(folder: Path, command: tuple[str, ...], log: Path, *, at=None, number=signal.SIGKILL) -> int:
    """Run a command of a recipe in its folder; the number of its file events is kept beside the log."""

    def work() -> int:
        from recipe import run

        os.chdir(folder)
        events = Events(folder, at, number)
        events.watch()
        code, out, err = run(*command)
        print(out, err, sep="\n")
        log.with_suffix(".count").write_text(str(events.count), encoding="utf-8")
        return code

    return forked(work, log)


def count_of(log: Path) -> int:
    """The number of file events of the stage with this log."""
    return int(log.with_suffix(".count").read_text(encoding="utf-8"))
