"""A model folder that was exported and a run that was made at commit 62a17e5 are still used as they are.

`tests/fixtures/README.md` says how both were made. The names of classes and functions in them are those of that commit, wherever
the code is now.
"""

import json
import shutil
from pathlib import Path

import pytest

import auralign
from recipe import DIGITS, run_script

FIXTURES = Path(__file__).parent / "fixtures"
CORPUS = FIXTURES / "digits_corpus"
YAML = "hparams/sift.yaml"
OUTPUT = "exp/synthetic/sift/seed_1"
ANSWERS = json.loads((FIXTURES / "model_62a17e5.answers.json").read_text())
CONNECTORS = {
    "StackAndProject": "{stride: 8}",
    "ConvolveAndProject": "{}",
    "ContinuousIntegrateAndFire": "{tokens_per_frame: 0.07}",
    "WindowedQFormer": "{window_seconds: 0.16, width: 16, num_heads: 2, num_layers: 1}",
    "CountedQFormer": "{tokens_per_frame: 0.07, width: 16, num_heads: 2, num_layers: 1}",
    "MultiLayerQFormer": "{num_encoder_layers: 2, num_queries: 4, width: 16, num_heads: 2, num_layers: 1}",
}
LOADERS = {
    "encoder": [
        "auralign.models.encoder.load_encoder",
        "auralign.models.wav2vec2.load_wav2vec2",
        "auralign.models.whisper.load_whisper",
    ],
    "llm": ["auralign.models.llm.load_llm"],
    "recognizer": [
        "auralign.models.ctc.load_ctc",
        "auralign.models.ctc.load_wav2vec2_ctc",
        "auralign.models.whisper_decoder.load_whisper_decoder",
        "auralign.models.whisper_decoder.load_whisper_recognizer",
    ],
}


@pytest.fixture
def folder(tmp_path):
    """The recipe folder of the run, with the scripts of now."""
    folder = shutil.copytree(FIXTURES / "run_62a17e5", tmp_path / "digits")
    (folder / "corpus").mkdir()
    (folder / "corpus" / "synthetic").symlink_to(CORPUS)
    (folder / "models").symlink_to(DIGITS / "models")
    for script in ("generate.py", "train.py", "decode.py"):
        shutil.copy(DIGITS / script, folder)
    return folder


def replace_block(folder, key, block):
    """Write the run's YAML anew, with another value of a key whose value is a constructor."""
    lines = iter((folder / YAML).read_text(encoding="utf-8").splitlines())
    kept = []
    for line in lines:
        if line.startswith(f"{key}:"):
            kept += [f"{key}: {block}"]
            line = next(line for line in lines if not line.startswith(" "))
        kept.append(line)
    (folder / YAML).write_text("\n".join(kept), encoding="utf-8")


def read_answers(path):
    """From the key of a question to its answer; the first line of the file is its header."""
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines()[1:])
    return {row["key"]: row["text"] for row in rows}


def test_an_exported_model_answers_as_it_did():
    model = auralign.load(
        FIXTURES / "model_62a17e5", llm=DIGITS / "models" / "llm", encoder=DIGITS / "models" / "encoder"
    )
    answers = [model.answer(CORPUS / row["audio"], row["prompt"]) for row in ANSWERS]
    assert answers == [row["answer"] for row in ANSWERS]


@pytest.mark.parametrize(
    ("script", "stages"),
    [
        ("generate.py", ["generate train", "generate valid"]),
        ("train.py", ["train"]),
        ("decode.py", ["decode text", "decode transcript", "decode speech", "decode shuffled"]),
    ],
)
def test_a_finished_stage_is_complete(folder, script, stages):
    printed = run_script(folder, script, YAML).stdout.splitlines()
    assert [line.partition(":")[0] for line in printed if "already complete" in line] == stages


def test_training_goes_on_from_the_last_checkpoint(folder):
    found = run_script(folder, "train.py", YAML, "--num_steps", "122")
    assert "continuing from step 120" in found.stderr
    log = json.loads((folder / OUTPUT / "log.json").read_text(encoding="utf-8"))
    assert [row["step"] for row in log] == [60, 120, 122]


def test_its_checkpoint_gives_the_answers_that_it_gave(folder):
    path = folder / OUTPUT / "hypotheses" / "test.speech.jsonl"
    before = read_answers(path)
    shutil.rmtree(path.parent)
    run_script(folder, "decode.py", YAML)
    assert read_answers(path) == before
    assert len(before) == 25


@pytest.mark.parametrize("name", CONNECTORS)
def test_a_connector_is_trained_by_the_name_it_had(folder, name):
    replace_block(folder, "connector", f"!name:auralign.models.connectors.{name} {CONNECTORS[name]}")
    run_script(folder, "generate.py", YAML, "--output_folder", "exp/new")
    run_script(folder, "train.py", YAML, "--output_folder", "exp/new", "--num_steps", "1")
    assert [row["step"] for row in json.loads((folder / "exp" / "new" / "log.json").read_text())] == [1]


@pytest.mark.parametrize(("key", "name"), [(key, name) for key in LOADERS for name in LOADERS[key]])
def test_a_loader_is_called_by_the_name_it_had(folder, key, name):
    replace_block(folder, key, f"!name:{name} {{path: no-such-folder}}")
    shutil.rmtree(folder / "exp" / "synthetic" / "text")
    found = run_script(folder, "decode.py", YAML, check=False)
    assert found.returncode != 0
    assert "no-such-folder" in found.stderr
