"""Stages that are killed, that get a signal, or whose disk fills up; run again, each leaves what an undisturbed one leaves."""

import ctypes
import os
import shutil
import signal
from functools import partial
from random import Random

from faults.trying import LOST, SILENT, SURVIVED, Planned, Try, forked
from faults.workplace import Workplace

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
LONG = ("generate", "train", "decode")  # stages that a queue or a user stops
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
    """SIGTERM, SIGINT and SIGUSR1, each at a tenth of the file events of the stages that work long."""
    return [
        partial(_interrupt, workplace, stage, at, number)
        for stage, count in workplace.prepare().items()
        for number in SIGNALS
        for at in sorted(random.sample(range(1, count + 1), -(-count // 10)))
        if stage in LONG
    ]


def _interrupt(workplace: Workplace, stage: str, at: int, number: signal.Signals) -> Try:
    workplace.reset(stage)
    code = workplace.run(stage, at=at, number=number)
    name = f"{stage}, {number.name} at file event {at}"
    if "Traceback" in workplace.printed:
        return Try(name, LOST, "a traceback instead of a line")
    return _again(workplace, stage, name, code)


def _again(workplace: Workplace, stage: str, name: str, code: int) -> Try:
    """What became of a stage that ended with a code, when it is run again."""
    ended = f"it ended with {code}; "
    code = workplace.run(stage)
    if code and not (
        stage == "export" and not workplace.differences(stage)
    ):  # a whole model folder is not written again
        return Try(name, LOST, f"{ended}run again, with {code}: {workplace.printed.strip()[-300:]}")
    found = workplace.differences(stage)
    return (
        Try(name, SILENT, f"{ended}run again, it differs in {', '.join(found)}")
        if found
        else Try(name, SURVIVED)
    )


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


def _size(folder) -> int:
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
