"""Documents of the digits example: text of the LLM's world, of which the digits are spoken."""

from random import Random

from auralign.records import Utterance
from local.documents import make_rounds


def utterance(name, text):
    return Utterance(name, f"{name}.flac", 1.0, text)


def test_each_round_is_about_one_utterance_whose_words_are_a_span():
    heard = [utterance("a", "three five"), utterance("b", "nine"), utterance("c", "one two")]
    made = make_rounds(heard, Random(1))
    assert made.others == ("a", "b", "c")
    assert len(made.text.split("\n\n")) == 6  # an instruction and an answer a round
    spoken = {name: made.text[start:end] for name, (start, end) in made.labels["spans"].items()}
    assert spoken == {one.id: one.text for one in heard}


def test_an_utterance_that_is_drawn_again_has_one_round():
    one = utterance("a", "three five")
    assert make_rounds([one, one], Random(1)) == make_rounds([one], Random(1))
