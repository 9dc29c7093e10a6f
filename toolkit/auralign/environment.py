"""Where something was computed: the commit of auralign, the hardware, and the versions of the libraries that decide numbers.

>>> sorted(describe_environment())
['commit', 'hardware', 'versions']

Nothing is imported for it: a GPU is named if torch is in use, and so is its version.
"""

import errno
import gc
import os
import platform
import re
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

LIBRARIES = ("torch", "transformers", "speechbrain", "peft", "numpy", "sacrebleu")
GIT_SECONDS = 10.0
NO_MEMORY = re.compile(  # in a RuntimeError of torch: its allocator for CPUs, libraries of GPUs, and a killed worker
    r"out of memory|DefaultCPUAllocator: (can't|not enough)|STATUS_ALLOC_FAILED|DataLoader worker .* is killed by signal: Killed"
)


def describe_environment() -> dict[str, Any]:
    """The commit ("" if this auralign is not a git checkout), the hardware in words, and the versions by library."""
    return {"commit": find_commit(), "hardware": describe_hardware(), "versions": find_versions()}


@cache
def find_commit() -> str:
    """The commit of auralign's checkout, with "-dirty" after it if tracked files were changed; "" if there is none.

    Markdown does not count: no run reads it, and an experiment writes its own page while it runs.
    """
    folder = Path(__file__).resolve().parent

    def git(*arguments: str, codes: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess:
        found = subprocess.run(
            ("git", "-C", str(folder), *arguments), capture_output=True, text=True, timeout=GIT_SECONDS
        )
        if found.returncode not in codes:
            raise OSError(found.stderr)
        return found

    try:
        # A package within somebody else's repository must not be described by the commit of that repository.
        git("ls-files", "--error-unmatch", "__init__.py")
        commit = git("rev-parse", "HEAD").stdout.strip()
        changed = git(
            "diff", "--quiet", "HEAD", "--", ":(top)", ":(top,exclude)*.md", codes=(0, 1)
        ).returncode
    except (OSError, subprocess.SubprocessError):  # no git, or no checkout: an installed package
        return ""
    return commit + "-dirty" * changed


def describe_hardware() -> str:
    """The processor with the number of cores that this process may use, and the GPUs if torch uses them."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parts = [f"{_find_processor()}, {usable} core{'s' if usable > 1 else ''}"]
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
        parts += [f"{names.count(name)} x {name}" for name in dict.fromkeys(names)]
    return ", ".join(parts)


def find_versions() -> dict[str, str]:
    """The versions of Python, of auralign and of the libraries that are installed."""
    found = {name: _find_version(name) for name in ("auralign", *LIBRARIES)}
    return {"Python": platform.python_version(), **{name: at for name, at in found.items() if at is not None}}


@cache
def _find_version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


@cache
def _find_processor() -> str:
    """The model of the processor: Linux has it in /proc/cpuinfo, `model name : AMD EPYC 7B13`."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return (names[0] if names else platform.processor()) or platform.machine() or "unknown processor"


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or one that it was raised from, says that there is no memory left on a GPU or on the machine."""
    while error is not None:
        if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
            return True
        if type(error).__name__ == "OutOfMemoryError":
            return True
        if isinstance(error, RuntimeError) and NO_MEMORY.search(str(error)):
            return True
        error = error.__cause__
    return False


def release_memory() -> None:
    """Give back what nothing refers to any more."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
