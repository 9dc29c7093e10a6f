"""Reject answers that are empty, loop or refuse.

>>> check(Answered("", "stop"))
'empty'
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from auralign.generate.refusals import is_refusal

# A block of words that repeats at the end; digit strings may repeat a word seven times.
MIN_REPEATS, MIN_LOOP_WORDS, MAX_BLOCK_WORDS = 4, 16, 20
# Of an answer that was cut off, whose end no LLM chose: fewer repeats, and blocks of any length, as whole paragraphs repeat.
CUT_OFF_REPEATS, LONG_BLOCK_REPEATS, LONG_BLOCK_WORDS = 3, 2, 20
# A short one loops if half of it does, in at least so many words: a limit of 24 tokens leaves few answers with sixteen.
MIN_SHORT_LOOP_WORDS = 5
# Of writing without spaces, and of a letter that never ends
MIN_LETTER_REPEATS, MIN_LOOP_LETTERS, MAX_BLOCK_LETTERS = 4, 32, 100
MIN_LOOP_SIGNS = 120  # of "=====", which may be the line under a title
# Of an item in a list or of a heading: the number differs, although the items are the same.
NUMBER, LETTER = r"[A-Za-z]{0,2}\d+(?:\.\d+)*", r"(?:[A-Za-z]|[ivxIVX]+)"
MARKER = re.compile(  # such as 1. (2) **3.** [4] Q5:, #6, 1.7, b) and -
    rf"[(\[*#]*{NUMBER}[.):\]]+\**|[(\[*#]+{NUMBER}|\d+(?:\.\d+)+|[(\[*]*{LETTER}[)\]]\**|[-*•–]|#+"
)

SIGNS_AROUND = re.compile(r"^[\W_]+|[\W_]+$")


class Answered(NamedTuple):
    """An answer of the LLM and why it ended."""

    text: str
    finish_reason: str


def check(
    answer: Answered, *, keep_cut_off: bool = True, refusals: Sequence[str] | None = None
) -> str | None:
    """The reason why this answer may not become a target, or None if it may.

    An answer that was cut off at the length limit is rejected only if `keep_cut_off` is False; else it has no end of turn.
    For `refusals` see `auralign.generate.refusals.is_refusal`.
    """
    if not answer.text.strip():
        return "empty"
    if answer.finish_reason == "length" and not keep_cut_off:
        return "cut off"
    if loops(answer.text, cut_off=answer.finish_reason == "length"):
        return "looping"
    return "refusal" if is_refusal(answer.text, refusals) else None


def loops(text: str, *, cut_off: bool = False) -> bool:
    """Whether the text ends in a block of words that occurs at least four times in a row, sixteen words in all.

    Neither case nor punctuation around a word nor the numbers of a list are compared; of a text without spaces its letters are.

    Arguments
    ---------
    text : str
    cut_off : bool
        Whether the text ends at a length limit, maybe within a word, and not where the LLM ended it; default False. Then three
        times are enough, and two if the block has at least twenty words; half of the text, if it is short, and five words are
        enough.

    >>> loops("I do not know. " * 3 + "I do"), loops("I do not know. " * 4 + "I d", cut_off=True)
    (False, True)
    >>> loops("Yes: no no no no no", cut_off=True), loops("I see: no no no no", cut_off=True)
    (True, False)
    """
    words = text.casefold().split()
    wholes = [[*map(_bare, words)], [_bare(word) for word in words if not MARKER.fullmatch(word)]]
    if words and _loops_in_letters(_bare(words[-1])):
        return True
    if cut_off:  # the last word may be the beginning of one
        return any(_loops_in_words(whole[:end]) for whole in wholes for end in (None, -1))
    return any(
        _repeats(whole, block, max(MIN_REPEATS, -(-MIN_LOOP_WORDS // block)))
        for whole in wholes
        for block in range(1, MAX_BLOCK_WORDS + 1)
    )


def _bare(word: str) -> str:
    """A word without the signs around it; as it is if it has no other."""
    return SIGNS_AROUND.sub("", word) or word


def _repeats(items: Sequence, block: int, repeats: int) -> bool:
    """Whether the last `block * repeats` items are one block, time and again."""
    size = block * repeats
    return 0 < size <= len(items) and items[-size:-block] == items[len(items) - size + block :]


def _loops_in_words(words: list[str]) -> bool:
    least = min(MIN_LOOP_WORDS, max(MIN_SHORT_LOOP_WORDS, -(-len(words) // 2)))
    for block in range(1, len(words) // 2 + 1):
        repeats = (
            LONG_BLOCK_REPEATS if block >= LONG_BLOCK_WORDS else max(CUT_OFF_REPEATS, -(-least // block))
        )
        if _repeats(words, block, repeats):
            return True
    return False


def _loops_in_letters(word: str) -> bool:
    least = MIN_LOOP_LETTERS if any(map(str.isalnum, word)) else MIN_LOOP_SIGNS
    return any(
        _repeats(word, block, max(MIN_LETTER_REPEATS, -(-least // block)))
        for block in range(1, min(MAX_BLOCK_LETTERS, len(word) // MIN_LETTER_REPEATS) + 1)
    )
