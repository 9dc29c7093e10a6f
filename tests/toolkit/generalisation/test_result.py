"""The measures of the benchmark: every task weighs alike, however many questions it has."""

from types import SimpleNamespace

import numpy as np
import pytest

from auralign.generalisation.result import _Scores


def judged(task, number, speech):
    question = SimpleNamespace(task=task, group="seen", utt_id=f"{task}{number}")
    scores = {"text": 1.0, "other_text": 0.0, "speech": speech}
    return SimpleNamespace(question=question, item=SimpleNamespace(cluster=f"s{number}"), scores=scores)


def test_recovery_weighs_tasks_alike_as_the_score_of_its_row_does():
    scores = _Scores([*(judged("sort", number, 1.0) for number in range(3)), judged("count", 0, 0.0)], seed=1)
    everything = np.ones(4, dtype=bool)
    assert scores.mean("speech", everything) == 0.5
    assert scores.recovery(everything).value == pytest.approx(0.5)  # the questions alone would give 3/4


def test_a_recovery_at_its_bound_has_the_interval_of_the_score_whatever_the_sizes_of_tasks():
    asked = [judged("sort", number, 1.0) for number in range(30)] + [
        judged("count", number, 1.0) for number in range(10)
    ]
    scores = _Scores(asked, seed=1)
    everything = np.ones(40, dtype=bool)
    assert scores.recovery(everything) == scores.speech(everything)
    assert scores.recovery(everything).value == 1.0
    assert scores.recovery(everything).low < 0.95  # of thirty speakers


def test_a_resample_without_a_task_is_a_mean_over_its_other_tasks():
    """Of twelve speakers one was asked to count; all answers are right by half, so that no resample is worse."""
    scores = _Scores(
        [*(judged("sort", number, 0.5) for number in range(12)), judged("count", 0, 0.5)], seed=1
    )
    found = scores.contrast(scores.by_input["speech"], [(1.0, np.ones(13, dtype=bool))])
    assert (found.value, found.low) == (0.5, None)  # counted as 0, the interval began at 0.25
