"""Metrics of a task over its phrasings, and how they are shown."""

import json
from dataclasses import replace

import pytest

from auralign.ledger.columns import Item
from auralign.ledger.task_tables import (
    comparison_table,
    format_tasks,
    list_wordings,
    task_table,
    wording_table,
)
from auralign.ledger.tasks import CASCADE, Spread, score_tasks, tables_from_list, tables_to_list
from auralign.records import Question, Utterance
from auralign.score.metrics import MIN_SPEAKERS
from auralign.score.task_metrics import MeanScore, MetricValue, Significance

RIGHT = MeanScore(lambda answer, question, said: float(answer == question.reference), "right")


@pytest.mark.parametrize(("lower_is_better", "worst"), [(True, 4), (False, 1)])
def test_the_worst_phrasing_is_by_the_direction_of_the_metric(lower_is_better, worst):
    spread = Spread.over(
        [MetricValue(1.0), MetricValue(4.0), MetricValue(1.0)], lower_is_better=lower_is_better
    )
    assert (spread.mean, spread.worst, spread.deviation) == (2, worst, pytest.approx(3**0.5))


def test_one_phrasing_deviates_by_nothing():
    assert Spread.over([MetricValue(1.0)], lower_is_better=True).deviation == 0


def items(speech, *, phrasings=2, transcript="right"):
    """One utterance, asked in several phrasings."""
    return [
        Item(
            Question(f"q{n}", "u", "clean", "asr", None, "right", phrasing=n),
            "right",
            {"text": "right", "transcript": transcript, "speech": speech[n], "shuffled": "wrong"},
        )
        for n in range(phrasings)
    ]


def tables(columns, metrics=lambda group, task: (RIGHT,)):
    return score_tasks(columns, lambda utt_id: Utterance(utt_id, "x.wav", 1.0, "right"), metrics, seed=1)


def test_a_task_is_measured_by_phrasing_and_column():
    (table,) = tables({"m": items(["right", "wrong"])})
    speech = table.heard["m"]["speech"]
    assert [value.value for value in speech.values] == [100, 0]
    assert (table.num_questions, table.num_phrasings, speech.mean, speech.worst) == (1, 2, 50, 0)
    assert {kind: spread.mean for kind, spread in table.read.items()} == {"text": 100, "transcript": 100}


def test_a_method_is_compared_with_the_cascade_and_with_other_methods():
    (table,) = tables({"one": items(["right", "wrong"]), "two": items(["right", "right"])})
    assert [(c.method, c.other, c.mean) for c in table.comparisons] == [
        ("one", CASCADE, -50),
        ("two", CASCADE, 0),
        ("two", "one", 50),
    ]


def test_runs_of_one_method_are_not_compared_with_each_other():
    right = items(["right", "right"])
    (table,) = tables({"one seed_1": right, "one seed_2": right, "two": right})
    pairs = [(found.method, found.other) for found in table.comparisons if found.other != CASCADE]
    assert pairs == [("two", "one seed_1"), ("two", "one seed_2")]


def test_a_task_without_metrics_is_left_to_the_ledger():
    assert tables({"m": items(["right", "wrong"])}, lambda group, task: ()) == []


def test_tables_survive_json():
    found = tables({"one": items(["right", "wrong"]), "two": items(["right", "right"])})
    stored = json.loads(json.dumps(tables_to_list(found)))
    assert tables_from_list(stored) == found
    assert (stored[0]["measure"], "metric" in stored[0]) == ("right", False)  # the key of earlier scores.json


def test_a_row_shows_mean_worst_and_deviation():
    (row,) = task_table(tables({"m": items(["right", "wrong"])})).rows
    assert row == (
        ["clean", "asr", "right (%)", "m", "1 x 2", "100.00", "-", "100.00", "0.00"]
        + ["50.00", "-", "1", "0.00", "70.71"]  # one speaker, so no interval
    )


def test_the_floor_is_another_text_and_shuffled_a_column_of_its_own():
    asked = items(["right", "right"])
    for item in asked:
        item.answers["other_text"] = "right" if item.question.phrasing else "wrong"
    found = task_table(tables({"m": asked}))
    cells = dict(zip(found.headers, found.rows[0], strict=True))
    assert (cells["floor"], cells["shuffled"]) == ("50.00", "0.00")


