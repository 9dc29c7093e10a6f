"""The fault suite: its fast part survives, and it sees work that is lost or silently different."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from faults.__main__ import CLASSES, FAST, write_row
from faults.trying import CRASHED, Events, forked, send

ROOT = Path(__file__).parents[2]
PATHS = os.pathsep.join([str(ROOT / "tests"), str(ROOT / "toolkit"), os.environ.get("PYTHONPATH", "")])


def test_the_fast_part_loses_nothing_and_is_never_silent():
    done = subprocess.run(
        [sys.executable, "-m", "faults", "--fast", "--jobs", "1"],  # each job makes the recipe anew
        env={**os.environ, "PYTHONPATH": PATHS, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("lost 0, silent 0") == len(FAST), done.stdout


def write_twice(folder):
    """Three file events: a file is opened, and replaces another."""
    (folder / "new").write_text("new", encoding="utf-8")
    os.replace(folder / "new", folder / "old")


@pytest.mark.parametrize(
    ("at", "code", "files"),
    [(None, 0, {"old"}), (1, -9, set()), (2, -9, {"new"}), (3, -9, {"old"}), (4, 0, {"old"})],
)
def test_a_process_is_killed_before_and_after_a_file_event(tmp_path, at, code, files):
    folder = tmp_path / "work"
    folder.mkdir()
    (tmp_path / "beside").write_text("not below the folder: no event", encoding="utf-8")

    def work():
        Events(folder, {at: send(signal.SIGKILL)}).watch()
        write_twice(folder)

    assert forked(work, tmp_path / "log") == code
    assert {path.name for path in folder.iterdir()} == files


def test_another_signal_can_be_survived(tmp_path):
    def work():
        signal.signal(signal.SIGTERM, lambda *_: print("got it"))
        Events(tmp_path, {1: send(signal.SIGTERM)}).watch()
        (tmp_path / "file").touch()
        return 75

    assert forked(work, tmp_path.parent / "signal.log") == 75
    assert (tmp_path.parent / "signal.log").read_text() == "got it\n"


def test_a_child_of_a_child_prints_into_its_own_file(tmp_path):
    def work():
        code = forked(lambda: print("inner"), tmp_path / "inner")
        print("outer")
        return code

    assert forked(work, tmp_path / "outer") == 0
    assert [(tmp_path / name).read_text() for name in ("outer", "inner")] == ["outer\n", "inner\n"]


def test_a_try_that_raises_has_a_code_of_its_own(tmp_path):
    assert forked(lambda: 1 // 0, tmp_path / "log") == CRASHED
    assert "ZeroDivisionError" in (tmp_path / "log").read_text()


def test_figures_replace_the_row_of_their_class(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("| `kills` | not run | |\n| `flips` | 3 | 3 |\n", encoding="utf-8")
    write_row(page, "kills", [7, 6, 1])
    assert page.read_text(encoding="utf-8") == "| `kills` | 7 | 6 | 1 |\n| `flips` | 3 | 3 |\n"


def test_the_page_has_a_row_for_each_class_and_says_what_it_is():
    text = (ROOT / "RELIABILITY.md").read_text(encoding="utf-8")
    assert {name: text.count(f"| `{name}` |") for name in CLASSES} == dict.fromkeys(CLASSES, 2)
