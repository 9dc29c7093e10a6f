"""F1 of a SLUE task over a whole test set, 2 right / (expected + found), with bootstrap intervals over speakers.

Legend: N answers; L labels over which F1 is averaged (1 for a micro average); R resamples.
"""

from abc import abstractmethod
from collections import Counter

import numpy as np

from auralign.corpora.slue.answers import read_answer
from auralign.corpora.slue.labels import DIALOG_ACTS, SENTIMENTS
from auralign.corpora.slue.scoring import combine_tags, score_dialog_acts, score_entities, score_sentiment
from auralign.score.metrics import Resampling, mcnemar, mean_of_defined, resample_means
from auralign.score.task_metrics import Asked, Metric, MetricValue, Significance


class CorpusF1(Metric):
    """An F1 from the counts of all answers, with an interval over speakers.

    Two systems are compared by the bootstrap of the F1, and by McNemar's test of the completely right answers; by the bootstrap
    alone for spans of time, which are never exact.
    """

    unit = "%"
    task: str  # the task by whose reader answers are read
    rule: str  # what the F1 is averaged over, for the report
    has_exact = True

    @abstractmethod
    def fraction(self, asked: Asked, answers: list[str]) -> float:
        """The F1, 0 to 1."""

    @abstractmethod
    def counts(self, asked: Asked, answers: list[str]) -> np.ndarray:
        """float64 (L, 3, N): the right, expected and found items of each label and answer."""

    def note(self, asked: Asked) -> str:
        """A note for the report."""
        del asked  # subclasses use it
        return f'{self.name}: {self.rule}; an answer that cannot be read is wrong, and stays in; how many are: "not read"'

    def score(self, asked, answers):
        found = Resampling(**asked.by_speaker)
        estimate = found.point(self.fraction(asked, answers))
        if found.has_interval:
            estimate = found.estimate(estimate.value, self._resample(asked, self.counts(asked, answers)))
        return MetricValue(*map(percent, (estimate.value, estimate.low, estimate.high)), self.note(asked))

    def compare(self, asked, answers, others):
        found = Resampling(**asked.by_speaker)
        estimate = found.point(self.fraction(asked, answers) - self.fraction(asked, others))
        if found.has_interval:
            # Both are drawn with one seed, and so in pairs.
            own, theirs = (self._resample(asked, self.counts(asked, one)) for one in (answers, others))
            estimate = found.estimate(estimate.value, own - theirs)
        p_value, test = None, "bootstrap over speakers"
        if self.has_exact:
            p_value, test = (
                mcnemar(*(self._exact(asked, one) for one in (answers, others))),
                "McNemar, answers all right, and bootstrap over speakers",
            )
        return Significance(*map(percent, (estimate.value, estimate.low, estimate.high)), p_value, test)

    def read(self, answers: list[str]) -> list:
        """The content of each answer; None if it cannot be read."""
        return [read_answer(self.task, answer) for answer in answers]

    def _exact(self, asked, answers) -> list[int]:
        pairs = zip(self.read(asked.references), self.read(answers), strict=True)
        return [int(found is not None and Counter(found) == Counter(right)) for right, found in pairs]

    def _resample(self, asked, counts) -> np.ndarray:
        """F1 for each resample of the speakers: (R,).

        A label that never occurs scores 0. One that occurs, but not in a resample, is left out of the mean over those that occur.
        """
        num_labels, _, num_answers = counts.shape
        means = resample_means(counts.reshape(3 * num_labels, num_answers), **asked.by_speaker).reshape(
            -1, num_labels, 3
        )
        right, expected, found = np.moveaxis(means, -1, 0)
        size = expected + found
        scores = np.divide(2 * right, size, out=np.full_like(size, np.nan), where=size > 0)
        occurs = counts[:, 1:].any(axis=(1, 2))
        return mean_of_defined(scores) * occurs.mean() if occurs.any() else np.zeros(len(scores))


def percent(value):
    return None if value is None else 100 * float(value)


def _count_labels(labels, references, predictions) -> np.ndarray:
    """Counts (L, 3, N) of references and predictions, collections of labels; None for a prediction that could not be read."""
    sides = [
        np.array([[(side or {})[label] if side else 0 for side in one] for label in labels], dtype=np.float64)
        for one in ([Counter(set(x)) for x in references], [Counter(set(x or ())) for x in predictions])
    ]
    return np.stack([np.minimum(*sides), *sides], axis=1)


class EntityF1(CorpusF1):
    """Micro F1 of named entities; repeats count.

    Arguments
    ---------
    tags : str
        "raw" or "combined"; answers have raw tags, which are mapped to combined ones before they are counted.
    label_only : bool
        Whether only tags are compared ("label-F1").
    """

    task = "ner"

    def __init__(self, tags: str = "raw", *, label_only: bool = False):
        if tags not in ("raw", "combined"):
            raise ValueError(f"tags {tags!r}: raw or combined")
        self.combined, self.label_only = tags == "combined", label_only
        self.name = f"{'label-F1' if label_only else 'F1'} {tags}"
        self.rule = "micro, of all entities together; one counts as often as its utterance holds it"

    def _sides(self, asked, answers):
        return [
            [self._combine(entities) for entities in self.read(texts)]
            for texts in (asked.references, answers)
        ]

    def _combine(self, entities):
        return combine_tags(entities) if self.combined and entities is not None else entities

    def _exact(self, asked, answers):
        return [
            int(found is not None and self._bag(found) == self._bag(right))
            for right, found in zip(*self._sides(asked, answers), strict=True)
        ]

    def _bag(self, entities) -> Counter:
        return Counter(tag if self.label_only else (tag, phrase) for tag, phrase in entities or ())

    def fraction(self, asked, answers):
        return score_entities(*self._sides(asked, answers), label_only=self.label_only).micro.f1

    def counts(self, asked, answers):
        bags = [[self._bag(entities) for entities in side] for side in self._sides(asked, answers)]
        counts = [
            [(right & found).total(), right.total(), found.total()]
            for right, found in zip(*bags, strict=True)
        ]
        return np.array(counts, dtype=np.float64).T[None]


class SentimentF1(CorpusF1):
    """Macro F1 over exactly the three sentiments."""

    name, task, rule = "macro F1", "sentiment", "the mean over the three sentiments"

    def fraction(self, asked, answers):
        return score_sentiment(self.read(asked.references), self.read(answers)).macro.f1

    def counts(self, asked, answers):
        sides = [
            [[label] if label else [] for label in self.read(texts)] for texts in (asked.references, answers)
        ]
        return _count_labels(SENTIMENTS, *sides)

    def _exact(self, asked, answers):
        pairs = zip(self.read(asked.references), self.read(answers), strict=True)
        return [int(right == found) for right, found in pairs]


class DialogActF1(CorpusF1):
    """Macro F1 over all 18 acts; an act that does not occur scores 0."""

    name, task, rule = "macro F1", "acts", "the mean over all 18 acts"

    def fraction(self, asked, answers):
        return score_dialog_acts(self.read(asked.references), self.read(answers)).macro.f1

    def counts(self, asked, answers):
        return _count_labels(DIALOG_ACTS, self.read(asked.references), self.read(answers))
