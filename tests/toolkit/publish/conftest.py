"""Recipes run to stage 4, each with its model folder, for the tests of publishing."""

import json
import shutil

import pytest

import auralign
from auralign.publish.export import export
from auralign.publish.model_folder import CONFIG, HASHES
from auralign.recipe import load_recipe
from recipe import LORA, make_recipe, run


def run_and_export(folder):
    """Run a recipe to stage 4 and write its model folder `model`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for script in ("generate.py", "train.py", "decode.py"):
            code, out, err = run(script, "hparams/sift.yaml")
            assert code == 0, out + err
        export(load_recipe("hparams/sift.yaml"), "model")
    return folder


@pytest.fixture(scope="session")
def recipe(tmp_path_factory, make_llm, whisper_folder):
    return run_and_export(
        make_recipe(tmp_path_factory.mktemp("recipe"), llm=make_llm("llama"), encoder=whisper_folder)
    )


@pytest.fixture(scope="session")
def model(recipe):
    return auralign.load(recipe / "model")


@pytest.fixture(scope="session")
def adapted(tmp_path_factory, make_llm, whisper_folder):
    """A recipe with LoRA."""
    folder = tmp_path_factory.mktemp("adapted")
    return run_and_export(make_recipe(folder, llm=make_llm("llama"), encoder=whisper_folder, more=LORA))


@pytest.fixture
def changed(tmp_path):
    """Copy the model folder of a recipe, with a changed configuration."""

    def change_copy(recipe, change):
        shutil.copytree(recipe / "model", tmp_path / "model")
        path = tmp_path / "model" / CONFIG
        config = json.loads(path.read_text())
        del config[HASHES]  # as in folders of before: the change itself is to be seen
        change(config)
        path.write_text(json.dumps(config))
        return tmp_path / "model"

    return change_copy
