"""`auralign probe` of a trained run of tiny models: complete, the same again, and only as far as the LLM is trained."""

import json

import pytest

from auralign.ledger.inside import find_probe, table_of_probes
from auralign.probe.page import FILES
from auralign.probe.run import probe, read_probe
from auralign.records import Hypothesis, Question, RecordError, Records, write_records
from auralign.run_folder import RunFolder
from recipe import LORA, make_recipe, run, run_script


def train(folder, make_llm, whisper_folder, **options):
    folder = make_recipe(folder, llm=make_llm("llama"), encoder=whisper_folder, **options)
    for script in ("generate.py", "train.py"):
        run_script(folder, script, "hparams/sift.yaml")
    return folder / "exp" / "sift"


@pytest.fixture(scope="module")
def adapted(tmp_path_factory, make_llm, whisper_folder):
    """A run of sift with adapters in the LLM, after stage 3."""
    return train(tmp_path_factory.mktemp("probe") / "r", make_llm, whisper_folder, more=LORA)


@pytest.fixture(scope="module")
def folder(adapted):
    return probe(adapted)


def test_every_layer_and_both_orders_are_probed(folder):
    found = read_probe(folder)
    assert {(one.order, one.weight, one.layer) for one in found.shares} == {
        (f"instruction {place}", weight, layer)
        for place in ("first", "last")
        for weight in ("summed", "mean")
        for layer in (None, 1, 2)
    }
    assert all(0 < one.speech.value < 1 and 0 < one.text.value < 1 for one in found.shares)
    assert [one.layer for one in found.similarities] == [0, 1, 2]
    assert found.facts["utterances"] == found.facts["speakers"] == 4
    assert all((folder / name).stat().st_size for name in FILES)


def test_an_answer_without_a_token_is_left_out_and_counted(folder):
    """The random LLM answers one text with nothing, up to the length limit."""
    found = read_probe(folder)
    answers = [
        answer
        for path in folder.glob("*.jsonl")
        if "questions" not in path.name and "trained" not in path.name
        for answer in Records(path, Hypothesis)
    ]
    empty = {
        (answer.input, answer.key)
        for answer in answers
        if not answer.text and answer.finish_reason == "length"
    }
    assert empty
    assert any("left out: no token in the answer" in note for note in found.notes)
    assert found.share("instruction first").num_questions < 4


def test_a_trained_llm_is_compared_with_what_it_was(folder):
    forgetting = read_probe(folder).forgetting
    assert 0 <= forgetting.changed.value <= 1
    assert forgetting.after.value != forgetting.before.value


def test_the_questions_are_asked_in_both_orders(folder):
    asked = {path.name: next(iter(Records(path, Question))) for path in folder.glob("*.questions.jsonl")}
    assert {name: question.instruction for name, question in asked.items()} == {
        "instruction_first.questions.jsonl": "repeat {speech}",
        "instruction_last.questions.jsonl": "{speech} repeat",
    }


def test_a_finished_probe_is_not_made_again_and_another_is_the_same(folder, adapted, tmp_path, capsys):
    assert probe(adapted) == folder
    assert "already complete" in capsys.readouterr().out
    again = probe(adapted, output=tmp_path / "again")
    assert (again / "probe.json").read_bytes() == (folder / "probe.json").read_bytes()


def test_the_command_prints_the_result(folder, adapted):
    code, out, _ = run("auralign", "probe", str(adapted))
    assert code == 0 and "nll after - before" in out
    code, out, _ = run("auralign", "probe", str(adapted), "--json")
    assert json.loads(out[out.index("{") :]) == json.loads((folder / "probe.json").read_text())


def test_stage_5_shows_the_probe_of_the_run_that_answered(folder, adapted):
    run_script(adapted.parent.parent, "decode.py", "hparams/sift.yaml")
    opened = RunFolder.open(adapted)
    with opened.working_here():
        found = find_probe(opened)
        assert found.samefile(folder / "probe.json")
        (row, *_) = table_of_probes({"sift": found}).rows
    assert row[:2] == ["sift", "mean share of the speech, instruction first"]


def test_a_sample_is_asked_and_one_that_is_too_small_refused(adapted, tmp_path):
    assert read_probe(probe(adapted, output=tmp_path / "p", sample=3)).facts["questions"] == 3
    with pytest.raises(ValueError, match="sample 1: give a number of questions of at least 2"):
        probe(adapted, sample=1)


def test_questions_without_an_instruction_are_counted_or_refused(make_llm, whisper_folder, tmp_path):
    output = train(tmp_path / "r", make_llm, whisper_folder)
    path = tmp_path / "r" / "data" / "test.questions.jsonl"
    asked = list(Records(path, Question))
    none = [Question(f"n{number}", "test-0", "g", "none", None, None) for number in range(3)]
    write_records(path, [*asked, *none], kind=Question)
    found = read_probe(probe(output))
    assert (found.facts["questions"], found.facts["questions without an instruction"]) == (4, 3)
    assert found.forgetting is None  # the LLM is frozen
    write_records(path, none, kind=Question)
    with pytest.raises(RecordError, match="0 of 3 questions have an instruction"):
        probe(output)
