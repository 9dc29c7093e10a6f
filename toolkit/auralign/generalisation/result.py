"""The measures of one part of the benchmark, with intervals over speakers.

*Gap to text*: the score with the text minus that with speech, on the same questions; the text is normalised if it is not
already. *Gap to the cascade*: the score with the recognizer's transcript minus that with speech. *Floor*: the score with
another utterance's text. *Prompt generalisation*: the gap to text of the seen tasks in wordings of their training, minus that
of the same tasks in new wordings. 0: a new wording costs no more with speech than with text; -0.2: with speech it costs 20
points more.
*Task generalisation*: the gap to text of the seen tasks in new wordings (in seen ones if none is new), minus that of the unseen
tasks.

Scores are means over the tasks of their means over questions, so that a task with more wordings weighs no more. The differences
of gaps are measured against the same LLM with text, as tasks and wordings are not equally hard. The definitions are ours: of
MTBI, whose third contribution is such a benchmark, only the abstract was read.

More than 300 lines, as the measures share the resampled scores and the definitions above.

Legend: N questions.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from auralign.generalisation.exposure import Exposure
from auralign.generalisation.questions import SEEN, UNKNOWN, UNSEEN_PHRASINGS, UNSEEN_TASKS, Part
from auralign.generalisation.task import BY_OWN_ANSWER, BY_RULE, place_of
from auralign.ledger.build import Judged
from auralign.score.metrics import (
    CONFIDENCE,
    LEAST_SPAN,
    MIN_SPEAKERS,
    NUM_RESAMPLES,
    Estimate,
    Resampling,
    bootstrap_recovery,
    bootstrap_sums,
    choose_units,
    mean_of_defined,
)

CELLS = {
    (SEEN, None): "seen tasks, seen wordings",
    (UNSEEN_PHRASINGS, None): "seen tasks, unseen wordings",
    (UNSEEN_TASKS, True): "unseen tasks, speech in a seen place",
    (UNSEEN_TASKS, False): "unseen tasks, speech in an unseen place",
    (UNKNOWN, None): "all tasks; the training is not known",
}
PLACES = CELLS[UNSEEN_TASKS, True], CELLS[UNSEEN_TASKS, False]
NO_TARGETS = "the targets of the training are not known; give --targets FILE, or --seen TASK"
AT_FLOOR = f"with speech the seen tasks themselves are less than {LEAST_SPAN:g} above the floor, so that nothing can generalise"
ABSENT = Estimate(None, None, None)


@dataclass(frozen=True)
class Cell:
    """One row: scores for each input, gaps and recovery. `transcript` is None without a recognizer."""

    name: str
    num_questions: int
    num_tasks: int
    text: float
    transcript: float | None
    floor: float
    shuffled: float
    speech: Estimate
    gap_to_text: Estimate
    gap_to_cascade: Estimate
    recovery: Estimate


@dataclass(frozen=True)
class TaskRow:
    """One task: how the training held it ("" if it did not), and its scores."""

    name: str
    kind: str
    seen: str
    num_questions: int
    text: float
    transcript: float | None
    floor: float
    speech: Estimate


@dataclass(frozen=True)
class Result:
    """The measures of one part. A generalisation that is not defined is ABSENT, and its reason is in `reasons`."""

    part: str
    fingerprint: str
    note: str
    num_utterances: int
    num_speakers: int
    num_questions: int
    prompt: Estimate
    task: Estimate
    gap_to_text: Estimate
    gap_to_cascade: Estimate
    reasons: Mapping[str, str]
    cells: tuple[Cell, ...]
    tasks: tuple[TaskRow, ...]
    own_wordings: Mapping[str, tuple[str, ...]]
    others: Mapping[str, int]
    source: str


class _Scores:
    """The scores of N questions, by input, and contrasts of means over them."""

    def __init__(self, judged: Sequence[Judged], seed: int):
        self.tasks = np.array([one.question.task for one in judged])
        self.groups = np.array([one.question.group for one in judged])
        kinds = judged[0].scores
        self.by_input = {kind: np.array([one.scores[kind] for one in judged]) for kind in kinds}
        self.units: dict[str, Any] = {
            "clusters": [one.item.cluster for one in judged],
            "within": [one.question.utt_id for one in judged],
            "seed": seed,
            "num_resamples": NUM_RESAMPLES,
            "confidence": CONFIDENCE,
            "min_clusters": MIN_SPEAKERS,
        }

    @property
    def text(self) -> np.ndarray:
        """Of the ceiling (N,)."""
        return self.by_input.get("normalised", self.by_input["text"])

    @property
    def floor(self) -> np.ndarray:
        return self.by_input["other_text"]

    def gap(self, kind: str) -> np.ndarray:
        """The scores with text or with the transcript, minus those with speech (N,)."""
        above = self.text if kind == "text" else self.by_input[kind]
        return above - self.by_input["speech"]

    def contrast(self, values: np.ndarray, terms: Sequence[tuple[float, np.ndarray]]) -> Estimate:
        """The sum of weighted means over tasks: (weight, mask (N,)) of each term; every term is over the tasks in its mask.

        A resample may lack a task, which some speakers alone were asked: its means are over the tasks that it has.
        """
        columns, ends = [], []
        for _, mask in terms:
            for task in dict.fromkeys(self.tasks[mask].tolist()):
                of_task = (mask & (self.tasks == task)).astype(np.float64)
                columns += [of_task * values, of_task]
            ends.append(len(columns) // 2)

        def compute(sums: np.ndarray) -> float:
            totals, counts = sums[::2], sums[1::2]
            means = np.divide(totals, counts, out=np.full_like(totals, np.nan), where=counts > 0)
            parts = np.split(means, ends[:-1])
            return sum(weight * mean_of_defined(part) for (weight, _), part in zip(terms, parts, strict=True))

        return bootstrap_sums(columns, compute, **self.units)

    def speech(self, mask: np.ndarray) -> Estimate:
        """The mean over tasks of the scores with speech; if all are 0, or all 1, with Wilson's interval over the speakers."""
        chosen = self.by_input["speech"][mask]
        units = Resampling(**self.units)
        if units.has_interval and chosen[0] in (0, 1) and np.all(chosen == chosen[0]):
            return units.at_bound(chosen[0])
        return self.contrast(self.by_input["speech"], [(1.0, mask)])

    def mean(self, kind: str, mask: np.ndarray) -> float:
        """The mean over tasks of one input's scores."""
        tasks = set(self.tasks[mask].tolist())
        return float(np.mean([np.mean(self.by_input[kind][mask & (self.tasks == task)]) for task in tasks]))

    def is_at_floor(self, mask: np.ndarray) -> bool:
        """Whether the answers to speech are no better, by LEAST_SPAN, than those to another utterance's text."""
        return self.mean("speech", mask) - self.mean("other_text", mask) < LEAST_SPAN

    def recovery(self, mask: np.ndarray) -> Estimate:
        """The recovery of the questions of a mask, each task weighing alike, as in `mean`."""
        chosen = np.flatnonzero(mask)
        _, task, sizes = np.unique(self.tasks[mask], return_inverse=True, return_counts=True)
        weights = (len(chosen) / len(sizes) / sizes)[task]
        if not self.floor[mask].any() and (self.text[mask] == 1).all():
            return self.speech(mask)  # the same number, and with Wilson's interval at its bounds
        columns = (scores[mask] * weights for scores in (self.by_input["speech"], self.floor, self.text))
        return bootstrap_recovery(*columns, **choose_units(self.units, chosen))


