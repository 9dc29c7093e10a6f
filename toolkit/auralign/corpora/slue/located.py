"""Metrics of SLUE's answers that are places in the audio.

The LLM quotes words, and an aligner finds where they are said: `places` maps (utterance id, quote) to (start, end) in seconds,
or to None if the quote could not be located.
"""

from collections.abc import Mapping

import numpy as np

from auralign.corpora.slue.answers import quotes, read_answer
from auralign.corpora.slue.corpus_f1 import CorpusF1, clusters, percent
from auralign.corpora.slue.spans import (
    count_entity_frames,
    count_entity_words,
    score_entity_frames,
    score_entity_words,
    score_spans,
)
from auralign.records import Utterance
from auralign.score.metrics import bootstrap_difference, bootstrap_interval
from auralign.score.task_metrics import Metric, MetricValue, Significance

Places = Mapping[tuple[str, str], tuple[float, float] | None]
ROUNDING = 1e-3  # seconds by which the bounds of an entity and of its words may differ


def place_of(places: Places, utterance: Utterance, quote: str):
    if (utterance.id, quote) not in places:
        raise ValueError(f"{utterance.id}: nobody looked for {quote!r} there; locate the answers first")
    return places[utterance.id, quote]


class LocatedF1(CorpusF1):
    """Of entities that are located; tags do not count."""

    task, has_exact = "nel", False

    def __init__(self, places: Places):
        self.places = places

    def spans(self, asked, answers) -> list:
        """The places of each answer's quotes, without those that were not located; None for an answer that is not read."""
        found = []
        for utterance, answer in zip(asked.utterances, answers, strict=True):
            located = [place_of(self.places, utterance, quote) for quote in quotes(self.task, answer)]
            located = [place for place in located if place]
            found.append(None if read_answer(self.task, answer) is None else located)
        return found

    def note(self, asked):
        ideal = self.fraction(asked, asked.references)
        return (
            f"{super().note(asked)}. Quotes are located by forced alignment; the right entities, located so, score "
            f"{100 * ideal:.2f}"
        )


class EntityFrameF1(LocatedF1):
    """Over frames of 10 ms of all utterances."""

    name = "frame-F1, aligned"
    rule = "frames of 10 ms, of all utterances together"

    def fraction(self, asked, answers):
        gold = {question.key: _gold(utterance) for question, utterance in _pairs(asked)}
        spans = dict(zip(gold, self.spans(asked, answers), strict=True))
        return score_entity_frames(gold, spans).scores.f1

    def counts(self, asked, answers):
        pairs = zip(asked.utterances, self.spans(asked, answers), strict=True)
        return _as_counts(count_entity_frames(_gold(utterance), spans or ()) for utterance, spans in pairs)


class EntityWordF1(LocatedF1):
    """Over words, of which 80 % must be covered; utterances without word times have none."""

    name = "word-F1, aligned"
    rule = "a word is found where 80 % of it is covered; of all utterances together"

    def fraction(self, asked, answers):
        gold = {question.key: _timed_words(utterance) for question, utterance in _pairs(asked)}
        spans = dict(zip(gold, self.spans(asked, answers), strict=True))
        return score_entity_words(gold, spans).scores.f1

    def counts(self, asked, answers):
        pairs = zip(asked.utterances, self.spans(asked, answers), strict=True)
        return _as_counts(
            count_entity_words(_timed_words(utterance), spans or ()) for utterance, spans in pairs
        )

    def note(self, asked):
        num_untimed = sum(not utterance.words for utterance in asked.utterances)
        untimed = (
            f"; {num_untimed} of {len(asked.utterances)} utterances have no word times, and count nothing"
        )
        return super().note(asked) + (untimed if num_untimed else "")


def _pairs(asked):
    return zip(asked.questions, asked.utterances, strict=True)


def _as_counts(rows) -> np.ndarray:
    return np.array(list(rows), dtype=np.float64).T[None]


def _gold(utterance) -> list[tuple[float, float]]:
    return [(start, end) for _, start, end in utterance.labels["entity_spans"]]


def _timed_words(utterance) -> list[tuple[float, float, bool]]:
    """Words and whether they lie in an entity."""
    spans = _gold(utterance)
    return [
        (start, end, any(start >= first - ROUNDING and end <= last + ROUNDING for first, last in spans))
        for _, start, end in utterance.words or ()
    ]


class QuestionF1(Metric):
    """Frame-F1 of spoken answers: the overlap in time with the best of a question's gold spans, mean over the questions."""

    name, unit = "frame-F1, aligned", "%"

    def __init__(self, places: Places):
        self.places = places

    def score(self, asked, answers):
        found = bootstrap_interval(self._scores(asked, answers), clusters=clusters(asked), seed=asked.seed)
        ideal = float(self._scores(asked, asked.references).mean())
        note = (
            f"{self.name}: a quote that cannot be read or located scores 0. Quotes are located by forced alignment; the first "
            f"right answer of each question, located so, scores {100 * ideal:.2f}"
        )
        return MetricValue(*map(percent, (found.value, found.low, found.high)), note)

    def compare(self, asked, answers, others):
        found = bootstrap_difference(
            self._scores(asked, answers),
            self._scores(asked, others),
            clusters=clusters(asked),
            seed=asked.seed,
        )
        return Significance(
            *map(percent, (found.value, found.low, found.high)), None, "bootstrap over speakers"
        )

    def _scores(self, asked, answers) -> np.ndarray:
        spans = [utterance.labels["answer_spans"] for utterance in asked.utterances]
        predictions = []
        for utterance, answer in zip(asked.utterances, answers, strict=True):
            quote = read_answer("question", answer)
            predictions.append(quote and place_of(self.places, utterance, quote))
        return score_spans(spans, predictions).questions
