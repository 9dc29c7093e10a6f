"""The measures of the ladder, by hand."""

import math
import re
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
from local.texts import make_texts, words_of

from local.make_corpus import PAIRS


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


def cells(table, row):
    """The cells of a row of a Markdown table by their heads, without those that hold no figure."""
    heads, _, *rows = (line.strip("| ").split(" | ") for line in table.strip().splitlines())
    return {head: cell for head, cell in zip(heads, rows[row], strict=True) if cell != "-"}


def test_of_texts_that_hold_a_part_of_what_is_said_only_the_words_heard_are_told():
    order = asked(text="yes", speech="yes")
    order.utterance.text, order.heard_text = "milk", "with milk please"
    order.utterance.labels["partial"] = True
    (table,) = as_table({"all": summarise([order], seed=1)}).split("\n\n")
    assert cells(table, 0) == {"group": "all", "n": "1", "voices": "1", "words heard": "1.00"}


def test_what_agrees_is_told_in_whole_in_its_beginning_and_in_words():
    start = "x" * 40
    heard = summarise([asked(text=start + " one", speech=start + " two")], seed=1)
    _, table = as_table({"all": heard}).split("\n\n")
    assert cells(table, 0) == {"exact / first / F1": "all", "speech": "0.00 / 1.00 / 0.50"}


def test_a_column_that_was_not_answered_is_a_dash_in_the_table():
    groups = {"some": [asked(text="yes", speech="yes")], "all": [asked(text="yes", speech="yes", snap="no")]}
    _, table = as_table({name: summarise(of_group, seed=1) for name, of_group in groups.items()}).split(
        "\n\n"
    )
    assert "snap" not in cells(table, 0) and cells(table, 1)["snap"] == "0.00 / 0.00 / 0.00"


def test_of_ten_voices_f1_has_an_interval():
    many = [asked(text="yes", speech=("yes", "no")[number % 2]) for number in range(10)]
    for number, one in enumerate(many):
        one.utterance.id, one.utterance.speaker = f"u{number}", f"s{number}"
    _, table = as_table({"all": summarise(many, seed=1)}).split("\n\n")
    assert re.fullmatch(r"0\.50 / 0\.50 / 0\.50 \(0\.\d\d\.\.0\.\d\d\)", cells(table, 0)["speech"])


def test_the_minimal_pairs_and_negations_are_of_trained_words_and_not_trained():
    splits = make_texts(num_train=12_000, seed=1, num_strings=4_000)
    trained = {text.words for text in splits["train"]}
    known = {word for text in trained for word in words_of(text)}
    asked = {text for pairs in PAIRS.values() for pair in pairs for text in pair}
    assert len(asked) == 60 and not asked & trained
    assert {word for text in asked for word in words_of(text)} <= known


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