def measure(part: Part, exposure: Exposure, judged: Sequence[Judged], *, seed: int) -> Result:
    """The measures of the answers of one model to one part.

    Arguments
    ---------
    part : Part
    exposure : Exposure
    judged : sequence of N Judged
        As `auralign.ledger.build.judge_answers` returns them.
    seed : int
        Of the bootstrap.
    """
    scores = _Scores(judged, seed)
    has_cascade = "transcript" in scores.by_input
    everything = np.ones(len(judged), dtype=bool)
    reasons: dict[str, str] = {}
    if not has_cascade:
        reasons["gap to the cascade"] = "there is no recognizer; give --recognizer FOLDER"
    seen, new, unseen = (scores.groups == group for group in (SEEN, UNSEEN_PHRASINGS, UNSEEN_TASKS))
    return Result(
        part=part.name,
        fingerprint=part.fingerprint,
        note=part.note,
        num_utterances=len(part.utterances),
        num_speakers=len(set(scores.units["clusters"])),
        num_questions=len(judged),
        prompt=_prompt(scores, exposure, seen, new, reasons),
        task=_task(scores, exposure, seen, new, unseen, reasons),
        gap_to_text=scores.contrast(scores.gap("text"), [(1.0, everything)]),
        gap_to_cascade=scores.contrast(scores.gap("transcript"), [(1.0, everything)])
        if has_cascade
        else ABSENT,
        reasons=reasons,
        cells=tuple(_cells(scores, exposure, part, judged)),
        tasks=tuple(_rows(scores, exposure, part)),
        own_wordings={
            name: tuple(dict.fromkeys(one.question.instruction for one in judged if _is_own(part, one, name)))
            for name in dict.fromkeys(one.question.task for one in judged if _is_own(part, one))
        },
        others=exposure.others,
        source=exposure.source,
    )


