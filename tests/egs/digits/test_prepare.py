"""Stage 1 of the digits example: who is asked what."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

from auralign.records import Utterance
from local import world

DIGITS = Path(__file__).resolve().parents[3] / "egs" / "digits"
# by its path: the pocket example has a module of that name too
prepare = SimpleNamespace(**runpy.run_path(str(DIGITS / "prepare.py")))
SEEN = {"repeat", "first"}


def utterance(text, command=None):
    return Utterance(
        id=text.replace(" ", "-"),
        audio="x.flac",
        seconds=1.0,
        text=text,
        labels={"command": command, "digits": []},
    )


def asked(*utterances):
    return list(prepare.ask(utterances, SEEN))


def test_spoken_command_is_asked_nothing_more():
    (question,) = asked(utterance("first three five", "first"))
    assert (question.group, question.task, question.instruction, question.reference) == (
        "commands in the speech",
        "first",
        None,
        "it starts with three",
    )


def test_bare_digits_are_asked_in_every_group():
    groups = [question.group for question in asked(utterance("three five"))]
    assert {group: groups.count(group) for group in groups} == {
        "no instruction": 1,
        "seen tasks": 2,
        "unseen tasks": 3,
        "unseen phrasings": 2,
    }


@pytest.mark.parametrize(
    ("group", "seen"), [("seen tasks", True), ("unseen phrasings", True), ("unseen tasks", False)]
)
def test_groups_keep_seen_and_unseen_tasks_apart(group, seen):
    questions = [
        q
        for n in range(30)
        for q in asked(utterance(f"{world.DIGITS[n % 10]} {world.DIGITS[n // 3]} two"))
        if q.group == group
    ]
    assert all((question.task in SEEN) == seen for question in questions)


def test_unseen_phrasings_are_held_out():
    questions = [q for digit in world.DIGITS for q in asked(utterance(f"{digit} two"))]
    for question in questions:
        if question.group == "seen tasks":
            assert question.instruction in world.TRAINING_PHRASINGS[question.task]
        if question.group == "unseen phrasings":
            assert question.instruction in world.HELD_OUT_PHRASINGS[question.task]


def test_keys_are_unique_and_references_right():
    questions = asked(utterance("three five"), utterance("nine one one"))
    assert len({question.key for question in questions}) == len(questions)
    assert all(
        q.reference == world.reference(q.task if q.instruction else None, q.utt_id.split("-"))
        for q in questions
    )


def test_line_that_is_no_label_is_named(tmp_path):
    (tmp_path / "labels.jsonl").write_text('{"id": "a"}\n')
    with pytest.raises(ValueError, match="labels.jsonl:1: not a line of labels"):
        prepare.read_labels(tmp_path / "labels.jsonl")
