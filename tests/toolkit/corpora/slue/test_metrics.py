"""Metrics of the SLUE tasks over answers, against the scores of auralign.corpora.slue.scoring and values by hand."""

import numpy as np
import pytest

from auralign.corpora.slue.corpus_f1 import DialogActF1, EntityF1, SentimentF1
from auralign.corpora.slue.located import EntityFrameF1, EntityWordF1, PublishedEntityWordF1, QuestionF1
from auralign.corpora.slue.metrics import Failed, Rouge, answer_score, list_metrics
from auralign.corpora.slue.scoring import score_dialog_acts, score_entities, score_sentiment
from auralign.records import Question, Utterance
from auralign.score.task_metrics import Asked


def asked(references, *, labels=None, words=None, speakers=None):
    """One utterance and question for each reference."""
    num = len(references)
    utterances = tuple(
        Utterance(
            id=f"u{n}",
            audio="x",
            seconds=2.0,
            text="some words",
            speaker=speakers[n] if speakers else f"s{n}",
            labels=(labels or [{}] * num)[n],
            words=(words or [None] * num)[n],
        )
        for n in range(num)
    )
    questions = tuple(
        Question(f"u{n}:0", f"u{n}", "g", "t", "{speech}", reference)
        for n, reference in enumerate(references)
    )
    return Asked(questions, utterances, seed=1)


def f1_of(counts):
    """The F1 that the bootstrap resamples, of all answers."""
    right, expected, found = np.moveaxis(counts.sum(axis=2), 1, 0)
    size = expected + found
    return np.divide(2 * right, size, out=np.zeros_like(size), where=size > 0).mean()


def test_utterances_are_drawn_within_the_speakers():
    """Ten speakers of two utterances, one right and one wrong: the speakers do not vary, their utterances do."""
    speakers = [str(number // 2) for number in range(20)]
    found = asked(["GPE: malta", "GPE: rome"] * 10, speakers=speakers)
    value = EntityF1("raw").score(found, ["GPE: malta"] * 20)
    assert value.low < value.value < value.high


@pytest.mark.parametrize(
    ("task", "answer", "reference", "expected"),
    [
        ("ner", "GPE: malta\nGPE: rome", "GPE: malta", 2 / 3),
        ("ner", "CARDINAL: two", "CARDINAL: two\nCARDINAL: two", 2 / 3),
        ("ner", "none", "none", 1.0),
        ("ner", "none", "GPE: malta", 0.0),
        ("ner", "nothing here", "none", 0.0),
        ("nel", "GPE: malta", "PLACE: malta", 1.0),
        ("nel", "GPE: malta\nFAC: the harbour", "PLACE: malta", 1.0),  # which the combined tags exclude
        ("sentiment", "positive.", "Positive", 1.0),
        ("sentiment", "Neutral", "Positive", 0.0),
        ("acts", "thanks, self", "thanks", 2 / 3),
        ("title", "Title: On maps", "On maps", 1.0),
    ],
)
def test_one_answer_is_worth(task, answer, reference, expected):
    utterance = asked([reference]).utterances[0]
    assert answer_score(task, answer, reference, utterance, {}) == pytest.approx(expected)


def test_a_quote_is_worth_its_overlap_with_the_best_gold_span():
    utterance = asked(["x"], labels=[{"answer_spans": [[5.0, 6.0], [0.0, 1.0]]}]).utterances[0]
    places = {("u0", "three"): (0.5, 1.5), ("u0", "oz"): None}
    assert answer_score("question", "three", "x", utterance, places) == pytest.approx(0.5)
    assert answer_score("question", "oz", "x", utterance, places) == 0.0


def test_a_quote_that_nobody_looked_for_is_an_error():
    utterance = asked(["x"], labels=[{"answer_spans": [[0.0, 1.0]]}]).utterances[0]
    with pytest.raises(ValueError, match="u0: .*'three'.*locate the answers first"):
        answer_score("question", "three", "x", utterance, {})


ENTITIES = ["GPE: malta\nDATE: may", "none", "LANGUAGE: french", "CARDINAL: two\nCARDINAL: two"]
FOUND = ["GPE: malta\nTIME: may", "who knows", "LANGUAGE: english", "CARDINAL: two"]


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (EntityF1("raw"), 2 * 2 / (5 + 4)),
        (EntityF1("raw", label_only=True), 2 * 3 / (5 + 4)),
        (EntityF1("combined"), 2 * 3 / (4 + 3)),  # may is WHEN on both sides, and languages are left out
        (EntityF1("combined", label_only=True), 2 * 3 / (4 + 3)),
    ],
)
def test_entities_are_counted_over_all_answers(metric, expected):
    given = asked(ENTITIES)
    assert metric.score(given, FOUND).value == pytest.approx(100 * expected)
    assert f1_of(metric.counts(given, FOUND)) == pytest.approx(expected)


