"""The instruction language: every answer below was worked out by hand."""

import random

import pytest

import world

DIGITS = ["four", "nine", "two", "four"]
ANSWERS = {
    "repeat": "i heard four nine two four",
    "reverse": "backwards that is four two nine four",
    "first": "it starts with four",
    "last": "it ends in four",
    "largest": "the largest is nine",
    "smallest": "the smallest is two",
    "count": "there are four of them",
    "sort": "in order they are two four four nine",
    "even": "the even ones are four two four",
    "spanish": "in spanish it is cuatro nueve dos cuatro",
    "german": "auf deutsch vier neun zwei vier",
    "continue": "next come five six seven",
}


@pytest.mark.parametrize("task", ANSWERS)
def test_answer_is_the_one_worked_out_by_hand(task):
    assert world.reference(task, DIGITS) == ANSWERS[task]


def test_there_are_twelve_tasks_with_five_phrasings_each():
    assert list(world.TASKS) == list(ANSWERS)
    assert {len(task.phrasings) for task in world.TASKS.values()} == {5}


def test_continuing_passes_from_nine_to_zero():
    assert world.reference("continue", ["one", "nine"]) == "next come zero one two"


def test_even_says_so_when_nothing_is_even():
    assert world.reference("even", ["one", "nine"]) == "none of them is even"
    assert world.reference("even", ["one", "zero"]) == "the even ones are zero"


def test_default_reply_mentions_all_of_the_content():
    assert world.reference(None, DIGITS) == "okay you gave me four nine two four"


@pytest.mark.parametrize("task", ANSWERS)
def test_a_command_in_the_content_is_obeyed_where_nothing_else_is_asked(task):
    assert world.reference(None, [world.TASKS[task].command, *DIGITS]) == ANSWERS[task]


def test_repeat_repeats_the_command_too():
    assert world.reference("repeat", ["count", "two", "one"]) == "i heard count two one"


def test_other_instructions_over_a_command_have_no_answer():
    with pytest.raises(ValueError, match="'sort' over 'count two' is undefined"):
        world.reference("sort", ["count", "two"])


@pytest.mark.parametrize(
    ("task", "content", "message"),
    [
        ("shout", ["two"], "no task 'shout' in the digits world; use one of repeat"),
        ("sort", ["two", "ten"], "'ten' in 'two ten' is no digit"),
        (None, ["count"], "'count' holds no digit"),
        (None, [], "holds no digit"),
    ],
)
def test_what_the_world_does_not_know_is_refused(task, content, message):
    with pytest.raises(ValueError, match=message):
        world.reference(task, content)


@pytest.mark.parametrize("task", ANSWERS)
def test_every_form_parses_back_to_its_task_and_content(task):
    rng = random.Random(task)
    for _ in range(200):
        digits = world.draw_digits(rng, 1, 9, held_out=False)
        content = world.TASKS[task].answer(digits)
        assert world.extract(world.answer(task, digits)) == (task, tuple(content))


def test_default_reply_and_commanded_repeat_parse_back():
    assert world.extract("okay you gave me count two") == ("default", ("count", "two"))
    assert world.extract("i heard count two") == ("repeat", ("count", "two"))


def test_what_fits_no_form_keeps_its_words():
    assert world.extract("nine four") == (None, ("nine", "four"))
    assert world.extract("i heard a banana") == (None, ("i", "heard", "a", "banana"))
    assert world.extract("there are four") == (None, ("there", "are", "four"))


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("backwards that is nine five three", "right"),
        ("backwards that is nine five", "wrong content"),
        ("i heard three five nine", "wrong task"),
        ("okay you gave me three five nine", "wrong task"),
        ("nine five three", "right content in another form"),
        ("i heard nine five three", "right content in another form"),
        ("three five nine", "transcribed"),
        ("three five eight", "other"),  # a third of the words were not said
        ("five three nine", "other"),  # the words said, in an order that nobody asked for
        ("reverse three five nine", "transcribed"),
        ("backwards that is", "other"),
        ("three apples", "other"),
        ("", "other"),
    ],
)
def test_an_answer_to_reverse_is_classed_by_what_went_wrong(answer, outcome):
    content = ["three", "five", "nine"]
    assert world.classify(answer, world.reference("reverse", content), "reverse", content) == outcome


def test_a_copy_with_one_misheard_word_of_five_is_transcribed():
    content = ["three", "five", "nine", "one", "two"]
    right = world.reference("reverse", content)
    assert world.classify("three five nine one seven", right, "reverse", content) == "transcribed"
    assert world.classify("three five nine seven seven", right, "reverse", content) == "other"


def test_a_string_that_was_almost_sorted_is_sorted_and_not_copied():
    content = ["one", "two", "eight", "four", "six"]
    right = world.reference("even", content)
    assert world.extract(right)[1] == ("two", "eight", "four", "six")
    bare = "two eight four six"  # one word of five is not said: near enough for a copy
    assert world.classify(bare, right, "even", content) == "right content in another form"


def test_a_spoken_command_and_the_default_are_classed_too():
    spoken = ["first", "three", "five"]
    reference = world.reference(None, spoken)
    assert world.classify("it starts with three", reference, None, spoken) == "right"
    assert world.classify("it starts with five", reference, None, spoken) == "wrong content"
    assert world.classify("okay you gave me three five", reference, None, spoken) == "wrong task"
    bare = ["three", "five"]
    assert (
        world.classify("okay you gave me three", world.reference(None, bare), None, bare) == "wrong content"
    )
    assert (
        world.classify("none of them is even", world.reference("even", ["two"]), "even", ["two"])
        == "wrong content"
    )


@pytest.mark.parametrize("task", ANSWERS)
def test_templates_are_plain_words_around_one_slot(task):
    for phrasing in world.TASKS[task].phrasings:
        before, after = phrasing.split("{speech}")
        assert set(before + after) <= set("abcdefghijklmnopqrstuvwxyz: ")
        assert before == "" or before.endswith(" ")
        assert after == "" or after.startswith(" ")
        assert before or after
        assert not set((before + after).replace(":", "").split()) & set(world.DIGITS)


@pytest.mark.parametrize("phrasings", [world.TRAINING_PHRASINGS, world.HELD_OUT_PHRASINGS])
def test_instructions_stand_before_after_and_around_in_both_sets(phrasings):
    places = {
        tuple(bool(part) for part in text.split("{speech}")) for texts in phrasings.values() for text in texts
    }
    assert places == {(True, False), (False, True), (True, True)}


def test_no_two_instructions_are_the_same():
    texts = [phrasing for task in world.TASKS.values() for phrasing in task.phrasings]
    assert len(set(texts)) == 60
    assert {len(texts) for texts in world.TRAINING_PHRASINGS.values()} == {3}
    assert {len(texts) for texts in world.HELD_OUT_PHRASINGS.values()} == {2}


def test_one_string_in_ten_is_held_out():
    rng = random.Random(0)
    strings = [[rng.choice(world.DIGITS) for _ in range(6)] for _ in range(5000)]
    assert 0.08 < sum(map(world.is_held_out, strings)) / len(strings) < 0.12
    assert all(world.is_held_out(world.draw_digits(rng, 2, 7, held_out=True)) for _ in range(50))


def test_half_of_the_tasks_are_never_commanded_in_speech():
    assert world.HEARD_COMMANDS == ("repeat", "first", "last", "count", "smallest", "spanish")
    assert len(world.HEARD_WORDS) == 16
