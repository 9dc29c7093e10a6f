"""tools/test.sh: every check runs, any failure counts, and pytest has the last word."""

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PYTEST = '#!/bin/sh\necho "3 passed in 0.1s, $*"\n'


@pytest.fixture
def tester(checkout):
    checkout.program(
        "tools/install.sh",
        "#!/bin/sh\ncase $* in install | 'egs test' | 'egs test docs') ;; *) exit 1 ;; esac\n",
    )
    checkout.program(".venv/bin/python", PYTEST)
    checkout.program(".venv/bin/ruff", '#!/bin/sh\necho ruff saw "$@"\n')
    checkout.program(".venv/bin/shellcheck", '#!/bin/sh\necho shellcheck saw "$@"\n')
    checkout.program(".venv/bin/mypy", '#!/bin/sh\necho mypy saw "$@"\n')
    (checkout.root / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", checkout.root / ".ci" / "run")
    return checkout


def test_arguments_go_to_pytest_whose_summary_is_the_last_line(tester):
    done = tester.run("tools/test.sh", "tests/toolkit", "-k", "layout")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "3 passed in 0.1s, -m pytest tests/toolkit -k layout"


def test_shellcheck_sees_every_shell_file_and_no_other(tester):
    tester.program("egs/digits/run.sh", "")
    tester.program(".venv/lib/foreign.sh", "")
    tester.program("egs/digits/exp/left.sh", "")
    (line,) = (
        line for line in tester.run("tools/test.sh").stdout.splitlines() if line.startswith("shellcheck saw")
    )
    seen = {word for word in line.split() if word.startswith("./")}
    names = (
        "install",
        "test",
        "environment",
        "parse_options",
        "signals",
        "update_lock",
        "fault_suite",
        "run_shards",
    )
    own = ("./.ci/run", "./egs/digits/run.sh", "./tools/new_recipe/run.sh")
    assert seen == {*own, *(f"./tools/{name}.sh" for name in names)}


@pytest.mark.parametrize("name", ["ruff", "shellcheck", "mypy", "python"])
def test_one_failure_fails_the_whole_and_stops_nothing(tester, name):
    program = tester.root / ".venv" / "bin" / name
    program.write_text(program.read_text() + "exit 1\n")
    done = tester.run("tools/test.sh")
    assert done.returncode == 1
    assert "ruff saw check" in done.stdout and "shellcheck saw" in done.stdout and "mypy saw" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("3 passed")


@pytest.mark.parametrize(("end", "resolution"), [("lowest", "lowest-direct"), ("newest", "highest")])
def test_the_ends_of_the_ranges_are_tried_in_an_environment_of_their_own(tester, end, resolution):
    made = f".venv-{end}/bin"
    uv = f'echo uv "$@"; [ "$1" != venv ] || {{ mkdir -p {made} && cp .venv/bin/* {made}; }}'
    tester.program(".venv/bin/uv", f"#!/bin/sh\n{uv}\n")
    done = tester.run("tools/test.sh", f"--{end}", "-k", "layout")
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("uv pip install"))
    assert (
        f"--python {tester.root}/.venv-{end}/bin/python --upgrade --resolution {resolution} --only-binary="
        in line
    )
    assert line.endswith("-r setup.cfg --extra egs --extra test")
    assert done.stdout.splitlines()[-1] == "3 passed in 0.1s, -m pytest -k layout"


def test_all_builds_the_documentation_too(tester):
    tester.program(".venv/bin/mkdocs", '#!/bin/sh\necho mkdocs saw "$@"\n')
    tester.program(".venv/bin/jupyter", '#!/bin/sh\necho jupyter saw "$@"\n')
    done = tester.run("tools/test.sh", "--all", "-k", "layout")
    assert (done.returncode, done.stderr) == (0, "")
    assert "mkdocs saw build --strict" in done.stdout and "mypy saw" in done.stdout
    assert "jupyter saw execute --output=../build/tutorial.ipynb docs/tutorial.ipynb" in done.stdout
    assert done.stdout.splitlines()[-1] == "3 passed in 0.1s, -m pytest -k layout"
    without = tester.run("tools/test.sh").stdout
    assert "mkdocs" not in without and "jupyter" not in without
    tester.program(".venv/bin/mkdocs", "#!/bin/sh\nexit 1\n")
    assert tester.run("tools/test.sh", "--all").returncode == 1


def test_all_executes_the_notebook_from_its_beginning(tester):
    tester.program(".venv/bin/mkdocs", "#!/bin/sh\n")
    tester.program(".venv/bin/jupyter", "#!/bin/sh\n[ ! -e build/tutorial ]\n")
    (tester.root / "build" / "tutorial").mkdir(parents=True)
    assert tester.run("tools/test.sh", "--all").returncode == 0
    tester.program(".venv/bin/jupyter", "#!/bin/sh\nexit 1\n")
    assert tester.run("tools/test.sh", "--all").returncode == 1


def test_ci_runs_it(tester, tmp_path):
    done = tester.run(".ci/run", cwd=tmp_path)
    assert (
        done.stdout.splitlines()[-1]
        == "3 passed in 0.1s, -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder"
    )
