"""Build the gap ledger: score and classify the answers, resample them together, and compare the methods."""

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from auralign.ledger.behaviour import measure_behaviour
from auralign.ledger.columns import Item, MethodFiles, read_items
from auralign.ledger.ledger import (
    CLASSES,
    GROUPS,
    LEAST_KEPT,
    Difference,
    Example,
    Ledger,
    Pooled,
    Rates,
    Row,
)
from auralign.ledger.palette import families
from auralign.progress import track
from auralign.records import lone_cluster, shorten
from auralign.run_folder import TEXT_TRAINED
from auralign.score.judge import RIGHT, WRONG_CLASSES, Judge
from auralign.score.metrics import (
    CONFIDENCE,
    MIN_SPEAKERS,
    NUM_RESAMPLES,
    Resampling,
    bootstrap_difference,
    bootstrap_interval,
    bootstrap_recovery,
    difference_p_value,
    holm,
)

EXAMPLES_PER_METHOD = 3


@dataclass(frozen=True)
class Judged:
    """A question with its answers, the score of each by input kind, and the class of the answer to speech."""

    item: Item
    scores: dict[str, float]
    answer_class: str

    @property
    def question(self):
        return self.item.question

    @property
    def answer(self):
        return self.item.answers["speech"]


def judge_answers(items: dict[str, list[Item]], judge: Judge) -> dict[str, list[Judged]]:
    """Score all answers, and classify the answers to speech.

    Arguments
    ---------
    items : dict of str -> list of Item
        Method -> items, in the order of the table, as `read_methods` returns them.
    judge : Judge
        Scores all answers, and classifies answers to speech whose score is below 1.

    Returns dict of str -> list of Judged.

    Raises ValueError if a score is not from 0 to 1, or the class of an answer is unknown.
    """
    return {name: _judge_all(found, judge, name) for name, found in items.items()}


def make_ledger(
    items: dict[str, list[Item]],
    judge: Judge,
    *,
    seed: int,
    judged: dict[str, list[Judged]] | None = None,
) -> Ledger:
    """Compare every method's answers with the references, the text ceiling, the cascade and the floor.

    Arguments
    ---------
    items : dict of str -> list of Item
        Method -> items, in the order of the table, as `read_methods` returns them.
    judge : Judge
        Scores all answers, and classifies answers to speech whose score is below 1.
    seed : int
        Seed of the bootstrap, which resamples speakers, then their utterances; with several runs of a method also the runs.
    judged : dict of str -> list of Judged, optional
        What `judge_answers` returned for the items, if it was asked already.

    Returns Ledger.

    Raises ValueError if there is no method, a score is not from 0 to 1, or the class of an answer is unknown.
    """
    if not items:
        raise ValueError("no method to score: give at least one")
    methods = list(items)
    stored = {"seed": seed, "num_resamples": NUM_RESAMPLES, "confidence": CONFIDENCE}
    bootstrap = {**stored, "min_clusters": MIN_SPEAKERS}
    columns = judge_answers(items, judge) if judged is None else judged
    questions = [item.question for item in items[methods[0]]]
    groups = order_groups(question.group for question in questions)
    parts = [part for group in groups for part in _split(group, questions, judge)]
    rows, differences, wrong, pooled, behaviours = [], [], [], [], []
    for group, kind, name in track(parts, f"score {', '.join(methods)}: intervals", unit="group"):
        members = {
            method: [
                item
                for item in items
                if item.question.group == group and kind in (None, judge.kind(item.question))
            ]
            for method, items in columns.items()
        }
        for method, items in members.items():
            row = make_row(method, name, items, judge.is_right, bootstrap)
            behaviours.append(measure_behaviour(method, name, items, {**_units(items), **bootstrap}))
            rows.append(row if kind is None else replace(row, tasks={}))  # shown with the whole group
            if kind is None:
                wrong += [_make_example(method, item) for item in items if item.answer_class != RIGHT]
        runs = {
            found[0] if len(found) == 1 else method: [members[one] for one in found]
            for method, found in families(methods).items()
        }
        differences += [
            _difference(name, method, other, runs, bootstrap) for other, method in combinations(runs, 2)
        ]
        for method, found in runs.items():
            if len(found) > 1:
                pooled.append(_pool(method, name, found, bootstrap))
                together = _join(found)
                units = _units(together) | _run_units(found) | bootstrap
                label = f"{method}, {len(found)} runs"
                behaviours.append(measure_behaviour(label, name, together, units))
    adjusted = holm([difference.p_value for difference in differences])
    differences = [
        replace(difference, adjusted=value) for difference, value in zip(differences, adjusted, strict=True)
    ]
    examples = [example for method in methods for example in choose_examples(wrong, method)]
    return Ledger(
        methods=tuple(methods),
        rows=tuple(rows),
        differences=tuple(differences),
        examples=tuple(examples),
        # A recipe that uses none of GROUPS has its own groups, and none is absent.
        absent_groups=tuple(group for group in GROUPS if group not in groups)
        if {*GROUPS} & {*groups}
        else (),
        metric=judge.metric,
        num_utterances=len({question.utt_id for question in questions}),
        pooled=tuple(pooled),
        behaviours=tuple(behaviours),
        num_without_speaker=len(
            {
                item.question.utt_id
                for item in columns[methods[0]]
                if item.item.cluster == lone_cluster(item.question.utt_id)
            }
        ),
        **stored,
    )


