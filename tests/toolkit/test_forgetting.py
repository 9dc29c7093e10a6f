"""A run whose LLM is trained too: stages 4 and 5, a ledger of its run and one of its export show what it forgot of text."""

import pytest

import auralign
from auralign.decode.stage import inputs_of
from auralign.ledger.recipe import Comparison, score_recipe
from auralign.ledger.report import read_scores
from auralign.probe.run import probe
from auralign.publish.export import export
from auralign.records import Hypothesis, Records
from auralign.run_folder import RunFolder
from auralign.score.judge import Judge
from recipe import LORA, make_recipe, run_script

SCOPE = "lora_scope: speech\n"


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, make_llm, whisper_folder):
    folder = make_recipe(
        tmp_path_factory.mktemp("forgetting") / "r", llm=make_llm("llama"), encoder=whisper_folder, more=LORA
    )
    for script in ("generate.py", "train.py", "decode.py"):
        run_script(folder, script, "hparams/sift.yaml")
    return folder


def test_stage_4_asks_the_trained_llm_with_the_text(recipe):
    run = RunFolder.open(recipe / "exp" / "sift")
    with run.working_here():
        answers = list(Records(run.hypotheses("text_trained"), Hypothesis))
        assert "text_trained" in inputs_of(run)
        assert run.hypotheses("text_trained").parent == run.hypotheses("speech").parent
        assert len(Comparison({"sift": run}, []).columns()["sift"]) == 3
    assert {answer.input for answer in answers} == {"text_trained"}


def test_answers_of_an_earlier_auralign_need_no_file_of_it(recipe, tmp_path):
    run = RunFolder.open(recipe / "exp" / "sift")
    with run.working_here(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            RunFolder,
            "hypotheses",
            lambda self, given, real=RunFolder.hypotheses: (
                tmp_path / "none.jsonl" if given == "text_trained" else real(self, given)
            ),
        )
        assert len(Comparison({"sift": run}, []).columns()["sift"]) == 2


def test_stage_5_shows_what_was_forgotten_and_what_a_probe_found(recipe, monkeypatch):
    monkeypatch.chdir(recipe)
    runs = Comparison({"sift": RunFolder.open("sift")}, ["score.py", "sift"])
    report = recipe / "exp" / "ledger" / "report.md"
    score_recipe(runs, title="t", judge=Judge(), files=[__file__])
    assert "| forgetting |" in report.read_text(encoding="utf-8")
    assert "Inside the models" not in report.read_text(encoding="utf-8")
    probe(recipe / "exp" / "sift", sample=3)
    score_recipe(runs, title="t", judge=Judge(), files=[__file__])  # again, as there is more to show
    assert "| sift | mean share of the speech, instruction first |" in report.read_text(encoding="utf-8")


def test_adapters_of_the_speech_alone_forget_nothing(recipe, monkeypatch):
    monkeypatch.chdir(recipe)
    text = (recipe / "hparams" / "sift.yaml").read_text(encoding="utf-8")
    (recipe / "hparams" / "speech.yaml").write_text(text + SCOPE, encoding="utf-8")
    assert "text_trained" not in inputs_of(RunFolder.open("speech"))


def test_a_run_and_its_export_are_evaluated_with_what_they_forgot(recipe, tmp_path):
    run = recipe / "exp" / "sift"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(recipe)
        export(auralign.RunFolder.open(run).recipe, tmp_path / "model")
    test = recipe / "data" / "test.jsonl"
    found = [
        read_scores(auralign.evaluate(model, test, output=tmp_path / name) / "scores.json")[0]
        for name, model in (("run", run), ("folder", tmp_path / "model"))
    ]
    forgetting = [ledger.behaviours[0].forgetting for ledger in found]
    assert forgetting[0].value is not None
    assert forgetting[0] == forgetting[1]
