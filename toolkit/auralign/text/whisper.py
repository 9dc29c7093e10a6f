"""Whisper's normalisers (Radford et al. 2022, "Robust Speech Recognition via Large-Scale Weak Supervision", appendix C).

    >>> whisper_normaliser("en")("The colour’s TWENTY"), whisper_normaliser("de")("Zwanzig, fünf!")
    ('the colour is 20', 'zwanzig fünf')

transformers ships them. They know the straight apostrophe only, so curly ones are straightened first. English is normalised
exactly as by Whisper. For other languages Whisper drops all combining marks, and with them the vowels of Hindi, Tamil or Thai, so
that wrong words count as right. Here the marks are kept (`strip_symbols`), so error rates of such languages are higher than
Whisper's and must not be compared with them.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from auralign.files import read_json
from auralign.text.characters import compose, straighten

# Optional points of Arabic and Hebrew, and the stroke that only lengthens an Arabic word. Hamza and madda are not optional:
# composed, they are part of their letter.
OPTIONAL_POINTS = re.compile(
    "[\u0610-\u061a\u0640\u064b-\u0652\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed"
    "\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7]"
)
POINTED = ("yi", "ks")  # Yiddish and Kashmiri always write them
ZERO_WIDTH_SPACE = "\u200b"  # separates words
# Invisible marks: selectors of a letter's shape, joiners of graphemes, Khmer vowels that are never written.
UNSEEN_MARKS = re.compile("[\u034f\u17b4\u17b5\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")


def whisper_normaliser(
    language: str, spellings: Mapping[str, str] | None = None, *, split_letters: bool = False
) -> Callable[[str], str]:
    """A function to lower case without symbols and with single spaces; for English also digits, full forms and one spelling.

    Arguments
    ---------
    language : str
        Main code, such as "hi".
    spellings : mapping of str -> str, optional
        British -> American spelling, for English alone. Default: none.
    split_letters : bool
        Whether each letter, with its marks, becomes a word; for languages other than English. Default: False.
    """
    from transformers.models.whisper.english_normalizer import BasicTextNormalizer, EnglishTextNormalizer

    if language == "en":
        normaliser = EnglishTextNormalizer(dict(spellings or {}))
    else:
        normaliser = BasicTextNormalizer(split_letters=split_letters)
        normaliser.clean = partial(strip_symbols, language=language)
    return lambda text: " ".join(normaliser(straighten(compose(text), opening=True)).split())


def read_spellings(spellings) -> Mapping[str, str]:
    """British -> American spellings: the given mapping, or that of the JSON file at a path; {} for None.

    Raises ValueError if they are not a mapping of words to words.
    """
    source = "spellings"
    if isinstance(spellings, str | Path):
        source, spellings = str(spellings), read_json(spellings, repair="fetch Whisper's english.json again")
    spellings = {} if spellings is None else spellings
    if not isinstance(spellings, Mapping) or not all(
        isinstance(word, str) for pair in spellings.items() for word in pair
    ):
        raise ValueError(f'{source}: no mapping of words to words, such as {{"colour": "color"}}')
    return spellings


def strip_symbols(text: str, language: str) -> str:
    """Lower-case, and replace punctuation and symbols by spaces, as Whisper's basic normaliser does, but keep combining marks.

    Whisper's replaces every mark that NFKC does not compose with its letter by a space. These are the vowels of most scripts of
    India and South-East Asia: Hindi ki and ku would both become k. Here marks are kept, except optional ones (harakat, niqqud),
    invisible ones (selectors, joiners, the soft hyphen) and those without a letter before them, which are removed.

    Arguments
    ---------
    text : str
    language : str
        Main code, such as "ar".

    >>> strip_symbols("कि, कु", "hi"), strip_symbols("مُحَمَّد", "ar")
    ('कि  कु', 'محمد')
    """
    text = UNSEEN_MARKS.sub("", unicodedata.normalize("NFKC", text))
    text = text.replace("i\u0307", "i")  # the lower case of the Turkish capital with a dot
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
