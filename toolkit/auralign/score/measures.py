"""The field's measures of a task (word error rate, BLEU, F1, ...), beside the ledger, over the phrasings in which it was asked.

    >>> spread = Spread.over([Measured(0.10), Measured(0.30)], lower_is_better=True)
    >>> spread.mean, spread.worst, round(spread.deviation, 3)
    (0.2, 0.3, 0.141)

A ledger scores answer by answer; these are of a whole test set, and what papers print. A model that obeys one wording of an
instruction and not another shows in the worst and the deviation.

Legend: N questions of one group, task and phrasing; P phrasings.
"""

import statistics
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations

import numpy as np

from auralign.records import Question, Utterance
from auralign.score.metrics import CONFIDENCE, bootstrap_difference, bootstrap_interval, mcnemar
from auralign.score.recognition import error_rate, error_rate_difference
from auralign.score.translation import compare_translations, score_translation
from auralign.text.forms import TextForm

SIGNIFICANT = 1 - CONFIDENCE
CASCADE = "matched cascade"
COLUMNS = ("text", "normalised", "transcript", "speech", "shuffled")


@dataclass(frozen=True)
class Asked:
    """N questions of one group, task and phrasing, and the utterances that they are about."""

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
    def speakers(self) -> list[str]:
        """Who speaks; an utterance of nobody known is a speaker of its own."""
        return [utterance.speaker or utterance.id for utterance in self.utterances]


@dataclass(frozen=True)
class Measured:
    """A measure of N answers, with its interval where there is one, and what a reader must know of it."""

    value: float
    low: float | None = None
    high: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Significance:
    """A measure of answers minus that of others to the same questions, and whether chance explains it."""

    difference: float
    low: float | None
    high: float | None
    p_value: float | None
    test: str

    @property
    def is_significant(self) -> bool:
        """At 5 %: by the p-value, and where the interval, over speakers, holds no zero; by one where the other is not known.

        A p-value alone takes answers for independent, which those of one speaker are not.
        """
        by_test = None if self.p_value is None else self.p_value < SIGNIFICANT
        by_interval = None if self.low is None else not self.low <= 0 <= self.high
        known = [verdict for verdict in (by_test, by_interval) if verdict is not None]
        return bool(known) and all(known)


class Measure(ABC):
    """A measure of a task. A recipe may bring its own.

    Attributes
    ----------
    name : str
    unit : str
        Behind the number, such as "%"; values are in it.
    lower_is_better : bool
    """

    name: str
    unit: str = ""
    lower_is_better = False

    @abstractmethod
    def score(self, asked: Asked, answers: list[str]) -> Measured:
        """Of N answers."""

    @abstractmethod
    def compare(self, asked: Asked, answers: list[str], others: list[str]) -> Significance:
        """Of N answers against N others to the same questions."""


