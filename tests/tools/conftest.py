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

# Answers what tools/install.sh asks of a Python; FAKE_* say how. What it does not know, the real Python does.
FAKE_PYTHON = r"""#!/usr/bin/env bash
case "$*" in
"-c import sys; print"*) echo "${FAKE_VERSION:-3.12}" ;;
"-c import ensurepip, venv") [ "${FAKE_VENV:-yes}" = yes ] ;;
"-c import importlib.util"*) [ "${FAKE_TORCH:-no}" = yes ] ;;
"-m venv --clear "*) mkdir -p "$4/bin" && cp "$0" "$4/bin/python" && echo made >>"$FAKE_CALLS" ;;
"-m pip --version") ;;
"-m pip install "*)
    echo "pip ${*: -1}" >>"$FAKE_CALLS"
    while [ "$1" != --log ]; do shift; done
    printf '%s\n' "${FAKE_LOG:-}" >"$2"
    metadata=$(dirname "$2")/lib/python3.12/site-packages/half-1.0.dist-info
    case ${FAKE_PIP:-} in
    killed) mkdir -p "$metadata" && kill -9 "$PPID" ;;
    held) cat "$FAKE_FIFO" >/dev/null ;;
    fails) exit 1 ;;
    esac ;;
*) exec env PYTHONPATH="$FAKE_PYTHONPATH" "REAL" "$@" ;;
esac
"""


class Checkout:
    """A copy of tools/ and of the package's shell in `root`; `programs` comes first on PATH."""

    def __init__(self, folder):
        self.root, self.programs = folder / "checkout", folder / "programs"
        self.calls = folder / "calls"
        shutil.copytree(ROOT / "tools", self.root / "tools", ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("setup.cfg", "pyproject.toml"):
            shutil.copy(ROOT / name, self.root)
        for package in ("toolkit/auralign", "plugins/auralign_methods"):
            (self.root / package).mkdir(parents=True)
            (self.root / package / "__init__.py").touch()
        self.programs.mkdir()
        for name in ("python3", "python3.13", "python3.12", "python3.11"):
            self.program(name, FAKE_PYTHON.replace("REAL", sys.executable))

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
            "FAKE_CALLS": str(self.calls),
            "FAKE_PYTHONPATH": f"{self.root}/toolkit:{self.root}/plugins:{os.pathsep.join(sys.path[1:])}", **variables,
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
