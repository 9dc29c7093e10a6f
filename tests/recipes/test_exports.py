"""Every YAML of a recipe says as what its run can be exported."""

import re
from pathlib import Path

import pytest

from auralign.publish.native.architectures import ARCHITECTURES, find_obstacles
from auralign.recipe import load_recipe

ROOT = Path(__file__).parent.parent.parent
FOLDERS = ("recipes/*", "egs/pocket", "egs/own_data")
YAMLS = sorted(path for folder in FOLDERS for path in ROOT.glob(f"{folder}/hparams/*.yaml"))


@pytest.mark.parametrize("path", YAMLS, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_a_yaml_names_the_forms_in_which_its_run_can_be_served(path):
    said = re.search(r"^# Its run is exported as: ([^(\n]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    recipe = load_recipe(path)
    fitting = [name for name, one in ARCHITECTURES.items() if not find_obstacles(one, recipe)]
    assert said and said[1].strip().split(", ") == ["a model folder", *fitting]
