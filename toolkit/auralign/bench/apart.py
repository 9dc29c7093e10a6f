"""Measure in a process of its own, so that no memory of another arm is counted.

found = apart("auralign.bench.memory", "ours", "/tmp/world")       # calls auralign.bench.memory.alone("ours", "/tmp/world")
"""

import ctypes
import gc
import json
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any


def apart(module: str, *arguments: Any) -> Any:
    """What `alone(*arguments)` of a module of benchmarks returns in a new process; all of it is JSON.

    Raises RuntimeError, with the end of what it said, if the process fails.
    """
    command = [sys.executable, "-m", "auralign.bench.apart", module, json.dumps(arguments)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode:
        raise RuntimeError(f"{module} {arguments}: exit code {found.returncode}\n{found.stderr[-2000:]}")
    return json.loads(found.stdout.splitlines()[-1])


def peak_of(work: Callable[[], Any]) -> tuple[float, float]:
    """CPU seconds of some work, and the largest memory in MB above what the process had before it (Linux)."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the largest memory is what it is now
    before, start = _status("VmRSS"), time.process_time()
    kept = work()
    seconds = time.process_time() - start
    peak = _status("VmHWM") - before
    del kept
    return seconds, peak


def _status(field: str) -> float:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(field))


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    print(json.dumps(import_module(sys.argv[1]).alone(*json.loads(sys.argv[2]))))
