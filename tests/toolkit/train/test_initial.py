"""The weights that `init_from` names: those of a run, of a model folder, or of a model folder on the hub."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from auralign.files import hash_path, read_json, write_json
from auralign.publish.export import export
from auralign.recipe import load_recipe
from auralign.run_folder import RunFolder
from auralign.train.checkpoint import WEIGHTS, initial_folder
from recipe import make_recipe, run

YAML = "hparams/sift.yaml"
SECOND = ("--output_folder", "exp/second")


@pytest.fixture(scope="module")
def first(tmp_path_factory, make_llm, whisper_folder):
    """A recipe whose first run is trained and exported as `model`, and whose second run has its targets."""
    folder = make_recipe(
        tmp_path_factory.mktemp("first") / "r", llm=make_llm("llama"), encoder=whisper_folder
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for script, *more in (("generate.py",), ("train.py",), ("generate.py", *SECOND)):
            code, out, err = run(script, YAML, *more)
            assert code == 0, out + err
        export(load_recipe(YAML), "model")
    return folder


@pytest.fixture
def recipe(first, tmp_path, monkeypatch):
    """A copy of it, which is the working folder."""
    monkeypatch.chdir(shutil.copytree(first, tmp_path / "r"))


def train(init_from):
    return run("train.py", YAML, *SECOND, "--init_from", str(init_from))


def succeed(init_from):
    code, out, err = train(init_from)
    assert code == 0, out + err
    return out + err


def test_a_model_folder_counts_by_its_weights_alone(recipe):
    assert "initialised from model: connector" in succeed("model")
    with open("model/README.md", "a") as card:
        card.write("another card")
    assert "already complete" in succeed("model")
    assert "already complete" in succeed(shutil.move("model", "moved"))


def test_other_weights_are_another_training(recipe):
    succeed("model")
    weights = load_file(f"model/{WEIGHTS}")
    save_file({name: tensor + 1 for name, tensor in weights.items()}, f"model/{WEIGHTS}")
    code, _, err = train("model")
    assert code == 2 and "cannot continue: init_from" in err


def test_the_hash_of_all_files_that_an_earlier_auralign_recorded_is_accepted(recipe):
    succeed("model")
    done = RunFolder.open("exp/second").folder / ".train.done.json"
    mark = read_json(done)
    write_json(done, {**mark, "inputs": {**mark["inputs"], "init_from": hash_path("model")}})
    assert "already complete" in succeed("model")


def test_one_checkpoint_of_a_run_may_be_named(recipe):
    checkpoint = initial_folder("exp/sift")
    assert f"initialised from {checkpoint}: connector" in succeed(checkpoint)


@pytest.mark.parametrize(
    ("name", "said"), [("model", "is not as it was exported"), ("checkpoint", "do not match")]
)
def test_weights_that_are_damaged_start_no_training(recipe, name, said):
    folder = initial_folder("exp/sift") if name == "checkpoint" else Path(name)
    weights = bytearray((folder / WEIGHTS).read_bytes())
    weights[-9] ^= 1
    (folder / WEIGHTS).write_bytes(weights)
    code, _, err = train(folder)
    assert code == 2 and str(folder) in err and said in err


def test_the_mean_of_checkpoints_is_taken_by_way_of_its_export(recipe):
    """`init_from: exp/sift` is the best checkpoint, whatever the run's `average_checkpoints`."""
    shutil.copytree("exp/second", "exp/averaged")
    keys = {"output_folder": "exp/averaged", "average_checkpoints": "2"}
    options = (word for name, value in keys.items() for word in (f"--{name}", value))
    code, out, err = run("train.py", YAML, *options)
    assert code == 0, out + err
    export(load_recipe(YAML, keys), "mean")
    steps = read_json("mean/auralign.json")["averaged_steps"]
    parts = [load_file(f"exp/averaged/checkpoints/step_{step:08d}/{WEIGHTS}") for step in steps]
    found = load_file(f"{initial_folder('mean')}/{WEIGHTS}")
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, sum(part[name] for part in parts) / 2)


def test_a_model_of_the_hub_is_taken_by_its_id_and_pinned(recipe, hub):
    commit = hub.add("org/connector", "model")
    assert "initialised from" in succeed("org/connector")
    assert read_json("exp/second/models.json") == {"org/connector": f"org/connector@{commit}"}
    hub.add("org/connector", {"README.md": b"moved on"})
    hub.asked.clear()
    assert "already complete" in succeed("org/connector")
    assert hub.asked == []


@pytest.mark.parametrize("name", ["exp/gone", "no_such/run", "data"])
def test_what_holds_no_weights_is_named_with_the_key(recipe, name):
    code, _, err = train(name)
    assert code == 2 and f"init_from: no trained weights in {name}; run stage 3" in err


def test_a_model_folder_is_no_run(recipe):
    code, _, err = run("auralign", "show", "model")
    assert (
        code == 2 and "model: a model folder, which holds no recipe; give the run that it was exported" in err
    )
