"""Signals to `run.sh`, as a queue or a terminal sends them: no process is left, and run again it leaves the same bytes."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from functools import cache, partial
from pathlib import Path
from random import Random

from faults.trying import LOST, SILENT, SURVIVED, Planned, Try
from faults.workplace import Workplace, different

ROOT = Path(__file__).parents[2]
RUN = ("./run.sh", "--stage", "train", "--stop-stage", "train")
MOMENTS = {  # files of the training by which the moment has come
    "as it loads": "exp/sift/.train.started.json",
    "after its first checkpoint": "exp/sift/checkpoints/step_00000004/hashes.json",
}
TO_ALL = (signal.SIGINT,)  # a terminal sends it to all processes, a queue the others to the shell alone
CODES = {0, 75, 128 + signal.SIGINT, 128 + signal.SIGTERM, 128 + signal.SIGUSR1}
PATIENCE = 120.0  # seconds


def shells(workplace: Workplace, random: Random) -> list[Planned]:
    """SIGTERM, SIGUSR1 and SIGINT to a `run.sh` that trains."""
    workplace.prepare()
    return [
        partial(_stop, workplace, number, moment)
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
        for moment in MOMENTS
    ]


def _stop(workplace: Workplace, number: signal.Signals, moment: str) -> Try:
    from recipe import contents

    name, expected = f"{number.name} to run.sh {moment} ({MOMENTS[moment]})", _undisturbed(workplace)
    folder = _make(workplace)
    shell = _start(folder)
    began = time.monotonic()
    while shell.poll() is None and not (folder / MOMENTS[moment]).exists():
        if time.monotonic() - began > PATIENCE:
            break
        time.sleep(0.002)
    with contextlib.suppress(ProcessLookupError):
        (os.killpg if number in TO_ALL else os.kill)(shell.pid, number)
    code, printed = _end(shell)
    if code not in CODES or "Traceback" in printed:
        return Try(name, LOST, f"it ended with {code}: {printed.strip()[-300:]}")
    with contextlib.suppress(ProcessLookupError):
        os.killpg(shell.pid, signal.SIGKILL)
        return Try(name, LOST, "it left processes running")
    again, printed = _end(_start(folder))
    if again:
        return Try(name, LOST, f"it ended with {code}; run again, with {again}: {printed.strip()[-300:]}")
    found = different(contents(folder), expected)
    return Try(name, SILENT, f"run again, it differs in {', '.join(found)}") if found else Try(name, SURVIVED)


@cache
def _undisturbed(workplace: Workplace) -> dict[str, bytes]:
    from recipe import contents

    folder = _make(workplace)
    code, printed = _end(_start(folder))
    if code:
        raise RuntimeError(f"run.sh ended with {code}:\n{printed}")
    return contents(folder)


def _make(workplace: Workplace) -> Path:
    """The recipe before its training in a checkout of its own, whose path.sh installs nothing."""
    job = workplace.root / "checkout"
    shutil.rmtree(job, ignore_errors=True)
    folder = job / "egs" / "recipe"
    shutil.copytree(workplace.state("train"), folder)
    (job / "tools").symlink_to(ROOT / "tools")
    shutil.copy(ROOT / "egs" / "own_data" / "run.sh", folder)
    (folder / "path.sh").write_text("export PYTHONUNBUFFERED=1\n", encoding="utf-8")
    if not workplace.here.exists():  # the YAML names its models
        workplace.reset("train")
    return folder


def _start(folder: Path) -> subprocess.Popen:
    """Start run.sh as the first of its own group of processes."""
    return subprocess.Popen(
        RUN,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def _end(shell: subprocess.Popen) -> tuple[int, str]:
    """Exit code and output of run.sh; it is killed, with all that it started, if it does not end."""
    try:
        printed = shell.communicate(timeout=PATIENCE)[0]
    except subprocess.TimeoutExpired:
        os.killpg(shell.pid, signal.SIGKILL)
        printed = shell.communicate()[0]
    return shell.returncode, printed
