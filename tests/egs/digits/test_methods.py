"""Every recipe of the digits example from its targets to the ledger, in fifty steps: the loss falls."""

import json
import shutil
from pathlib import Path

import pytest

import make_corpus
from auralign.recipe import load_recipe
from local import documents
from recipe import DIGITS, run

YAMLS = sorted(
    (DIGITS / "hparams").glob("*.yaml"), key=lambda path: ("init_from:" in path.read_text(), path.name)
)
SHORT = "--num_steps 50 --num_warmup_steps 5 --valid_every 25 --tokens_per_step 384 --num_shown 0".split()


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """A copy of the example with a small corpus, prepared."""
    folder = tmp_path_factory.mktemp("digits") / "digits"
    shutil.copytree(
        DIGITS, folder, ignore=shutil.ignore_patterns("corpus", "data", "exp", "models", "__pycache__")
    )
    (folder / "models").symlink_to(DIGITS / "models")
    counts = ["--num-train", "120", "--num-valid", "6", "--num-test", "4"]
    make_corpus.make_corpus(make_corpus.parse_options(["--output", str(folder / "corpus"), *counts]))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        succeed("prepare.py", "--corpus", "corpus", "--output", "data/synthetic")
        for folder_name, form in (("documents", "rounds"), ("related", "related")):
            documents.main(
                ["--data", "data/synthetic", "--output", f"data/synthetic_{folder_name}", "--form", form]
            )
    return folder


def succeed(script, *arguments):
    code, out, err = run(script, *arguments)
    assert code == 0, f"{script} {arguments}\n{out}\n{err}"


@pytest.mark.parametrize("yaml", [f"hparams/{path.name}" for path in YAMLS])
def test_fifty_steps_lower_the_loss_and_lead_to_the_ledger(example, monkeypatch, yaml):
    monkeypatch.chdir(example)
    succeed("generate.py", yaml)
    succeed("train.py", yaml, *SHORT)
    hparams = load_recipe(yaml)
    first, last = json.loads((Path(hparams.output_folder) / "log.json").read_text())
    assert (first["step"], last["step"]) == (25, 50)
    assert last["train_loss"] < 0.95 * first["train_loss"]
    succeed("decode.py", yaml, *SHORT)
    succeed("score.py", yaml, *SHORT)
    ledger = json.loads((Path(hparams.score_folder) / "scores.json").read_text())
    assert Path(yaml).stem in str(ledger)


def test_every_method_has_a_recipe(example, monkeypatch):
    from auralign.plugins import find_methods

    monkeypatch.chdir(example)
    shipped = {entry.name for entry in find_methods() if entry.package == "auralign"}
    assert {load_recipe(path).method.name for path in YAMLS} >= shipped
