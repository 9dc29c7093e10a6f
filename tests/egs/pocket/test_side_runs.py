"""The work of the side-by-side's runs: its questions, its measures, and a cell from targets to answers on tiny models."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from local.side_by_side import Rows, make_runs
from local.side_measures import agreement_by_group, asks, make_questions
from local.side_plan import ALIGNED, CELL, METHODS, Settings, plan
from local.side_runs import Bench, read_steps

from auralign.records import Question, Records, Target, Utterance, write_records
from local import side_runs
from recipe import make_counting_recipe

NARROW = {
    "window_seconds": 0.3333,
    "width": 32,
    "num_heads": 4,
}  # of the Q-Former, whose checkpoints are large
SETTINGS = Settings(size="tiny", num_utts=(6, 12), seeds=(1,), rates=(1e-3, 1e-2), num_asked=2, num_steps=2)
RECOGNIZER = re.compile(r"recognizer: .*\n(    .*\n)+")


def spoken(name, text, group="new template"):
    return Utterance(id=name, audio=f"{name}.flac", seconds=1.0, text=text, labels={"group": group})


def asked(key, group, utt_id="a"):
    return Question(key, utt_id, group, "repeat", None, None)


@pytest.mark.parametrize(
    "text, is_asked",
    [("What is ice?", True), ("Name two birds.", True), ("The ice is cold.", False), ("", False)],
)
def test_a_request_asks_as_a_question_does(text, is_asked):
    assert asks(text) == is_asked


def test_questions_and_statements_have_groups_of_their_own():
    manifest = [
        spoken("q", "What is ice?"),
        spoken("s", "The ice is cold."),
        spoken("seen", "Why?", "seen question"),
    ]
    found = make_questions(manifest, 10)
    by_group = {
        group: {one.utt_id for one in found if one.group == group} for group in {one.group for one in found}
    }
    assert by_group == {
        "spoken question": {"q"},
        "none": {"s"},
        "seen wording": {"q", "s"},
        "unseen wording": {"q", "s"},
        "unseen task": {"q", "s"},
    }


def test_only_the_groups_of_instructions_have_one():
    found = make_questions([spoken("q", "What is ice?"), spoken("s", "The ice is cold.")], 10)
    assert {one.group for one in found if one.instruction is None} == {"spoken question", "none"}


def test_a_test_set_without_statements_is_refused():
    with pytest.raises(ValueError, match="no utterance for the group 'none'"):
        make_questions([spoken("q", "What is ice?")], 10)


def test_agreement_is_a_mean_within_each_group():
    questions = [asked("1", "none", "a"), asked("2", "none", "b"), asked("3", "seen wording")]
    wanted = {"1": "yes it is", "2": "no", "3": "ice"}
    voices = {question.utt_id: "alice" for question in questions}
    found = agreement_by_group(questions, wanted, {"1": "yes it is", "2": "well", "3": "ice"}, voices)
    assert (found["none"]["n"], found["none"]["exact"], found["none"]["F1"]) == (2, 0.5, 0.5)
    assert found["seen wording"]["exact"] == 1.0


@pytest.mark.parametrize("num_voices, has_interval", [(9, False), (10, True)])
def test_fewer_than_ten_voices_give_no_interval(num_voices, has_interval):
    questions = [asked(str(number), "none", f"u{number}") for number in range(20)]
    voices = {f"u{number}": f"voice {number % num_voices}" for number in range(20)}
    found = {str(number): "yes" if number < 7 else "no" for number in range(20)}
    low, high = agreement_by_group(questions, dict.fromkeys(found, "yes"), found, voices)["none"][
        "F1 interval"
    ]
    assert (low is not None and low < 0.35 < high) == has_interval


def test_a_step_that_was_made_twice_counts_once(tmp_path):
    lines = [
        '{"step": 1, "cpu_seconds": 2.0}',
        '{"step": 2, "cpu_seconds": 9.0}',
        '{"step": 2, "cpu_seconds": 3.0}',
    ]
    (tmp_path / "steps.jsonl").write_text("\n".join([*lines, '{"step": 3, "cp']))
    assert read_steps(tmp_path) == {1: 2.0, 2: 3.0}


def test_without_the_aligned_start_its_command_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"train it first, ./run.sh --experiment align, or give --start FOLDER"
    ):
        Bench(SETTINGS, folder=tmp_path / "side", start=tmp_path / "align")


@pytest.fixture(scope="module")
def side(tmp_path_factory, make_llm, whisper_folder):
    """A recipe's folder with an aligned start, a test set of two groups, and the runs of a method that go on from it."""
    folder = make_counting_recipe(
        tmp_path_factory.mktemp("side") / "pocket",
        "generate.py",
        "train.py",
        llm=make_llm("llama"),
        encoder=whisper_folder,
        more="    mix_tokens: True\n",
    )
    work = (
        folder.parent / "work"
    )  # not the folder from which the relative paths of the start's recipe are seen
    (work / "data" / "tiny").mkdir(parents=True)
    for path in [*(folder / "data").glob("*.jsonl"), *(folder / "data").glob("*.flac")]:
        shutil.copy(path, work / "data" / "tiny")
    manifest = work / "data" / "tiny" / "test.jsonl"
    texts = ["three five?", "nine sort", "words?", "above nine"]
    rows = [
        Utterance(
            id=one.id, audio=one.audio, seconds=one.seconds, text=text, labels={"group": "new template"}
        )
        for one, text in zip(list(Records(manifest, Utterance)), texts, strict=True)
    ]
    write_records(manifest, rows, kind=Utterance)
    base = work / "side.yaml"
    text = RECOGNIZER.sub("", side_runs.BASE.read_text())  # the tiny Whisper does not transcribe
    text = text.replace("max_new_tokens: 32", "max_new_tokens: 4")
    base.write_text(text.replace("max_rejected: 0.5", "max_rejected: 1.0"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work)
        patch.setattr(side_runs, "BASE", base)
        patch.setattr(side_runs, "NUM_SPEED_STEPS", 4)
        method = replace(METHODS["self_powered"], connector_arguments=NARROW)
        patch.setitem(METHODS, "self_powered", method)
        output = Path("exp/side")
        bench = Bench(SETTINGS, folder=output, start=folder / "exp" / "wav2prompt")
        runs = plan(SETTINGS, ["self_powered"])
        made = Rows(output, runs)
        left_out = make_runs(runs, made, bench.make)
        assert left_out == [], made.failed()
        yield work / output, {run.name: run for run in runs}, made.finished(), bench


def test_a_cell_is_trained_and_measured(side):
    folder, _, rows, _ = side
    row = rows["aligned/self_powered/seed_1"]
    assert (row["num_steps"], set(row["columns"])) == (2, {"speech"})
    assert {group: found["n"] for group, found in row["columns"]["speech"].items()} == {
        "spoken question": 2, "none": 2, "seen wording": 2, "unseen wording": 2, "unseen task": 2,
    }  # fmt: skip
    seconds = read_steps(folder / "aligned/self_powered/seed_1")
    assert len(seconds) == 2 and min(seconds.values()) > 0
    assert row["cpu_seconds"] == pytest.approx(sum(seconds.values()), abs=0.051)  # rounded to tenths
    assert row["num_targets"] == rows["targets/self_powered"]["num_targets"]


def test_a_cell_has_the_learning_rate_with_the_lower_validation_loss(side):
    _, _, rows, _ = side
    dev = [rows[f"aligned/self_powered/rate_{rate}"] for rate in ("0.001", "0.01")]
    assert rows["aligned/self_powered/seed_1"]["rate"] == min(dev, key=lambda row: row["valid_loss"])["rate"]


def test_fewer_utterances_are_taught_a_part_of_the_same_answers(side):
    folder, _, _, _ = side
    more, fewer = (
        {one.key: one for one in Records(folder / name / "targets" / "train.jsonl", Target)}
        for name in ("targets/self_powered", "scratch/self_powered/utts_6")
    )
    assert len({one.utt_id for one in fewer.values()}) == 6
    assert fewer.items() <= more.items()


def test_the_table_from_aligned_trains_the_connector_of_the_start_alone(side):
    _, _, rows, bench = side
    start = bench.aligned.recipe.connector
    text = (bench.folder / "aligned/self_powered/seed_1/side.yaml").read_text()
    assert f"connector: !name:{start.name}" in text and "lora:" not in text
    assert rows["aligned/self_powered/seed_1"]["num_parameters"] < 50_000


def test_an_llm_that_was_trained_is_asked_the_text_too(side):
    _, _, rows, _ = side
    assert set(rows["scratch/self_powered/utts_12"]["columns"]) == {"speech", "text of the trained LLM"}


def test_the_start_is_measured_beside_other_speech(side):
    _, _, rows, _ = side
    assert set(rows["start"]["columns"]) == {"speech", "shuffled"}


def test_a_cell_without_its_row_is_not_trained_again(side, capsys):
    folder, runs, rows, bench = side
    run = runs["aligned/self_powered/seed_1"]
    assert (run.table, run.kind) == (ALIGNED, CELL)
    before = (folder / run.name / "steps.jsonl").read_bytes()
    again = bench.make(run, rows)
    assert "already complete for these inputs, skipped" in capsys.readouterr().out
    assert (folder / run.name / "steps.jsonl").read_bytes() == before
    assert again["columns"] == rows[run.name]["columns"]
