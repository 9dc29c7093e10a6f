"""Metrics of SLUE's answers that are spans of the audio.

The LLM quotes words, and an aligner locates them: `quote_spans` maps (utterance id, quote) to (start, end) in seconds, or to
None if the quote could not be located.
"""

from collections.abc import Mapping

import numpy as np

from auralign.corpora.slue.answers import quotes, read_answer
from auralign.corpora.slue.corpus_f1 import CorpusF1, percent
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

QuoteSpans = Mapping[tuple[str, str], tuple[float, float] | None]
ROUNDING = 1e-3  # seconds by which the bounds of an entity and of its words may differ


def span_of(quote_spans: QuoteSpans, utterance: Utterance, quote: str):
    if (utterance.id, quote) not in quote_spans:
        raise ValueError(
            f"{utterance.id}: the quote {quote!r} was not searched for; locate the answers first"
        )
    return quote_spans[utterance.id, quote]


class LocatedF1(CorpusF1):
    """F1 of located entities; tags are ignored."""

    task, has_exact = "nel", False

    def __init__(self, quote_spans: QuoteSpans):
        self.quote_spans = quote_spans

    def spans(self, asked, answers) -> list:
        """The spans of each answer's located quotes; None for an answer that could not be read."""
        found = []
        for utterance, answer in zip(asked.utterances, answers, strict=True):
            located = [span_of(self.quote_spans, utterance, quote) for quote in quotes(self.task, answer)]
            located = [span for span in located if span]
            found.append(None if read_answer(self.task, answer) is None else located)
        return found

    def note(self, asked):
        ideal = self.fraction(asked, asked.references)
        return (
            f"{super().note(asked)}. Quotes are located by forced alignment; the right entities, located so, score "
            f"{100 * ideal:.2f}"
        )


class EntityFrameF1(LocatedF1):
    """F1 over frames of 10 ms, of all utterances together."""

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
    """F1 over words, of which 80 % must be covered; utterances without word times are not counted."""

    name = "word-F1, aligned"
    rule = "a word is found if 80 % of it is covered; of all utterances together"
    forgive_tail = False

    def fraction(self, asked, answers):
        gold = {question.key: _timed_words(utterance) for question, utterance in _pairs(asked)}
        spans = dict(zip(gold, self.spans(asked, answers), strict=True))
        return score_entity_words(gold, spans, forgive_tail=self.forgive_tail).scores.f1

    def counts(self, asked, answers):
        pairs = zip(asked.utterances, self.spans(asked, answers), strict=True)
        return _as_counts(
            count_entity_words(_timed_words(utterance), spans or (), forgive_tail=self.forgive_tail)
            for utterance, spans in pairs
        )

    def note(self, asked):
        num_untimed = sum(not utterance.words for utterance in asked.utterances)
        untimed = (
            f"; {num_untimed} of {len(asked.utterances)} utterances have no word times, and count nothing"
        )
        return super().note(asked) + (untimed if num_untimed else "")


class PublishedEntityWordF1(EntityWordF1):
    """The same by the pass of the SLUE toolkit, for comparison with its figures: words behind the last predicted span are not
    counted, which flatters."""

    name = "word-F1, aligned, as the SLUE toolkit"
    rule = "by the pass of the SLUE toolkit, which does not count the words behind the last predicted span"
    forgive_tail = True


def _pairs(asked):
    return zip(asked.questions, asked.utterances, strict=True)


def _as_counts(rows) -> np.ndarray:
    return np.array(list(rows), dtype=np.float64).T[None]


def _gold(utterance) -> list[tuple[float, float]]:
    return [(start, end) for _, start, end in utterance.labels["entity_spans"]]


def _timed_words(utterance) -> list[tuple[float, float, bool]]:
    """(start, end, whether the word lies in an entity) of each word."""
    spans = _gold(utterance)
    return [
        (start, end, any(start >= first - ROUNDING and end <= last + ROUNDING for first, last in spans))
        for _, start, end in utterance.words or ()
    ]


class QuestionF1(Metric):
    """Mean frame-F1 of spoken answers: the overlap in time with the best of a question's gold spans."""

    name, unit = "frame-F1, aligned", "%"

    def __init__(self, quote_spans: QuoteSpans):
        self.quote_spans = quote_spans

    def score(self, asked, answers):
        found = bootstrap_interval(self._scores(asked, answers), **asked.by_speaker)
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
            **asked.by_speaker,
        )
        return Significance(
            *map(percent, (found.value, found.low, found.high)), None, "bootstrap over speakers"
        )

    def _scores(self, asked, answers) -> np.ndarray:
        spans = [utterance.labels["answer_spans"] for utterance in asked.utterances]
        predictions = []
        for utterance, answer in zip(asked.utterances, answers, strict=True):
            quote = read_answer("question", answer)
            predictions.append(quote and span_of(self.quote_spans, utterance, quote))
        return score_spans(spans, predictions).questions
