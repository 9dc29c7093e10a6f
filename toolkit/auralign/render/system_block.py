"""The system prompt that a chat template puts by itself, and the prompt without it.

Qwen2.5's and SmolLM2's templates write a system block of their own if the conversation has no system message, and Llama 3.1's
writes one with its date into every conversation. What they write before the user's words in a later turn shows where the
block ends.

>>> before = "<|im_start|>system\\nYou are helpful.<|im_end|>\\n<|im_start|>user\\n"
>>> marked = "<|im_start|>system\\nMARK<|im_end|>\\n<|im_start|>user\\n"
>>> cut_system_block(before, head="<|im_start|>user\\n", marked=marked, mark="MARK", special=re.compile("<[^>]*>"))
'<|im_start|>user\\n'
"""

import re
from typing import Any

ROLES = (("user", "system"), ("User", "System"), ("USER", "SYSTEM"))


class NoCutError(ValueError):
    """A template's own system block cannot be separated from the rest of the prompt."""


class UnknownHeadError(NoCutError):
    """It is not known where the user's turn begins, and so not whether there is a block before it."""


def cut_system_block(
    before: str, *, head: str, marked: str | None, mark: str, special: re.Pattern, begin: str = ""
) -> str:
    """The text before the user's words without the template's own system block; the same text if it has none.

    Arguments
    ---------
    before : str
        What the template writes before the user's words if the conversation has no system message.
    head : str
        What it writes before the user's words in a later turn, without the end of the turn before.
    marked : str, optional
        As `before`, with the system message `mark`; None if the template takes no system message.
    mark : str
    special : re.Pattern
        Matches the added tokens, which are not words.
    begin : str
        The token at the beginning of every text, if there is one; default "".

    Raises
    ------
    NoCutError
        If there is a block, but it is not clear what belongs to it.
    """
    bare = next((form for form in (head, head.lstrip()) if before.endswith(form)), None)
    opening = next((form for form in (begin + head, head) if form and before.startswith(form)), None)
    if bare is not None:
        rest = before[: len(before) - len(bare)]
        cut = _prefix(rest, system_head=_of_system(bare), begin=begin) + bare
    elif opening is not None:  # the block is part of the user's turn, as in Llama 2's
        rest = before.removeprefix(opening)
        cut = opening
    else:
        raise UnknownHeadError("its first turn and its later ones begin differently")
    if not _is_own_block(rest, _of_system(head), marked, mark, special):
        return before
    if marked is not None and mark not in (removed(marked, cut) or ""):
        raise NoCutError("what it writes around a system message is not what it writes without one")
    return cut


def _of_system(head: str) -> str | None:
    """The head of a system block, as far as it differs from that of a user's turn by the name of the role."""
    for user, system in ROLES:
        if user in head:
            return head.replace(user, system)
    return None


def _prefix(rest: str, *, system_head: str | None, begin: str) -> str:
    """What comes before the block and belongs to the whole text."""
    if system_head is not None and system_head in rest:
        return rest.partition(system_head)[0]
    return begin if rest.startswith(begin) else ""


def _is_own_block(
    rest: str, system_head: str | None, marked: str | None, mark: str, special: re.Pattern
) -> bool:
    """Whether the text beside the head of the user's turn is a system block, or else belongs to the whole text."""
    if system_head is not None and system_head in rest:
        return True
    if not special.sub("", rest).strip():
        return False  # <s>, or GLM's [gMASK]<sop>
    # What comes before a system block that has a head of its own belongs to the whole text.
    return marked is None or not (marked.startswith(rest) and marked[len(rest) :].partition(mark)[0])


def removed(whole: Any, cut: Any) -> Any:
    """What was taken out of a text, or of a tuple of ids, at one position, to make `cut`; None if it is not made so."""
    size = len(whole) - len(cut)
    for start in range(len(cut) + 1):
        if size >= 0 and whole[:start] + whole[start + size :] == cut:
            return whole[start : start + size]
    return None
