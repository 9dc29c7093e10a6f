"""The field's metrics over the answers to a whole test set: word error rate, BLEU, a mean score.

    >>> question = Question("q", "utt", "clean", "asr", None, "three five")
    >>> asked = Asked((question,), (Utterance("utt", "utt.wav", 1.0, "three five"),), seed=1)
    >>> right = MeanScore(lambda answer, question, said: float(answer == question.reference), "right")
    >>> right.score(asked, ["three five"]).value
    100.0

The gap ledger scores single answers; `auralign.ledger.tasks` shows these metrics beside it.

Legend: N questions of one group, task and phrasing.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from auralign.records import Question, Utterance
from auralign.score.metrics import (
    CONFIDENCE,
    agree,
    bootstrap_difference,
    bootstrap_interval,
    bootstrap_sums,
    mcnemar,
)
from auralign.score.recognition import error_rate, error_rate_difference
from auralign.score.translation import compare_translations, corpus_statistics, score_translation
from auralign.text.forms import TextForm

SIGNIFICANT = 1 - CONFIDENCE


@dataclass(frozen=True)
class Asked:
    """N questions of one group, task and phrasing, and their utterances."""

    questions: tuple[Question, ...]
    utterances: tuple[Utterance, ...]
    seed: int

    @property
    def references(self) -> list[str]:
        return [question.reference for question in self.questions]

    @property
    def utt_ids(self) -> list[str]:
        return [utterance.id for utterance in self.utterances]

    @property
    def clusters(self) -> list[str]:
        """What is resampled first, of each utterance: its speaker if known (`Utterance.cluster`)."""
        return [utterance.cluster for utterance in self.utterances]

    @property
    def by_speaker(self) -> dict:
        """What the bootstrap draws, as arguments of `auralign.score.metrics.bootstrap_interval`: speakers, then utterances."""
        return {
            "clusters": self.clusters,
            "within": self.utt_ids,
            "seed": self.seed,
        }


@dataclass(frozen=True)
class MetricValue:
    """The value of a metric over N answers, with its interval (None if undefined) and a note for the report."""

    value: float
    low: float | None = None
    high: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Significance:
    """The difference of a metric between two systems on the same questions, and whether chance explains it; `adjusted` is the
    p-value after Holm's correction over all comparisons of a page, None if it was not corrected."""

    difference: float
    low: float | None
    high: float | None
    p_value: float | None
    test: str
    adjusted: float | None = None

    @property
    def is_significant(self) -> bool:
        """At 5 %: the p-value is below 0.05 and the interval over speakers excludes zero; by one alone if the other is unknown.

        A p-value alone assumes independent answers, but those of one speaker are not.
        """
        p_value = self.p_value if self.adjusted is None else self.adjusted
        by_test = None if p_value is None else p_value < SIGNIFICANT
        by_interval = None if self.low is None else not self.low <= 0 <= self.high
        return agree(by_test, by_interval)


class Metric(ABC):
    """A metric of a task; a recipe may define its own.

    Attributes
    ----------
    name : str
    unit : str
        Unit of the values, such as "%"; "" by default.
    lower_is_better : bool
        Default: False.
    """

    name: str
    unit: str = ""
    lower_is_better = False

    @abstractmethod
    def score(self, asked: Asked, answers: list[str]) -> MetricValue:
        """The metric of N answers."""

    @abstractmethod
    def compare(self, asked: Asked, answers: list[str], others: list[str]) -> Significance:
        """The metric of N answers minus that of N others to the same questions."""


class WordErrorRate(Metric):
    """Word error rate in one form of the text, with an interval over speakers.

    Arguments
    ---------
    form : TextForm
        Such as `auralign.text.forms.raw_form("en")`.
    name : str
    """

    unit = "%"
    lower_is_better = True

    def __init__(self, form: TextForm, name: str):
        self.form, self.name = form, name

    def score(self, asked, answers):
        units = {"speakers": asked.clusters, "utt_ids": asked.utt_ids, "seed": asked.seed}
        rate = error_rate(self.form, asked.references, answers, **units)
        note = f"{self.name}: {rate.unit}s {rate.text}"
        if rate.num_empty_references:
            note += f"; {rate.num_empty_references} references hold none, and are kept"
        return MetricValue(*_percent(rate.wer), note)

    def compare(self, asked, answers, others):
        units = {"speakers": asked.clusters, "utt_ids": asked.utt_ids, "seed": asked.seed}
        estimate = error_rate_difference(self.form, asked.references, answers, others, **units)
        return Significance(*_percent(estimate), None, "bootstrap over speakers")


