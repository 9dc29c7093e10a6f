"""Readings are scored by words, and sentences come from a file."""

import pytest

from auralign.demo.reading import SENTENCES, Reading, read_sentences, score_words, total


@pytest.mark.parametrize(
    ("sentence", "found", "rate"),
    [
        ("The soup is hot.", "the soup is hot", 0.0),
        ("The soup is hot.", "the soup was hot", 0.25),
        ("The soup is hot.", "", 1.0),
        ("Hot soup.", "the hot soup is here now", 2.0),
    ],
)
def test_word_errors_are_substitutions_deletions_and_insertions(sentence, found, rate):
    assert score_words(sentence, found) == rate


def test_the_total_counts_words_and_not_sentences():
    readings = [
        Reading("one two three", "one two three", "one", "", "Yes.", "yes"),
        Reading("four", "five", "four", "", "no", "maybe"),
    ]
    assert total(readings) == (0.25, 0.5, 0.5)


def test_there_are_ten_sentences_by_default():
    assert read_sentences(None) == SENTENCES
    assert len(set(SENTENCES)) == 10


def test_sentences_are_read_from_a_file(tmp_path):
    path = tmp_path / "sentences.txt"
    path.write_text("Eins zwei.\n\n  Drei.\n", encoding="utf-8")
    assert read_sentences(str(path)) == ("Eins zwei.", "Drei.")


@pytest.mark.parametrize(
    ("content", "message"), [("\n", "has no sentence"), ("one\n...\n", r"txt:2: '\.\.\.' has no word")]
)
def test_a_file_without_sentences_is_named(tmp_path, content, message):
    path = tmp_path / "sentences.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_sentences(str(path))
