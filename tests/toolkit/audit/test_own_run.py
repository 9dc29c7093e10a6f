"""The targets of a run: the same by the run's folder, by their file, and by a copy of the file with manifest and LLM."""

import shutil

import pytest

from auralign.audit import audit
from recipe import make_recipe, run_script


@pytest.fixture(scope="module")
def run(tmp_path_factory, make_llm):
    """The folder of a run of sift after stage 2."""
    folder = make_recipe(tmp_path_factory.mktemp("audit") / "r", llm=make_llm("llama"), encoder="none")
    run_script(folder, "generate.py", "hparams/sift.yaml", "--max_rejected", "1")
    (targets,) = folder.rglob("targets/train.jsonl")
    return folder, targets


def look(*arguments, **options):
    return audit(*arguments, tell=lambda cost: None, **options)


def test_what_the_llm_wrote_has_no_gap_in_its_run(run):
    _, targets = run
    found = look(targets.parent.parent)
    assert found.measures["gap"].value == pytest.approx(0, abs=1e-3)
    assert found.measures["foreign"].value == 0
    assert (found.facts["method"], len(found.facts["test_sets"])) == ("sift", 1)
    assert look(targets).measures == found.measures


def test_without_the_run_the_manifest_and_the_llm_are_named(run, make_llm, tmp_path):
    folder, targets = run
    copy = shutil.copy(targets, tmp_path / "copy.jsonl")
    with pytest.raises(ValueError, match="--manifest FILE"):
        look(copy, llm=make_llm("llama"))
    found = look(copy, llm=make_llm("llama"), manifest=folder / "data" / "train.jsonl")
    assert found.measures["gap"].value == pytest.approx(0, abs=1e-3)
    assert any("sift lays targets out with its defaults" in note for note in found.notes)


def test_another_llm_is_noted(run, make_llm):
    _, targets = run
    notes = look(targets, llm=make_llm("qwen2")).notes
    assert any("another LLM" in note for note in notes)


def test_options_of_foreign_targets_are_refused(run):
    _, targets = run
    with pytest.raises(ValueError, match="leave out --form, --column"):
        look(targets, columns={"text": "a"})
