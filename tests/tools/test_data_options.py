"""What run.sh hands to prepare.py: each option of stage 1 that the user gave, and no other."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECIPES = sorted(path.parent for path in ROOT.glob("recipes/*/run.sh"))
GIVEN = {"limit": "4", "limit-test": "2", "phrasings": "1", "obey": "3"}


def handed_over(recipe, tmp_path, *options):
    """The arguments of prepare.py, from the `set_up_recipe` of the recipe's own run.sh."""
    above, below = (recipe / "run.sh").read_text().split('. "$(dirname "$0")/../../tools/parse_options.sh"\n')
    set_up = next(line for line in below.splitlines() if line.startswith("set_up_recipe"))
    script = tmp_path / "recipes" / recipe.name / "run.sh"
    script.parent.mkdir(parents=True)
    (script.parent / "hparams").symlink_to(recipe / "hparams")
    (tmp_path / "tools").symlink_to(ROOT / "tools")
    source = f'{above}. "$(dirname "$0")/../../tools/parse_options.sh"\n{set_up}\nprintf "%s\\n" "${{data_options[@]-}}"\n'
    script.write_text(source)
    arguments = ["--data", str(tmp_path), "--stop-stage", "1", *options]
    done = subprocess.run(
        ["bash", str(script), *arguments], capture_output=True, text=True, timeout=60, env={**os.environ}
    )
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if line]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_the_options_of_the_evaluation_reach_prepare(recipe, tmp_path):
    given = {name: value for name, value in GIVEN.items() if name != "obey" or recipe.name == "LibriSpeech"}
    words = [word for name, value in given.items() for word in (f"--{name}", value)]
    found = handed_over(recipe, tmp_path, *words)
    assert found[-len(words) :] == words


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_what_is_not_given_is_left_to_prepare(recipe, tmp_path):
    assert not {f"--{name}" for name in GIVEN} & set(handed_over(recipe, tmp_path))
