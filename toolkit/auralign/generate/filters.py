"""Reject answers that are empty, loop or refuse.

>>> check(Answered("", "stop"))
'empty'
"""

import re
from typing import NamedTuple

# A block of words that repeats at the end; digit strings may repeat a word seven times.
MIN_REPEATS, MIN_LOOP_WORDS, MAX_BLOCK_WORDS = 4, 16, 20

REFUSAL = re.compile(
    r"^\W*(i am sorry|i'm sorry|sorry,? (but )?i|i (can ?not|can't|am unable to|am not able to|won't)\b"
    r"|as an? (ai|language model)|i do not have access|i don't have access|unfortunately,? i (can|am))",
    re.IGNORECASE,
)


class Answered(NamedTuple):
    """An answer of the LLM and why it ended."""

    text: str
    finish_reason: str


def check(answer: Answered, *, keep_cut_off: bool = True) -> str | None:
    """The reason why this answer may not become a target, or None if it may.

    An answer that was cut off at the length limit is rejected only if `keep_cut_off` is False; else it has no end of turn.
    """
    if not answer.text.strip():
        return "empty"
    if answer.finish_reason == "length" and not keep_cut_off:
        return "cut off"
    if loops(answer.text):
        return "looping"
    if REFUSAL.match(answer.text.replace("’", "'")):
        return "refusal"
    return None


def loops(text: str) -> bool:
    """Whether the text ends in a block of words that occurs at least four times in a row, sixteen words in all."""
    words = text.split()
    for block in range(1, MAX_BLOCK_WORDS + 1):
        repeats = max(MIN_REPEATS, -(-MIN_LOOP_WORDS // block))
        tail = words[-block * repeats :]
        if len(tail) == block * repeats and tail == tail[:block] * repeats:
            return True
    return False