class WordErrorRate(Measure):
    """In one form of the text, against `reference`; the interval is over speakers.

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
        rate = error_rate(self.form, asked.references, answers, speakers=asked.speakers, seed=asked.seed)
        note = f"{self.name}: {rate.unit}s {rate.text}"
        if rate.num_empty_references:
            note += f"; {rate.num_empty_references} references hold none and are kept"
        return Measured(*_percent(rate.wer), note)

    def compare(self, asked, answers, others):
        estimate = error_rate_difference(
            self.form, asked.references, answers, others, speakers=asked.speakers, seed=asked.seed
        )
        return Significance(*_percent(estimate), None, "bootstrap over speakers")


class Translation(Measure):
    """BLEU or chrF by sacrebleu, against `reference`, in points.

    Arguments
    ---------
    name : str
        "BLEU" or "chrF".
    language : str
        Of the target.
    """

    unit = ""

    def __init__(self, name: str, language: str):
        self.name, self.language = name, language

    def score(self, asked, answers):
        found = _score(tuple(asked.references), tuple(answers), tuple(asked.utt_ids), self.language)
        one = getattr(found, self.name.lower())
        note = "; ".join([f"{self.name} into {self.language}: {one.signature}", *found.notes])
        return Measured(one.points, note=note)

    def compare(self, asked, answers, others):
        found = _compare(tuple(asked.references), tuple(answers), tuple(others), self.language, asked.seed)
        pair = getattr(found, self.name.lower())
        return Significance(
            pair.points - pair.other_points, None, None, pair.p_value, "paired bootstrap of sacrebleu"
        )


# BLEU and chrF are counted together: once for both measures.
@lru_cache(maxsize=512)
def _score(references, answers, utt_ids, language):
    return score_translation(references, answers, utt_ids=utt_ids, language=language)


@lru_cache(maxsize=512)
def _compare(references, answers, others, language, seed):
    return compare_translations(references, answers, others, language=language, seed=max(seed, 1))


class MeanScore(Measure):
    """The mean of what the answers are worth one by one, in percent; compared by the bootstrap over speakers, and where each is
    0 or 1 by McNemar's test too.

    Arguments
    ---------
    score : callable (answer, question, text of the utterance) -> 0 to 1
        As of a recipe's judge.
    name : str
    """

    unit = "%"

    def __init__(self, score: Callable[[str, Question, str], float], name: str):
        self.score_one, self.name = score, name

    def score(self, asked, answers):
        scores = self._scores(asked, answers)
        return Measured(*_percent(bootstrap_interval(scores, clusters=self.clusters(asked), seed=asked.seed)))

    def compare(self, asked, answers, others):
        scores, other_scores = self._scores(asked, answers), self._scores(asked, others)
        found = bootstrap_difference(scores, other_scores, clusters=self.clusters(asked), seed=asked.seed)
        if set(scores) | set(other_scores) <= {0.0, 1.0}:
            return Significance(
                *_percent(found), mcnemar(scores, other_scores), "McNemar, and bootstrap over speakers"
            )
        return Significance(*_percent(found), None, "bootstrap over speakers")

    def clusters(self, asked: Asked) -> list[str]:
        """What is drawn as one by the bootstrap, of each answer."""
        return asked.speakers

    def _scores(self, asked, answers):
        return np.array(
            [
                float(self.score_one(answer, question, utterance.text))
                for answer, question, utterance in zip(
                    answers, asked.questions, asked.utterances, strict=True
                )
            ]
        )


@dataclass(frozen=True)
class Spread:
    """A measure over P phrasings."""

    values: tuple[Measured, ...]
    mean: float
    worst: float
    deviation: float  # of the sample; 0 for one phrasing
    low: float | None = None  # interval of all phrasings together
    high: float | None = None

    @classmethod
    def over(
        cls, values: Iterable[Measured], *, lower_is_better: bool, together: Measured | None = None
    ) -> "Spread":
        """`together` is the measure of all phrasings' answers in one: it gives the interval."""
        values = tuple(values)
        numbers = [measured.value for measured in values]
        worst = max(numbers) if lower_is_better else min(numbers)
        deviation = statistics.stdev(numbers) if len(numbers) > 1 else 0.0
        interval = (together.low, together.high) if together else (None, None)
        return cls(values, statistics.fmean(numbers), worst, deviation, *interval)


@dataclass(frozen=True)
class TaskComparison:
    """Answers to speech against others, phrasing by phrasing."""

    method: str
    other: str
    values: tuple[Significance, ...]

    @property
    def mean(self) -> float:
        return statistics.fmean(value.difference for value in self.values)

    @property
    def num_significant(self) -> int:
        return sum(value.is_significant for value in self.values)


@dataclass(frozen=True)
class TaskTable:
    """One measure of one task in one group: what reading gives, and each method by speech and by another's."""

    group: str
    task: str
    measure: str
    unit: str
    lower_is_better: bool
    num_questions: int  # of a phrasing; the largest
    num_phrasings: int
    wordings: tuple[str | None, ...]  # of each phrasing that of its first question
    read: dict[str, Spread]  # text, normalised, transcript
    heard: dict[str, dict[str, Spread]]  # method -> speech, shuffled
    comparisons: tuple[TaskComparison, ...] = ()
    notes: tuple[str, ...] = field(default=())


