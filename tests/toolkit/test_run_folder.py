"""A run folder holds its recipe: whoever opens it later needs neither the YAML nor the command line."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import auralign
from auralign import cli
from auralign.evaluation.sources import targets_of
from auralign.recipe import RecipeError, load_recipe
from auralign.records import Hypothesis, Question, Records, Utterance, write_records
from auralign.run_folder import RECIPE, RunFolder
from recipe import DIGITS, make_recipe, make_utterance, run

MIDDLE = ("generate.py", "train.py", "decode.py")
JUDGE = """

class OwnJudge(Judge):
    metric = "own scores"

    def score(self, answer, question, said):
        return 0.25


def make_judge(run):
    return OwnJudge()
"""
CHANGES = ("--seed", "2", "--output_folder", "exp/other", "--connector.stride", "4")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, make_llm, whisper_folder):
    """A recipe whose run was made with another LLM's place, seed, folder and stride than the YAML names."""
    folder = make_recipe(tmp_path_factory.mktemp("run") / "r", llm=make_llm("llama"), encoder=whisper_folder)
    yaml = folder / "hparams/sift.yaml"
    text = yaml.read_text()
    llm = next(line for line in text.splitlines() if "path:" in line).split()[-1]
    yaml.write_text(
        text.replace(f"path: {llm}", "path: !ref <llm_folder>", 1) + "llm_folder: models/elsewhere\n"
    )
    shutil.copy(DIGITS.parent / "own_data" / "score.py", folder)
    with open(folder / "score.py", "a", encoding="utf-8") as script:
        script.write(JUDGE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for script in MIDDLE:
            code, out, err = run(script, "hparams/sift.yaml", *CHANGES, "--llm_folder", llm)
            assert code == 0, out + err
    return folder


def test_the_resolved_recipe_is_kept(recipe):
    text = (recipe / "exp/other" / RECIPE).read_text()
    assert "stride: 4" in text
    assert "!ref" not in text
    about = json.loads((recipe / "exp/other/run.json").read_text())
    assert about["name"] == "sift"
    assert about["overrides"]["connector.stride"] == "4"


def test_a_run_is_opened_by_its_folder_from_anywhere(recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = RunFolder.open(recipe / "exp/other")
    assert found.recipe.seed == 2
    assert found.recipe.connector.keywords["stride"] == 4
    assert found.name == "sift"
    with found.working_here():
        assert found.targets("train").is_file()
        assert len(list(found.checkpoints.glob("step_*"))) >= 1


def test_a_run_is_exported_by_its_folder(recipe, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.run(["export", str(recipe / "exp/other"), "model"]) == 0
    assert json.loads((tmp_path / "model/auralign.json").read_text())["connector"]["with"]["stride"] == 4
    assert auralign.load("model").answer(recipe / "data/test-1.flac", "repeat {speech}") is not None


def test_a_run_is_shown_by_its_folder(recipe, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.run(["show", str(recipe / "exp/other"), "--utt", "train-1"]) == 0
    assert "utterance train-1" in capsys.readouterr().out


def test_a_yaml_takes_overrides_where_a_run_is_opened(recipe, monkeypatch):
    monkeypatch.chdir(recipe)
    assert RunFolder.open("sift", {"seed": "7"}).recipe.seed == 7
    assert RunFolder.open("hparams/sift.yaml").recipe.seed == 1


@pytest.mark.parametrize(
    ("place", "message"),
    [("nothing", "no hparams/nothing.yaml here"), ("data", "no stage of this auralign has worked here")],
)
def test_what_is_no_run_is_named(recipe, monkeypatch, place, message):
    monkeypatch.chdir(recipe)
    with pytest.raises(RecipeError, match=message):
        RunFolder.open(place)


@pytest.mark.parametrize("argv", [["--lr", "1"], ["a.yaml", "b.yaml"]])
def test_a_command_line_names_one_run(argv):
    with pytest.raises(RecipeError, match=f"expected one YAML, found {len(argv) - argv.count('--lr') * 2}"):
        RunFolder.of_arguments(argv)


def test_help_says_what_the_stage_does_and_what_it_takes(capsys):
    with pytest.raises(SystemExit):
        RunFolder.of_arguments(["--help"], doc="Stage 9: it does this.")
    out = capsys.readouterr().out
    assert "Stage 9: it does this." in out
    assert "--lr " in out
    assert "--connector.NAME" in out


def test_decoding_otherwise_keeps_what_the_run_was_trained_with(recipe, monkeypatch):
    monkeypatch.chdir(recipe)
    before = (recipe / "exp/other" / RECIPE).read_text()
    llm = RunFolder.open("exp/other").recipe.own["llm_folder"]
    code, out, err = run("decode.py", "hparams/sift.yaml", *CHANGES, "--llm_folder", llm, "--lr", "0.5")
    assert code == 0, out + err
    assert (recipe / "exp/other" / RECIPE).read_text() == before


@pytest.fixture(scope="module")
def other_test(recipe, tmp_path_factory):
    """A second test set, elsewhere."""
    folder = tmp_path_factory.mktemp("second")
    manifest = folder / "second.jsonl"
    write_records(manifest, [make_utterance(folder, "second", number) for number in range(3)], kind=Utterance)
    questions = [
        Question(
            key=f"s{n}",
            utt_id=f"second-{n}",
            group="new",
            task="repeat",
            instruction="say {speech}",
            reference="x",
        )
        for n in range(3)
    ]
    write_records(folder / "second.questions.jsonl", questions, kind=Question)
    return manifest


def contents(folder):
    return {
        path: path.read_bytes()
        for path in Path(folder).rglob("*")
        if path.is_file() and "evaluations" not in path.parts
    }


def test_a_run_is_evaluated_on_another_test_set_and_nothing_of_it_changes(
    recipe, other_test, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    before = contents(recipe), contents(other_test.parent)
    assert cli.run(["evaluate", str(recipe / "exp/other"), "--manifest", str(other_test)]) == 0
    assert (contents(recipe), contents(other_test.parent)) == before
    (folder,) = (recipe / "exp/other/evaluations").glob("second-*")
    assert {path.name for path in folder.glob("*.jsonl")} == {
        "questions.jsonl", "text.jsonl",
        "other_text.jsonl", "speech.jsonl", "shuffled.jsonl",
    }  # fmt: skip
    assert [one.utt_id for one in Records(folder / "speech.jsonl", Hypothesis)] == [
        f"second-{n}" for n in range(3)
    ]
    assert "Evaluations of this model" in capsys.readouterr().out


def test_the_benchmark_reads_what_was_trained_from_the_targets_of_the_run(recipe, tmp_path, capsys):
    spoken = []
    for number, said in enumerate(("three one two", "nine four seven")):
        one = make_utterance(tmp_path, "digits", number)
        spoken.append(replace(one, text=said, speaker=f"s{number}"))
    write_records(tmp_path / "digits.jsonl", spoken, kind=Utterance)
    words = ["--benchmark", "generalisation", "--manifest", str(tmp_path / "digits.jsonl")]
    before = contents(recipe)
    with pytest.raises(ValueError, match="max_new_tokens: an option of models that others made"):
        cli.run(["evaluate", str(recipe / "exp/other"), *words, "--max-new-tokens", "3"])
    assert cli.run(["evaluate", str(recipe / "exp/other"), *words]) == 0
    assert contents(recipe) == before
    (folder,) = (recipe / "exp/other/evaluations").glob("generalisation-1-*")
    page = json.loads((folder / "generalisation.json").read_text())
    assert page["facts"]["targets"].startswith("train.jsonl (")
    (part,) = page["parts"]
    assert part["reasons"]["task generalisation"] == "no task of the benchmark is in the targets"
    assert part["num_questions"] == 120
    assert "Page:" in capsys.readouterr().out


def test_targets_of_the_run_that_a_training_began_with_are_read_too(recipe, third):
    """`init_from` names a run, or a checkpoint within it; any other place is named as unknown."""
    own, earlier = (recipe / name / "targets/train.jsonl" for name in ("exp/other", "exp/third"))
    for start in (third, third / "checkpoints/step_00000001"):
        run = RunFolder.open(recipe / "exp/other", {"init_from": str(start)})
        found, unknown = targets_of(run)
        assert [path for path, _ in found] == [own, earlier] and unknown == []
    found, unknown = targets_of(RunFolder.open(recipe / "exp/other", {"init_from": "elsewhere"}))
    assert [path for path, _ in found] == [own] and unknown == ["elsewhere"]


def test_another_question_is_another_evaluation_beside_the_first(recipe, other_test, capsys):
    first = auralign.evaluate(recipe / "exp/other", other_test)
    second = auralign.evaluate(recipe / "exp/other", other_test, ask=["what is {speech}"])
    assert first != second
    assert first.parent == second.parent
    assert (
        cli.run(
            [
                "evaluate",
                str(recipe / "exp/other"),
                "--manifest",
                str(other_test),
                "--ask",
                "what is {speech}",
            ]
        )
        == 0
    )
    said = capsys.readouterr().out
    assert "already complete" in said
    assert first.name in said
    assert second.name in said


def test_a_model_folder_is_evaluated_as_its_run_is(recipe, other_test, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cli.run(["export", str(recipe / "exp/other"), "model"])
    of_run = auralign.evaluate(recipe / "exp/other", other_test)
    of_model = auralign.evaluate("model", other_test)
    assert of_model.parent == tmp_path / "model.evaluations"
    for name in ("text", "speech", "shuffled"):
        answers = [
            [one.text for one in Records(folder / f"{name}.jsonl", Hypothesis)]
            for folder in (of_run, of_model)
        ]
        assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--ask", "no slot"], "needs exactly one {speech}"),
        (["--questions", "nothing.jsonl"], "no questions at nothing.jsonl"),
    ],
)
def test_a_mistake_in_what_is_asked_is_named(recipe, other_test, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match=message.replace("{", r"\{")):
        cli.run(["evaluate", str(recipe / "exp/other"), "--manifest", str(other_test), *options])


@pytest.fixture(scope="module")
def third(recipe):
    """The folder of a run with another seed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(recipe)
        llm = RunFolder.open("exp/other").recipe.own["llm_folder"]
        others = ("--llm_folder", llm, "--seed", "3", "--output_folder", "exp/third")
        for script in MIDDLE:
            code, out, err = run(script, "hparams/sift.yaml", *CHANGES, *others)
            assert code == 0, out + err
    return recipe / "exp/third"


def test_runs_of_two_seeds_are_compared(recipe, third, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.run(["compare", str(recipe / "exp/other"), str(third), "--output", "both"]) == 0
    scores = json.loads((tmp_path / "both/scores.json").read_text())
    assert scores["ledger"]["methods"] == ["sift other", "sift third"]
    assert scores["facts"]["seed"] == "2, 3"


def test_the_recipes_judge_scores_tasks_that_it_knows_and_no_others(recipe, other_test):
    folders = [
        auralign.evaluate(recipe / "exp/other", other_test, ask=ask) for ask in ((), ["what is {speech}"])
    ]
    scores = [json.loads((folder / "scores.json").read_text()) for folder in folders]
    measures = [found["ledger"]["measure"] for found in scores]
    assert measures == ["own scores", "exact answers"]


def test_evaluations_are_listed_by_what_was_asked(recipe, other_test, capsys):
    for question in ("what is {speech}", "say {speech}"):
        cli.run(["evaluate", str(recipe / "exp/other"), "--manifest", str(other_test), "--ask", question])
    rows = capsys.readouterr().out.split("Evaluations of this model:")[-1]
    assert "what is {speech}" in rows
    assert "say {speech}" in rows
    assert "answered as the text" in rows


def test_a_run_is_evaluated_with_an_llm_that_was_moved(recipe, other_test, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    llm = Path(RunFolder.open(recipe / "exp/other").recipe.own["llm_folder"])
    shutil.copytree(llm, tmp_path / "moved")
    folder = auralign.evaluate(recipe / "exp/other", other_test, llm=tmp_path / "moved", output=tmp_path)
    first = auralign.evaluate(recipe / "exp/other", other_test)
    assert (folder / "speech.jsonl").read_bytes() == (first / "speech.jsonl").read_bytes()


def test_what_cannot_be_evaluated_is_named(other_test, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="nomodel: no run's folder, no model folder"):
        auralign.evaluate("nomodel", other_test)


def test_a_card_has_the_ledger_of_its_own_run_alone(recipe, third, monkeypatch):
    monkeypatch.chdir(recipe)
    assert cli.run(["compare", "exp/other", "--output", "exp/ledger"]) == 0
    own = RunFolder.open("exp/other", {"score_folder": "exp/ledger"})
    assert own.report == Path("exp/ledger/report.md")
    assert cli.run(["compare", "exp/third", "--output", "exp/ledger"]) == 0
    assert own.report is None


def test_an_opened_run_takes_no_other_values(recipe, other_test):
    with pytest.raises(ValueError, match="device: a RunFolder has its own values"):
        auralign.evaluate(RunFolder.open(recipe / "exp/other"), other_test, device="cpu")


def test_what_is_trained_on_may_be_in_a_folder_of_its_own(tmp_path):
    """A builder makes other rows of the training set; the questions are the same."""
    folder = make_recipe(tmp_path / "r", llm="llm", encoder="encoder", more="train_folder: built\n")
    data = RunFolder(load_recipe(folder / "hparams" / "sift.yaml")).data
    assert [data.manifest(split) for split in ("train", "valid", "test")] == [
        Path("built/train.jsonl"), Path("built/valid.jsonl"), Path("data/test.jsonl"),
    ]  # fmt: skip
    assert data.questions == Path("data/test.questions.jsonl")
