"""Stages that are killed, get a signal, whose clock steps or disk is full: run again, each leaves what it does undisturbed."""

import ctypes
import datetime
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from random import Random

from faults.trying import LOST, SILENT, SURVIVED, Acts, Planned, Try, count_of, forked, send
from faults.workplace import STEPS, Workplace

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
SAVING = (0.3, 0.5, 0.7, 0.9)  # of a training's events: where SIGTERM lets it save
NUM_KILLS_OF_SAVING = 10  # for each of them
YEAR = 365 * 86_400  # seconds
STEPPED = {"ten years back": -10 * YEAR, "an hour back": -3600, "ten years on": 10 * YEAR}
TIMES: dict[str, Callable[[Random], float]] = {
    "files from the future": lambda random: time.time() + random.uniform(0, YEAR),
    "files of 1970": lambda random: 0.0,
    "files in another order": lambda random: time.time() - random.uniform(0, YEAR),
}
PAGE = 4096  # bytes
SHARES = (0.0, 0.25, 0.5, 0.75)  # of what a stage writes, for which there is room


def kills(workplace: Workplace, random: Random) -> list[Planned]:
    """SIGKILL before and after every file event of every stage."""
    return [
        partial(_interrupt, workplace, stage, at, signal.SIGKILL)
        for stage, count in workplace.prepare().items()
        for at in range(1, count + 1)
    ]


