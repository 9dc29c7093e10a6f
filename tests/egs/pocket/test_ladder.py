"""The measures of the ladder, by hand."""

import math
from types import SimpleNamespace

import pytest
from local.human import known_spans
from local.measures import (
    Asked,
    agreement,
    as_table,
    f1_of_words,
    recovery,
    summarise,
    token_error_rate,
    words_heard,
)


def asked(text_ids=(1, 2), heard=(1, 2), nll=None, **answers):
    utterance = SimpleNamespace(id="a", text="t", speaker="s", labels={})
    return Asked(0, utterance, text_ids, answers=answers, heard=heard, nll=nll or {})


def test_f1_counts_shared_words_of_both_sides():
    # 2 of 3 words of the answer, 2 of 4 of the reference: 2 * 2 / 7
    assert f1_of_words("Paris is the capital.", "The capital city") == pytest.approx(4 / 7)


def test_two_empty_answers_agree():
    assert f1_of_words("", "") == 1.0


def test_agreement_in_the_first_forty_characters_alone():
    start = "x" * 40
    assert agreement(start + " one", start + " two") == {"exact": 0.0, "first": 1.0, "F1": pytest.approx(0.5)}


def test_tokens_heard_wrong_are_edits_over_the_tokens_of_the_texts():
    pair = [asked(text_ids=(1, 2, 3), heard=(1, 3)), asked(text_ids=(4,), heard=(5,))]
    assert token_error_rate(pair) == 2 / 4


def test_words_heard_are_a_share_of_the_words_of_the_texts():
    one, two = asked(), asked()
    one.utterance.text, one.heard_text = "Brown sugar, brown bread", "I want brown sugar"  # 2 of 4
    two.utterance.text, two.heard_text = "Milk", "MILK milk"  # 1 of 1
    assert words_heard([one, two]) == 3 / 5


def test_recovery_is_the_share_of_the_gain_of_text():
    nll = {"text": 10.0, "speech": 12.0, "shuffled": 19.0, "shuffled text": 20.0}
    assert recovery([asked(nll=nll)]) == pytest.approx(7 / 10)


def test_recovery_is_undefined_without_a_gain_of_text():
    nll = {"text": 20.0, "speech": 12.0, "shuffled": 19.0, "shuffled text": 20.0}
    assert recovery([asked(nll=nll)]) is None


def test_a_group_is_summarised_by_column():
    found = summarise([asked(text="yes it is", speech="yes it is"), asked(text="no", speech="yes")], seed=1)
    assert found["columns"]["speech"]["exact"] == 0.5
    assert found["columns"]["text"]["exact"] == 1.0
    assert math.isclose(found["columns"]["speech"]["F1"], 0.5)


def test_of_texts_that_hold_a_part_of_what_is_said_only_the_words_heard_are_told():
    order = asked(text="yes", speech="yes")
    order.utterance.text, order.heard_text = "milk", "with milk please"
    order.utterance.labels["partial"] = True
    table = as_table({"all": summarise([order], seed=1)})
    heads, _, row = (line.strip("| ").split(" | ") for line in table.splitlines())
    told = {head: cell for head, cell in zip(heads, row, strict=True) if cell != "-"}
    assert told == {"group": "all", "n": "1", "voices": "1", "words heard": "1.00"}


def test_a_column_that_was_not_answered_is_a_dash_in_the_table():
    table = as_table({"all": summarise([asked(text="yes", speech="yes")], seed=1)})
    heads, _, row = (line.strip("| ").split(" | ") for line in table.splitlines())
    assert row[heads.index("adapted")] == "-"
    assert row[heads.index("exact: cascade") + 2] == "1.00"


def test_a_span_of_known_words_begins_and_ends_with_them():
    words = [
        ("HE", 0.0, 0.2),
        ("WAS", 0.2, 0.4),
        ("I'M", 0.4, 0.5),
        ("XYLEM", 0.5, 1.0),
        ("OLD", 1.0, 1.2),
        ("HE", 1.2, 1.3),
    ]
    assert known_spans(words, {"he", "was", "i'm", "old"}) == [("He was I'm.", 0.0, 0.5)]


def test_a_long_run_of_known_words_is_cut():
    words = [("A", number, number + 1) for number in range(11)]
    assert [span[1:] for span in known_spans(words, {"a"})] == [(0, 8), (8, 11)]
