"""Text as error rates are counted in it: as it is written, and by Whisper's normalisers."""

from pathlib import Path

import pytest

from auralign.text.forms import normalised_form

GOLDEN = Path(__file__).parents[4] / "shared" / "data" / "scoring_refs"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("QUILTER'S", "quilter is"),
        ("Quilter’s", "quilter is"),
        ("don‘t", "do not"),
        ("Mr. Smith's 3,000 [noise] (laughs)", "mister smith is 3000"),
        ("one hundred and one two three", "10123"),
        ("five o'clock", "50 clock"),
        ("Uh, hmm", ""),
    ],
)
def test_english_is_normalised_as_whisper_does(text, expected):
    assert " ".join(normalised_form("en").split(text)) == expected


def test_spellings_are_read_from_a_file(tmp_path):
    (tmp_path / "english.json").write_text('{"colour": "color"}')
    form = normalised_form("en", tmp_path / "english.json")
    assert (form.split("Colour"), form.name) == (
        ["color"],
        "by Whisper's English normaliser with 1 spellings",
    )


def test_a_file_of_something_else_is_refused_by_its_name(tmp_path):
    (tmp_path / "english.json").write_text('["colour"]')
    with pytest.raises(ValueError, match=r"english\.json: no mapping of words"):
        normalised_form("en", tmp_path / "english.json")


def test_spellings_of_another_language_are_refused():
    with pytest.raises(ValueError, match="given for 'de'; they belong to English"):
        normalised_form("de", {"colour": "color"})


def test_other_languages_lose_case_and_symbols_only():
    assert normalised_form("fr").split("L’été, [bruit] 20 %!") == ["l", "été", "20"]


@pytest.mark.parametrize("language", ["zh-CN", "ja"])
def test_languages_without_spaces_are_split_into_letters(language):
    assert normalised_form(language).split("今天，天气。") == ["今", "天", "天", "气"]


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="no published spellings beside the checkout")
def test_published_spellings_are_read():
    form = normalised_form("en", GOLDEN / "whisper_english_spelling.json")
    assert (form.split("Colour"), form.name.split()[-2]) == (["color"], "1,739")


@pytest.mark.parametrize(
    ("language", "one", "other"),
    [
        ("ar", "مُحَمَّدٌ", "محمد"),  # harakat
        ("ar", "محـــمد", "محمد"),  # the stroke that makes a word longer
        ("ar", "ا\u0655سلام", "إسلام"),  # hamza below, composed
        ("ur", "عیسیٰ", "عیسی"),
        ("he", "שָׁלוֹם", "שלום"),  # niqqud
        ("hi", "क\u094d\u200dष", "क्ष"),  # a joiner is not heard
        ("hi", "\u0958लम", "क\u093cलम"),  # a letter with its nukta
        ("fa", "می\u200cخواهم", "میخواهم"),
        ("de", "Zu\u00adcker", "zucker"),  # a soft hyphen
        ("ja", "葛\U000e0100", "葛"),  # the shape of a letter
        ("ja", "ｶﾞ", "ガ"),
        ("vi", "tiê\u0301ng", "tiếng"),
        ("tr", "İstanbul", "istanbul"),
        ("fr", "l\u00b4été", "l’été"),  # an accent for an apostrophe has no letter
        ("th", "ไป\u200bไหน", "ไปไหน"),
    ],
)
def test_what_is_not_heard_is_no_error(language, one, other):
    assert normalised_form(language).split(one) == normalised_form(language).split(other)


@pytest.mark.parametrize(("language", "text"), [("fr", "L’Été, à Noël."), ("ru", "Ещё й"), ("pl", "żółć")])
def test_languages_whose_letters_are_composed_are_normalised_as_whisper_does(language, text):
    from transformers.models.whisper.english_normalizer import BasicTextNormalizer

    assert normalised_form(language).split(text) == BasicTextNormalizer()(text.replace("’", "'")).split()


def test_the_form_says_how_it_differs_from_whispers():
    assert normalised_form("hi").name == (
        "by Whisper's basic normaliser, but marks stay, except harakat, niqqud and what is not seen"
    )
    assert "but marks stay" not in normalised_form("en").name


@pytest.mark.parametrize("text", ["Re\u0301sume\u0301", "Résumé"])
def test_english_drops_accents_as_whisper_does(text):
    assert normalised_form("en").split(text) == ["resume"]
