"""The measures of the SLUE tasks over an LLM's answers, and what one answer is worth.

    >>> read_answer("question", 'The answer is "three kinds".'), read_answer("sentiment", "bad")
    ('three kinds', None)
    >>> quotes("nel", "PLACE: malta\\nPLACE: rome")
    ['malta', 'rome']

Where a task asks for a place in the audio, the LLM quotes words, and the place is where an aligner hears them: `places` maps
(utterance id, quote) to (start, end) in seconds, or to None where it could not be located. `auralign.score.slue` has the
scores; here are their intervals: a corpus' F1 is 2 right / (expected + found), of which speakers are drawn.

Legend: N answers; L labels over which an F1 is averaged, 1 where everything counts together.
"""

import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping

import numpy as np

from auralign.data.slue_labels import COMBINED_TAG, COMBINED_TAGS, DIALOG_ACTS, RAW_TAGS, SENTIMENTS
from auralign.data.text import compose
from auralign.records import Utterance
from auralign.score.measures import Asked, MeanScore, Measure, Measured, Significance
from auralign.score.metrics import (
    CONFIDENCE,
    bootstrap_difference,
    bootstrap_interval,
    mcnemar,
    resample_means,
)
from auralign.score.slue import (
    combine_tags,
    count_entity_frames,
    count_entity_words,
    frame_f1,
    read_dialog_acts,
    read_entities,
    read_sentiment,
    score_dialog_acts,
    score_entities,
    score_entity_frames,
    score_entity_words,
    score_sentiment,
    score_spans,
)
from auralign.score.summary import VARIANTS, rouge_scores, score_summaries

Places = Mapping[tuple[str, str], tuple[float, float] | None]
SPAN_TASKS = ("question", "nel")
TEXT_TASKS = ("title", "abstract")
ROUNDING = 1e-3  # seconds by which the bounds of an entity and of its words may differ
_LEAD = re.compile(
    r"^(?:the\s+)?(?:(?:answer|title|abstract|summary|quotation|quote)(?:\s+is\s*:?|\s*:))\s*", re.IGNORECASE
)
_AROUND = " \t\n\r\"'`*“”‘’"


# Readers


def read_answer(task: str, answer: str):
    """What an answer to a task says, or None where it cannot be read.

    ner, nel: a tuple of (tag, phrase); nel in raw or combined tags. acts: a tuple of acts. sentiment: one of three. question:
    the words quoted; title, abstract: the text; all without quotes around, and what announces them ("Answer:", "The title is").
    """
    answer = compose(answer)
    if task in ("ner", "nel"):
        reading = read_entities(answer, RAW_TAGS if task == "ner" else _BOTH_TAGS)
        return None if reading is None else reading.found
    if task == "sentiment":
        return read_sentiment(answer)
    if task == "acts":
        reading = read_dialog_acts(answer)
        return None if reading is None else reading.found
    if task in ("question", *TEXT_TASKS):
        return _read_quote(answer)
    raise ValueError(f"task {task!r}: there are ner, nel, sentiment, acts, question, title and abstract")


_BOTH_TAGS = tuple(dict.fromkeys((*RAW_TAGS, *COMBINED_TAGS)))


def _read_quote(answer: str) -> str | None:
    text = answer.strip()
    if text.startswith("```") and text.endswith("```"):
        text = re.sub(r"^```\w*\n?|```$", "", text)
    text = _LEAD.sub("", text.strip(_AROUND)).strip(_AROUND)
    if text.endswith('".') or text.endswith("”."):  # what stands behind the quotes is the sentence's
        text = text[:-2]
    text = " ".join(text.strip(_AROUND).split())
    return text if re.search(r"\w", text) else None


def quotes(task: str, answer: str) -> list[str]:
    """The phrases of an answer that are to be located, each once."""
    found = read_answer(task, answer) if task in SPAN_TASKS else None
    if found is None:
        return []
    return [found] if task == "question" else list(dict.fromkeys(phrase for _, phrase in found))


# What one answer is worth


def answer_score(task: str, answer: str, reference: str, utterance: Utterance, places: Places) -> float:
    """0 to 1: F1 of the entities or acts of this utterance, a sentiment right or wrong, frame-F1 of a question, ROUGE-L."""
    found = read_answer(task, answer)
    if found is None:
        return 0.0
    if task == "question":
        return _span_score(utterance, places, found)
    right = read_answer(task, reference)
    if task in TEXT_TASKS:
        return float(rouge_scores([right], [found], utt_ids=[utterance.id])[0, VARIANTS.index("rougeL")])
    if task == "sentiment":
        return float(found == right)
    if task == "nel":  # in raw or combined tags, as the LLM likes
        right, found = (
            [(COMBINED_TAG.get(tag) or tag, phrase) for tag, phrase in side] for side in (right, found)
        )
    sides = [Counter(right), Counter(found)]
    total = sum(sides, Counter()).total()
    return 2 * (sides[0] & sides[1]).total() / total if total else 1.0