def choose_examples(wrong, method):
    """Up to three wrong answers of a method, from its commonest classes; on unseen tasks, if it has wrong answers there."""
    wrong = [example for example in wrong if example.method == method]
    wrong = [example for example in wrong if example.group == "unseen tasks"] or wrong
    by_class = {
        name: [example for example in wrong if example.answer_class == name] for name in WRONG_CLASSES
    }
    commonest = sorted(by_class.values(), key=len, reverse=True)
    rounds = [
        examples[turn]
        for turn in range(EXAMPLES_PER_METHOD)
        for examples in commonest
        if turn < len(examples)
    ]
    return rounds[:EXAMPLES_PER_METHOD]


def read_methods(questions, manifest, read, methods: dict[str, MethodFiles]) -> dict[str, list[Item]]:
    """Method -> the questions with their answers.

    Arguments
    ---------
    questions : Records of Question
    manifest : Records of Utterance
    read : dict of str -> Records of Hypothesis
        Input kind (text, normalised, transcript, other_text) -> answers of the original LLM to text, which are the same for all
        methods.
    methods : dict of str -> MethodFiles

    Raises RecordError if questions and answers do not match one to one.
    """
    found = {}
    for name, files in methods.items():
        columns = {"speech": files.speech, "shuffled": files.shuffled, **read}
        if files.text_trained is not None:
            columns[TEXT_TRAINED] = files.text_trained
        found[name] = read_items(questions, manifest, columns.items())
    return found


def _judge_all(items, judge, name: str):
    """In the order of the items; judged group by group, so that the first error is that of the first row of the ledger."""
    groups = order_groups(item.question.group for item in items)
    order = sorted(range(len(items)), key=lambda index: groups.index(items[index].question.group))
    found = {index: _judge(items[index], judge) for index in track(order, f"score {name}", unit="question")}
    return [found[index] for index in range(len(items))]


def _judge(item, judge):
    scores = {kind: _score_one(judge.score, answer, item) for kind, answer in item.answers.items()}
    return Judged(item, scores, _name_class(item, scores["speech"], judge.classify))


def _score_one(score, answer, item):
    value = score(answer, item.question, item.said)
    if not 0 <= value <= 1:
        raise ValueError(
            f"the answer {shorten(repr(answer))} to {item.question.key!r} has the score {value}; it must be from 0 to 1"
        )
    return float(value)


def _split(group, questions, judge):
    """(group, kind, name of the rows): the whole group, and each kind of rule if it has several."""
    kinds = dict.fromkeys(judge.kind(question) for question in questions if question.group == group)
    parts = (
        [(group, kind, f"{group}, {kind}") for kind in kinds if kind is not None] if len(kinds) > 1 else []
    )
    return [(group, None, group), *parts]


