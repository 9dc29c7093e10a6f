"""Stages that are killed, that get a signal, or whose disk fills up; run again, each leaves what an undisturbed one leaves."""

import ctypes
import os
import shutil
import signal
from collections.abc import Iterator
from random import Random

from faults.trying import LOST, SILENT, SURVIVED, Try, forked
from faults.workplace import Workplace

NUM_FAST = {"train": 3, "generate": 2, "export": 1}  # tries of each stage in the fast part
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


def kills(workplace: Workplace, random: Random, fast: bool) -> Iterator[Try]:
    """SIGKILL before and after every file event of every stage."""
    for stage, count in workplace.prepare().items():
        points = list(range(1, count + 1))
        for at in sorted(random.sample(points, min(NUM_FAST.get(stage, 0), count))) if fast else points:
            workplace.reset(stage)
            code = workplace.run(stage, at=at, number=signal.SIGKILL)
            yield _again(workplace, stage, f"{stage} killed at file event {at}", code)


def signals(workplace: Workplace, random: Random, fast: bool) -> Iterator[Try]:
    """SIGTERM, SIGINT and SIGUSR1 at a tenth of the file events of the stages that work long."""
    for stage, count in workplace.prepare().items():
        if stage not in ("generate", "train", "decode") or (fast and stage != "train"):
            continue
        for number in SIGNALS:
            points = random.sample(range(1, count + 1), 1 if fast else -(-count // 10))
            for at in sorted(points):
                workplace.reset(stage)
                code = workplace.run(stage, at=at, number=number)
                name = f"{stage} got {number.name} at file event {at}"
                if "Traceback" in workplace.printed:
                    yield Try(name, LOST, "a traceback instead of a line")
                else:
                    yield _again(workplace, stage, name, code)


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


def full_disk(workplace: Workplace, random: Random, fast: bool) -> Iterator[Try]:
    """A disk (tmpfs in a user namespace) that is full after a part of what each stage writes; then there is room again."""
    if fast or forked(lambda: _mount(workplace, 2**20), workplace.log):
        return  # not run: this machine gives no namespaces
    for stage in workplace.prepare():
        before, after = (_size(folder) for folder in (workplace.state(stage), workplace.after(stage)))
        for share in (0.0, 0.25, 0.5, 0.75):
            results = workplace.root / "full_disk.txt"
            results.unlink(missing_ok=True)
            size = before + 2**15 + int(share * (after - before))

            def work(stage=stage, size=size, results=results) -> int:
                _mount(workplace, size)
                shutil.copytree(workplace.state(stage), workplace.here, dirs_exist_ok=True)
                code = workplace.run(stage)
                printed = workplace.printed
                if code and ("Traceback" in printed or "room" not in printed):
                    results.write_text(f"{LOST}\n{printed[-300:]}", encoding="utf-8")
                    return 0
                _mount(workplace, 2**28, remount=True)
                found = _again(workplace, stage, "", code)
                results.write_text(f"{found.outcome}\n{found.detail}", encoding="utf-8")
                return 0

            code = forked(work, workplace.root / "full_disk.log")
            name = f"{stage} on a disk that is full after {share:.0%} of it"
            if not results.is_file():
                yield Try(name, LOST, f"the try ended with {code}")
                continue
            outcome, _, detail = results.read_text(encoding="utf-8").partition("\n")
            yield Try(name, outcome, detail)


def _size(folder) -> int:
    """The bytes of a folder on a tmpfs, whose files take whole pages."""
    return sum(-(-path.stat().st_size // 4096) * 4096 + 4096 for path in folder.rglob("*"))


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
        workplace.here.mkdir(exist_ok=True)
    flags, options = ms_remount if remount else 0, f"size={size}".encode()
    if libc.mount(b"tmpfs", os.fsencode(workplace.here), b"tmpfs", flags, options):
        raise OSError(ctypes.get_errno(), "mount")
    return 0
