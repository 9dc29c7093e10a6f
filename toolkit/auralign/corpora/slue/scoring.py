"""Scores of the labels of the SLUE tasks (Shon et al., arXiv:2111.10367 and 2212.10525), by the rules of the official scorers.

    >>> score_entities([[("GPE", "paris")]], [None]).num_unparsed
    1

Scores are fractions, and 0 / 0 is 0. An answer that could not be read is None: it is scored as wrong, and counted. An entity
is a pair (tag, phrase).
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from auralign.corpora.slue.labels import COMBINED_TAG, DIALOG_ACTS, RAW_TAGS, SENTIMENTS
from auralign.records import shorten


@dataclass(frozen=True)
class Scores:
    """Precision, recall and F1 as fractions, 0 to 1."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class LabelScores:
    """`micro` is over all labels together; `macro` is the mean of the labels' scores."""

    micro: Scores
    macro: Scores
    labels: dict[str, Scores]
    num_unparsed: int


def score_entities(references, hypotheses, *, label_only=False) -> LabelScores:
    """Scores of the entities of N utterances; the macro average is over the tags of references and hypotheses.

    Repeats count: an entity is right as often as the reference of its utterance holds it. Tags of both sides must be raw, or both
    combined (`combine_tags`).

    Arguments
    ---------
    references : sequence of N sequences of (tag, phrase)
    hypotheses : sequence of N sequences of (tag, phrase)
        None if an answer could not be read.
    label_only : bool
        Whether only tags are compared ("label-F1").
    """
    check_counts(references, hypotheses)
    right, expected, found = Counter(), Counter(), Counter()
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        sides = [
            Counter((tag, None if label_only else phrase) for tag, phrase in entities)
            for entities in (reference, hypothesis or ())
        ]
        for count, entities in zip((expected, found, right), (*sides, sides[0] & sides[1]), strict=True):
            for (tag, _), times in entities.items():
                count[tag] += times
    return _score_labels(dict.fromkeys([*expected, *found]), right, expected, found, hypotheses)


def combine_tags(entities) -> list[tuple[str, str]]:
    """Raw entities with their combined tags, without those that the combined task excludes.

    Raises ValueError if a tag is not one of RAW_TAGS, such as a combined tag.
    """
    combined = []
    for tag, phrase in entities:
        if tag not in COMBINED_TAG:
            raise ValueError(
                f"{shorten(repr(phrase))} has the tag {shorten(repr(tag))}, not one of the raw tags {', '.join(RAW_TAGS)}"
            )
        if COMBINED_TAG[tag] is not None:
            combined.append((COMBINED_TAG[tag], phrase))
    return combined


def score_sentiment(references, predictions, *, union=False) -> LabelScores:
    """Scores of N sentiments, averaged over exactly the three labels.

    Any other prediction is wrong and counts as unparsed; `micro` is the accuracy. With `union`, the rule of the published
    numbers, the average is over the labels that occur in references or predictions: an answer in the LLM's own words is one more
    class, and a label that does not occur is not counted.

    Raises ValueError if a reference is not one of the labels, or if `union` is set and a prediction is None.
    """
    check_counts(references, predictions)
    _check_labels(references, SENTIMENTS)
    labels = SENTIMENTS
    if union:
        if None in predictions:
            raise ValueError(
                "a prediction is None; to average over the union of labels, give the answers as text"
            )
        labels = sorted({*references, *predictions})
    right = Counter(one for one, other in zip(references, predictions, strict=True) if one == other)
    known = [label if label in SENTIMENTS else None for label in predictions]
    return _score_labels(labels, right, Counter(references), Counter(predictions), known)


def score_dialog_acts(references, predictions) -> LabelScores:
    """Scores of N sets of dialog acts, averaged over all 18 acts; an act that does not occur scores 0.

    Arguments
    ---------
    references : sequence of N collections of acts
    predictions : sequence of N collections of acts
        None if an answer could not be read; an act named twice counts once.
    """
    check_counts(references, predictions)
    right, expected, found = Counter(), Counter(), Counter()
    for reference, prediction in zip(references, predictions, strict=True):
        reference, prediction = set(reference), set(prediction or ())
        _check_labels(reference | prediction, DIALOG_ACTS)
        expected.update(reference)
        found.update(prediction)
        right.update(reference & prediction)
    return _score_labels(DIALOG_ACTS, right, expected, found, predictions)


def _score_labels(labels, right, expected, found, answers):
    by_label = {label: scores_of(right[label], expected[label], found[label]) for label in labels}
    return LabelScores(
        micro=scores_of(right.total(), expected.total(), found.total()),
        macro=Scores(
            *(
                float(np.mean([getattr(scores, name) for scores in by_label.values()])) if by_label else 0.0
                for name in ("precision", "recall", "f1")
            )
        ),
        labels=by_label,
        num_unparsed=count_none(answers),
    )


def scores_of(right, expected, found):
    precision, recall = ratio(right, found), ratio(right, expected)
    return Scores(precision, recall, f1_of(precision, recall))


def f1_of(precision, recall):
    return ratio(2 * precision * recall, precision + recall)


def ratio(part, whole):
    return part / whole if whole else 0.0


def count_none(answers):
    return sum(answer is None for answer in answers)


def check_counts(references, predictions):
    if len(references) != len(predictions):
        raise ValueError(
            f"{len(references)} references but {len(predictions)} predictions: each needs its own; "
            "give None for one that could not be read"
        )
    if not len(references):
        raise ValueError("no reference to score against: a score over nothing is undefined")


def _check_labels(labels, known):
    unknown = sorted({str(label) for label in labels if label not in known})
    if unknown:
        raise ValueError(
            f"label {unknown[0]!r} is not one of {', '.join(known)}; remove labels that the task does not have"
        )
