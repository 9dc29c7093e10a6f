"""The two text forms of error rates: as written, and normalised as in Whisper's paper.

>>> raw_form("en").split("It’s 20."), normalised_form("en").split("IT'S TWENTY")
(['It’s', '20.'], ['it', 'is', '20'])
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from auralign.text.characters import compose
from auralign.text.language import main_code
from auralign.text.whisper import read_spellings, whisper_normaliser

# Scored by letter: the five of Whisper's paper, and Cantonese and Khmer, which do not separate words by spaces either.
WITHOUT_SPACES = ("zh", "ja", "th", "lo", "my", "yue", "km")
MARKS = "but marks stay, except harakat, niqqud and what is not seen"  # the difference from Whisper's form


@dataclass(frozen=True)
class TextForm:
    """How reference and hypothesis are split into units before they are compared."""

    name: str
    unit: str  # word or letter
    split: Callable[[str], list[str]]


def raw_form(language: str) -> TextForm:
    """Text as written, split by white space, or by character if the language does not write spaces."""
    if main_code(language) in WITHOUT_SPACES:
        return TextForm(
            "as written (in NFC), by character", "letter", lambda text: list("".join(compose(text).split()))
        )
    return TextForm("as written (in NFC)", "word", lambda text: compose(text).split())


def normalised_form(language: str, spellings=None) -> TextForm:
    """Whisper's form: numbers as digits, contractions and spelling for English; else lower case without symbols, with marks.

    Arguments
    ---------
    language : str
        Language code such as `en` or `zh-CN`.
    spellings : mapping or path of a JSON file, optional
        British -> American spelling, for English; Whisper's own list has 1,739 entries. Default: none.

    Raises ValueError if spellings are given for another language than English, or are not a mapping of words.
    """
    code = main_code(language)
    if code == "en":
        spellings = read_spellings(spellings)
        known = f"with {len(spellings):,} spellings" if spellings else "without its list of British spellings"
        return _form(f"by Whisper's English normaliser {known}", "word", whisper_normaliser(code, spellings))
    if spellings:
        raise ValueError(f"spellings are given for {language!r}; they belong to English, so leave them out")
    name, by_letter = f"by Whisper's basic normaliser, {MARKS}", code in WITHOUT_SPACES
    normalise = whisper_normaliser(code, split_letters=by_letter)
    return (
        _form(name + "; letters split", "letter", normalise) if by_letter else _form(name, "word", normalise)
    )


def _form(name, unit, normalise):
    # A reference is compared with the answers of every column, and an answer is scored in several tables. The text is kept, not
    # its words: 130,000 sentences take about 60 MB.
    normalised = lru_cache(maxsize=2**17)(normalise)
    return TextForm(name, unit, lambda text: normalised(text).split())