class Translation(Metric):
    """BLEU or chrF by sacrebleu, in points, with an interval over speakers.

    A corpus score is no mean over answers: for each resample it is computed anew from the summed counts of the drawn speakers.

    Arguments
    ---------
    name : str
        "BLEU" or "chrF".
    language : str
        Code of the target language.
    """

    unit = ""

    def __init__(self, name: str, language: str):
        self.name, self.language = name, language

    def score(self, asked, answers):
        found = _score(tuple(asked.references), tuple(answers), tuple(asked.utt_ids), self.language)
        one = getattr(found, self.name.lower())
        note = "; ".join([f"{self.name} into {self.language}: {one.signature}", *found.notes])
        counted = self._count(asked, answers)
        interval = bootstrap_sums(np.transpose(counted.rows), counted.points, **asked.by_speaker)
        return MetricValue(one.points, interval.low, interval.high, note)

    def compare(self, asked, answers, others):
        found = _compare(tuple(asked.references), tuple(answers), tuple(others), self.language, asked.seed)
        pair = getattr(found, self.name.lower())
        own, theirs = self._count(asked, answers), self._count(asked, others)
        columns = np.transpose(np.concatenate([own.rows, theirs.rows], axis=1))
        width = len(own.rows[0])
        interval = bootstrap_sums(
            columns,
            lambda sums: own.points(sums[:width]) - theirs.points(sums[width:]),
            **asked.by_speaker,
        )
        return Significance(
            pair.points - pair.other_points,
            interval.low,
            interval.high,
            pair.p_value,
            "paired bootstrap of sacrebleu, and bootstrap over speakers",
        )

    def _count(self, asked, answers):
        return _count(tuple(asked.references), tuple(answers), self.language)[self.name.lower()]


# BLEU and chrF are computed together, so both metrics share one cached result.
@lru_cache(maxsize=512)
def _score(references, answers, utt_ids, language):
    return score_translation(references, answers, utt_ids=utt_ids, language=language)


@lru_cache(maxsize=512)
def _compare(references, answers, others, language, seed):
    return compare_translations(references, answers, others, language=language, seed=max(seed, 1))


@lru_cache(maxsize=64)  # the counts of a column; 26 numbers for each answer
def _count(references, answers, language):
    return corpus_statistics(references, answers, language=language)


class MeanScore(Metric):
    """The mean score of single answers, in percent.

    Systems are compared by the bootstrap over speakers, and also by McNemar's test if all scores are 0 or 1.

    Arguments
    ---------
    score : callable (answer, question, text of the utterance) -> float from 0 to 1
        Such as the `score` of a recipe's judge.
    name : str
    """

    unit = "%"

    def __init__(self, score: Callable[[str, Question, str], float], name: str):
        self.score_one, self.name = score, name

    def score(self, asked, answers):
        scores = self._scores(asked, answers)
        return MetricValue(*_percent(bootstrap_interval(scores, **asked.by_speaker)))

    def compare(self, asked, answers, others):
        scores, other_scores = self._scores(asked, answers), self._scores(asked, others)
        found = bootstrap_difference(scores, other_scores, **asked.by_speaker)
        if set(scores) | set(other_scores) <= {0.0, 1.0}:
            return Significance(
                *_percent(found), mcnemar(scores, other_scores), "McNemar, and bootstrap over speakers"
            )
        return Significance(*_percent(found), None, "bootstrap over speakers")

    def _scores(self, asked, answers):
        return np.array(
            [
                float(self.score_one(answer, question, utterance.text))
                for answer, question, utterance in zip(
                    answers, asked.questions, asked.utterances, strict=True
                )
            ]
        )


def _percent(estimate):
    return tuple(
        None if value is None else 100 * value for value in (estimate.value, estimate.low, estimate.high)
    )