def _span_score(utterance: Utterance, places: Places, quote: str) -> float:
    place = _place(places, utterance, quote)
    return max(frame_f1(place, span) for span in utterance.labels["answer_spans"]) if place else 0.0


def _place(places: Places, utterance: Utterance, quote: str):
    if (utterance.id, quote) not in places:
        raise ValueError(f"{utterance.id}: nobody looked for {quote!r} there; locate the answers first")
    return places[utterance.id, quote]


def clusters(asked: Asked) -> list[str]:
    """Who speaks; where nobody is known the document, which several questions may be about, the telephone call, of which an
    utterance is a turn, or the utterance itself."""
    return [
        utterance.speaker
        or utterance.labels.get("document_id")
        or utterance.labels.get("issue_id")
        or utterance.id
        for utterance in asked.utterances
    ]


# F1 of a whole test set


class CorpusF1(Measure):
    """An F1 over counts of all answers; the interval is over speakers.

    Compared by the bootstrap of the F1, and by McNemar's test of the answers that are all right; where no answer is exact, as
    times never are, by the first alone.
    """

    unit = "%"
    task: str  # whose reader reads the answers
    rule: str  # what it averages
    has_exact = True

    @abstractmethod
    def fraction(self, asked: Asked, answers: list[str]) -> float:
        """The F1, 0 to 1."""

    @abstractmethod
    def counts(self, asked: Asked, answers: list[str]) -> np.ndarray:
        """float64 (L, 3, N): right, expected and found of each label and answer."""

    def note(self, asked: Asked) -> str:
        """What a reader must know."""
        del asked  # of use to others
        return f'{self.name}: {self.rule}; an answer that cannot be read is wrong, and stays in; how many are: "not read"'

    def score(self, asked, answers):
        low, high = _interval(self._resample(asked, self.counts(asked, answers)))
        if len(set(clusters(asked))) == 1:
            low = high = None  # one speaker tells nothing of the spread between them
        return Measured(
            _percent(self.fraction(asked, answers)), _percent(low), _percent(high), self.note(asked)
        )

    def compare(self, asked, answers, others):
        sides = [self.counts(asked, one) for one in (answers, others)]
        resampled = self._resample(asked, np.concatenate(sides))
        half = len(sides[0])
        low, high = _interval(resampled[:, :half], minus=resampled[:, half:])
        p_value, test = None, "bootstrap over speakers"
        if self.has_exact:
            p_value, test = (
                mcnemar(*(self._exact(asked, one) for one in (answers, others))),
                "McNemar, answers all right, and bootstrap over speakers",
            )
        if len(set(clusters(asked))) == 1:
            low = high = None
        difference = self.fraction(asked, answers) - self.fraction(asked, others)
        return Significance(_percent(difference), _percent(low), _percent(high), p_value, test)

    def read(self, answers: list[str]) -> list:
        """What the answers say, None for each that cannot be read."""
        return [read_answer(self.task, answer) for answer in answers]

    def _exact(self, asked, answers) -> list[int]:
        pairs = zip(self.read(asked.references), self.read(answers), strict=True)
        return [int(found is not None and Counter(found) == Counter(right)) for right, found in pairs]

    def _resample(self, asked, counts) -> np.ndarray:
        """F1 of each label, under resampled speakers: (R, L)."""
        num_labels, _, num_answers = counts.shape
        means = resample_means(
            counts.reshape(3 * num_labels, num_answers), clusters=clusters(asked), seed=asked.seed
        ).reshape(-1, num_labels, 3)
        right, expected, found = np.moveaxis(means, -1, 0)
        size = expected + found
        return np.divide(2 * right, size, out=np.zeros_like(size), where=size > 0)


def _interval(resampled, *, minus=None):
    values = resampled.mean(axis=1) - (0 if minus is None else minus.mean(axis=1))
    return np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]).tolist()


def _percent(value):
    return None if value is None else 100 * float(value)


