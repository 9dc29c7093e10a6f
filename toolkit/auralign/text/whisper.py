"""Whisper's normalisers (Radford et al. 2022, "Robust Speech Recognition via Large-Scale Weak Supervision", appendix C).

    >>> whisper_normaliser("en")("The colour’s TWENTY"), whisper_normaliser("de")("Zwanzig, fünf!")
    ('the colour is 20', 'zwanzig fünf')

transformers ships them. They know the straight apostrophe only, so curly ones are made straight first. English is normalised as
Whisper does. Of other languages Whisper drops every combining mark, and with them the vowels of Hindi, Tamil or Thai, so that
wrong words count as right. Here they stay (`strip_symbols`): error rates of such languages are higher than by Whisper's own,
and not to be compared with those.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from auralign.files import read_json
from auralign.text.characters import compose, straighten

# Points of Arabic and Hebrew that a text may have or leave out, and the stroke that only makes an Arabic word longer. Hamza and
# madda are no such points: composed, they are part of their letter.
OPTIONAL_POINTS = re.compile(
    "[\u0610-\u061a\u0640\u064b-\u0652\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed"
    "\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7]"
)
POINTED = ("yi", "ks")  # languages that always write them: Yiddish, Kashmiri
ZERO_WIDTH_SPACE = "\u200b"  # parts words
# Marks that are not seen: selectors of a letter's shape, joiners of graphemes, Khmer vowels that are never written.
UNSEEN_MARKS = re.compile("[\u034f\u17b4\u17b5\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")


def whisper_normaliser(
    language: str, spellings: Mapping[str, str] | None = None, *, split_letters: bool = False
) -> Callable[[str], str]:
    """Lower case, no symbols, single spaces; for English also numbers as digits, contractions in full and one spelling.

    Arguments
    ---------
    language : str
        Main code, such as "hi".
    spellings : mapping of str -> str, optional
        British to American spelling, for English alone; nothing is respelled by default.
    split_letters : bool
        Whether letters, each with its marks, become words; for languages other than English.
    """
    from transformers.models.whisper.english_normalizer import BasicTextNormalizer, EnglishTextNormalizer

    if language == "en":
        normaliser = EnglishTextNormalizer(dict(spellings or {}))
    else:
        normaliser = BasicTextNormalizer(split_letters=split_letters)
        normaliser.clean = partial(strip_symbols, language=language)
    return lambda text: " ".join(normaliser(straighten(compose(text), opening=True)).split())


def read_spellings(spellings) -> Mapping[str, str]:
    """British to American spellings: a mapping as it is, or the JSON file at a path; {} for None.

    Raises ValueError if they are not a mapping of words to words.
    """
    place = "spellings"
    if isinstance(spellings, str | Path):
        place, spellings = str(spellings), read_json(spellings, repair="fetch Whisper's english.json again")
    spellings = {} if spellings is None else spellings
    if not isinstance(spellings, Mapping) or not all(
        isinstance(word, str) for pair in spellings.items() for word in pair
    ):
        raise ValueError(f'{place}: no mapping of words to words, such as {{"colour": "color"}}')
    return spellings


def strip_symbols(text: str, language: str) -> str:
    """Lower-case text without punctuation and symbols, each a space, as Whisper's basic normaliser has it, but for the marks.

    Whisper's puts a space for every mark that stays apart from its letter in NFKC. These are the vowels of most scripts of India
    and South-East Asia: Hindi ki and ku would both be k. Here marks stay, and go without a space if nothing is lost by it: those
    that a text may have or leave out (harakat, niqqud), those that are not seen (selectors, joiners, the soft hyphen), and those
    that have no letter before them.

    Arguments
    ---------
    text : str
    language : str
        Main code, such as "ar".

    >>> strip_symbols("कि, कु", "hi"), strip_symbols("مُحَمَّد", "ar")
    ('कि  कु', 'محمد')
    """
    text = UNSEEN_MARKS.sub("", unicodedata.normalize("NFKC", text))
    text = text.replace("i\u0307", "i")  # what lower case makes of the Turkish capital with a dot
    text = text if language in POINTED else OPTIONAL_POINTS.sub("", text)
    found: list[str] = []
    for character in text:
        kind = unicodedata.category(character)
        if kind[0] in "SP" or character == ZERO_WIDTH_SPACE:
            found.append(" ")
        elif kind in ("Cf", "Me"):  # joiners and the like; circles around a letter
            continue
        elif kind[0] != "M" or (found and not found[-1].isspace()):
            found.append(character)
    return compose("".join(found))
