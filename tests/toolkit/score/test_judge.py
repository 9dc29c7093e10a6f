"""A recipe's own judge, also one written with the earlier names."""

import pytest

from auralign.records import Question
from auralign.score import measures
from auralign.score.judge import EXACT, OTHER_FORM, TRANSCRIBED, Judge, classify_transcript
from auralign.score.task_metrics import MeanScore, Metric, MetricValue

ACCURACY = MeanScore(lambda answer, question, said: 1.0, "accuracy")


class NewJudge(Judge):
    metric = "right device"

    def metrics(self, group, task):
        return (ACCURACY,) if task == "device" else ()


class EarlierJudge(Judge):
    measure = "right device"

    def measures(self, group, task):
        return (ACCURACY,) if task == "device" else ()


@pytest.mark.parametrize("judge", [NewJudge(), EarlierJudge()])
def test_a_judge_names_its_scores_and_the_metrics_of_a_task(judge):
    assert (judge.metric, judge.metrics("g", "device"), judge.metrics("g", "x")) == (
        "right device",
        (ACCURACY,),
        (),
    )


def test_the_current_name_wins_over_the_earlier_one():
    class Both(EarlierJudge):
        metric = "new"
        measure = "old"

    assert (Both.metric, Judge.metric, Judge().metrics("g", "device")) == ("new", EXACT, ())


def test_the_earlier_module_has_the_same_classes():
    assert (measures.Measure, measures.Measured, measures.MeanScore) == (Metric, MetricValue, MeanScore)


@pytest.mark.parametrize(
    ("reference", "said", "answer", "name"),
    [
        ("x", "a b c d e", "A, b, c, d!", TRANSCRIBED),
        ("x", "a b c d e", "a b c d e f g", "other"),
        ("x", "a b c d e", "c d e a b", "other"),
        ("x", "don't go", "«Don’t go»", TRANSCRIBED),
        ("x", "我爱你们吗", "我爱你们吧。", TRANSCRIBED),
        ("x", "我爱你", "你爱我", "other"),
        ("five three", "three five", "Five three…", OTHER_FORM),
        ("five.", "five", "Five!", OTHER_FORM),  # the right answer is what was said
        ("i heard five", "five", "five", TRANSCRIBED),
        ("x", "three five", "", "other"),
    ],
)
def test_a_wrong_answer_is_a_copy_or_the_right_content(reference, said, answer, name):
    question = Question("q", "utt", "unseen tasks", "task", "{speech}", reference)
    assert Judge().classify(answer, question, said) == name


@pytest.mark.parametrize(
    ("answer", "accuracy", "name"),
    [
        ("no do we fear", 0.25, "wrong content"),  # 4 of 13 letters differ
        ("go do", 0.5, "wrong content"),
        ("The cat sat on it.", 0.0, "wrong task"),
        ("I'm sorry, I cannot hear.", 0.0, "wrong task"),
        ("", 0.0, "wrong task"),
    ],
)
def test_a_transcript_that_was_misheard_is_no_lost_instruction(answer, accuracy, name):
    assert classify_transcript(answer, "go do you hear", accuracy) == name
