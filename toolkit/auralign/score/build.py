"""Builds the gap ledger: reads the columns, counts, resamples them together, compares the methods."""

from itertools import combinations

import numpy as np

from auralign.score.columns import MethodFiles, read_items
from auralign.score.ledger import (
    CLASSES,
    GROUPS,
    RIGHT,
    WRONG_CLASSES,
    Difference,
    Example,
    Ledger,
    Rates,
    Row,
)
from auralign.score.metrics import (
    CONFIDENCE,
    NUM_RESAMPLES,
    bootstrap_difference,
    bootstrap_interval,
    bootstrap_recovery,
    exact_match,
)

INPUTS = ("speech", "shuffled", "text", "transcript")  # the last one may be absent
EXAMPLES_PER_METHOD = 3


def build_ledger(
    questions,
    manifest,
    *,
    text,
    transcript=None,
    methods: dict[str, MethodFiles],
    classify,
    answer_right=None,
    seed,
    num_resamples=NUM_RESAMPLES,
    confidence=CONFIDENCE,
) -> Ledger:
    """Set every method's answers against the references, the text ceiling, the cascade and the floor.

    Arguments
    ---------
    questions : Records of Question
    manifest : Records of Utterance
        What was said, for `classify` and the examples.
    text, transcript : Records of Hypothesis
        Shared by the methods: the plain LLM's answers to the reference text and, where it has one, to the encoder's own.
    methods : dict of str -> MethodFiles
        In the order of the table.
    classify : callable (answer, question, text of the utterance) -> one of WRONG_CLASSES
        Asked about answers after speech that are not exact.
    answer_right : callable (answer, question) -> bool, optional
        Whether an answer is right when its own form is set aside.
    seed, num_resamples, confidence
        Of the bootstrap, which draws utterances.

    Raises RecordError where questions and answers do not match one to one, ValueError on an unknown class.
    """
    if not methods:
        raise ValueError("no method to score: give at least one")
    bootstrap = {"seed": seed, "num_resamples": num_resamples, "confidence": confidence}
    columns = {
        name: _read_method(questions, manifest, text, transcript, files) for name, files in methods.items()
    }
    groups = _order_groups(question.group for question in questions)
    rows, differences, wrong = [], [], []
    for group in groups:
        members = {
            method: [item for item in items if item.question.group == group]
            for method, items in columns.items()
        }
        for method, items in members.items():
            classes = [_name_class(item, classify) for item in items]
            rows.append(_make_row(method, group, items, classes, answer_right, bootstrap))
            wrong += [
                _make_example(method, item, name)
                for item, name in zip(items, classes, strict=True)
                if name != RIGHT
            ]
        differences += [
            _difference(group, method, other, members, bootstrap)
            for other, method in combinations(methods, 2)
        ]
    examples = [example for method in methods for example in choose_examples(wrong, method)]
    return Ledger(
        methods=tuple(methods),
        rows=tuple(rows),
        differences=tuple(differences),
        examples=tuple(examples),
        # Where none of them is there, the recipe has its own, and misses nothing.
        absent_groups=tuple(group for group in GROUPS if group not in groups)
        if {*GROUPS} & {*groups}
        else (),
        num_utterances=len({question.utt_id for question in questions}),
        **bootstrap,
    )


def choose_examples(wrong, method):
    """A few wrong answers of a method, its commonest classes first; on unseen tasks, if any are there."""
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


def _read_method(questions, manifest, text, transcript, files):
    sources = zip(INPUTS, (files.speech, files.shuffled, text, transcript), strict=True)
    return read_items(
        questions, manifest, [(name, records) for name, records in sources if records is not None]
    )


def _order_groups(names):
    met = dict.fromkeys(names)
    return [group for group in GROUPS if group in met] + [group for group in met if group not in GROUPS]


def _scores(items):
    """Exact answers 0 / 1 by input: {input: (N,)}."""
    references = [item.question.reference for item in items]
    return {
        name: exact_match(references, [item.answers[place] for item in items])
        for place, name in enumerate(INPUTS[: len(items[0].answers)])
    }


def _rates(scores, where=slice(None)):
    chosen = {name: column[where] for name, column in scores.items()}
    means = {name: float(np.mean(column)) for name, column in chosen.items()}
    return Rates(len(chosen["text"]), **{"transcript": None, **means})


def _difference(group, method, other, members, bootstrap):
    clusters = [item.question.utt_id for item in members[method]]
    scores, others = (_scores(members[name])["speech"] for name in (method, other))
    return Difference(
        group, method, other, bootstrap_difference(scores, others, clusters=clusters, **bootstrap)
    )


def _heard_answer(item):
    return item.answers[INPUTS.index("speech")]


def _make_row(method, group, items, classes, answer_right, bootstrap):
    scores = _scores(items)
    clusters = [item.question.utt_id for item in items]
    tasks = np.array([item.question.task for item in items])
    ignored = [answer_right(_heard_answer(item), item.question) for item in items] if answer_right else None
    return Row(
        method=method,
        group=group,
        rates=_rates(scores),
        speech=bootstrap_interval(scores["speech"], clusters=clusters, **bootstrap),
        recovery=bootstrap_recovery(
            scores["speech"], scores["shuffled"], scores["text"], clusters=clusters, **bootstrap
        ),
        form_ignored=None if ignored is None else float(np.mean(ignored)),
        answers={name: classes.count(name) for name in CLASSES},
        tasks={task: _rates(scores, tasks == task) for task in sorted(set(tasks.tolist()))},
    )


def _name_class(item, classify):
    question, answer = item.question, _heard_answer(item)
    if exact_match([question.reference], [answer])[0]:
        return RIGHT
    name = classify(answer, question, item.said)
    if name not in WRONG_CLASSES:
        raise ValueError(
            f"classify calls the wrong answer {answer!r} to {question.key!r} {name!r}; "
            f"use one of {', '.join(WRONG_CLASSES)}"
        )
    return name


def _make_example(method, item, name):
    question, answer = item.question, _heard_answer(item)
    return Example(method, question.group, name, question.instruction, item.said, question.reference, answer)