def _is_own(part: Part, judged: Judged, task: str | None = None) -> bool:
    question = judged.question
    own = question.instruction not in part.tasks[question.task].phrasings
    return own and task in (None, question.task)


def _prompt(
    scores: _Scores, exposure: Exposure, seen: np.ndarray, new: np.ndarray, reasons: dict[str, str]
) -> Estimate:
    """The change of the gap from seen to new wordings of the same tasks."""
    both = np.isin(scores.tasks, list({*scores.tasks[seen]} & {*scores.tasks[new]}))
    if not both.any():
        reasons["prompt generalisation"] = (
            "no task is in the targets in one wording and not in another" if exposure.is_known else NO_TARGETS
        )
        return ABSENT
    if scores.is_at_floor(seen & both):
        reasons["prompt generalisation"] = AT_FLOOR
        return ABSENT
    return scores.contrast(scores.gap("text"), [(1.0, seen & both), (-1.0, new & both)])


def _task(
    scores: _Scores,
    exposure: Exposure,
    seen: np.ndarray,
    new: np.ndarray,
    unseen: np.ndarray,
    reasons: dict[str, str],
) -> Estimate:
    """The change of the gap from seen to unseen tasks, in new wordings of both."""
    before = new if new.any() else seen
    if not (before.any() and unseen.any()):
        reason = (
            "all tasks are in the targets" if before.any() else "no task of the benchmark is in the targets"
        )
        reasons["task generalisation"] = reason if exposure.is_known else NO_TARGETS
        return ABSENT
    if scores.is_at_floor(before):
        reasons["task generalisation"] = AT_FLOOR
        return ABSENT
    return scores.contrast(scores.gap("text"), [(1.0, before), (-1.0, unseen)])


def _cells(scores: _Scores, exposure: Exposure, part: Part, judged: Sequence[Judged]) -> Iterator[Cell]:
    places = np.array([place_of(one.question.instruction or "") in exposure.places for one in judged])
    masks = {
        name: (scores.groups == group) & (True if in_place is None else places == in_place)
        for (group, in_place), name in CELLS.items()
    }
    if not exposure.places:  # no instruction of the training is known
        masks = {name: mask for name, mask in masks.items() if name not in PLACES}
        masks["unseen tasks"] = scores.groups == UNSEEN_TASKS
    of_rule = np.array([part.tasks[name].kind == BY_RULE for name in scores.tasks])
    if not of_rule.all():
        masks |= {f"all tasks {BY_RULE}": of_rule, f"all tasks {BY_OWN_ANSWER}": ~of_rule}
    for name, mask in masks.items():
        if mask.any():
            yield _cell(name, scores, mask)


def _cell(name: str, scores: _Scores, mask: np.ndarray) -> Cell:
    has_cascade = "transcript" in scores.by_input
    ceiling = "normalised" if "normalised" in scores.by_input else "text"
    return Cell(
        name=name,
        num_questions=int(mask.sum()),
        num_tasks=len(set(scores.tasks[mask].tolist())),
        text=scores.mean(ceiling, mask),
        transcript=scores.mean("transcript", mask) if has_cascade else None,
        floor=scores.mean("other_text", mask),
        shuffled=scores.mean("shuffled", mask),
        speech=scores.speech(mask),
        gap_to_text=scores.contrast(scores.gap("text"), [(1.0, mask)]),
        gap_to_cascade=scores.contrast(scores.gap("transcript"), [(1.0, mask)]) if has_cascade else ABSENT,
        recovery=scores.recovery(mask),
    )


def _rows(scores: _Scores, exposure: Exposure, part: Part) -> Iterator[TaskRow]:
    for name, task in part.tasks.items():
        mask = scores.tasks == name
        cell = _cell(name, scores, mask)
        seen = exposure.tasks[name].reason if exposure.is_seen(name) else ""
        yield TaskRow(
            name, task.kind, seen, cell.num_questions, cell.text, cell.transcript, cell.floor, cell.speech
        )