def test_a_comparison_says_in_how_many_phrasings_chance_does_not_explain_it():
    (row,) = comparison_table(tables({"m": items(["right", "wrong"])})).rows
    assert row == [
        "clean",
        "asr",
        "right (%)",
        "m",
        CASCADE,
        "-50.00",
        "0 of 2",
        "none: 1 speakers",
    ]


def many(speakers):
    """Ten right answers and two wrong ones for each speaker."""
    utterances = {
        f"{speaker}-{n}": Utterance(f"{speaker}-{n}", "x.wav", 1.0, "right", speaker=speaker)
        for speaker in speakers
        for n in range(12)
    }
    asked = [
        Item(
            Question(utt, utt, "clean", "asr", None, "right"),
            "right",
            {
                "text": "right",
                "transcript": "right",
                "speech": "wrong" if utt[-2:] in ("-0", "-1") else "right",
                "shuffled": "wrong",
            },
        )
        for utt in utterances
    ]
    return score_tasks({"m": asked}, utterances.__getitem__, lambda group, task: (RIGHT,), seed=1)


@pytest.mark.parametrize(("num_speakers", "is_there"), [(9, False), (10, True)])
def test_fewer_than_ten_speakers_give_points_and_nothing_significant(num_speakers, is_there):
    (table,) = many([f"s{number}" for number in range(num_speakers)])
    assert table.num_speakers == num_speakers
    assert (table.heard["m"]["speech"].low is not None) is is_there
    assert table.comparisons[0].num_significant == is_there


def test_the_p_values_of_all_comparisons_are_adjusted_together():
    p_values = iter([0.04, 0.03, 0.01])  # of two phrasings and the second method, by Holm 0.06, 0.06, 0.03

    class Known(MeanScore):
        def compare(self, asked, answers, others):
            return Significance(1.0, None, None, next(p_values, None), "known")

    metric = Known(lambda answer, question, said: 1.0, "right")
    asked = items(["right"], phrasings=1)
    utterances = {
        f"{n}": Utterance(f"{n}", "x.wav", 1.0, "right", speaker=f"s{n}") for n in range(MIN_SPEAKERS)
    }
    asked = [
        replace(item, question=replace(item.question, key=key, utt_id=key))
        for key in utterances
        for item in asked
    ]
    (table,) = score_tasks(
        {"one": asked, "two": asked}, utterances.__getitem__, lambda group, task: (metric,), seed=1
    )
    found = [compared.values[0] for compared in table.comparisons]
    assert [value.adjusted for value in found] == pytest.approx([0.06, 0.06, 0.03])
    assert [value.is_significant for value in found] == [False, False, True]


def test_the_terminal_leaves_out_columns_that_hold_nothing():
    shown = format_tasks(tables({"m": items(["right", "wrong"])}))
    assert "normalised" not in shown
    assert "clean: asr" in shown


def test_each_wording_has_its_own_figure():
    table = wording_table(tables({"m": items(["right", "wrong"])}))
    assert table.headers[4:] == ["1", "2"]
    assert table.rows == [["clean", "asr", "right (%)", "m", "100.00", "0.00"]]


def test_wordings_are_listed_by_their_number():
    asked = [
        replace(item, question=replace(item.question, instruction=f"say {{speech}} {n}"))
        for n, item in enumerate(items("ab"))
    ]
    assert list_wordings(tables({"m": asked})) == [
        "clean, asr, 1: 'say {speech} 0'",
        "clean, asr, 2: 'say {speech} 1'",
    ]


def test_turns_of_which_the_call_alone_is_known_count_as_calls():
    """Sixty turns of three telephone calls are no sixty speakers: a point without an interval."""
    turns = {
        f"u{n}": Utterance(f"u{n}", "x.wav", 1.0, "right", labels={"issue_id": str(n % 3)}) for n in range(60)
    }
    asked = [
        Item(
            Question(utt, utt, "clean", "acts", None, "right"),
            "right",
            {"text": "right", "speech": "right" if utt[-1] in "13579" else "wrong", "shuffled": "wrong"},
        )
        for utt in turns
    ]
    (table,) = score_tasks({"m": asked}, turns.__getitem__, lambda group, task: (RIGHT,), seed=1)
    assert (table.num_speakers, table.heard["m"]["speech"].low) == (3, None)
