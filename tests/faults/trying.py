"""One fault: a process of its own, forked after the imports, and what happens in it at one of its file events."""

import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
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
Acts = Mapping[int, Callable[[], object]]  # what happens at which file event, counted from 1


def started(work: Callable[[], int | None], log: Path) -> int:
    """Run some work in a child of this process, what it prints into a file; returns the number of the process.

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
    return child


def ended(child: int) -> int:
    """Wait for a child; returns its exit code, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def forked(work: Callable[[], int | None], log: Path) -> int:
    """Run some work in a child, and wait for it; returns its exit code, or minus the signal."""
    return ended(started(work, log))


def send(number: signal.Signals) -> Callable[[], None]:
    """What sends a signal to the process that calls it."""
    return lambda: os.kill(os.getpid(), number)


class Events:
    """The file events of this process below a folder, at some of which something happens. For a child: it cannot be undone.

    Arguments
    ---------
    folder : Path
    acts : dict of int -> callable
        What happens at the events of these numbers. Default: nothing, so that events are only counted.
    """

    def __init__(self, folder: Path, acts: Acts | None = None):
        self.folder, self.acts = f"{folder.resolve()}/", acts or {}
        self.count, self._is_acting = 0, False

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
        if self._is_acting:  # what an act writes is no event of the stage
            return
        if isinstance(path, int):
            with contextlib.suppress(OSError):
                path = os.readlink(f"/proc/self/fd/{path}")
        if isinstance(path, int) or not os.path.abspath(os.fsdecode(path)).startswith(self.folder):
            return
        self.count += 1
        if self.count in self.acts:
            self._is_acting = True
            self.acts[self.count]()
            self._is_acting = False


def work_of(
    folder: Path, command: tuple[str, ...], log: Path, *, acts: Acts | None = None, first=None
) -> Callable[[], int]:
    """The work of a command in its folder, for `started`; its events and the modules that it used are written beside the log.

    `first` is called in the new process before the command, such as to step its clock.
    """

    def work() -> int:
        from recipe import run

        os.chdir(folder)
        if first is not None:
            first()
        events = Events(folder, acts)
        events.watch()
        code, out, err = run(*command)
        print(out, err, sep="\n")
        log.with_suffix(".count").write_text(str(events.count), encoding="utf-8")
        log.with_suffix(".modules").write_text("\n".join(sys.modules), encoding="utf-8")
        return code

    return work


def count_of(log: Path) -> int:
    """The number of file events of the stage with this log."""
    return int(log.with_suffix(".count").read_text(encoding="utf-8"))
