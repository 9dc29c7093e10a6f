"""A checkout of shell scripts alone, with a Python that plays pip and venv; the real ones take minutes and GB."""

import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SYSTEM_PATH = "/usr/bin:/bin"

# Answers what tools/install.sh asks of a Python; FAKE_* say how. What is installed is a line each in .fake beside bin.
FAKE_PYTHON = r"""#!/usr/bin/env bash
fake=$(dirname "$0")/../.fake
missing() { # EXTRAS...
    local name
    for name in base "$@"; do grep -qx "$name" "$fake" 2>/dev/null || echo "$name"; done
}
case "$*" in
"-c import sys; print"*) echo "${FAKE_VERSION:-3.12}" ;;
"-c import ensurepip, venv") [ "${FAKE_VENV:-yes}" = yes ] ;;
"-c import importlib.util"*) [ "${FAKE_TORCH:-no}" = yes ] ;;
"-c import setuptools"*)
    echo described >>"$FAKE_CALLS"
    mkdir -p toolkit/auralign.egg-info && touch toolkit/auralign.egg-info/entry_points.txt ;;
"-m venv --clear "*) mkdir -p "$4/bin" && cp "$0" "$4/bin/python" && echo made >>"$FAKE_CALLS" ;;
"-m pip --version") ;;
*"/installed.py check"*)
    missing=$(missing "${@:3}")
    [ -z "$missing" ] || { echo "$missing" is not installed && exit 1; }
    missing project >/dev/null ;;
*"/installed.py lock"*) missing "${@:3}" ;;
*"/installed.py ranges"*) echo "ranges of ${*:3}" ;;
*"/installed.py pins"*) echo pins ;;
*"/installed.py mixed"*) [ "${FAKE_MIXED:-no}" = yes ] ;;
*"/installed.py project") [ -z "$(missing project | grep project)" ] ;;
*"/installed.py repair"*) echo repaired >>"$FAKE_CALLS" ;;
"-m pip install "*) PROGRAM=pip . "$FAKE_INSTALLER" ;;
*) exec env PYTHONPATH="$FAKE_PYTHONPATH" "REAL" "$@" ;;
esac
"""
# What pip and uv do, by their arguments: says in FAKE_CALLS what was installed with which options, and adds it to .fake.
FAKE_INSTALLER = r"""
fake=$ENVIRONMENT/.fake
options='' wanted=''
while [ $# -gt 0 ]; do
    case $1 in
    --log) printf '%s\n' "${FAKE_LOG:-}" >"$2" && shift ;;
    -r) wanted="$wanted $(tr '\n' ' ' <"$2")" && shift ;;
    -c) options="$options -c" && shift ;;
    --editable) wanted=" project" && shift ;;
    --require-hashes) options="$options --require-hashes" ;;
    esac
    shift
done
echo "$PROGRAM$options$wanted" | sed 's/ *$//' >>"$FAKE_CALLS"
case ${FAKE_INSTALL:-} in
killed) kill -9 "$PPID" ;;
held) [ ! -e "$FAKE_FIFO" ] || { cat "$FAKE_FIFO" >/dev/null && rm "$FAKE_FIFO"; } ;; # once
fails) exit 1 ;;
"$PROGRAM fails") echo "error: no $PROGRAM today" >&2 && exit 1 ;;
esac
tr ' ' '\n' <<<"$wanted" >>"$fake"
"""


class Checkout:
    """A copy of tools/ and of the package's shell in `root`; `programs` comes first on PATH."""

    def __init__(self, folder):
        self.root, self.programs = folder / "checkout", folder / "programs"
        self.calls = folder / "calls"
        shutil.copytree(ROOT / "tools", self.root / "tools", ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("setup.cfg", "pyproject.toml"):
            shutil.copy(ROOT / name, self.root)
        self.programs.mkdir()
        self.installer = folder / "installer"
        self.installer.write_text(FAKE_INSTALLER)
        for name in ("python3", "python3.13", "python3.12", "python3.11"):
            self.program(name, FAKE_PYTHON.replace("REAL", sys.executable))
        self.disk(100)

    def disk(self, gigabytes):
        """Leave so much room on each disk, whatever the machine's own has."""
        kilobytes = gigabytes * 1024 * 1024
        self.program("df", f"#!/bin/sh\necho Available\necho '/dev/sda 99 9 {kilobytes} 9% /'\n")

    def program(self, name, text):
        """Put an executable on PATH, or at a path in the checkout."""
        path = (self.root if "/" in name else self.programs) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    def environment(self, **variables):
        """As `env -i`, with what the fakes need."""
        return {
            "HOME": str(self.root), "PATH": f"{self.programs}:{SYSTEM_PATH}", "LANG": "C.UTF-8", "TERM": "dumb",
            "FAKE_CALLS": str(self.calls), "FAKE_INSTALLER": str(self.installer),
            "ENVIRONMENT": variables.get("VIRTUAL_ENV") or variables.get("CONDA_PREFIX") or f"{self.root}/.venv",
            "FAKE_PYTHONPATH": os.pathsep.join(sys.path[1:]), **variables,
        }  # fmt: skip

    def start(self, script, *arguments, cwd=None, **variables):
        """Start a script in its own process group, deaf to nothing."""
        return subprocess.Popen(
            [self.root / script, *arguments], cwd=cwd or self.root, env=self.environment(**variables), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip

    def run(self, script, *arguments, **options):
        """Run it to its end: a CompletedProcess."""
        process = self.start(script, *arguments, **options)
        stdout, stderr = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def num_calls(self, word):
        text = self.calls.read_text() if self.calls.exists() else ""
        return sum(line.startswith(word) for line in text.splitlines())


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)
