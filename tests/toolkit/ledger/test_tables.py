import pytest

from auralign.ledger.summary import describe_result
from auralign.ledger.tables import format_differences, format_ledger, format_legend
from auralign.records import Question


def test_a_row_shows_its_columns_in_order(ledger):
    block = format_ledger(ledger).split("unseen tasks: 4 questions\n")[1].splitlines()
    assert block[1].split()[:5] == ["near", "1.00", "0.75", "0.25", "0.75"]


def test_undefined_values_are_a_dash(ledger):
    far = format_ledger(ledger).split("unseen tasks: 4 questions\n")[1].splitlines()[0].split()
    assert far[6:8] == ["0.00", "-"]  # recovery, its interval (a resample closes the gap)


def test_an_absent_group_is_said_to_be_absent(ledger):
    assert "no instruction: not in this corpus" in format_ledger(ledger).splitlines()


def test_the_table_fits_a_terminal_of_110_columns(corpus, make_judge):
    methods = {name: corpus.method(name, "1ttw11tt", "1-------") for name in ("transcription", "sit", "sift")}
    ledger = corpus.ledger(methods=methods, judge=make_judge(is_right=lambda answer, question: True))
    assert max(map(len, format_ledger(ledger).splitlines())) <= 110


def test_the_table_fits_with_intervals_and_a_floor_too(make_corpus, make_judge):
    asked = [Question(f"{n}", f"{n:02}", "unseen tasks", "x", "{speech}", "r") for n in range(12)]
    corpus = make_corpus(asked, {question.utt_id: question.utt_id for question in asked})
    methods = {
        name: corpus.method(name, "1ttw11tt1111", "1-----------") for name in ("transcription", "sit", "sift")
    }
    ledger = corpus.ledger(
        text=corpus.answers("text", "1" * 12),
        transcript=corpus.answers("transcript", "1" * 12),
        other_text=corpus.answers("other_text", "-" * 12),
        methods=methods,
        judge=make_judge(is_right=lambda answer, question: True),
    )
    text = format_ledger(ledger)
    assert "unseen tasks: 12 questions, 12 speakers" in text
    assert max(map(len, text.splitlines())) <= 110
    assert "one floor for all methods" in format_legend(ledger)


def test_a_floor_of_each_method_is_said_to_be_one(ledger):
    assert "each method's own, so that recoveries of different floors do not compare" in format_legend(ledger)


def test_every_header_of_the_table_is_in_the_legend(ledger):
    for header in (
        "text",
        "cascade",
        "floor",
        "speech",
        "95 % interval",
        "recovery",
        "transcribed",
    ):
        assert f"\n  {header}  " in "\n" + format_legend(ledger)


@pytest.mark.parametrize(("judge", "is_there"), [(None, False), (lambda answer, question: True, True)])
def test_any_form_is_a_column_where_somebody_judges_it(corpus, judge, is_there, make_judge):
    assert ("any form" in format_legend(corpus.ledger(judge=make_judge(is_right=judge)))) is is_there


def test_normalised_text_is_a_column_where_it_is_another_text(corpus):
    ledger = corpus.ledger(normalised=corpus.answers("normalised", "1---1111"))
    assert "(speech - floor) / (normalised text - floor)" in format_legend(ledger)
    row = format_ledger(ledger).split("unseen tasks: 4 questions\n")[1].splitlines()[1]
    assert row.split()[1:4] == ["1.00", "0.25", "0.75"]  # text, normalised text, cascade


def test_differences_carry_sign_and_interval(ledger):
    assert format_differences(ledger, "unseen tasks").startswith("  near - far  +0.50  (")


def test_a_recovery_without_meaning_is_na_with_both_rates(corpus):
    methods = {"one": corpus.method("one", "1---1111", "11--1111")}  # normalised text is not above the floor
    text = corpus.answers("text", "11--1111")
    ledger = corpus.ledger(methods=methods, text=text)
    row = format_ledger(ledger).split("unseen tasks: 4 questions\n")[1].splitlines()[0].split()
    assert (row[1], row[3], row[6]) == ("0.50", "0.50", "n/a")  # text, floor, recovery
    assert "(one n/a (text 0.50, floor 0.50)), so recovery is undefined" in describe_result(ledger)
    assert max(map(len, format_ledger(ledger).splitlines())) <= 110