def measure_tasks(
    columns: dict[str, list], utterances: Callable[[str], Utterance], measures, *, seed: int
) -> list[TaskTable]:
    """The measures of all tasks.

    Arguments
    ---------
    columns : dict of str -> list of Item
        By method; of `auralign.score.columns.read_items`.
    utterances : callable (utterance id) -> Utterance
    measures : callable (group, task) -> sequence of Measure
        Of a task in a group; empty for one that the ledger alone tells of.
    seed : int
        Of the resamples.
    """
    first = next(iter(columns.values()))
    places: dict[tuple[str, str], dict[int, list[int]]] = {}
    for place, item in enumerate(first):
        question = item.question
        places.setdefault((question.group, question.task), {}).setdefault(question.phrasing, []).append(place)
    tables = []
    for (group, task), phrasings in places.items():
        wanted = measures(group, task)
        if not wanted:
            continue
        asked = [_ask(first, chosen, utterances, seed) for chosen in phrasings.values()]
        answers = {
            method: [_pick(items, chosen) for chosen in phrasings.values()]
            for method, items in columns.items()
        }
        tables += [_measure(measure, group, task, asked, answers) for measure in wanted]
    return tables


def pool(asked: list[Asked]) -> Asked:
    """The questions of all phrasings in one."""
    return Asked(
        tuple(question for one in asked for question in one.questions),
        tuple(utterance for one in asked for utterance in one.utterances),
        asked[0].seed,
    )


def _ask(items, places, utterances, seed) -> Asked:
    questions = tuple(items[place].question for place in places)
    return Asked(questions, tuple(utterances(question.utt_id) for question in questions), seed)


def _pick(items, places) -> dict[str, list[str]]:
    """Input kind to answers."""
    return {kind: [items[place].answers[kind] for place in places] for kind in items[places[0]].answers}


def _measure(measure, group, task, asked, answers) -> TaskTable:
    def spread(method, kind):
        found = [measure.score(one, given[kind]) for one, given in zip(asked, answers[method], strict=True)]
        notes.update(dict.fromkeys(measured.note for measured in found if measured.note))
        together = None
        if kind == "speech":  # the interval is shown of this column alone
            given = [answer for one in answers[method] for answer in one[kind]]
            together = measure.score(pool(asked), given)
        return Spread.over(found, lower_is_better=measure.lower_is_better, together=together)

    def compare(method, other, name, kind):
        pairs = zip(asked, answers[method], answers[other], strict=True)
        return TaskComparison(
            method,
            name,
            tuple(measure.compare(one, own["speech"], theirs[kind]) for one, own, theirs in pairs),
        )

    notes: dict[str, None] = {}
    methods = list(answers)
    kinds = [kind for kind in COLUMNS if kind in answers[methods[0]][0]]
    read = {kind: spread(methods[0], kind) for kind in kinds if kind not in ("speech", "shuffled")}
    heard = {method: {kind: spread(method, kind) for kind in ("speech", "shuffled")} for method in methods}
    comparisons = [
        compare(method, method, CASCADE, "transcript") for method in methods if "transcript" in kinds
    ]
    comparisons += [compare(method, other, other, "speech") for other, method in combinations(methods, 2)]
    return TaskTable(
        group=group,
        task=task,
        measure=measure.name,
        unit=measure.unit,
        lower_is_better=measure.lower_is_better,
        num_questions=max(len(one.questions) for one in asked),
        num_phrasings=len(asked),
        wordings=tuple(one.questions[0].instruction for one in asked),
        read=read,
        heard=heard,
        comparisons=tuple(comparisons),
        notes=tuple(notes),
    )


def _percent(estimate):
    return tuple(
        None if value is None else 100 * value for value in (estimate.value, estimate.low, estimate.high)
    )
