import json
from dataclasses import replace

import pytest

from auralign.records import Question, Utterance
from auralign.score import measures
from auralign.score.columns import Item
from auralign.score.measures import (
    CASCADE,
    Asked,
    MeanScore,
    Measured,
    Spread,
    Translation,
    WordErrorRate,
    measure_tasks,
)
from auralign.score.task_table import (
    comparison_rows,
    format_tasks,
    list_wordings,
    tables_from_list,
    tables_to_list,
    task_rows,
    wording_rows,
)
from auralign.score.translation import compare_translations
from auralign.text.forms import raw_form

RIGHT = MeanScore(lambda answer, question, said: float(answer == question.reference), "right")


def ask(references, speakers=None):
    questions = tuple(Question(f"q{n}", f"u{n}", "g", "t", None, text) for n, text in enumerate(references))
    utterances = tuple(
        Utterance(f"u{n}", "x.wav", 1.0, text, speaker=(speakers or references)[n])
        for n, text in enumerate(references)
    )
    return Asked(questions, utterances, seed=1)


def test_a_word_error_rate_is_all_edits_over_all_words_in_percent():
    asked = ask(["one two three", "four"])
    measure = WordErrorRate(raw_form("en"), "WER")
    assert measure.score(asked, ["one two", "five"]).value == 100 * 2 / 4


def test_word_error_rates_of_two_systems_differ_by_their_edits():
    asked = ask(["one two three", "four"])
    found = WordErrorRate(raw_form("en"), "WER").compare(
        asked, ["one two three", "four"], ["one two", "five"]
    )
    assert found.difference == -50


def test_the_right_translation_has_100_points_and_a_signature():
    asked = ask(["Das ist ein Haus.", "Guten Tag, mein Herr."])
    found = Translation("BLEU", "de").score(asked, asked.references)
    assert found.value == pytest.approx(100)
    assert "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp" in found.note


def test_bleu_and_chrf_of_the_same_answers_are_drawn_once(monkeypatch):
    calls = []

    def count(*texts, **options):
        calls.append(texts)
        return compare_translations(*texts, num_resamples=10, **options)

    monkeypatch.setattr(measures, "compare_translations", count)
    asked = ask(["Das ist ein Haus.", "Guten Tag, mein Herr."])
    others = ["Das ist ein Hut.", "Guten Tag."]
    found = [Translation(name, "de").compare(asked, asked.references, others) for name in ("BLEU", "chrF")]
    assert len(calls) == 1
    assert found[0].difference != found[1].difference


def test_right_and_wrong_answers_are_compared_by_mcnemar():
    asked = ask(["a", "b", "c", "d", "e"])
    found = RIGHT.compare(asked, ["a", "b", "c", "x", "x"], ["x"] * 5)
    assert (found.test, found.p_value, found.difference) == ("McNemar, and bootstrap over speakers", 0.25, 60)


def test_what_two_of_three_speakers_differ_by_is_not_significant_by_the_number_of_answers_alone():
    """McNemar takes answers of one speaker for independent."""
    asked = ask(["a"] * 60, speakers=["s"] * 20 + ["t"] * 20 + ["u"] * 20)
    found = RIGHT.compare(asked, ["a"] * 40 + ["x"] * 20, ["x"] * 40 + ["a"] * 20)
    assert found.p_value < 0.05 and found.low < 0 < found.high
    assert not found.is_significant
    assert RIGHT.compare(asked, ["a"] * 60, ["x"] * 60).is_significant


def test_answers_of_part_worth_are_compared_over_speakers():
    measure = MeanScore(lambda answer, question, said: 0.5 if answer else 0.25, "worth")
    found = measure.compare(ask(["a", "b"]), ["x", "x"], ["", ""])
    assert (found.test, found.difference, found.low, found.high) == ("bootstrap over speakers", 25, 25, 25)


def test_a_utterance_without_speaker_is_its_own():
    assert ask(["a", "b"], speakers=["", "s"]).speakers == ["u0", "s"]


@pytest.mark.parametrize(("lower_is_better", "worst"), [(True, 4), (False, 1)])
def test_the_worst_phrasing_is_by_the_direction_of_the_measure(lower_is_better, worst):
    spread = Spread.over([Measured(1.0), Measured(4.0), Measured(1.0)], lower_is_better=lower_is_better)
    assert (spread.mean, spread.worst, spread.deviation) == (2, worst, pytest.approx(3**0.5))


def test_one_phrasing_deviates_by_nothing():
    assert Spread.over([Measured(1.0)], lower_is_better=True).deviation == 0


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


def tables(columns, measures=lambda group, task: (RIGHT,)):
    return measure_tasks(columns, lambda utt_id: Utterance(utt_id, "x.wav", 1.0, "right"), measures, seed=1)


def test_a_task_is_measured_by_phrasing_and_column():
    (table,) = tables({"m": items(["right", "wrong"])})
    speech = table.heard["m"]["speech"]
    assert [measured.value for measured in speech.values] == [100, 0]
    assert (table.num_questions, table.num_phrasings, speech.mean, speech.worst) == (1, 2, 50, 0)
    assert {kind: spread.mean for kind, spread in table.read.items()} == {"text": 100, "transcript": 100}


def test_a_method_is_compared_with_the_cascade_and_with_other_methods():
    (table,) = tables({"one": items(["right", "wrong"]), "two": items(["right", "right"])})
    assert [(c.method, c.other, c.mean) for c in table.comparisons] == [
        ("one", CASCADE, -50),
        ("two", CASCADE, 0),
        ("two", "one", 50),
    ]


def test_a_task_without_measures_is_left_to_the_ledger():
    assert tables({"m": items(["right", "wrong"])}, lambda group, task: ()) == []


def test_tables_survive_json():
    found = tables({"one": items(["right", "wrong"]), "two": items(["right", "right"])})
    assert tables_from_list(json.loads(json.dumps(tables_to_list(found)))) == found


def test_a_row_shows_mean_worst_and_deviation():
    (row,) = task_rows(tables({"m": items(["right", "wrong"])}))
    assert row == (
        ["clean", "asr", "right (%)", "m", "1 x 2", "100.00", "-", "100.00", "0.00"]
        + ["50.00", "-", "0.00", "70.71"]
    )


def test_a_comparison_says_in_how_many_phrasings_chance_does_not_explain_it():
    (row,) = comparison_rows(tables({"m": items(["right", "wrong"])}))
    assert row == [
        "clean",
        "asr",
        "right (%)",
        "m",
        CASCADE,
        "-50.00",
        "0 of 2",
        "McNemar, and bootstrap over speakers",
    ]


def test_the_terminal_leaves_out_columns_that_hold_nothing():
    shown = format_tasks(tables({"m": items(["right", "wrong"])}))
    assert "normalised" not in shown
    assert "clean: asr" in shown


def test_each_wording_has_its_own_figure():
    headers, rows = wording_rows(tables({"m": items(["right", "wrong"])}))
    assert headers[4:] == ["1", "2"]
    assert rows == [["clean", "asr", "right (%)", "m", "100.00", "0.00"]]


def test_wordings_are_listed_by_their_number():
    asked = [
        replace(item, question=replace(item.question, instruction=f"say {{speech}} {n}"))
        for n, item in enumerate(items("ab"))
    ]
    assert list_wordings(tables({"m": asked})) == [
        "clean, asr, 1: 'say {speech} 0'",
        "clean, asr, 2: 'say {speech} 1'",
    ]
