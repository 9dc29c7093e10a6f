"""The output units of a CTC head: whole words, or characters.

Axes: V vocabulary.
"""

import unicodedata
from collections.abc import Iterable

from auralign.text.words import plain

BLANK = 0


class Words:
    """Units that are whole words.

    Arguments
    ---------
    tokens : list of str
        V words; the word at index 0 is the blank, which is never shown.
    """

    blank = BLANK
    between: tuple[int, ...] = ()  # units between two words

    def __init__(self, tokens):
        self.tokens = list(tokens)
        self._ids = {}  # by their spelling, and without case and punctuation
        for number, token in enumerate(self.tokens):
            if number != BLANK:
                self._ids.setdefault(plain(token), number)
                self._ids[token] = number

    def spell(self, word: str) -> list[int]:
        """The units of a word, ignoring case and punctuation; empty if the word is not among the tokens."""
        found = self._ids.get(word, self._ids.get(plain(word)))
        return [] if found is None else [found]

    def read(self, ids: Iterable[int]) -> str:
        """The text of units, from which repeats were removed; a blank is not shown."""
        return " ".join(self.tokens[number] for number in ids if number != self.blank)


class Characters:
    """Units that are characters, with one for the end of a word.

    Arguments
    ---------
    tokens : list of str
        V tokens; "" for an output without a name.
    blank : int
        Index of the blank.
    delimiter : str
        The token between words; default "|".
    special : iterable of str
        Tokens that are never shown, such as <s>; the blank need not be among them. Default none.
    lowercase : bool
        Whether transcripts are lower-cased; default False, they have the case of the tokens.

    Raises ValueError if the delimiter is not among the tokens.
    """

    def __init__(self, tokens, *, blank: int, delimiter: str = "|", special=(), lowercase: bool = False):
        self.tokens, self.blank, self.lowercase = list(tokens), blank, lowercase
        if delimiter not in self.tokens:
            raise ValueError(f"no token {delimiter!r} for the end of a word among {' '.join(self.tokens)}")
        end = self.tokens.index(delimiter)
        self.between = (end,)
        hidden = {*special, self.tokens[blank], ""}
        self._shown = {
            number: " " if number == end else token
            for number, token in enumerate(self.tokens)
            if token not in hidden or number == end
        }
        self._ids = {token: number for number, token in self._shown.items() if number != end}

    def spell(self, word: str) -> list[int]:
        """The units of a word, in the case of the tokens; characters without a token are left out."""
        normal = unicodedata.normalize("NFKC", word).replace("’", "'")
        return [number for character in normal for number in self._find(character)]

    def _find(self, character: str) -> list[int]:
        for form in (character, character.lower(), character.upper(), character.casefold()):  # ß: SS, ss
            if all(part in self._ids for part in form):
                return [self._ids[part] for part in form]
        return []

    def read(self, ids: Iterable[int]) -> str:
        """The text of units, from which repeats were removed; a blank is not shown."""
        text = " ".join("".join(self._shown.get(number, "") for number in ids).split())
        return text.lower() if self.lowercase else text
