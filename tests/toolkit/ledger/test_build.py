import pytest

from auralign.records import Question


def test_rates_are_shares_of_exact_answers(ledger):
    rates = ledger.row("far", "unseen tasks").rates
    assert (rates.num_questions, rates.text, rates.transcript, rates.speech, rates.shuffled) == (
        4,
        1,
        3 / 4,
        1 / 4,
        1 / 4,
    )


def test_recovery_of_a_row_by_hand(ledger):
    assert ledger.row("near", "unseen tasks").recovery.value == pytest.approx((3 / 4 - 1 / 4) / (1 - 1 / 4))


def test_recovery_of_the_floor_is_zero(ledger):
    assert ledger.row("far", "unseen tasks").recovery.value == 0


def test_every_answer_to_speech_has_one_class(ledger):
    expected = {"right": 1, "wrong content": 0, "wrong task": 1, "transcribed": 2, "other": 0}
    assert ledger.row("far", "unseen tasks").answers == expected


def test_seen_tasks_come_before_unseen_ones_whatever_the_order_of_the_file(ledger):
    assert ledger.groups == ("seen tasks", "unseen tasks")


def test_groups_that_nobody_asks_about_are_named(ledger):
    assert ledger.absent_groups == ("unseen phrasings", "commands in the speech", "no instruction")


def test_a_group_of_a_new_name_comes_last(make_corpus):
    questions = [
        Question("1", "a", "riddles", "x", None, "r"),
        Question("2", "a", "no instruction", "", None, "r"),
    ]
    corpus = make_corpus(questions)
    ledger = corpus.ledger(
        text=corpus.answers("text", "11"),
        transcript=corpus.answers("transcript", "11"),
        methods={"m": corpus.method("m", "11", "--")},
    )
    assert ledger.groups == ("no instruction", "riddles")


def test_methods_are_compared_on_the_same_questions(ledger):
    found = next(difference for difference in ledger.differences if difference.group == "unseen tasks")
    assert (found.method, found.other, found.estimate.value) == ("near", "far", 1 / 2)


def test_equal_methods_differ_by_exactly_nothing(corpus):
    methods = {name: corpus.method(name, "1tt11111", "--------") for name in ("one", "two")}
    estimate = corpus.ledger(methods=methods).differences[0].estimate
    assert (estimate.value, estimate.low, estimate.high) == (0, 0, 0)


def test_rates_of_a_task_cover_its_questions_only(make_corpus):
    corpus = make_corpus(
        [Question(str(n), "a", "seen tasks", task, "{speech}", "r") for n, task in enumerate("xxy")]
    )
    ledger = corpus.ledger(
        text=corpus.answers("text", "111"),
        transcript=corpus.answers("transcript", "111"),
        methods={"m": corpus.method("m", "1-1", "---")},
    )
    speech = {task: (rates.num_questions, rates.speech) for task, rates in ledger.rows[0].tasks.items()}
    assert speech == {"x": (2, 1 / 2), "y": (1, 1)}


def test_form_is_ignored_by_the_judge_given(corpus, make_judge):
    ledger = corpus.ledger(
        judge=make_judge(is_right=lambda answer, question: answer in ("t", question.reference))
    )
    assert ledger.row("far", "unseen tasks").form_ignored == 3 / 4


def test_without_a_judge_the_form_ignored_rate_is_undefined(ledger):
    assert ledger.row("far", "unseen tasks").form_ignored is None


def test_examples_take_the_commonest_class_first_from_unseen_tasks(ledger):
    found = [(example.group, example.answer_class) for example in ledger.examples if example.method == "far"]
    assert found == [("unseen tasks", name) for name in ("transcribed", "wrong task", "transcribed")]


def test_an_unknown_class_is_refused_with_the_answer(corpus, make_judge):
    with pytest.raises(ValueError, match="'t' to 'c-se' 'silly'; use one of wrong content"):
        corpus.ledger(judge=make_judge(classify=lambda answer, question, said: "silly"))


def test_no_method_is_an_error(corpus):
    with pytest.raises(ValueError, match="no method to score"):
        corpus.ledger(methods={})


def test_the_ceiling_of_recovery_is_normalised_text(corpus):
    ledger = corpus.ledger(normalised=corpus.answers("normalised", "11--1111"))
    row = ledger.row("near", "unseen tasks")
    assert row.recovery.value == pytest.approx((3 / 4 - 1 / 4) / (2 / 4 - 1 / 4))


def test_an_answer_is_worth_what_the_judge_says(corpus, make_judge):
    ledger = corpus.ledger(
        judge=make_judge(score=lambda answer, question, said: 0.5 if answer == "t" else 0.0)
    )
    row = ledger.row("far", "unseen tasks")
    assert (row.rates.speech, row.answers["transcribed"], row.answers["right"]) == (2 * 0.5 / 4, 2, 0)


def test_a_score_beyond_one_is_refused_with_the_answer(corpus, make_judge):
    with pytest.raises(ValueError, match="has the score 2; it must be from 0 to 1"):
        corpus.ledger(judge=make_judge(score=lambda answer, question, said: 2))
