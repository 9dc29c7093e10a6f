"""The stages as a user runs them, on tiny models: killed at any moment, run again, the same files."""

import json
from pathlib import Path

import pytest

from recipe import contents, make_recipe, run_script

YAML = "hparams/sift.yaml"
STAGES = ("generate.py", "train.py", "decode.py")
# The moments are counted in calls of functions that put things on disk: before the first record, between, before the last.
KILLS = {
    "generate.py": [("fsync", 3), ("replace", 2)],
    "train.py": [("fsync", 4), ("replace", 6)],
    "decode.py": [("fsync", 5), ("replace", 4)],
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory, make_llm, whisper_folder):
    """A recipe run without interruption."""
    folder = make_recipe(
        tmp_path_factory.mktemp("whole") / "r", llm=make_llm("llama"), encoder=whisper_folder
    )
    for name in STAGES:
        run_script(folder, name, YAML)
    return folder


def test_killed_in_every_stage_ends_in_the_same_files(whole, tmp_path, make_llm, whisper_folder):
    folder = make_recipe(tmp_path / "r", llm=make_llm("llama"), encoder=whisper_folder)
    for name in STAGES:
        for moment in KILLS[name]:
            assert run_script(folder, name, YAML, killed_at=moment, check=False).returncode == 137
        run_script(folder, name, YAML)
    assert contents(folder / "exp") == contents(whole / "exp")


def test_finished_stage_is_skipped_and_says_so(whole):
    before = contents(whole / "exp")
    assert "train: already complete for these inputs, skipped" in run_script(whole, "train.py", YAML).stdout
    assert contents(whole / "exp") == before


def test_interrupted_stage_keeps_nothing_of_other_inputs(whole, tmp_path, make_llm, whisper_folder):
    folder = make_recipe(tmp_path / "r", llm=make_llm("llama"), encoder=whisper_folder)
    run_script(folder, "generate.py", YAML)
    run_script(folder, "train.py", YAML, "--lr", "0.5")
    assert run_script(folder, "decode.py", YAML, killed_at=("fsync", 5), check=False).returncode == 137
    run_script(folder, "train.py", YAML, "--restart")
    run_script(folder, "decode.py", YAML)
    hypotheses = Path("exp", "sift", "hypotheses")
    assert contents(folder / hypotheses) == contents(whole / hypotheses)
    checkpoints = contents(folder / "exp" / "sift" / "train_2" / "checkpoints")
    assert checkpoints == contents(whole / "exp" / "sift" / "checkpoints")


def test_decoding_waits_for_the_end_of_training(whole, tmp_path, make_llm, whisper_folder):
    folder = make_recipe(tmp_path / "r", llm=make_llm("llama"), encoder=whisper_folder)
    run_script(folder, "generate.py", YAML)
    assert run_script(folder, "train.py", YAML, killed_at=("replace", 12), check=False).returncode == 137
    found = run_script(folder, "decode.py", YAML, check=False)
    assert found.returncode == 2
    assert "stage 3 (train) is not finished in exp/sift; run it first" in found.stderr


def test_override_reaches_the_optimiser(whole, tmp_path, make_llm, whisper_folder):
    folder = make_recipe(tmp_path / "r", llm=make_llm("llama"), encoder=whisper_folder)
    run_script(folder, "generate.py", YAML)
    run_script(folder, "train.py", YAML, "--lr", "3e-4", "--num-steps", "4")
    (checkpoint,) = (folder / "exp" / "sift" / "checkpoints").glob("*/checkpoint.json")
    assert json.loads(checkpoint.read_text())["lr"] == 0.0003


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["hparams/sift.yaml", "--lrr", "1"],
            "train.py: error: hparams/sift.yaml: no key 'lrr' to override; did you mean 'lr'?",
        ),
        (["hparams/gone.yaml"], "train.py: error: no hparams/gone.yaml here"),
        (
            ["hparams/sift.yaml", "--data_folder", "nowhere"],
            "train.py: error: no nowhere/train.jsonl; run stage 1 (prepare) first",
        ),
    ],
)
def test_mistake_ends_in_one_line_and_exit_code_2(whole, arguments, message):
    found = run_script(whole, "train.py", *arguments, check=False)
    assert found.returncode == 2
    assert message in found.stderr
    assert "Traceback" not in found.stderr


def test_nothing_but_results_is_printed_when_not_on_a_terminal(whole, tmp_path, make_llm, whisper_folder):
    folder = make_recipe(tmp_path / "r", llm=make_llm("llama"), encoder=whisper_folder)
    found = run_script(folder, "generate.py", YAML)
    assert "\r" not in found.stderr
    assert found.stdout.startswith("generate train: 12 targets;")