def signals(workplace: Workplace, random: Random) -> list[Planned]:
    """SIGTERM, SIGINT and SIGUSR1, each at a tenth of the file events of the stages that work long; SIGKILL as SIGTERM saves."""
    counts = workplace.prepare()
    planned = [
        partial(_interrupt, workplace, stage, at, number)
        for stage, count in counts.items()
        for number in SIGNALS
        for at in sorted(random.sample(range(1, count + 1), -(-count // 10)))
        if STEPS[stage].is_long
    ]
    return planned + [
        partial(_kill_as_it_saves, workplace, int(share * counts["train"]), number / NUM_KILLS_OF_SAVING)
        for share in SAVING
        for number in range(1, NUM_KILLS_OF_SAVING + 1)
    ]


def _interrupt(workplace: Workplace, stage: str, at: int, number: signal.Signals) -> Try:
    return _disturb(workplace, stage, f"{stage}, {number.name} at file event {at}", {at: send(number)})


def _kill_as_it_saves(workplace: Workplace, at: int, share: float) -> Try:
    """SIGTERM at a file event of the training, and SIGKILL after a share of the events that follow."""
    then = at + max(1, round(share * (_count_after_sigterm(workplace, at) - at)))
    name = f"train, SIGTERM at file event {at}, SIGKILL at {then}"
    return _disturb(workplace, "train", name, {at: send(signal.SIGTERM), then: send(signal.SIGKILL)})


@cache
def _count_after_sigterm(workplace: Workplace, at: int) -> int:
    """The number of file events of a training that gets SIGTERM at one of them."""
    workplace.reset("train")
    workplace.run("train", acts={at: send(signal.SIGTERM)})
    return count_of(workplace.log)


def _disturb(workplace: Workplace, stage: str, name: str, acts: Acts) -> Try:
    workplace.reset(stage)
    code = workplace.run(stage, acts=acts)
    if "Traceback" in workplace.printed:
        return Try(name, LOST, "a traceback instead of a line")
    return _again(workplace, stage, name, code)


def _again(workplace: Workplace, stage: str, name: str, code: int, **options) -> Try:
    """What became of a stage that ended with a code, when it is run again."""
    ended = f"it ended with {code}; "
    code = workplace.run(stage, **options)
    # A whole model folder is not written again.
    if code and not (stage == "export" and not workplace.differences(stage)):
        return Try(name, LOST, f"{ended}run again, with {code}: {workplace.printed.strip()[-300:]}")
    found = workplace.differences(stage)
    if found:
        return Try(name, SILENT, f"{ended}run again, it differs in {', '.join(found)}")
    return Try(name, SURVIVED)


def clock(workplace: Workplace, random: Random) -> list[Planned]:
    """The clock steps while a stage runs, or between a killed run and the next, whose files then have other times."""
    planned: list[Planned] = []
    for stage, count in workplace.prepare().items():
        for step in STEPPED:
            planned.append(partial(_step, workplace, stage, step, random.randint(1, count)))
        for times in TIMES:
            at, seed = random.randint(1, count), random.random()
            planned.append(partial(_change_times, workplace, stage, times, at, seed))
    return planned


def _step(workplace: Workplace, stage: str, step: str, at: int) -> Try:
    seconds = STEPPED[step]
    name = f"{stage}, the clock steps {step} at file event {at}"
    workplace.reset(stage)
    code = workplace.run(stage, acts={at: partial(step_clock, seconds)})
    if code or "Traceback" in workplace.printed:
        return Try(name, LOST, workplace.printed.strip()[-300:])
    return _again(workplace, stage, name, code)


def _change_times(workplace: Workplace, stage: str, times: str, at: int, seed: float) -> Try:
    name = f"{stage}, SIGKILL at file event {at}, then {times}, and the clock is ten years back"
    workplace.reset(stage)
    code = workplace.run(stage, acts={at: send(signal.SIGKILL)})
    random = Random(seed)
    for path in sorted(workplace.here.rglob("*")):
        when = TIMES[times](random)
        os.utime(path, (when, when))
    return _again(workplace, stage, name, code, first=partial(step_clock, STEPPED["ten years back"]))


def step_clock(seconds: float) -> None:
    """Let the time of day be another one from now on, in this process; the clock that measures durations has no steps."""
    now, now_ns, real = time.time, time.time_ns, datetime.datetime

    class Stepped(real):
        @classmethod
        def now(cls, tz=None):
            return real.now(tz) + datetime.timedelta(seconds=seconds)

    time.time, time.time_ns = (lambda: now() + seconds), (lambda: now_ns() + int(seconds * 1e9))
    for module in [module for name, module in sys.modules.items() if name.startswith("auralign")]:
        if vars(module).get("datetime") is real:
            module.datetime = Stepped


def full_disk(workplace: Workplace, random: Random) -> list[Planned]:
    """A disk (tmpfs in a user namespace) that is full after a part of what each stage writes; then there is room again."""
    workplace.here.mkdir(exist_ok=True)
    if forked(lambda: _mount(workplace, 2**20), workplace.log):
        return []  # this machine gives no namespaces
    return [partial(_fill, workplace, stage, share) for stage in workplace.prepare() for share in SHARES]


def _fill(workplace: Workplace, stage: str, share: float) -> Try:
    """Run a stage where the disk is full, and again when there is room, in a process that sees this disk alone."""
    before, after = (_size(folder) for folder in (workplace.state(stage), workplace.after(stage)))
    name, results = f"{stage}, room for {share:.0%} of what it writes", workplace.root / "full_disk.txt"
    results.unlink(missing_ok=True)

    def work() -> None:
        _mount(workplace, before + PAGE + int(share * (after - before)))
        shutil.copytree(workplace.state(stage), workplace.here, dirs_exist_ok=True)
        code = workplace.run(stage)
        if code and ("Traceback" in workplace.printed or "room" not in workplace.printed):
            found = Try(name, LOST, workplace.printed.strip()[-300:])
        else:
            _mount(workplace, 2**28, remount=True)
            found = _again(workplace, stage, name, code)
        results.write_text(f"{found.outcome}\n{found.detail}", encoding="utf-8")

    code = forked(work, workplace.root / "full_disk.log")
    if not results.is_file():
        return Try(name, LOST, f"the try ended with {code}")
    outcome, _, detail = results.read_text(encoding="utf-8").partition("\n")
    return Try(name, outcome, detail)


def _size(folder: Path) -> int:
    """The bytes of a folder on a tmpfs, whose files take whole pages."""
    return sum(-(-path.stat().st_size // PAGE) * PAGE for path in folder.rglob("*") if path.is_file())


def _mount(workplace: Workplace, size: int, *, remount: bool = False) -> int:
    """Mount a disk of so many bytes in place of the recipe, for this process and its children alone. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    new_user, new_mounts, ms_remount = 0x10000000, 0x00020000, 32
    if not remount:
        user, group = os.getuid(), os.getgid()
        if libc.unshare(new_user | new_mounts):
            raise OSError(ctypes.get_errno(), "unshare")
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    flags, options = ms_remount if remount else 0, f"size={size}".encode()
    if libc.mount(b"tmpfs", os.fsencode(workplace.here), b"tmpfs", flags, options):
        raise OSError(ctypes.get_errno(), "mount")
    return 0
