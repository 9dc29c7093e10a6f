"""Scores of spans of time, against the values of the official scorer and values by hand."""

import json
import math
from pathlib import Path

import pytest

from auralign.corpora.slue.scoring import Scores
from auralign.corpora.slue.spans import frame_f1, score_entity_frames, score_entity_words, score_spans

FILE = Path(__file__).parents[3] / "fixtures" / "slue_golden.json"
GOLDEN = json.loads(FILE.read_text(encoding="utf-8"))

ZERO = Scores(0.0, 0.0, 0.0)


def in_order(scores):
    return [scores.precision, scores.recall, scores.f1]


@pytest.mark.parametrize("case", ["exact", "shifted", "missed_utt", "absent_key"])
def test_published_slue_entity_times(case):
    expected = GOLDEN["nel"]["cases"][case]
    spans = {utt: [(start, end) for _, start, end in entities] for utt, entities in expected["pred"].items()}
    words = {
        utt: [(start, end, word.startswith("#")) for word, start, end in line if word]
        for utt, line in GOLDEN["nel"]["word_alignments"].items()
    }
    gold = {
        utt: [(start, end) for _, start, end in GOLDEN["nel"]["gt_entities"].get(utt, [])] for utt in words
    }
    assert in_order(score_entity_frames(gold, spans).scores) == expected["frame"]
    for tolerance, scores in expected["word"].items():
        found = score_entity_words(words, spans, tolerance=float(tolerance), forgive_tail=True)
        assert in_order(found.scores) == scores


def test_frame_f1_by_hand():
    # 1 s of overlap, of 2 s predicted and 4 s gold
    assert frame_f1((3.0, 5.0), (0.0, 4.0)) == pytest.approx(2 * (1 / 2) * (1 / 4) / (1 / 2 + 1 / 4))


@pytest.mark.parametrize(
    ("prediction", "gold", "score"),
    [
        ((0, 1), (2, 3), 0),
        ((0, 1), (1, 2), 0),
        ((1, 1), (0, 2), 0),
        ((0, 2), (1, 1), 0),
        ((1, 1), (1, 1), 1),
        ((1, 1), (2, 2), 0),
    ],
)
def test_spans_disjoint_or_without_length_score_zero_unless_identical(prediction, gold, score):
    assert frame_f1(prediction, gold) == score


def test_the_best_gold_span_counts():
    assert score_spans([[(0, 1), (2, 4), (2, 3)]], [(2, 3)]).frame_f1 == 1


def test_a_failed_prediction_scores_zero_and_is_counted():
    found = score_spans([[(0, 1)], [(0, 1)]], [None, (0, 1)])
    assert (found.frame_f1, found.questions.tolist(), found.num_failed) == (1 / 2, [0, 1], 1)


def test_a_question_without_a_gold_span_is_refused():
    with pytest.raises(ValueError, match="question 1 has no gold span"):
        score_spans([[(0, 1)], []], [(0, 1), (0, 1)])


@pytest.mark.parametrize("span", [(2, 1), (0, math.nan), (0, math.inf)])
def test_a_span_that_is_none_is_refused(span):
    with pytest.raises(ValueError, match="give None for a prediction that failed"):
        score_spans([[(0, 1)]], [span])
    with pytest.raises(ValueError, match="give None for a prediction that failed"):
        score_entity_frames({"a": [(0, 1)]}, {"a": [span]})


def test_entity_frames_by_hand():
    # 100 and 50 gold frames, 100 marked, 50 of them gold
    found = score_entity_frames({"a": [(0, 1)], "b": [(0, 0.5)]}, {"a": [(0.5, 1.5)], "b": []})
    assert in_order(found.scores) == [1 / 2, 1 / 3, pytest.approx(2 / 5)]


def test_a_frame_is_marked_once_however_many_spans_hold_it():
    found = score_entity_frames({"a": [(0, 1), (0.5, 1)]}, {"a": [(0, 0.5), (0.25, 0.5), (0.4, 1)]})
    assert found.scores == Scores(1.0, 1.0, 1.0)


def test_a_time_becomes_the_published_frame():
    # 0.47 / 0.01 is below 47, where 0.47 * 100 is 47
    assert score_entity_frames({"a": [(0, 0.47)]}, {"a": [(0, 0.465)]}).scores.f1 == 1


