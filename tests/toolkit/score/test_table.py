import pytest

from auralign.score.table import describe_result, format_differences, format_legend, format_table


def test_a_row_shows_its_columns_in_order(ledger):
    block = format_table(ledger).split("unseen tasks: 4 questions\n")[1].splitlines()
    assert block[1].split()[:5] == ["near", "1.00", "0.75", "0.25", "0.75"]


def test_undefined_values_are_a_dash(ledger):
    far = format_table(ledger).split("unseen tasks: 4 questions\n")[1].splitlines()[0].split()
    assert far[6:8] == ["0.00", "-"]  # recovery, its interval (a resample closes the gap)


def test_an_absent_group_is_said_to_be_absent(ledger):
    assert "no instruction: not in this corpus" in format_table(ledger).splitlines()


def test_the_table_fits_a_terminal_of_110_columns(corpus):
    methods = {name: corpus.method(name, "1ttw11tt", "1-------") for name in ("transcription", "sit", "sift")}
    ledger = corpus.ledger(methods=methods, answer_right=lambda answer, question: True)
    assert max(map(len, format_table(ledger).splitlines())) <= 110


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
def test_any_form_is_a_column_where_somebody_judges_it(corpus, judge, is_there):
    assert ("any form" in format_legend(corpus.ledger(answer_right=judge))) is is_there


def test_normalised_text_is_a_column_where_it_is_another_text(corpus):
    ledger = corpus.ledger(normalised=corpus.answers("normalised", "1---1111"))
    assert "(speech - floor) / (normalised text - floor)" in format_legend(ledger)
    row = format_table(ledger).split("unseen tasks: 4 questions\n")[1].splitlines()[1]
    assert row.split()[1:4] == ["1.00", "0.25", "0.75"]  # text, normalised text, cascade


def test_differences_carry_sign_and_interval(ledger):
    assert format_differences(ledger, "unseen tasks").startswith("  near - far  +0.50  (")


def test_the_sentence_names_the_method_that_recovers_most(ledger):
    assert "near recovers most of what reading gains over the floor (near 0.67, far 0.00)" in describe_result(
        ledger
    )


def test_the_sentence_says_what_the_wrong_answers_are(ledger):
    assert "far has 3, 67 % of them what was said, written down instead of obeyed" in describe_result(ledger)


def test_the_sentence_owns_up_to_a_lead_that_may_be_chance(corpus):
    methods = {
        "one": corpus.method("one", "111t1111", "--------"),
        "two": corpus.method("two", "1t1t1111", "--------"),
    }
    assert "but two may equal it (two - one in exact answers: " in describe_result(
        corpus.ledger(methods=methods)
    )


def test_the_sentence_does_without_a_recovery_that_is_undefined(corpus):
    methods = {"one": corpus.method("one", "1---1111", "11111111")}
    assert "recovery is undefined; exact answers: one 0.25" in describe_result(corpus.ledger(methods=methods))


def test_the_sentence_of_one_method_claims_no_victory(corpus):
    text = describe_result(corpus.ledger(methods={"one": corpus.method("one", "11111111", "--------")}))
    assert text == (
        "On unseen tasks, recovery of what reading gains over the floor: one 1.00. "
        "What the wrong answers are: one has none."
    )
