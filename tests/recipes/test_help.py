"""`--help` of every script of a recipe: run.sh explains each of its options, a Python script says what it does."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
RECIPES = sorted([*ROOT.glob("recipes/*"), *ROOT.glob("egs/*"), ROOT / "tools" / "new_recipe"])
SHELL_SCRIPTS = [
    path
    for recipe in RECIPES
    for path in sorted(recipe.glob("*.sh"))
    if "parse_options.sh" in path.read_text()
]
# prepare.py and score.py differ from recipe to recipe; the other stages are the same in each (test_shared.py).
PYTHON_SCRIPTS = [
    path
    for recipe in RECIPES
    if recipe.parent.name in ("recipes", "egs")
    for path in sorted(recipe.glob("*.py"))
    if path.name in ("prepare.py", "score.py") or recipe.name == "digits"
] + [path for path in sorted(ROOT.glob("egs/digits/local/*.py")) if "\nif __name__ ==" in path.read_text()]


def name(path):
    return str(path.relative_to(ROOT))


def show_help(command, path):
    done = subprocess.run(
        [command, path.name, "--help"], cwd=path.parent, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_scripts_are_found():
    assert len(SHELL_SCRIPTS) == 8
    assert {path.name for path in PYTHON_SCRIPTS} >= {
        "prepare.py",
        "generate.py",
        "train.py",
        "decode.py",
        "score.py",
    }


@pytest.mark.parametrize("path", SHELL_SCRIPTS, ids=name)
def test_help_of_a_shell_script_explains_every_option(path):
    above = path.read_text().split("/parse_options.sh")[0]
    variables = re.findall(r"^([a-z][a-z0-9_]*)=", above, re.M)
    assert "stage" in variables
    explained = re.findall(r"^  --([a-z-]+) +[A-Za-z][^(\n]{5,}", show_help("bash", path), re.M)
    assert explained == [variable.replace("_", "-") for variable in variables]


@pytest.mark.parametrize("path", PYTHON_SCRIPTS, ids=name)
def test_help_of_a_python_script_is_its_docstring(path):
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring in show_help(sys.executable, path)
