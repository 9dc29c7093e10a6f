import importlib.util
import re
import sys
from pathlib import Path

import pytest

from auralign.files import read_json
from auralign.recipe import RecipeError
from auralign.records import Choice, Hypothesis, Question, Target, Utterance, write_records

DIGITS = Path(__file__).parents[3] / "egs" / "digits"
SAID = {"a": "three five nine", "b": "two four", "c": "first six seven"}
QUESTIONS = (
    Question("a:1", "a", "unseen tasks", "reverse", "reverse {speech}", "backwards that is nine five three"),
    Question("b:1", "b", "unseen tasks", "reverse", "reverse {speech}", "backwards that is four two"),
    Question("c:1", "c", "commands in the speech", "first", None, "it starts with six"),
)
REFERENCES = {question.key: question.reference for question in QUESTIONS}
WRITTEN = {question.key: SAID[question.utt_id] for question in QUESTIONS}
NOTHING = dict.fromkeys(REFERENCES, "")


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(DIGITS))  # as `python score.py` in that folder does
    try:
        spec = importlib.util.spec_from_file_location("digits_score", DIGITS / "score.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(DIGITS))


class Run:
    """A finished decode of two methods: `good` answers all rightly, `bad` writes down what it hears."""

    def __init__(self, folder):
        self.folder = folder
        data = folder / "data"
        utterances = [Utterance(utt, f"{utt}.wav", 1.0, text) for utt, text in SAID.items()]
        write_records(data / "test.jsonl", utterances, kind=Utterance)
        write_records(data / "test.questions.jsonl", QUESTIONS, kind=Question)
        self.answer("text", "text", REFERENCES)
        # the encoder hears one of the eight words wrong: "four" as "five"
        self.answer("text", "transcript", REFERENCES, {**SAID, "b": "two five"})
        for method, answers in (("good", REFERENCES), ("bad", WRITTEN)):
            self.answer(method, "speech", answers)
            self.answer(method, "shuffled", NOTHING)
            self.write_target(method, llm_revision="0123abcd")

    def answer(self, folder, kind, answers, transcripts=None):
        rows = [
            Hypothesis(q.key, q.utt_id, kind, answers[q.key], "stop", transcripts and transcripts[q.utt_id])
            for q in QUESTIONS
        ]
        write_records(self.folder / folder / "hypotheses" / f"test.{kind}.jsonl", rows, kind=Hypothesis)

    def write_target(self, method, llm_revision):
        target = Target(
            "t", "a", Choice(), "x", "stop", method, "1", "models/llm", llm_revision, "f", "p", {}, 1
        )
        write_records(self.folder / method / "targets" / "train.jsonl", [target], kind=Target)

    def yaml(self, method, **changes):
        """The recipe's own YAML with this run's folders."""
        text = (DIGITS / "hparams" / "sift.yaml").read_text(encoding="utf-8")
        folders = {
            "data_folder": "data",
            "text_folder": "text",
            "score_folder": "ledger",
            "output_folder": method,
        }
        values = {key: self.folder / name for key, name in folders.items()} | changes
        text = re.sub(r"^speech:.*$", "", text, flags=re.MULTILINE)  # only the folders refer to it
        for key, value in values.items():
            text = re.sub(rf"^{key}:.*$", f"{key}: {value}", text, flags=re.MULTILINE)
        path = self.folder / f"{method}.yaml"
        path.write_text(text, encoding="utf-8")
        return str(path)


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


@pytest.fixture
def scored(script, run, capsys):
    """The run after scoring, and what was printed."""
    script.main([run.yaml("bad"), run.yaml("good")])
    return run, capsys.readouterr().out


def test_it_writes_scores_report_and_picture(scored):
    run, _ = scored
    assert {"scores.json", "report.md", "ledger.png"} <= {
        path.name for path in (run.folder / "ledger").iterdir()
    }


def test_it_ends_with_table_and_result(scored):
    _, printed = scored
    assert "unseen tasks: 2 questions" in printed
    assert "good recovers most of what reading gains over the floor (good 1.00, bad 0.00)" in " ".join(
        printed.split()
    )


def test_it_says_where_report_and_picture_are(scored):
    run, printed = scored
    assert printed.endswith(
        f"Report: {run.folder}/ledger/report.md\nPicture: {run.folder}/ledger/ledger.png\n"
    )


def test_the_encoders_error_rate_counts_each_utterance_once(scored):
    run, _ = scored
    facts = read_json(run.folder / "ledger" / "scores.json")["facts"]
    assert facts["speech encoder's word error rate (%)"] == 100 * 1 / 8


def test_a_spoken_command_written_down_is_called_transcribed(scored):
    run, _ = scored
    rows = read_json(run.folder / "ledger" / "scores.json")["ledger"]["rows"]
    row = next(row for row in rows if (row["method"], row["group"]) == ("bad", "commands in the speech"))
    assert row["answers"]["transcribed"] == 1


def test_a_second_run_skips_and_prints_the_same_table(script, scored, capsys):
    run, printed = scored
    script.main([str(run.folder / "bad.yaml"), str(run.folder / "good.yaml")])
    again = capsys.readouterr().out
    assert again == "score: already complete for these inputs, skipped\n" + printed


def test_changed_answers_are_scored_anew(script, scored, capsys):
    run, _ = scored
    run.answer("bad", "speech", REFERENCES)
    script.main([str(run.folder / "bad.yaml"), str(run.folder / "good.yaml")])
    assert "bad 1.00" in capsys.readouterr().out


def test_an_absent_file_names_the_stage_that_makes_it(script, run):
    (run.folder / "good" / "hypotheses" / "test.speech.jsonl").unlink()
    with pytest.raises(FileNotFoundError, match=r"test\.speech\.jsonl; run stage 4"):
        script.main([run.yaml("good")])


def test_methods_of_different_data_are_not_compared(script, run):
    with pytest.raises(RecipeError, match="bad and good cannot be compared: data_folder"):
        script.main([run.yaml("bad"), run.yaml("good", data_folder="elsewhere")])


def test_methods_of_different_llms_are_not_compared(script, run):
    run.write_target("bad", llm_revision="ffff")
    with pytest.raises(ValueError, match="different LLMs.*ffff"):
        script.main([run.yaml("bad"), run.yaml("good")])


def test_no_yaml_is_an_error_with_an_example(script):
    with pytest.raises(RecipeError, match="give at least one YAML"):
        script.main([])


def test_the_right_content_without_its_form_is_right_with_the_form_ignored(script):
    assert script.DigitsJudge().is_right("nine five three", QUESTIONS[0]) is True


def test_wrong_content_in_the_right_form_is_wrong_with_the_form_ignored(script):
    assert script.DigitsJudge().is_right("backwards that is three five nine", QUESTIONS[0]) is False


def test_an_empty_answer_is_never_right(script):
    nothing_even = Question(
        "e", "a", "seen tasks", "even", "keep the even ones of {speech}", "none of them is even"
    )
    assert script.DigitsJudge().is_right("", nothing_even) is False