def test_macro_scores_and_resampled_counts_agree():
    labels, answers = ["Positive", "Negative", "Neutral", "Neutral"], ["Positive", "Neutral", "hm", "Neutral"]
    right = score_sentiment(labels, ["Positive", "Neutral", None, "Neutral"]).macro.f1
    assert SentimentF1().score(asked(labels), answers).value == pytest.approx(100 * right)
    assert f1_of(SentimentF1().counts(asked(labels), answers)) == pytest.approx(right)
    acts, answers = ["thanks, self", "apology", "other"], ["thanks", "apology, thanks", "chat"]
    right = score_dialog_acts(
        [["thanks", "self"], ["apology"], ["other"]], [["thanks"], ["apology", "thanks"], None]
    )
    assert DialogActF1().score(asked(acts), answers).value == pytest.approx(100 * right.macro.f1)
    assert f1_of(DialogActF1().counts(asked(acts), answers)) == pytest.approx(right.macro.f1)


def test_an_interval_holds_the_value_and_one_speaker_has_none():
    found = EntityF1().score(asked(ENTITIES), FOUND)
    assert found.low < found.value < found.high
    assert EntityF1().score(asked(ENTITIES, speakers=["a"] * 4), FOUND).low is None


def test_labels_are_compared_by_mcnemar_on_exact_answers():
    references = ["GPE: malta"] * 6
    found = EntityF1().compare(asked(references), references, ["none"] * 6)
    assert (found.difference, found.test) == (
        100.0,
        "McNemar, answers all right, and bootstrap over speakers",
    )
    assert found.p_value == pytest.approx(2 / 2**6)
    assert (found.low, found.high) == (None, None)


def test_unread_answers_are_a_share_and_stay_wrong():
    given = asked(["Positive", "Positive"])
    assert Failed.to_read("sentiment").score(given, ["Positive", "hm"]).value == 50.0
    assert SentimentF1().score(given, ["Positive", "hm"]).value == pytest.approx(100 * (2 / 3) / 3)


NEL = {"entity_spans": [["PLACE", 0.0, 1.0]], "entities": [["PLACE", "malta"]]}
NEL_WORDS = (("malta", 0.0, 1.0), ("sank", 1.0, 2.0))


def test_entities_are_scored_where_they_are_located():
    given = asked(["PLACE: malta"], labels=[NEL], words=[NEL_WORDS])
    places = {("u0", "malta"): (0.0, 1.0), ("u0", "sank"): (0.5, 1.5), ("u0", "oz"): None}
    frames, words = EntityFrameF1(places), EntityWordF1(places)
    assert frames.score(given, ["GPE: malta"]).value == 100.0
    assert frames.score(given, ["PLACE: sank"]).value == pytest.approx(50.0)
    assert words.score(given, ["PLACE: sank"]).value == 0.0  # half of each word
    assert words.score(given, ["PLACE: malta\nPLACE: sank"]).value == pytest.approx(100 * 1.0)
    assert frames.score(given, ["PLACE: oz"]).value == 0.0
    assert "located so, score 100.00" in frames.score(given, ["PLACE: oz"]).note
    assert Failed.to_locate("nel", places).score(given, ["PLACE: oz\nPLACE: malta"]).value == 100.0
    assert frames.compare(given, ["PLACE: malta"], ["PLACE: oz"]).test == "bootstrap over speakers"


def test_words_behind_the_last_span_count_in_ours_and_not_in_the_published_pass():
    both = {"entity_spans": [["PLACE", 0.0, 1.0], ["PLACE", 1.0, 2.0]], "entities": NEL["entities"]}
    given = asked(["PLACE: malta"], labels=[both], words=[(("malta", 0.0, 1.0), ("rome", 1.0, 2.0))])
    places = {("u0", "malta"): (0.0, 1.0)}
    ours, published = (
        metric(places).score(given, ["PLACE: malta"]).value
        for metric in (EntityWordF1, PublishedEntityWordF1)
    )
    assert (ours, published) == (pytest.approx(100 * 2 / 3), 100.0)
    assert PublishedEntityWordF1 in map(type, list_metrics("nel", places))


