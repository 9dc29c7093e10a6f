"""What each shipped method asks, shows and teaches."""

import inspect
from random import Random

import pytest

from auralign.layout import DEFAULT, Speech, Target, Text
from auralign.plugins import find_methods, load_class, load_method
from auralign.records import Utterance

UTTERANCE = Utterance(id="u", audio="u.flac", seconds=1.0, text="three five")
SHIPPED = [entry.name for entry in find_methods() if entry.package == "auralign"]


def example(name, **options):
    """The method, its one choice and its layout for an answer."""
    method = load_method(name, **options)
    (choice,) = method.choices(UTTERANCE, Random(0))
    return method, choice, method.layout(UTTERANCE, choice, Target("answer"))


def test_transcription_teaches_the_reference_transcript():
    method, choice, layout = example("transcription", instructions=["write: {speech}"])
    assert method.given_response(UTTERANCE, choice) == "three five"
    assert layout.student.segments == (Text("write: "), Speech("three five"), Target("answer"))


def test_sit_asks_with_the_instruction_that_it_teaches_after():
    method, choice, layout = example("sit", instructions=["{speech} say that again"])
    assert method.given_response(UTTERANCE, choice) is None
    assert layout.student.segments == (Speech("three five"), Text(" say that again"), Target("answer"))
    assert layout.teacher.before_target().segments == (Text("three five", "speech"), Text(" say that again"))


def test_sift_asks_nothing_and_has_no_system_prompt():
    method, choice, layout = example("sift")
    assert method.given_response(UTTERANCE, choice) is None
    assert layout.student.segments == (Speech("three five"), Target("answer"))
    assert layout.student.system is None
    assert layout.teacher.before_target().segments == (Text("three five", "speech"),)


def test_blsp_asks_to_continue_what_can_be_heard():
    method = load_method("blsp", instruction="go on: {speech}")
    utterance = Utterance(id="u", audio="u.flac", seconds=1.0, text="Well, it's 'three' -- Five!")
    (choice,) = method.choices(utterance, Random(0))
    layout = method.layout(utterance, choice, Target("six"))
    assert method.given_response(utterance, choice) is None
    assert layout.student.segments == (Text("go on: "), Speech("well it's three five"), Target("six"))
    assert layout.teacher.before_target().segments == (
        Text("go on: "),
        Text("well it's three five", "speech"),
    )


def test_blsp_can_keep_the_text_as_it_is():
    method = load_method("blsp", normalize=False, instruction="{speech}")
    utterance = Utterance(id="u", audio="u.flac", seconds=1.0, text="Three, Five!")
    (choice,) = method.choices(utterance, Random(0))
    assert method.layout(utterance, choice, Target("x")).student.segments[0] == Speech("Three, Five!")


@pytest.mark.parametrize("name", ["transcription", "sit"])
def test_instruction_is_drawn_by_the_seed_alone(name):
    method = load_method(name, instructions=[f"{word} {{speech}}" for word in "abcdefgh"])
    drawn = [next(iter(method.choices(UTTERANCE, Random(seed)))).instruction for seed in range(20)]
    assert drawn == [next(iter(method.choices(UTTERANCE, Random(seed)))).instruction for seed in range(20)]
    assert len(set(drawn)) > 4


def test_transcription_keeps_the_recipes_system_prompt():
    assert example("transcription")[2].student.system is DEFAULT


@pytest.mark.parametrize("name", SHIPPED)
def test_options_round_trip(name):
    method = load_method(name)
    assert load_method(name, **method.options()) == method


@pytest.mark.parametrize("name", SHIPPED)
def test_docstring_says_what_is_faithful_and_what_is_not(name):
    entry = next(entry for entry in find_methods() if entry.name == name)
    text = inspect.getdoc(load_class(entry))
    assert "Faithful to the paper:" in text
    assert "Not faithful:" in text


@pytest.mark.parametrize("name", SHIPPED)
def test_layout_is_pure(name):
    method, choice, layout = example(name)
    assert method.layout(UTTERANCE, choice, Target("answer")) == layout
