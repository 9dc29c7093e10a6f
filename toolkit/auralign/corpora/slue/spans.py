"""Scores of spans of time: spoken answers and located entities of SLUE, by the rules of the official scorers.

    >>> frame_f1((0.0, 1.0), (0.5, 1.5))
    0.5

Times are in seconds; scores are fractions, and 0 / 0 is 0.
"""

import math
from dataclasses import dataclass

import numpy as np

from auralign.corpora.slue.scoring import Scores, check_counts, count_none, f1_of, ratio, scores_of

FRAME_S = 0.01
WORD_TOLERANCE = 0.8


@dataclass(frozen=True)
class SpanScores:
    """`frame_f1` is the mean of `questions`, float64 (N,): the F1 of each question."""

    frame_f1: float
    questions: np.ndarray
    num_failed: int


@dataclass(frozen=True)
class LocationScores:
    """Scores, and the number of utterances without a prediction, whether they hold an entity or not."""

    scores: Scores
    num_absent: int


def score_spans(references, predictions) -> SpanScores:
    """Frame-F1 of N spoken answers: the maximum over a question's gold spans, averaged over the questions.

    Arguments
    ---------
    references : sequence of N sequences of (start_s, end_s)
    predictions : sequence of N (start_s, end_s)
        None for a prediction that failed, which scores 0.

    Raises ValueError if a question has no gold span, or a span is not finite or ends before it starts.
    """
    check_counts(references, predictions)
    questions = np.zeros(len(references))
    for position, (spans, prediction) in enumerate(zip(references, predictions, strict=True)):
        if not spans:
            raise ValueError(f"question {position} has no gold span: its score is undefined; leave it out")
        if prediction is not None:
            questions[position] = max(frame_f1(prediction, span) for span in spans)
    return SpanScores(float(np.mean(questions)), questions, count_none(predictions))


def frame_f1(prediction, reference) -> float:
    """F1 of the overlap of two spans (start_s, end_s): 1 if they are equal, else 0 if one has no length."""
    (start, end), (gold_start, gold_end) = (_check_span(span) for span in (prediction, reference))
    if (start, end) == (gold_start, gold_end):
        return 1.0
    overlap = max(0.0, min(end, gold_end) - max(start, gold_start))
    return f1_of(ratio(overlap, end - start), ratio(overlap, gold_end - gold_start))


def score_entity_frames(references, predictions) -> LocationScores:
    """Scores over the frames of 10 ms that lie in an entity of references or predictions, over all utterances.

    Arguments
    ---------
    references : dict, utterance -> sequence of (start_s, end_s)
        All utterances, also those without an entity, as predictions there are wrong.
    predictions : dict, utterance -> sequence of (start_s, end_s)
        All entities of an utterance that is absent or None are missed.
    """
    _check_utterances(references, predictions)
    counts = [
        count_entity_frames(spans, predictions.get(utterance) or ())
        for utterance, spans in references.items()
    ]
    return LocationScores(
        scores_of(*map(sum, zip(*counts, strict=True))), _count_absent(references, predictions)
    )


def count_entity_frames(spans, predicted) -> tuple[int, int, int]:
    """Frames of one utterance that are in an entity (right, expected, found); spans as of `score_entity_frames`."""
    gold, marked = _frames(spans), _frames(predicted)
    expected, found = _count_covered(gold), _count_covered(marked)
    return expected + found - _count_covered(gold + marked), expected, found


