"""A run whose models are of the hub stays at the commits that it began with, and every record of it names them."""

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

import auralign
from auralign.ledger.report import read_scores
from auralign.publish.export import export
from auralign.records import Hypothesis, Records, Target
from auralign.run_folder import RunFolder
from hub_server import serve_hub, used_by_huggingface_hub
from recipe import DIGITS, make_recipe, run

LLM, ENCODER = "org/tiny-llm", "org/tiny-whisper"
YAML = "hparams/sift.yaml"
STAGES = ("generate.py", "train.py", "decode.py", "score.py")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, make_llm, whisper_folder):
    """(hub, commits, folder) of a recipe that was run to its end while main moved after stage 2."""
    folder = make_recipe(
        tmp_path_factory.mktemp("hub") / "r",
        llm="!ref <llm_folder>",
        encoder="!ref <encoder_folder>",
        more=f"decode_stop_strings: []\nllm_folder: {LLM}\nencoder_folder: {ENCODER}\n",
    )
    shutil.copy(DIGITS.parent / "own_data" / "score.py", folder)
    with (
        serve_hub() as hub,
        used_by_huggingface_hub(hub, folder.parent / "huggingface"),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.chdir(folder)
        commits = {LLM: hub.add(LLM, make_llm("llama")), ENCODER: hub.add(ENCODER, whisper_folder)}
        said = {}
        for script in STAGES:
            if script == "train.py":
                hub.add(LLM, make_llm("qwen2"))
            code, out, err = said[script] = run(script, YAML)
            assert code == 0, out + err
        export(RunFolder.open("exp/sift").recipe, "model")
        yield hub, commits, folder, said


@pytest.fixture
def here(finished, monkeypatch):
    monkeypatch.chdir(finished[2])
    return finished


def test_targets_name_id_and_commit(here):
    _, commits, _, _ = here
    assert {target.llm for target in Records("exp/sift/targets/train.jsonl", Target)} == {
        f"{LLM}@{commits[LLM]}"
    }


def test_a_run_goes_on_with_its_commit_and_says_so(here):
    hub, commits, _, said = here
    _, _, err = said["train.py"]
    newer = hub[LLM].refs["main"]
    assert f"{LLM}: the hub now has the commit {newer}; this run goes on with {LLM}@{commits[LLM]}" in err


def test_the_recipe_of_the_run_names_the_commits(here):
    _, commits, _, _ = here
    recipe = RunFolder.open("exp/sift").recipe
    assert recipe.llm.keywords["path"] == recipe.own["llm_folder"] == f"{LLM}@{commits[LLM]}"
    assert recipe.encoder.keywords["path"] == f"{ENCODER}@{commits[ENCODER]}"
    assert f"path: {LLM}@{commits[LLM]}\n" in (RunFolder.open("exp/sift").folder / "recipe.yaml").read_text()


def test_a_finished_stage_is_skipped_without_asking_the_hub(here):
    hub, _, _, _ = here
    hub.asked.clear()
    for script in STAGES:
        code, out, err = run(script, YAML)
        assert code == 0 and "already complete" in out, out + err
    assert hub.asked == []


def test_a_checkpoint_and_a_report_name_id_and_commit(here):
    _, commits, folder, _ = here
    checkpoint = next((folder / "exp/sift/checkpoints").glob("step_*/checkpoint.json"))
    assert json.loads(checkpoint.read_text())["llm_name"] == f"{LLM}@{commits[LLM]}"
    report = (folder / "exp/ledger/report.md").read_text()
    assert f"{LLM}@{commits[LLM]}" in report and f"{ENCODER}@{commits[ENCODER]}" in report


def test_an_exported_model_fetches_its_bases_by_id(here):
    _, commits, folder, _ = here
    config = json.loads((folder / "model/auralign.json").read_text())
    assert config["llm"]["with"]["path"] == f"{LLM}@{commits[LLM]}"
    assert f"{LLM}@{commits[LLM]}" in (folder / "model/README.md").read_text()
    assert isinstance(auralign.load("model").answer("data/test-0.flac"), str)


def test_llm_and_encoder_are_given_by_id(here):
    _, commits, _, _ = here
    given = {"llm": f"{LLM}@{commits[LLM]}", "encoder": ENCODER}
    answer = auralign.load("model", **given).answer("data/test-0.flac", "sort")
    code, out, err = run(
        "auralign", "ask", "model", "data/test-0.flac", "sort", "--llm", given["llm"], "--encoder", ENCODER
    )
    assert code == 0 and out.strip() == answer.strip(), err


def test_another_commit_of_the_llm_is_refused(here):
    with pytest.raises(ValueError, match="was trained with LLM"):
        auralign.load("model", llm=LLM)


def test_a_run_in_another_folder_has_the_newer_commit(here):
    hub, _, _, _ = here
    code, out, err = run("generate.py", YAML, "--output_folder", "exp/later")
    assert code == 0, out + err
    targets = Records("exp/later/targets/train.jsonl", Target)
    assert targets[0].llm == f"{LLM}@{hub[LLM].refs['main']}"


def test_an_unknown_id_is_one_line(here):
    code, _, err = run("generate.py", YAML, "--llm_folder", "org/nothing", "--output_folder", "exp/other")
    assert code == 2 and "org/nothing: no folder here and no model of that id on the hub" in err


def test_a_commit_with_the_same_files_is_the_same_model(here, make_llm, capsys):
    hub, commits, folder, _ = here
    repository = hub[LLM]
    same = repository.commit(
        {**repository.commits[commits[LLM]], "README.md": b"another card"}, branch="other"
    )
    assert same != commits[LLM]
    assert auralign.load("model", llm=f"{LLM}@{same}").model.other_builds == {}
    assert "another build" not in capsys.readouterr().err
    options = ("--llm_folder", f"{LLM}@{same}")
    for script in STAGES[:3]:
        code, out, err = run(script, YAML, *options)
        assert code == 0 and "already complete" in out, out + err


@pytest.mark.parametrize("is_offline", [False, True])
def test_stages_stay_complete_when_the_cache_moved(here, tmp_path, is_offline):
    hub, _, folder, _ = here
    shutil.copytree(folder.parent / "huggingface" / "hub", tmp_path / "hub", symlinks=True)
    with used_by_huggingface_hub(hub, tmp_path), pytest.MonkeyPatch.context() as patch:
        if is_offline:
            patch.setenv("HF_HUB_OFFLINE", "1")
            patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        for script in STAGES[:3]:
            code, out, err = run(script, YAML)
            assert code == 0 and "already complete" in out, out + err


def test_an_exported_model_of_the_hub_is_evaluated_by_its_id(here, monkeypatch, tmp_path):
    hub, commits, folder, _ = here
    hub.add("org/connector", folder / "model")
    ask = {"ask": ["repeat {speech}"], "output": tmp_path}
    result = auralign.evaluate("org/connector", "data/test.jsonl", **ask)
    assert len(Records(result / "speech.jsonl", Hypothesis)) == 4
    pinned = f"{LLM}@{commits[LLM]}"  # the very LLM: the same evaluation
    assert auralign.evaluate("org/connector", "data/test.jsonl", llm=pinned, **ask) == result


def test_answers_beside_another_build_of_the_llm_are_an_evaluation_of_their_own(here, make_llm, tmp_path):
    hub, commits, folder, _ = here
    copy = shutil.copytree(make_llm("llama"), tmp_path / "llm")
    tensors = load_file(copy / "model.safetensors")
    rounded = {name: tensor.bfloat16().to(tensor.dtype) for name, tensor in tensors.items()}
    save_file(rounded, copy / "model.safetensors", metadata={"format": "pt"})
    hub.add("org/rounded", copy)
    ask = {"ask": ["repeat {speech}"], "output": tmp_path}
    own = auralign.evaluate("model", "data/test.jsonl", **ask)
    other = auralign.evaluate("model", "data/test.jsonl", llm="org/rounded", **ask)
    assert own != other
    assert {bool(answer.other_build) for answer in Records(other / "speech.jsonl", Hypothesis)} == {True}
    facts = read_scores(other / "scores.json")[2]
    assert facts["weights"].startswith("another build of the LLM, whose embeddings differ by up to")
