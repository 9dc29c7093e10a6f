import pytest

from auralign.ledger.summary import describe_result
from auralign.records import Question


def questions_of(utt_ids, group="unseen tasks"):
    """One question about each utterance."""
    return [
        Question(f"{utt}-q", utt, group, "reverse", "reverse {speech}", f"right {utt}") for utt in utt_ids
    ]


def ledger_of(make_corpus, marks, speakers, *, shuffled=None, methods=None, other_text=None, text=None):
    """The ledger of one method `m`, or of `methods`: a mark for each utterance, which speaker `speakers` says it has."""
    utt_ids = [f"{number:03}" for number in range(len(marks))]
    corpus = make_corpus(questions_of(utt_ids), dict(zip(utt_ids, speakers, strict=True)))
    floor = shuffled or "-" * len(marks)
    given = methods or {"m": (marks, floor)}
    return corpus.ledger(
        text=corpus.answers("text", text or "1" * len(marks)),
        transcript=None,
        other_text=None if other_text is None else corpus.answers("other_text", other_text),
        methods={name: corpus.method(name, *columns) for name, columns in given.items()},
    )


def test_the_interval_is_over_speakers_and_not_utterances(make_corpus):
    # 10 speakers with 20 utterances each, all right or all wrong: as 10 coins, not 200
    marks = "".join(("1" if speaker % 2 else "-") * 20 for speaker in range(10))
    row = ledger_of(make_corpus, marks, [str(number // 20) for number in range(200)]).rows[0]
    assert (row.speech.value, row.speech.num_clusters) == (0.5, 10)
    assert (row.speech.low, row.speech.high) == (
        pytest.approx(0.2),
        pytest.approx(0.8),
    )  # of 10 draws, 2 and 8


def test_two_speakers_are_a_point_without_an_interval(make_corpus):
    # the recordings: speakers of 0.33 and 0.58 gave 0.42..0.49 by utterance
    marks = "1" * 33 + "-" * 67 + "1" * 58 + "-" * 42
    row = ledger_of(make_corpus, marks, ["yweweler"] * 100 + ["theo"] * 100).rows[0]
    assert (row.speech.value, row.speech.low, row.speech.num_clusters) == (0.455, None, 2)
    assert (row.recovery.value, row.recovery.low) == (0.455, None)


def test_nothing_right_has_the_interval_of_wilson_over_speakers(make_corpus):
    row = ledger_of(make_corpus, "-" * 240, [str(number % 12) for number in range(240)]).rows[0]
    assert (row.speech.low, row.speech.high) == (0, pytest.approx(0.2425, abs=1e-4))  # 3.8415 / (12 + 3.8415)


def test_an_utterance_without_a_speaker_is_one_of_its_own(make_corpus):
    ledger = ledger_of(make_corpus, "1-" * 6, [""] * 12)
    assert (ledger.rows[0].speech.num_clusters, ledger.num_without_speaker) == (12, 12)


def test_recovery_has_one_floor_for_all_methods(make_corpus):
    # each method's own floor ranked a 0.60 (0.50 of its own floor 0.60) below a 0.45
    methods = {"low": ("1" * 9 + "-" * 11, "-" * 20), "high": ("1" * 12 + "-" * 8, "1" * 10 + "-" * 10)}
    speakers = [str(number) for number in range(20)]
    own = ledger_of(make_corpus, "1" * 20, speakers, methods=methods)
    assert [row.recovery.value for row in own.rows] == pytest.approx([0.45, 0.2])
    ledger = ledger_of(make_corpus, "1" * 20, speakers, methods=methods, other_text="1" * 2 + "-" * 18)
    assert [row.rates.floor for row in ledger.rows] == [0.1, 0.1]
    assert [row.recovery.value for row in ledger.rows] == pytest.approx(
        [(0.45 - 0.1) / 0.9, (0.6 - 0.1) / 0.9]
    )
    assert [row.rates.shuffled for row in ledger.rows] == [0, 0.5]


def test_p_values_are_adjusted_over_methods_and_groups(make_corpus):
    utt_ids = [f"{number:02}" for number in range(12)]
    questions = [
        question for group in ("seen tasks", "unseen tasks") for question in questions_of(utt_ids, group)
    ]
    questions = [
        Question(f"{number}", one.utt_id, one.group, one.task, one.instruction, one.reference)
        for number, one in enumerate(questions)
    ]
    corpus = make_corpus(questions, {utt: utt for utt in utt_ids})
    methods = {"a": "-" * 24, "b": "1" * 24, "c": "1" * 12 + "-" * 12}
    ledger = corpus.ledger(
        text=corpus.answers("text", "1" * 24),
        transcript=None,
        methods={name: corpus.method(name, marks, "-" * 24) for name, marks in methods.items()},
    )
    raw = {(one.group, one.method, one.other): one.p_value for one in ledger.differences}
    adjusted = {(one.group, one.method, one.other): one.adjusted for one in ledger.differences}
    sign = 2 / 2**12  # all twelve speakers on one side, four times; equal methods twice
    assert raw["seen tasks", "b", "a"] == raw["unseen tasks", "c", "b"] == sign
    assert adjusted["seen tasks", "b", "a"] == adjusted["unseen tasks", "c", "b"] == pytest.approx(6 * sign)
    assert adjusted["seen tasks", "c", "b"] == adjusted["unseen tasks", "c", "a"] == 1


def test_runs_of_one_method_are_pooled_with_the_runs_drawn_too(make_corpus):
    # two seeds, all right and all wrong: the interval of the method is from one to the other
    methods = {"sift seed_1": ("1" * 12, "-" * 12), "sift seed_2": ("-" * 12, "-" * 12)}
    ledger = ledger_of(make_corpus, "1" * 12, [str(number) for number in range(12)], methods=methods)
    (found,) = ledger.pooled
    assert (found.method, found.num_runs, found.speech.num_clusters) == ("sift", 2, 12)
    assert (found.speech.value, found.speech.low, found.speech.high) == (0.5, 0, 1)


def test_methods_with_several_runs_differ_once_with_the_runs_drawn_on_their_own(make_corpus):
    # sift is all right in one run and all wrong in the other, sit always wrong: 0.5, from 0 to 1 as the runs are drawn
    methods = {
        "sift seed_1": ("1" * 12, "-" * 12),
        "sift seed_2": ("-" * 12, "-" * 12),
        "sit seed_1": ("-" * 12, "-" * 12),
        "sit seed_2": ("-" * 12, "-" * 12),
    }
    ledger = ledger_of(make_corpus, "1" * 12, [str(number) for number in range(12)], methods=methods)
    (found,) = ledger.differences
    assert (found.method, found.other) == ("sit", "sift")
    assert (found.estimate.value, found.estimate.low, found.estimate.high) == (-0.5, -1, 0)
    assert [one.method for one in ledger.behaviours][-2:] == ["sift, 2 runs", "sit, 2 runs"]


def test_one_run_is_not_pooled(ledger):
    assert ledger.pooled == ()


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
    expected = {
        "right": 1,
        "wrong content": 0,
        "wrong task": 1,
        "right content in another form": 0,
        "transcribed": 2,
        "other": 0,
    }
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


def test_equal_methods_differ_by_exactly_nothing(make_corpus):
    corpus = make_corpus(questions_of([str(number) for number in range(12)]))
    methods = {name: corpus.method(name, "1" * 6 + "t" * 6, "-" * 12) for name in ("one", "two")}
    found = corpus.ledger(methods=methods, text=corpus.answers("text", "1" * 12), transcript=None).differences
    assert (found[0].estimate.value, found[0].estimate.low, found[0].estimate.high) == (0, None, None)
    assert (found[0].p_value, found[0].adjusted) == (1, 1)


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
    ledger = corpus.ledger(normalised=corpus.answers("normalised", "111-1111"))
    row = ledger.row("near", "unseen tasks")
    assert row.recovery.value == pytest.approx((3 / 4 - 1 / 4) / (3 / 4 - 1 / 4))


def test_recovery_is_undefined_if_normalised_text_keeps_less_than_half_of_what_text_gains(corpus):
    ledger = corpus.ledger(normalised=corpus.answers("normalised", "11--1111"))
    row = ledger.row("near", "unseen tasks")  # it keeps 2/4 - 1/4 of 4/4 - 1/4
    assert row.recovery.value is None
    rates = "text 1.00, normalised text 0.50, floor 0.25"
    assert f"keeps less than 50% of what text gains over the floor (near n/a ({rates})" in describe_result(
        ledger
    )


def test_an_answer_is_worth_what_the_judge_says(corpus, make_judge):
    ledger = corpus.ledger(
        judge=make_judge(score=lambda answer, question, said: 0.5 if answer == "t" else 0.0)
    )
    row = ledger.row("far", "unseen tasks")
    assert (row.rates.speech, row.answers["transcribed"], row.answers["right"]) == (2 * 0.5 / 4, 2, 0)


def test_a_score_beyond_one_is_refused_with_the_answer(corpus, make_judge):
    with pytest.raises(ValueError, match="has the score 2; it must be from 0 to 1"):
        corpus.ledger(judge=make_judge(score=lambda answer, question, said: 2))


def test_content_bound_rules_have_rows_apart_from_form_only_ones(make_corpus, make_judge):
    asked = [Question(f"{n}", f"{n:02}", "unseen tasks", "ab"[n % 2], "{speech}", "r") for n in range(12)]
    corpus = make_corpus(asked)
    ledger = corpus.ledger(
        text=corpus.answers("text", "1" * 12),
        transcript=None,
        methods={"m": corpus.method("m", "1-" * 6, "-" * 12)},
        judge=make_judge(kind=lambda question: {"a": "content-bound", "b": "form-only"}[question.task]),
    )
    rates = {row.group: (row.rates.num_questions, row.rates.speech, len(row.tasks)) for row in ledger.rows}
    assert rates == {
        "unseen tasks": (12, 0.5, 2),
        "unseen tasks, content-bound": (6, 1, 0),
        "unseen tasks, form-only": (6, 0, 0),
    }
