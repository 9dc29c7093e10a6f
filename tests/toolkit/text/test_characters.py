"""One form of Unicode and one apostrophe, in every normaliser."""

import pytest

from auralign.corpora.slue.answers import read_sentiment
from auralign.corpora.slue.labels import normalise_phrase
from auralign.text.characters import APOSTROPHES, OPENING_QUOTE, straighten
from auralign.text.forms import normalised_form
from auralign.text.words import english_words, normalise, plain, words

NORMALISERS = {
    "normalise": normalise,
    "words": words,
    "english_words": english_words,
    "Whisper's English": normalised_form("en").split,
    "Whisper's basic": normalised_form("fr").split,
    "SLUE's phrases": normalise_phrase,
    "SLUE's sentiments": lambda text: read_sentiment(f"The sentiment is positive; {text}"),
}


@pytest.mark.parametrize("name", NORMALISERS)
@pytest.mark.parametrize("apostrophe", APOSTROPHES)
def test_an_apostrophe_is_one_however_it_is_written(name, apostrophe):
    normaliser = NORMALISERS[name]
    assert normaliser(f"it isn{apostrophe}t") == normaliser("it isn't")


@pytest.mark.parametrize("name", [name for name in NORMALISERS if name != "SLUE's sentiments"])
def test_composed_and_decomposed_letters_are_the_same(name):
    assert NORMALISERS[name]("Scho\u0308n") == NORMALISERS[name]("Schön")


def test_an_opening_quote_is_an_apostrophe_only_if_it_is_asked_for():
    text = f"{OPENING_QUOTE}tis"
    assert (straighten(text), straighten(text, opening=True)) == (text, "'tis")
    assert (normalise(text), normalised_form("en").split(text)) == ("tis", ["tis"])


def test_a_negation_counts_with_any_apostrophe():
    assert read_sentiment("The sentiment isn\u02bct positive") is None


def test_plain_text_has_no_apostrophe_at_all():
    assert plain("Don’t!") == plain("don't") == "dont"
