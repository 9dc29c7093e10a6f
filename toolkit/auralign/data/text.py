r"""Text in the one form of Unicode in which it is compared, and as a faultless recognizer would write it: without case and
punctuation.

    >>> compose("scho\u0308n") == "schön"
    True

    >>> normalise('He said: "It’s 3.5 €, the boys’ price!"')
    "he said it's 3.5 € the boys' price"

The gap ledger reads it beside the reference text: what it loses by that, no ear could win back.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from auralign.records import Records

APOSTROPHES = str.maketrans("’ʼ＇", "'''")
# An apostrophe beside a letter, a point between digits, and signs that stand for words belong to the words.
KEPT = re.compile(r"(?<=[^\W\d_])'|'(?=[^\W\d_])|(?<=\d)[.,:](?=\d)|[%&@#§]")


def compose(text: str) -> str:
    """Text in the composed form of Unicode (NFC), in which all texts are compared: an accent of its own and one that is part of
    its letter are the same text. What the LLM reads and writes is left as it is."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def normalise(text: str) -> str:
    """Lower case, without punctuation, single spaces, composed; numbers and symbols stay as they are."""
    text = compose(text).translate(APOSTROPHES).lower()
    kept = {match.start() for match in KEPT.finditer(text)}
    letters = (
        letter if place in kept or unicodedata.category(letter)[0] != "P" else " "
        for place, letter in enumerate(text)
    )
    return " ".join("".join(letters).split())


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


def basic_normaliser(language: str, *, split_letters: bool = False) -> Callable[[str], str]:
    """Whisper's normaliser for languages other than English (Radford et al. 2022, appendix C), but with `strip_symbols`: lower
    case, what stands in brackets left out, single spaces.

    Arguments
    ---------
    language : str
        Main code, such as "hi".
    split_letters : bool
        Whether letters, each with its marks, become words.
    """
    from transformers.models.whisper.english_normalizer import BasicTextNormalizer

    normaliser = BasicTextNormalizer(split_letters=split_letters)
    normaliser.clean = partial(strip_symbols, language=language)
    return lambda text: normaliser(compose(text)).strip()


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


def is_normalised(manifest: Records) -> bool:
    """Whether every text of a manifest is normalised as it stands: reading both would be reading twice."""
    return all(compose(utterance.text) == normalise(utterance.text) for utterance in manifest)