def test_utterances_without_word_times_are_told():
    given = asked(["PLACE: malta"], labels=[NEL], words=[()])
    note = EntityWordF1({("u0", "malta"): (0.0, 1.0)}).score(given, ["PLACE: malta"]).note
    assert "1 of 1 utterances have no word times" in note


def test_one_utterance_may_be_asked_twice():
    twice = asked(["PLACE: malta"], labels=[NEL], words=[NEL_WORDS])
    other = Question("u0:1", "u0", "g", "t", "{speech}", "PLACE: malta", phrasing=1)
    twice = Asked((*twice.questions, other), twice.utterances * 2, 1)
    found = EntityFrameF1({("u0", "malta"): (0.0, 1.0)}).score(twice, ["PLACE: malta", "hm"])
    assert found.value == pytest.approx(100 * 2 / 3)


def test_questions_take_the_mean_and_a_failed_quote_scores_nothing():
    labels = [{"answer_spans": [[0.0, 1.0]]}, {"answer_spans": [[2.0, 3.0]]}, {"answer_spans": [[0.0, 1.0]]}]
    places = {("u0", "a"): (0.0, 1.0), ("u1", "b"): None, ("u2", "c"): (0.5, 1.5)}
    metric = QuestionF1(places)
    found = metric.score(asked(["a", "b", "c"], labels=labels), ["a", "b", "c"])
    assert found.value == pytest.approx(50.0)
    compared = metric.compare(asked(["a", "b", "c"], labels=labels), ["a", "b", "c"], ["", "", ""])
    assert (compared.difference, compared.test) == (pytest.approx(50.0), "bootstrap over speakers")


def test_titles_are_scored_by_rouge_without_what_announces_them():
    given = asked(["On old maps", "Time"])
    assert Rouge("rouge1").score(given, ['Title: "On new maps"', "Time"]).value == pytest.approx(
        100 * (2 / 3 + 1) / 2
    )
    assert "stem:no" in Rouge("rougeL").score(given, ["", "Time"]).note


def test_the_value_is_that_of_the_published_scorer():
    pairs = [("GPE", "malta"), ("DATE", "may")]
    right = score_entities([pairs], [pairs[:1]]).micro.f1
    assert EntityF1().score(asked([ENTITIES[0]]), ["GPE: malta"]).value == 100 * right


def test_turns_of_one_telephone_call_are_drawn_together():
    """Twenty calls of ten turns, all of a call right or all wrong: the interval is that of twenty, not of two hundred."""
    calls = [{"issue_id": str(turn // 10)} for turn in range(200)]
    question = asked(["thanks"] * 200, labels=calls, speakers=[""] * 200)
    answers = ["thanks" if turn // 10 % 2 else "apology" for turn in range(200)]
    assert len(set(question.clusters)) == 20
    found = Failed.to_read("acts").score(question, ["thanks" if one == "thanks" else "?" for one in answers])
    assert found.value == pytest.approx(50)
    assert found.high - found.low > 30  # 44 for twenty, 14 for two hundred


@pytest.mark.parametrize("metric", [SentimentF1(), DialogActF1()])
def test_the_interval_of_a_macro_f1_leaves_a_rare_label_out_of_resamples_that_lack_it(metric):
    """Forty speakers of whom one alone says "Negative" or "apology": all is right, so no resample is worse."""
    references = ["Negative"] + ["Neutral", "Positive"] * 20
    if isinstance(metric, DialogActF1):
        references = ["apology"] + ["thanks", "answer_agree"] * 20
    right = metric.score(asked(references), references)
    assert (right.low, right.high) == (None, None)
    answers = [*references[:-10], *references[:1] * 10]
    found = metric.score(asked(references), answers)
    assert found.low < found.value < found.high


def test_labels_that_never_occur_stay_zero_in_every_resample():
    references = ["thanks", "apology"] * 10
    found = DialogActF1().score(asked(references), ["thanks"] * 10 + references[10:])
    assert found.high < 100 * 2 / 18  # of 18 acts, two occur