def order_groups(names):
    """Each group of questions once, those of GROUPS in their order before others."""
    met = dict.fromkeys(names)
    return [group for group in GROUPS if group in met] + [group for group in met if group not in GROUPS]


def _scores(items):
    """Input kind -> scores (N,)."""
    return {kind: np.array([item.scores[kind] for item in items]) for kind in items[0].scores}


def _rates(scores, rows=slice(None)):
    chosen = {name: column[rows] for name, column in scores.items() if name != TEXT_TRAINED}
    means = {name: float(np.mean(column)) for name, column in chosen.items()}
    return Rates(len(chosen["text"]), **{"normalised": None, "transcript": None, **means})


def _difference(group, method, other, runs, bootstrap):
    """The difference of two methods, each of which may have several runs."""
    items, other_items = _join(runs[method]), _join(runs[other])
    scores, others = (_scores(found)["speech"] for found in (items, other_items))
    units = {**_units(items), **bootstrap}
    if len(runs[method]) > 1 or len(runs[other]) > 1:
        units["other_units"] = _units(other_items) | _run_units(runs[other])
        units |= _run_units(runs[method])
    return Difference(
        group,
        method,
        other,
        bootstrap_difference(scores, others, **units),
        difference_p_value(scores, others, **units),
    )


def _join(runs):
    return [item for run in runs for item in run]


def _run_units(runs):
    """The run of each item, for the bootstrap."""
    return {"runs": [number for number, run in enumerate(runs) for _ in run]}


def _units(items):
    """What the bootstrap draws: speakers, then their utterances with all questions about them."""
    return {
        "clusters": [item.item.cluster for item in items],
        "within": [item.question.utt_id for item in items],
    }


def _pool(method, group, runs, bootstrap) -> Pooled:
    """Several runs of a method together."""
    items = _join(runs)
    units = _units(items) | _run_units(runs) | bootstrap
    scores = _scores(items)
    return Pooled(
        method,
        group,
        len(runs),
        bootstrap_interval(scores["speech"], **units),
        _recovery(scores, units),
    )


def _recovery(scores, units):
    """Undefined too if normalised text keeps less than `LEAST_KEPT` of what the text gains: such answers hang on how the text is
    written, which nobody hears, and speech that stands for it as it is written would recover more than all."""
    floor, ceiling = scores.get("other_text", scores["shuffled"]), scores.get("normalised", scores["text"])
    gained, kept = (np.mean(scores["text"]) - np.mean(floor), np.mean(ceiling) - np.mean(floor))
    if kept < LEAST_KEPT * gained:
        return Resampling(**units).point(None)
    return bootstrap_recovery(scores["speech"], floor, ceiling, **units)


def make_row(method, group, items, answer_right, bootstrap) -> Row:
    """The row of some answers of a method, such as all to a group of questions.

    `answer_right` is the judge's `is_right`, or None; `bootstrap` are options of `auralign.score.metrics.Resampling`.
    """
    scores, classes = _scores(items), [item.answer_class for item in items]
    units = {**_units(items), **bootstrap}
    tasks = np.array([item.question.task for item in items])
    ignored = [answer_right(item.answer, item.question) for item in items] if answer_right else None
    return Row(
        method=method,
        group=group,
        rates=_rates(scores),
        speech=bootstrap_interval(scores["speech"], **units),
        recovery=_recovery(scores, units),
        form_ignored=None if ignored is None else float(np.mean(ignored)),
        answers={name: classes.count(name) for name in CLASSES},
        tasks={task: _rates(scores, tasks == task) for task in sorted(set(tasks.tolist()))},
    )


def _name_class(item, score, classify):
    question, answer = item.question, item.answers["speech"]
    if score == 1:
        return RIGHT
    name = classify(answer, question, item.said)
    if name not in WRONG_CLASSES:
        raise ValueError(
            f"classify calls the wrong answer {shorten(repr(answer))} to {question.key!r} {shorten(repr(name))}; "
            f"use one of {', '.join(WRONG_CLASSES)}"
        )
    return name


def _make_example(method, item):
    question = item.question
    return Example(
        method,
        question.group,
        item.answer_class,
        question.instruction,
        item.item.said,
        question.reference,
        item.answer,
    )
