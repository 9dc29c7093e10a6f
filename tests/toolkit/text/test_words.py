import pytest

from auralign.records import Records, Utterance, write_records
from auralign.text.words import english_words, is_normalised, normalise, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Guten Tag, Herr Müller!", "guten tag herr müller"),
        ("well-known", "well known"),
        ("He paid 1,000.50 at 5:30.", "he paid 1,000.50 at 5:30"),
        ("the boys’ 'tis don't", "the boys' 'tis don't"),
        ("“Straße” — 100%", "straße 100%"),
        ("你好，世界。", "你好 世界"),
        ("هل تتكلم؟", "هل تتكلم"),
        ("...", ""),
    ],
)
def test_case_and_punctuation_go_and_words_stay(text, expected):
    assert normalise(text) == expected


def test_normalised_text_stays_as_it_is():
    text = normalise('He said: "It’s 3.5 €, the boys’ price!"')
    assert normalise(text) == text


@pytest.mark.parametrize(("text", "expected"), [("three five", True), ("Three five", False)])
def test_a_manifest_is_normalised_where_every_text_is(tmp_path, text, expected):
    write_records(tmp_path / "a.jsonl", [Utterance("a", "a.wav", 1.0, text)], kind=Utterance)
    assert is_normalised(Records(tmp_path / "a.jsonl", Utterance)) is expected


def test_text_that_is_not_composed_is_normalised_all_the_same(tmp_path):
    write_records(tmp_path / "a.jsonl", [Utterance("a", "a.wav", 1.0, "scho\u0308n")], kind=Utterance)
    assert normalise("Scho\u0308n!") == "schön"
    assert is_normalised(Records(tmp_path / "a.jsonl", Utterance))


def test_vowel_signs_stay_in_normalised_text():
    assert normalise("पानी, कि।") == "पानी कि"


def test_words_of_any_language_keep_their_marks_and_lose_punctuation_at_their_edges():
    assert words("‘It’s’ (well-known), कि!") == ["‘it's", "well-known", "कि"]


def test_english_words_are_parted_by_hyphens():
    assert english_words("A well-known 'tis o‘clock_2") == ["a", "well", "known", "tis", "o'clock", "2"]
