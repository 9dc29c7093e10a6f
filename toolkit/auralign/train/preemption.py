"""A training that its cluster stops: SIGTERM or SIGUSR1 lets it finish the step, write a checkpoint and exit with code 75.

    with catching():                          # while nothing is trained yet: a signal ends the run at once
        with after_the_step() as preemption:  # a signal is noted, and the loop asks for it
            ...
            if preemption.asked: ...

75 is EX_TEMPFAIL of sysexits.h: try again later. Slurm sends SIGTERM when it preempts a job or its time is over, and SIGUSR1
if `--signal=USR1@300` asks for a warning 300 s before.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

EXIT_CODE = 75
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
# torchrun exits with 1 whatever code its processes give: cmd.sh names a file here, which then says that they were stopped.
MARK = "AURALIGN_STOPPED"


class StoppedBySignal(BaseException):
    """The run was asked to stop; what it had done is on disk. No `Exception`, so that nothing takes it for a fault of a part."""


class Preemption:
    """Whether this process was asked to stop, and by which signal.

    Attributes
    ----------
    asked : str
        Name of the signal, such as "SIGTERM"; empty if none came.
    """

    asked = ""

    def note(self, number: int, frame: object) -> None:
        """The handler of a signal: remember its name."""
        self.asked = signal.Signals(number).name


@contextlib.contextmanager
def catching(when: str = "") -> Iterator[None]:
    """Context manager: SIGTERM and SIGUSR1 raise StoppedBySignal, and so end a run that has nothing to save; `when` says in which
    part of it, such as "before the first step"."""

    def stop(number: int, frame: object) -> None:
        raise StoppedBySignal(f"stopped by {signal.Signals(number).name} {when}".rstrip())

    with _handled_by(stop):
        yield


@contextlib.contextmanager
def after_the_step() -> Iterator[Preemption]:
    """Context manager: SIGTERM and SIGUSR1 are noted in the Preemption that it gives, and interrupt nothing."""
    preemption = Preemption()
    with _handled_by(preemption.note):
        yield preemption


@contextlib.contextmanager
def _handled_by(handler: Callable[[int, object], None]) -> Iterator[None]:
    if (
        threading.current_thread() is not threading.main_thread()
    ):  # a notebook's: Python has no handlers there
        yield
        return
    before = [signal.signal(number, handler) for number in SIGNALS]
    try:
        yield
    finally:
        for number, earlier in zip(SIGNALS, before, strict=True):
            signal.signal(number, signal.SIG_DFL if earlier is None else earlier)


def leave_mark() -> None:
    """Write the file that the environment names in AURALIGN_STOPPED, if it names one."""
    if os.environ.get(MARK):
        Path(os.environ[MARK]).touch()