def test_times_are_cut_to_whole_frames():
    # frames 0 to 9 of the gold, none of the span within a frame
    assert score_entity_frames({"a": [(0, 0.109)]}, {"a": [(0.101, 0.109)]}).scores == ZERO


@pytest.mark.parametrize("predictions", [{"a": [(0, 1)]}, {"a": [(0, 1)], "b": None}])
def test_absent_utterances_are_misses_and_counted(predictions):
    frames = score_entity_frames({"a": [(0, 1)], "b": [(0, 1)]}, predictions)
    words = score_entity_words({"a": [(0, 1, True)], "b": [(0, 1, True)]}, predictions)
    assert frames == words
    assert (in_order(words.scores), words.num_absent) == ([1, 1 / 2, pytest.approx(2 / 3)], 1)


def test_an_entity_after_the_last_span_is_missed_unless_forgiven():
    words = {"a": [(0, 1, True), (1, 2, True)], "b": [(0, 1, True)]}
    predictions = {"a": [(0, 1)], "b": []}
    assert score_entity_words(words, predictions).scores.recall == 1 / 3
    assert score_entity_words(words, predictions, forgive_tail=True).scores.recall == 1 / 2


def test_a_silence_leaves_one_span_behind_and_the_next_counts_against_the_words():
    # two spans in the silence from 1 s to 2 s: the second is not left behind, so the last word is missed and not forgiven
    words = {"a": [(0, 1, True), (2, 3, True)]}
    one, two = {"a": [(0, 1), (1.2, 1.5)]}, {"a": [(0, 1), (1.2, 1.5), (1.6, 1.8)]}
    assert score_entity_words(words, one, forgive_tail=True).scores.recall == 1
    assert score_entity_words(words, two, forgive_tail=True).scores.recall == 1 / 2


def test_a_word_that_touches_the_word_of_the_last_span_is_forgiven_only_if_the_span_has_ended():
    words = {"a": [(0, 0.9, True), (0.9, 2, True)]}
    assert score_entity_words(words, {"a": [(0, 0.9)]}, forgive_tail=True).scores.recall == 1
    assert score_entity_words(words, {"a": [(0, 1)]}, forgive_tail=True).scores.recall == 1 / 2


def test_spans_cover_a_word_together_but_no_part_of_it_twice():
    words = {"a": [(0, 1, True)]}
    assert score_entity_words(words, {"a": [(0.5, 1), (0, 0.5)]}).scores.recall == 1
    assert score_entity_words(words, {"a": [(0, 0.5), (0, 0.5)]}).scores.recall == 0


def test_entity_frames_where_none_are_expected_are_wrong():
    assert (
        score_entity_frames({"a": [(0, 1)], "b": []}, {"a": [(0, 1)], "b": [(0, 1)]}).scores.precision
        == 1 / 2
    )


def test_a_word_is_found_from_the_tolerance_on():
    words = {"a": [(0, 1, True), (1, 2, False)]}
    found = {
        share: score_entity_words(words, {"a": [(0, share)]}).scores.recall for share in (0.75, 0.8, 1.5)
    }
    assert found == {0.75: 0, 0.8: 1, 1.5: 1}


def test_a_found_word_outside_entities_costs_precision():
    found = score_entity_words({"a": [(0, 1, True), (1, 2, False)]}, {"a": [(0, 1.9)]})
    assert found.scores.precision == 1 / 2


def test_a_word_without_length_is_never_found():
    assert score_entity_words({"a": [(1, 1, True)]}, {"a": [(0, 2)]}).scores == ZERO


def test_a_span_without_length_finds_nothing():
    assert score_entity_words({"a": [(0, 1, True)]}, {"a": [(0.5, 0.5)]}).scores == ZERO


@pytest.mark.parametrize("tolerance", [0, 1.1])
def test_a_tolerance_that_is_no_share_is_refused(tolerance):
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        score_entity_words({"a": []}, {}, tolerance=tolerance)


@pytest.mark.parametrize("score", [score_entity_frames, score_entity_words])
def test_a_prediction_for_an_unknown_utterance_is_refused(score):
    with pytest.raises(ValueError, match="utterance 'b', which the references lack"):
        score({"a": []}, {"b": []})
    with pytest.raises(ValueError, match="no utterance to score"):
        score({}, {})
