"""The models that a recipe names are found in all its parts, and only there."""

import pytest

from auralign.recipe import load_recipe
from auralign.recipe.models import names_of_models, with_models
from recipe import make_recipe

MORE = """\
recognizer: !name:auralign.models.recognizers.load_whisper_recognizer
    path: org/recognizer
branches:
    sound:
        encoder: !name:auralign.models.encoders.load_wav2vec2
            path: org/wavlm
        connector: !name:auralign.models.connectors.StackAndProject
optimizer: !name:torch.optim.AdamW
    path: org/llm
encoder_folder: org/whisper
"""
COMMITS = {f"org/{name}": f"org/{name}@{40 * 'a'}" for name in ("llm", "whisper", "recognizer", "wavlm")}


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    make_recipe(tmp_path / "r", llm="org/llm", encoder="!ref <encoder_folder>", more=MORE)
    monkeypatch.chdir(tmp_path / "r")
    return load_recipe("hparams/sift.yaml")


@pytest.mark.parametrize(
    ("stage", "names"),
    [
        ("generate", ["llm"]),
        ("train", ["llm", "whisper", "wavlm"]),
        ("decode", ["llm", "whisper", "wavlm", "recognizer"]),
    ],
)
def test_a_stage_names_the_models_that_it_reads(recipe, stage, names):
    assert names_of_models(recipe, stage) == [f"org/{name}" for name in names]


def test_every_part_gets_the_commits(recipe):
    renamed = with_models(recipe, COMMITS)
    assert names_of_models(renamed, "decode") == [COMMITS[name] for name in names_of_models(recipe, "decode")]
    assert renamed.own["encoder_folder"] == COMMITS["org/whisper"]
    assert renamed.optimizer.keywords["path"] == "org/llm"  # of no model


def test_the_text_of_the_yaml_gets_the_commits(recipe, tmp_path):
    (tmp_path / "r" / "kept.yaml").write_text(with_models(recipe, COMMITS).source.text)
    kept = load_recipe("kept.yaml")
    assert names_of_models(kept, "decode") == [COMMITS[name] for name in names_of_models(recipe, "decode")]


def test_a_recipe_that_names_none_of_them_is_the_same(recipe):
    assert with_models(recipe, {"org/other": "org/other@v1"}) is recipe
