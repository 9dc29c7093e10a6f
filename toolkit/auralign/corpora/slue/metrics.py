"""The metrics of the SLUE tasks over an LLM's answers, and the score of a single answer.

`list_metrics` gives the metrics of a task; `answer_score` is the score of one answer in the gap ledger.
"""

from collections import Counter

from auralign.corpora.slue.answers import TEXT_TASKS, quotes, read_answer
from auralign.corpora.slue.corpus_f1 import DialogActF1, EntityF1, SentimentF1, percent
from auralign.corpora.slue.labels import COMBINED_TAG
from auralign.corpora.slue.located import (
    EntityFrameF1,
    EntityWordF1,
    PublishedEntityWordF1,
    QuestionF1,
    QuoteSpans,
    span_of,
)
from auralign.corpora.slue.spans import frame_f1
from auralign.records import Utterance
from auralign.score.metrics import bootstrap_difference
from auralign.score.summary import VARIANTS, rouge_scores, score_summaries
from auralign.score.task_metrics import MeanScore, Metric, MetricValue, Significance


def answer_score(
    task: str, answer: str, reference: str, utterance: Utterance, quote_spans: QuoteSpans
) -> float:
    """The score of one answer, 0 to 1: F1 of entities or acts, accuracy of a sentiment, frame-F1 of a question, or ROUGE-L."""
    found = read_answer(task, answer)
    if found is None:
        return 0.0
    if task == "question":
        return _span_score(utterance, quote_spans, found)
    right = read_answer(task, reference)
    if task in TEXT_TASKS:
        return float(rouge_scores([right], [found], utt_ids=[utterance.id])[0, VARIANTS.index("rougeL")])
    if task == "sentiment":
        return float(found == right)
    if task == "nel":  # the LLM may answer in raw or combined tags
        right, found = (
            [
                (COMBINED_TAG.get(tag, tag), phrase)
                for tag, phrase in side
                if COMBINED_TAG.get(tag, tag) is not None  # the combined task excludes the tag
            ]
            for side in (right, found)
        )
    sides = [Counter(right), Counter(found)]
    total = sum(sides, Counter()).total()
    return 2 * (sides[0] & sides[1]).total() / total if total else 1.0


def _span_score(utterance: Utterance, quote_spans: QuoteSpans, quote: str) -> float:
    span = span_of(quote_spans, utterance, quote)
    return max(frame_f1(span, gold) for gold in utterance.labels["answer_spans"]) if span else 0.0


class Rouge(Metric):
    """Mean ROUGE F1 of titles or abstracts; `variant` is one of auralign.score.summary.VARIANTS."""

    unit = "%"

    def __init__(self, variant: str):
        self.variant, self.name = variant, f"ROUGE-{variant.removeprefix('rouge')}"

    def score(self, asked, answers):
        found = score_summaries(
            self._read(asked.references),
            self._read(answers),
            utt_ids=asked.utt_ids,
            clusters=asked.clusters,
            seed=asked.seed,
        )
        estimate = getattr(found, self.variant)
        return MetricValue(
            *map(percent, (estimate.value, estimate.low, estimate.high)), f"{self.name}: {found.signature}"
        )

    def compare(self, asked, answers, others):
        at = VARIANTS.index(self.variant)
        sides = [
            rouge_scores(self._read(asked.references), self._read(one), utt_ids=asked.utt_ids)[:, at]
            for one in (answers, others)
        ]
        found = bootstrap_difference(*sides, **asked.by_speaker)
        return Significance(
            *map(percent, (found.value, found.low, found.high)), None, "bootstrap over speakers"
        )

    def _read(self, answers):
        return [read_answer("title", answer) or "" for answer in answers]


class Failed(MeanScore):
    """Share of answers that could not be read or located, and so could not be scored."""

    lower_is_better = True

    @classmethod
    def to_read(cls, task: str) -> "Failed":
        """The share of answers that the task's reader cannot read."""
        return cls(lambda answer, question, said: float(read_answer(task, answer) is None), "not read")

    @classmethod
    def to_locate(cls, task: str, quote_spans: QuoteSpans) -> "Failed":
        """The share of answers with a quote that could not be located."""

        def missed(answer, question, said):
            del said  # whether a quote is located does not depend on it
            return float(any(quote_spans[question.utt_id, quote] is None for quote in quotes(task, answer)))

        return cls(missed, "quote not located")


def list_metrics(task: str, quote_spans: QuoteSpans) -> tuple[Metric, ...]:
    """The metrics of a task; recognition has its own (`auralign.score.task_metrics.WordErrorRate`)."""
    unread = Failed.to_read(task)
    if task == "ner":
        kinds = [(tags, label_only) for tags in ("raw", "combined") for label_only in (False, True)]
        return (*(EntityF1(tags, label_only=label_only) for tags, label_only in kinds), unread)
    if task == "sentiment":
        return SentimentF1(), unread
    if task == "acts":
        return DialogActF1(), unread
    if task in TEXT_TASKS:
        return (*map(Rouge, VARIANTS), unread)
    located = Failed.to_locate(task, quote_spans)
    if task == "question":
        return QuestionF1(quote_spans), unread, located
    entities = (EntityFrameF1, EntityWordF1, PublishedEntityWordF1)
    return (*(metric(quote_spans) for metric in entities), unread, located)
