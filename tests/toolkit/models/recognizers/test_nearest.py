"""The words of a transcript that are nearest to a phrase."""

import pytest

from auralign.models.recognizers.nearest import nearest_words


@pytest.mark.parametrize(
    ("words", "phrase", "place"),
    [
        ("a b c a b", "a b", (0, 1, 0)),
        ("a x b a b", "a b", (3, 4, 0)),
        ("x a c x", "a b", (1, 2, 1)),
        ("x b", "a b", (0, 1, 1)),
        ("x y", "a b", None),
        ("", "a", None),
        ("a", "", None),
    ],
)
def test_the_nearest_words_have_fewest_edits(words, phrase, place):
    assert nearest_words(words.split(), phrase.split()) == place
