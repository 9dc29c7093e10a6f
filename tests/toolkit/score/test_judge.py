"""A recipe's own judge, also one written with the earlier names."""

import pytest

from auralign.score import measures
from auralign.score.judge import EXACT, Judge
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
