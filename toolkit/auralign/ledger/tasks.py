"""The field's metrics of each task (word error rate, BLEU, F1, ...) over the phrasings of its questions.

    >>> spread = Spread.over([MetricValue(0.10), MetricValue(0.30)], lower_is_better=True)
    >>> spread.mean, spread.worst, round(spread.deviation, 3)
    (0.2, 0.3, 0.141)

The worst value and the deviation reveal a model that obeys one wording of an instruction and not another.

Legend: N questions of one group, task and phrasing; P phrasings.
"""

import dataclasses
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import combinations

from auralign.ledger.ledger import STORED
from auralign.ledger.palette import families
from auralign.records import Utterance
from auralign.score.metrics import MIN_SPEAKERS, holm
from auralign.score.task_metrics import Asked, MetricValue, Significance

CASCADE = "matched cascade"
COLUMNS = ("text", "normalised", "transcript", "other_text", "speech", "shuffled")


@dataclass(frozen=True)
class Spread:
    """A metric over P phrasings."""

    values: tuple[MetricValue, ...]
    mean: float
    worst: float
    deviation: float  # of the sample; 0 for one phrasing
    low: float | None = None  # interval of all phrasings together
    high: float | None = None

    @classmethod
    def over(
        cls, values: Iterable[MetricValue], *, lower_is_better: bool, together: MetricValue | None = None
    ) -> "Spread":
        """Summarise the values; `together`, the metric over the answers to all phrasings, gives the interval."""
        values = tuple(values)
        numbers = [value.value for value in values]
        worst = max(numbers) if lower_is_better else min(numbers)
        deviation = statistics.stdev(numbers) if len(numbers) > 1 else 0.0
        interval = (together.low, together.high) if together else (None, None)
        return cls(values, statistics.fmean(numbers), worst, deviation, *interval)


@dataclass(frozen=True)
class TaskComparison:
    """Answers to speech compared with other answers, phrasing by phrasing."""

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
    """One metric of one task in one group: for text, and for each method with speech and with another utterance's speech."""

    group: str
    task: str
    metric: str
    unit: str
    lower_is_better: bool
    num_questions: int  # of the phrasing with most questions
    num_phrasings: int
    wordings: tuple[str | None, ...]  # of the first question of each phrasing
    read: dict[str, Spread]  # text, normalised, transcript, other_text
    heard: dict[str, dict[str, Spread]]  # method -> speech, shuffled
    comparisons: tuple[TaskComparison, ...] = ()
    notes: tuple[str, ...] = field(default=())
    num_speakers: int | None = None  # of the interval; None in files of an earlier auralign


def score_tasks(
    columns: dict[str, list], utterances: Callable[[str], Utterance], metrics, *, seed: int
) -> list[TaskTable]:
    """The metrics of all tasks.

    Arguments
    ---------
    columns : dict of str -> list of Item
        Method -> items, as `auralign.ledger.columns.read_items` returns them.
    utterances : callable (utterance id) -> Utterance
    metrics : callable (group, task) -> sequence of Metric
        The metrics of a task in a group; empty for a task that only the ledger shows.
    seed : int
        Seed of the bootstrap.

    Returns list of TaskTable.
    """
    first = next(iter(columns.values()))
    indices: dict[tuple[str, str], dict[int, list[int]]] = {}  # group and task -> phrasing -> items
    for index, item in enumerate(first):
        question = item.question
        indices.setdefault((question.group, question.task), {}).setdefault(question.phrasing, []).append(
            index
        )
    tables = []
    for (group, task), phrasings in indices.items():
        wanted = metrics(group, task)
        if not wanted:
            continue
        asked = [_ask(first, chosen, utterances, seed) for chosen in phrasings.values()]
        answers = {
            method: [_pick(items, chosen) for chosen in phrasings.values()]
            for method, items in columns.items()
        }
        tables += [_score_task(metric, group, task, asked, answers) for metric in wanted]
    return _adjust(tables)


def _adjust(tables: list[TaskTable]) -> list[TaskTable]:
    """The tables with p-values adjusted by Holm's method over all of their comparisons."""
    found = [value for table in tables for compared in table.comparisons for value in compared.values]
    adjusted = iter(holm([value.p_value for value in found]))
    return [
        replace(
            table,
            comparisons=tuple(
                replace(
                    compared,
                    values=tuple(replace(value, adjusted=next(adjusted)) for value in compared.values),
                )
                for compared in table.comparisons
            ),
        )
        for table in tables
    ]