def _count_labels(labels, references, predictions) -> np.ndarray:
    """(L, 3, N) of references and predictions that are collections of labels, None for one that is not read."""
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
        "raw" or "combined": both sides are raw, and brought to combined tags before they are counted.
    label_only : bool
        Whether tags alone are compared: "label-F1".
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
    """Macro F1 over all 18 acts: one that nobody has scores 0."""

    name, task, rule = "macro F1", "acts", "the mean over all 18 acts"

    def fraction(self, asked, answers):
        return score_dialog_acts(self.read(asked.references), self.read(answers)).macro.f1

    def counts(self, asked, answers):
        return _count_labels(DIALOG_ACTS, self.read(asked.references), self.read(answers))


class _Located(CorpusF1):
    """Of entities that are located; tags do not count."""

    task, has_exact = "nel", False

    def __init__(self, places: Places):
        self.places = places

    def spans(self, asked, answers) -> list:
        """The places of each answer's quotes, without those that were not located; None for an answer that is not read."""
        found = []
        for utterance, answer in zip(asked.utterances, answers, strict=True):
            located = [_place(self.places, utterance, quote) for quote in quotes(self.task, answer)]
            located = [place for place in located if place]
            found.append(None if read_answer(self.task, answer) is None else located)
        return found

    def note(self, asked):
        ideal = self.fraction(asked, asked.references)
        return (
            f"{super().note(asked)}. Quotes are located by forced alignment; the right entities, located so, score "
            f"{100 * ideal:.2f}"
        )


class EntityFrameF1(_Located):
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


class EntityWordF1(_Located):
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


# Means over questions


class QuestionF1(Measure):
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
        return Measured(*map(_percent, (found.value, found.low, found.high)), note)

    def compare(self, asked, answers, others):
        found = bootstrap_difference(
            self._scores(asked, answers),
            self._scores(asked, others),
            clusters=clusters(asked),
            seed=asked.seed,
        )
        return Significance(
            *map(_percent, (found.value, found.low, found.high)), None, "bootstrap over speakers"
        )

    def _scores(self, asked, answers) -> np.ndarray:
        spans = [utterance.labels["answer_spans"] for utterance in asked.utterances]
        predictions = []
        for utterance, answer in zip(asked.utterances, answers, strict=True):
            quote = read_answer("question", answer)
            predictions.append(quote and _place(self.places, utterance, quote))
        return score_spans(spans, predictions).questions


class Rouge(Measure):
    """Mean ROUGE F1 of titles or abstracts, `variant` of auralign.score.summary.VARIANTS."""

    unit = "%"

    def __init__(self, variant: str):
        self.variant, self.name = variant, f"ROUGE-{variant.removeprefix('rouge')}"

    def score(self, asked, answers):
        found = score_summaries(
            self._read(asked.references),
            self._read(answers),
            utt_ids=asked.utt_ids,
            clusters=clusters(asked),
            seed=asked.seed,
        )
        estimate = getattr(found, self.variant)
        return Measured(
            *map(_percent, (estimate.value, estimate.low, estimate.high)), f"{self.name}: {found.signature}"
        )

    def compare(self, asked, answers, others):
        at = VARIANTS.index(self.variant)
        sides = [
            rouge_scores(self._read(asked.references), self._read(one), utt_ids=asked.utt_ids)[:, at]
            for one in (answers, others)
        ]
        found = bootstrap_difference(*sides, clusters=clusters(asked), seed=asked.seed)
        return Significance(
            *map(_percent, (found.value, found.low, found.high)), None, "bootstrap over speakers"
        )

    def _read(self, answers):
        return [read_answer("title", answer) or "" for answer in answers]


class Failed(MeanScore):
    """Share of answers with which something went wrong before they could be scored."""

    lower_is_better = True

    def clusters(self, asked):
        return clusters(asked)

    @classmethod
    def to_read(cls, task: str) -> "Failed":
        """Answers that are in no form that the task's reader knows."""
        return cls(lambda answer, question, said: float(read_answer(task, answer) is None), "not read")

    @classmethod
    def to_locate(cls, task: str, places: Places) -> "Failed":
        """Answers of which a quote could not be located."""

        def missed(answer, question, said):
            del said  # where it is not does not depend on the text
            return float(any(places[question.utt_id, quote] is None for quote in quotes(task, answer)))

        return cls(missed, "quote not located")


def task_measures(task: str, places: Places) -> tuple[Measure, ...]:
    """The measures of a task; recognition has its own (`auralign.score.measures.WordErrorRate`)."""
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
    located = Failed.to_locate(task, places)
    if task == "question":
        return QuestionF1(places), unread, located
    return EntityFrameF1(places), EntityWordF1(places), unread, located
