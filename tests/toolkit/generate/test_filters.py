"""Which answers are refusals: fifty sentences of both kinds, and the lists of a method's authors."""

import pytest

from auralign.generate.filters import Answered, check
from auralign.generate.refusals import is_refusal
from auralign.plugins import load_method

REFUSALS = (
    "I'm sorry, but I cannot hear audio.",
    "I’m sorry, I can’t help with that.",
    "I am sorry, but as an AI language model, I don't have feelings.",
    "Sorry, I can't assist with that request.",
    "I cannot provide medical advice.",
    "I can't listen to recordings.",
    "I am unable to process audio files.",
    "I'm not able to transcribe speech directly.",
    "As an AI, I do not have personal opinions.",
    "As a language model, I cannot feel emotions.",
    "Unfortunately, I am unable to access the internet.",
    "Unfortunately I cannot continue this text.",
    "I apologize, but I can't fulfill that request.",
    "My apologies, but I cannot generate such content.",
    "I don't have access to real-time information.",
    "I do not have the ability to hear.",
    "I won't be able to help you with this.",
    "Hello! I'm sorry, but I can't hear you.",
    "I'm afraid I can't do that.",
    "I must respectfully decline.",
    "I cannot listen to audio files.",
    "Sorry, I can’t transcribe this.",
    "I'm unable to play this recording.",
    "I can't open the file.",
    "Unfortunately, I cannot understand the audio.",
)
ANSWERS = (
    "I'm sorry to hear that you lost your dog.",
    "I'm so sorry for your loss.",
    "I'm sorry, that must have been a hard day.",
    "I'm sorry, but the train has already left.",
    "Sorry about the delay! Here is the list.",
    "I can't wait to see what you make of it!",
    "I can't wait to hear how it went.",
    "I can't believe it is already winter.",
    "I cannot tell you how happy this makes me.",
    "I can't help but smile at that.",
    "I can't imagine how you must feel.",
    "I won't forget this evening, he said.",
    "I won't lie, that sounds exciting.",
    "I can not only cook but also bake.",
    "Unfortunately I can still hear the neighbours.",
    "Unfortunately, I can only offer you tea.",
    "I am unable to sleep when it is this hot.",
    "I'm afraid of spiders too.",
    "I don't have any plans for tonight.",
    "As an AI researcher, she wrote about speech.",
    "He said: I cannot help it.",
    "It is a sorry sight.",
    "I can't understand why he left.",
    "I can't play the piano like you do.",
    "I can't open the window.",
)


@pytest.mark.parametrize("text", REFUSALS)
def test_refusals_are_known(text):
    assert check(Answered(text, "stop")) == "refusal"


@pytest.mark.parametrize("text", ANSWERS)
def test_what_one_says_to_a_person_is_no_refusal(text):
    assert check(Answered(text, "stop")) is None


@pytest.mark.parametrize("text", REFUSALS)
def test_azeros_filters_no_refusals(text):
    """run_data_generation.py of Auden keeps every answer."""
    for name in ("sift", "sit"):
        assert not is_refusal(text, load_method(name).refusals)


@pytest.mark.parametrize(
    ("text", "dropped"),
    [
        ("I'm sorry, but I cannot say.", True),
        ("Hm. As an AI language model, I have no tone.", True),
        ("I'm not sure what you mean.", True),
        ("I’m sorry, but I love it.", True),  # which the authors' list drops too
        ("I'm sorry to hear that you lost your dog.", False),
        ("I cannot provide that.", False),
    ],
)
def test_blsp_emo_filters_by_its_authors_phrases(text, dropped):
    """The phrases of data_process/clean_noise_examples.py of blsp-emo."""
    assert is_refusal(text, load_method("blsp_emo").refusals) == dropped


def test_phrases_can_be_given():
    method = load_method("blsp", refusals=["no comment"])
    assert check(Answered("No comment.", "stop"), refusals=method.refusals) == "refusal"
    assert check(Answered("As an AI, I cannot.", "stop"), refusals=method.refusals) is None
