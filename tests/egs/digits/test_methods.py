"""Every recipe of the digits example from its targets to the ledger, in a few steps: the loss falls."""

import json
import shutil
from pathlib import Path

import pytest

import make_corpus
from auralign.builders import Negate, build
from auralign.recipe import load_recipe
from local import documents
from recipe import DIGITS, run

YAMLS = sorted(
    (DIGITS / "hparams").glob("*.yaml"), key=lambda path: ("init_from:" in path.read_text(), path.name)
)
SHORT = "--num_warmup_steps 4 --tokens_per_step 384 --num_shown 0".split()
# Of the training, and between validations; a part that begins at random beside trained ones first makes the loss rise.
STEPS = {"azeros": (50, 25), "blsp_emo": (24, 8), "sift": (50, 25)}


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
        for split in ("train", "valid"):
            build(Negate(number=4), f"data/synthetic/{split}.jsonl", "data/synthetic_negatives")
    return folder


def succeed(script, *arguments):
    code, out, err = run(script, *arguments)
    assert code == 0, f"{script} {arguments}\n{out}\n{err}"


@pytest.mark.parametrize("yaml", [f"hparams/{path.name}" for path in YAMLS])
def test_a_few_steps_lower_the_loss_and_lead_to_the_ledger(example, monkeypatch, yaml):
    monkeypatch.chdir(example)
    num_steps, valid_every = STEPS.get(Path(yaml).stem, (16, 8))
    options = (*SHORT, "--num_steps", str(num_steps), "--valid_every", str(valid_every))
    succeed("generate.py", yaml)
    succeed("train.py", yaml, *options)
    hparams = load_recipe(yaml)
    first, *_, last = json.loads((Path(hparams.output_folder) / "log.json").read_text())
    assert (first["step"], last["step"]) == (valid_every, num_steps)
    assert last["train_loss"] < 0.95 * first["train_loss"]
    succeed("decode.py", yaml, *options)
    succeed("score.py", yaml, *options)
    ledger = json.loads((Path(hparams.score_folder) / "scores.json").read_text())
    assert Path(yaml).stem in str(ledger)


def test_every_method_has_a_recipe(example, monkeypatch):
    from auralign.plugins import find_methods

    monkeypatch.chdir(example)
    shipped = {entry.name for entry in find_methods() if entry.package == "auralign"}
    assert {load_recipe(path).method.name for path in YAMLS} >= shipped
