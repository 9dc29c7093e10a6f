"""A task of the benchmark: its wordings, how an answer is scored, and how training instructions that ask for it are found.

>>> shared_words("Positive.", "positive"), shared_words("a small dog", "a dog")
(1.0, 0.8)
>>> place_of("{speech}\\n\\nSay that in German."), place_of("Spell: {speech}"), place_of('Is "{speech}" sad?')
('first', 'last', 'within')
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from auralign.layout import SLOT
from auralign.text.words import english_words, words

BY_RULE, BY_OWN_ANSWER = "by rule", "by the LLM's own answer to the text"
FIRST, WITHIN, LAST = "first", "within", "last"


@dataclass(frozen=True)
class Task:
    """A task in five wordings.

    Arguments
    ---------
    name : str
    phrasings : tuple of str
        Templates with one `{speech}` slot each.
    meaning : str
        What a right answer is, in one line.
    rule : callable (answer, said) -> float, optional
        The score of an answer, 0 to 1. None: the reference is the LLM's own answer to the text, and the score is `shared_words`.
    can_tell : callable (said) -> bool
        Whether the rule can distinguish obeying from transcribing, for an utterance with this text.
    names : frozenset of str
        What methods and recipes call the task.
    asks : str
        A regular expression that finds, in lower case, an instruction that asks for this task.
    """

    name: str
    phrasings: tuple[str, ...]
    meaning: str
    rule: Callable[[str, str], float] | None
    can_tell: Callable[[str], bool]
    names: frozenset[str]
    asks: str

    @property
    def kind(self) -> str:
        """Where the reference comes from, BY_RULE or BY_OWN_ANSWER."""
        return BY_OWN_ANSWER if self.rule is None else BY_RULE

    def score(self, answer: str, said: str, reference: str) -> float:
        """The score of an answer, 0 to 1."""
        return shared_words(answer, reference) if self.rule is None else float(self.rule(answer, said))

    def is_asked_by(self, instruction: str) -> bool:
        """Whether an instruction in English asks for this task, by its key words."""
        return re.search(self.asks, " ".join(instruction.replace(SLOT, " ").lower().split())) is not None


def shared_words(answer: str, reference: str) -> float:
    """F1 of the words that an answer shares with its reference, each as often as it occurs (Rajpurkar et al. 2016), 0 to 1.

    Case and punctuation are ignored. Two empty texts agree.
    """
    found, expected = words(answer), words(reference)
    if not found or not expected:
        return float(found == expected)
    num_shared = sum((Counter(found) & Counter(expected)).values())
    return 2 * num_shared / (len(found) + len(expected))


def place_of(instruction: str) -> str:
    """The place of the speech in an instruction: FIRST, WITHIN or LAST; punctuation around it is not counted."""
    before, _, after = instruction.partition(SLOT)
    if not english_words(before):
        return FIRST
    return WITHIN if english_words(after) else LAST


def wording_key(instruction: str) -> tuple[str, ...]:
    """What two instructions share if they are the same wording: their words in order, with the place of the speech.

    >>> wording_key("Repeat this: {speech}") == wording_key("repeat this {speech}.")
    True
    """
    before, _, after = instruction.partition(SLOT)
    return (*english_words(before), SLOT, *english_words(after))
