"""Words of a text without case and punctuation: for the ledger, for judges, for rules and for alignments.

>>> normalise('He said: "It’s 3.5 €, the boys’ price!"')
"he said it's 3.5 € the boys' price"
>>> words("It’s THREE, five."), english_words("It’s a well-known fact.")
(["it's", 'three', 'five'], ["it's", 'a', 'well', 'known', 'fact'])
>>> plain("Don’t!"), plain("«C'est»"), plain("–")
('dont', 'cest', '')
"""

from __future__ import annotations

import re
import string
import unicodedata
from typing import TYPE_CHECKING

from auralign.text.characters import compose, straighten

if TYPE_CHECKING:
    from collections.abc import Iterable

    from auralign.records import Utterance

# An apostrophe beside a letter, a point between digits, and signs that mean words are part of words.
KEPT = re.compile(r"(?<=[^\W\d_])'|'(?=[^\W\d_])|(?<=\d)[.,:](?=\d)|[%&@#§]")
# Scripts without spaces between words: Thai and Lao, kana, Chinese characters.
UNSPACED = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
UNIT = re.compile(rf"[{UNSPACED}]|[^\s{UNSPACED}]+")
# Values of attributes that tables have for what is not known, without marks: "N/A" is "na".
UNKNOWN = frozenset(
    ("", "na", "nan", "none", "null", "unk", "unknown", "notavailable", "unspecified", "notspecified")
)
ENGLISH_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


def normalise(text: str) -> str:
    """Text as a perfect recognizer would write it: lower case, no punctuation, single spaces; numbers and symbols are kept.

    The gap ledger compares it with the reference text: no speech encoder could recover the difference.
    """
    text = straighten(compose(text)).lower()
    kept = {match.start() for match in KEPT.finditer(text)}
    letters = (
        letter if position in kept or unicodedata.category(letter)[0] != "P" else " "
        for position, letter in enumerate(text)
    )
    return " ".join("".join(letters).split())


def is_normalised(utterances: Iterable[Utterance]) -> bool:
    """Whether every text of a manifest is normalised already, so that a normalised copy would be the same."""
    return all(compose(utterance.text) == normalise(utterance.text) for utterance in utterances)


def words(text: str) -> list[str]:
    """Words of any language, in lower case, split by white space, without ASCII punctuation at their edges."""
    found = (word.strip(string.punctuation) for word in straighten(compose(text)).lower().split())
    return [word for word in found if word]


def comparable_words(text: str) -> list[str]:
    """Words of a normalised text of any language; in a script without spaces, each letter is a word.

    >>> comparable_words("«Où?» 我爱你。")
    ['où', '我', '爱', '你']
    """
    return UNIT.findall(normalise(text))


def english_words(text: str) -> list[str]:
    """Runs of letters and digits in lower case, with the apostrophes within them; a hyphen separates words.

    For English alone, as regular expressions do not treat the vowel signs of other scripts as letters.
    """
    return ENGLISH_WORD.findall(straighten(compose(text), opening=True).lower())


def is_unknown(value: object) -> bool:
    """Whether an attribute's value says that it is not known.

    >>> [is_unknown(value) for value in (None, "<unk>", "N/A", float("nan"), "?", 0, "nana")]
    [True, True, True, True, True, False, False]
    """
    return value is None or plain(str(value)) in UNKNOWN


def plain(text: str) -> str:
    """A word or a sentence without case, punctuation, symbols and spaces; marks stay, as a vowel sign makes another word."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(letter for letter in folded if unicodedata.category(letter)[0] not in ("P", "S", "Z", "C"))