def score_entity_words(words, predictions, *, tolerance=WORD_TOLERANCE, forgive_tail=False) -> LocationScores:
    """Scores over words: a word is found if predicted spans cover at least `tolerance` of its duration.

    Arguments
    ---------
    words : dict, utterance -> sequence of (start_s, end_s, in_entity)
        All words of all utterances, without silences; a word without duration is never found.
    predictions : dict, utterance -> sequence of (start_s, end_s)
        All entities of an utterance that is absent or None are missed.
    tolerance : float
        Share of a word's duration, above 0 and at most 1.
    forgive_tail : bool
        The rule of the published numbers: words are not counted after the word or the silence in which the last predicted span of
        their utterance ends. Times between two words are silences. It raises the score; the score over frames has no such rule.

    Raises ValueError if `tolerance` is out of range, or a prediction is for an unknown utterance.
    """
    if not 0 < tolerance <= 1:
        raise ValueError(f"tolerance {tolerance}: it is a share of a word's duration, above 0 and at most 1")
    _check_utterances(words, predictions)
    counts = [
        count_entity_words(
            timed, predictions.get(utterance) or (), tolerance=tolerance, forgive_tail=forgive_tail
        )
        for utterance, timed in words.items()
    ]
    return LocationScores(scores_of(*map(sum, zip(*counts, strict=True))), _count_absent(words, predictions))


def count_entity_words(
    words, predicted, *, tolerance=WORD_TOLERANCE, forgive_tail=False
) -> tuple[int, int, int]:
    """Words of one utterance that are in an entity (right, expected, found); arguments as of `score_entity_words`."""
    if forgive_tail:
        return _count_as_toolkit(words, list(map(_check_span, predicted)), tolerance)
    right = expected = found = 0
    spans = _merge(map(_check_span, predicted))
    for start, end, in_entity in words:
        _check_span((start, end))
        covered = sum(max(0.0, min(end, last) - max(start, first)) for first, last in spans)
        hit = ratio(covered, end - start) >= tolerance
        right += bool(hit and in_entity)
        expected += bool(in_entity)
        found += hit
    return right, expected, found


def _count_as_toolkit(words, spans, tolerance) -> tuple[int, int, int]:
    """Counts by the pass of the SLUE toolkit (`eval_utils_nel.py`), which goes once through words, silences and spans together.

    A span is left behind at the first word or silence that ends no earlier than it; a silence leaves one span behind at most,
    also if it holds several. When no span is left, the remaining words are not counted. A span that was not left behind counts
    against the words after it: its overlap with them is negative.
    """
    if not spans:
        return 0, sum(bool(in_entity) for _, _, in_entity in words), 0
    right = expected = found = place = 0
    before = 0.0
    for start, end, in_entity in words:
        _check_span((start, end))
        if (
            start > before and place < len(spans) and spans[place][1] <= start
        ):  # a silence, from `before` to `start`
            place += 1
        before = max(before, end)
        if place == len(spans):
            break
        hit = False
        if spans[place][0] < end:
            covered = min(end, spans[place][1]) - max(start, spans[place][0])
            while place < len(spans) and spans[place][1] <= end:
                place += 1
                if place < len(spans) and spans[place][0] < end:
                    covered += min(end, spans[place][1]) - max(start, spans[place][0])
            hit = ratio(covered, end - start) >= tolerance
        right += bool(hit and in_entity)
        expected += bool(in_entity)
        found += hit
    return right, expected, found


def _frames(spans):
    """(first, end) frames; the published numbers need exactly this division, by which 0.47 s is frame 46."""
    return [(int(start / FRAME_S), int(end / FRAME_S)) for start, end in map(_check_span, spans)]


def _count_covered(intervals):
    return sum(end - start for start, end in _merge(intervals))


def _merge(intervals):
    """The spans, merged into sorted intervals that do not overlap."""
    merged = []
    for start, end in sorted(intervals):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def _count_absent(utterances, predictions):
    return sum(predictions.get(utterance) is None for utterance in utterances)


def _check_utterances(references, predictions):
    if not references:
        raise ValueError("no utterance to score: a score over nothing is undefined")
    unknown = sorted(str(utterance) for utterance in predictions if utterance not in references)
    if unknown:
        raise ValueError(
            f"a prediction for utterance {unknown[0]!r}, which the references lack; "
            "list it there, with no entity if it has none"
        )


def _check_span(span):
    start, end = span
    if not (math.isfinite(start) and math.isfinite(end) and start <= end):
        raise ValueError(f"span from {start} s to {end} s; give None for a prediction that failed")
    return start, end