def pool(asked: list[Asked]) -> Asked:
    """The questions of all phrasings together."""
    return Asked(
        tuple(question for one in asked for question in one.questions),
        tuple(utterance for one in asked for utterance in one.utterances),
        asked[0].seed,
    )


def _ask(items, indices, utterances, seed) -> Asked:
    questions = tuple(items[index].question for index in indices)
    return Asked(questions, tuple(utterances(question.utt_id) for question in questions), seed)


def _pick(items, indices) -> dict[str, list[str]]:
    """Input kind -> answers."""
    return {kind: [items[index].answers[kind] for index in indices] for kind in items[indices[0]].answers}


def _score_task(metric, group, task, asked, answers) -> TaskTable:
    num_speakers = len(set(pool(asked).clusters))
    has_interval = num_speakers >= MIN_SPEAKERS

    def spread(method, kind):
        found = [metric.score(one, given[kind]) for one, given in zip(asked, answers[method], strict=True)]
        notes.update(dict.fromkeys(value.note for value in found if value.note))
        together = None
        if kind == "speech":  # only this column has an interval
            given = [answer for one in answers[method] for answer in one[kind]]
            together = metric.score(pool(asked), given)
        if not has_interval:
            found = [replace(value, low=None, high=None) for value in found]
            together = together and replace(together, low=None, high=None)
        return Spread.over(found, lower_is_better=metric.lower_is_better, together=together)

    def compare(method, other, name, kind):
        pairs = zip(asked, answers[method], answers[other], strict=True)
        values = [metric.compare(one, own["speech"], theirs[kind]) for one, own, theirs in pairs]
        if not has_interval:  # a p-value takes the answers of one speaker for independent
            note = f"none: {num_speakers} speakers"
            values = [replace(value, low=None, high=None, p_value=None, test=note) for value in values]
        return TaskComparison(method, name, tuple(values))

    notes: dict[str, None] = {}
    methods = list(answers)
    kinds = [kind for kind in COLUMNS if kind in answers[methods[0]][0]]
    read = {kind: spread(methods[0], kind) for kind in kinds if kind not in ("speech", "shuffled")}
    heard = {method: {kind: spread(method, kind) for kind in ("speech", "shuffled")} for method in methods}
    comparisons = [
        compare(method, method, CASCADE, "transcript") for method in methods if "transcript" in kinds
    ]
    family = {run: name for name, runs in families(methods).items() for run in runs}
    comparisons += [
        compare(method, other, other, "speech")
        for other, method in combinations(methods, 2)
        if family[other] != family[method]  # runs of one method differ by chance
    ]
    return TaskTable(
        group=group,
        task=task,
        metric=metric.name,
        unit=metric.unit,
        lower_is_better=metric.lower_is_better,
        num_questions=max(len(one.questions) for one in asked),
        num_phrasings=len(asked),
        wordings=tuple(one.questions[0].instruction for one in asked),
        read=read,
        heard=heard,
        comparisons=tuple(comparisons),
        notes=tuple(notes),
        num_speakers=num_speakers,
    )


def tables_to_list(tables: list[TaskTable]) -> list[dict]:
    """Plain values, ready for JSON; files call `metric` "measure"."""
    return [
        {STORED.get(name, name): value for name, value in dataclasses.asdict(table).items()}
        for table in tables
    ]


def tables_from_list(values: list[dict]) -> list[TaskTable]:
    """The inverse of `tables_to_list`, also for values read from JSON."""
    return [
        TaskTable(
            **{name: field for name, field in value.items() if name != "measure"}
            | {
                "metric": value["measure"],
                "read": {kind: _spread(spread) for kind, spread in value["read"].items()},
                "heard": {
                    method: {kind: _spread(spread) for kind, spread in heard.items()}
                    for method, heard in value["heard"].items()
                },
                "comparisons": tuple(
                    TaskComparison(**item | {"values": tuple(Significance(**one) for one in item["values"])})
                    for item in value["comparisons"]
                ),
                "notes": tuple(value["notes"]),
                "wordings": tuple(value["wordings"]),
            }
        )
        for value in values
    ]


def _spread(values):
    return Spread(**values | {"values": tuple(MetricValue(**value) for value in values["values"])})
