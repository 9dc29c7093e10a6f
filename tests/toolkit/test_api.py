"""What a notebook calls."""

import subprocess
import sys

import pytest

import auralign
from auralign import steps
from recipe import make_recipe, run_script


def test_every_stable_name_is_there():
    for name in auralign.__all__:
        assert getattr(auralign, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'lod'"):
        auralign.lod  # noqa: B018


def test_importing_auralign_loads_nothing_heavy():
    code = "import sys, auralign; auralign.Recipe; print(sorted({'torch', 'transformers', 'numpy'} & set(sys.modules)))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )


def test_a_recipe_is_trained_and_evaluated_in_six_lines(
    tmp_path, make_llm, whisper_folder, monkeypatch, capsys
):
    folder = make_recipe(tmp_path / "r", llm=make_llm("llama"), encoder=whisper_folder)
    monkeypatch.chdir(folder)

    recipe = auralign.Recipe.load("hparams/sift.yaml", **{"connector.stride": 4, "num_steps": 4})
    run = auralign.train(recipe)
    result = auralign.evaluate(run, "data/test.jsonl", ask=["repeat {speech}"])

    assert run.checkpoints.is_dir()
    assert (result / "scores.json").is_file()
    capsys.readouterr()
    auralign.train(recipe)
    assert capsys.readouterr().out.count("already complete") == 3


def test_one_llm_writes_the_targets_of_all_splits(tmp_path, make_llm, whisper_folder, monkeypatch):
    folder = make_recipe(tmp_path / "r", llm=make_llm("llama"), encoder=whisper_folder)
    build, built = steps.build_llm, []
    monkeypatch.setattr(steps, "build_llm", lambda recipe: built.append(recipe) or build(recipe))
    run_script(folder, "generate.py", "hparams/sift.yaml")
    assert len(built) == 1
