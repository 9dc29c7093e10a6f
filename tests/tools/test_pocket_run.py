"""egs/pocket/run.sh: which commands it runs for which options, with a Python that prints them."""

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PHASES = ("hparams/align.yaml", "hparams/answer.yaml")


@pytest.fixture
def pocket(checkout):
    """The checkout with the example's shell and YAML, as if installed."""
    folder = checkout.root / "egs" / "pocket"
    shutil.copytree(ROOT / "egs/pocket/hparams", folder / "hparams")
    for name in ("run.sh", "path.sh"):
        shutil.copy(ROOT / "egs/pocket" / name, folder)
    checkout.program("tools/install.sh", '#!/bin/sh\n[ "$*" = "egs pocket" ]\n')
    checkout.program(".venv/bin/python", '#!/bin/sh\necho "$1" "$2"\n')
    return checkout


def commands(done):
    """The commands run, without the headings."""
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return [line for line in done.stdout.splitlines() if not line.startswith("== ")]


def test_each_stage_is_run_for_both_phases_before_the_next(pocket):
    assert commands(pocket.run("egs/pocket/run.sh", "--stop-stage", "4")) == [
        "local/make_corpus.py --output",
        "prepare.py --corpus",
        *(f"{stage}.py {yaml}" for stage in ("generate", "train", "decode") for yaml in PHASES),
    ]


def test_a_quick_run_has_the_first_phase_alone(pocket):
    done = pocket.run("egs/pocket/run.sh", "--quick", "--stage", "2", "--stop-stage", "4")
    assert commands(done) == [f"{stage}.py {PHASES[0]}" for stage in ("generate", "train", "decode")]


def test_all_controls_are_those_of_the_last_phase(pocket):
    pocket.program(".venv/bin/python", '#!/bin/sh\necho "$*"\n')
    done = pocket.run("egs/pocket/run.sh", "--stage", "5")
    ladders = [line for line in commands(done) if "ladder.py" in line and "--show" not in line]
    assert [yaml in line for yaml, line in zip(PHASES, ladders, strict=True)] == [True, True]
    assert ["--short" in line for line in ladders] == [True, False]
    assert [PHASES[0] in line for line in commands(done) if "--show" in line] == [True]
