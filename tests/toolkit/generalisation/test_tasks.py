"""The tasks of the benchmark: they are frozen, transcripts do not obey them, and each wording asks for its own task."""

import pytest

from auralign.files import hash_value
from auralign.generalisation import VERSION, digits, sentences
from auralign.generalisation.judge import GeneralisationJudge
from auralign.generalisation.task import BY_OWN_ANSWER, place_of
from auralign.layout import SLOT
from auralign.records import Question

SAID = "go and do you hear"
PARTS = {"sentences": sentences.TASKS, "digits": digits.TASKS}
ALL = [(part, task) for part, tasks in PARTS.items() for task in tasks.values()]
FROZEN = "8d2a8d956090"


def test_the_wordings_of_the_version_never_change():
    found = hash_value([[part, task.name, list(task.phrasings)] for part, task in ALL])[:12]
    assert (VERSION, found) == ("1", FROZEN), (
        "the wordings have changed: raise VERSION, as results do not compare"
    )


@pytest.mark.parametrize(("part", "task"), ALL)
def test_each_task_has_five_different_wordings_with_the_speech_in_several_places(part, task):
    assert len(set(task.phrasings)) == 5
    assert all(wording.count(SLOT) == 1 for wording in task.phrasings)
    assert len({place_of(wording) for wording in task.phrasings}) >= 2


@pytest.mark.parametrize(
    ("part", "task"), [(part, task) for part, task in ALL if task.rule and task.name != "repeat"]
)
def test_a_transcript_obeys_no_rule(part, task):
    said = "seven two nine four" if part == "digits" else SAID
    assert task.can_tell(said)
    assert task.score(said, said, "") == 0


@pytest.mark.parametrize(
    ("task", "said", "answer", "score"),
    [
        ("reverse", "one two five", "backwards that is five two one", 1),
        ("reverse", "one two five", "5, 2, 1.", 1),
        ("reverse", "one two five", "one two five", 0),
        ("largest", "one two five", "The largest one is 5.", 1),
        ("largest", "one two five", "Of one two five the largest is five", 1),
        ("count", "one two five", "There are 3 digits: one, two, five.", 1),
        ("even", "one two four", "two and four", 1),
        ("spanish", "one two five", "uno dos cinco", 1),
        ("spanish", "one two five", "one two five", 0),
        ("german", "one two five", "Auf Deutsch: eins zwei fuenf", 1),
        ("continue", "seven eight", "nine zero one", 1),
        # found by a reviewer, and others of the same kinds
        ("largest", "one nine five", "nine is the largest one.", 1),
        ("smallest", "four two nine", "The smallest one: two", 1),
        ("first", "nine three one", "9 is the first one", 1),
        ("first", "one three nine", "9 is the first one", 0),
        ("smallest", "four one nine", "the smallest one", 1),
        ("even", "three two five", "There is one even number: two", 1),
        ("even", "three two five", "Just one: 2", 1),
        ("even", "two four five", "There are two even digits: two and four", 1),
        ("even", "three two five", "There is one: 2", 1),
        ("count", "one two five", "There are three digits", 1),
        ("repeat", "one two five", "There are one two five", 1),
        ("german", "two three", "Ein Berliner würde sagen: zwei drei", 1),
        ("german", "one three", "ein drei", 1),
        ("german", "one three", "ein, drei", 1),
        ("repeat", "three five", "35", 1),
        ("repeat", "three five", "three nine", 0),
        ("sort", "five one", "", 0),
        (
            "sort",
            "nine three five",
            "1. three\n2. five\n3. nine",
            1.0,
        ),  # numbers of a list are none of its digits
        ("sort", "nine three five", "1) 3, 2) 5, 3) 9", 1.0),
        ("reverse", "three two one", "1. 2. 3.", 1.0),
    ],
)
def test_rules_about_digits(task, said, answer, score):
    assert digits.TASKS[task].score(answer, said, "") == score


@pytest.mark.parametrize("answer", ["The largest is nine (9).", "nine is the largest of the four digits"])
def test_a_digit_that_is_said_twice_is_right(answer):
    assert digits.TASKS["largest"].rule(answer, "three five nine two") == 1


def test_a_wrong_yes_is_no_answer_to_another_task():
    judge = GeneralisationJudge(sentences.TASKS)
    question = Question("q", "u", "unseen tasks", "person", "x {speech}", "no")
    assert judge.classify("Yes", question, "go do you hear the bells and the drums") == "wrong content"


def test_digits_are_not_asked_about_sentences():
    with pytest.raises(ValueError, match="'go and do you hear' holds other words than digits"):
        digits.TASKS["sort"].score("one", SAID, "")


@pytest.mark.parametrize(
    ("said", "fits"), [("three one two", True), ("one two three", False), ("one", False), ("go on", False)]
)
def test_only_strings_that_tell_all_tasks_apart_are_asked_about(said, fits):
    assert digits.is_fit(said) is fits


def test_a_spoken_command_asks_for_its_task():
    assert digits.spoken_command("sort three five") == "sort"
    assert (
        digits.spoken_command("three five")
        is digits.spoken_command("sort it out")
        is digits.spoken_command("")
        is None
    )


@pytest.mark.parametrize(
    ("task", "answer", "expected"),
    [
        ("json", '{"sentence": "go and do you hear"}', "right content in another form"),
        ("json", "{'text': 'go and do you hear'}", "right content in another form"),
        ("json", '{"text": "something else"}', "wrong content"),
        ("json", "go and do you hear", "transcribed"),
        ("first_word", "“Go and do you hear”", "transcribed"),
        ("first_word", "« go and do you hear »", "transcribed"),
    ],
)
def test_an_attempt_at_json_and_a_transcript_in_quotes_have_their_classes(task, answer, expected):
    question = Question("q", "u", "g", task, "{speech}", None)
    assert GeneralisationJudge(sentences.TASKS).classify(answer, question, SAID) == expected


def test_an_own_answer_is_compared_by_its_words():
    task = sentences.TASKS["sentiment"]
    assert task.kind == BY_OWN_ANSWER
    assert task.score("positive", SAID, "Positive.") == 1
    assert task.score("It is positive", SAID, "Positive.") == 0.5  # 1 of 3 and 1 of 1
    assert task.score("", SAID, "Positive.") == 0
