"""The tasks over strings of spoken digits, with a rule for each; the form of the answer is ignored.

    >>> TASKS["sort"].rule("In order they are 3, 5 and 9.", "nine three five")
    1.0
    >>> TASKS["sort"].rule("nine three five", "nine three five")  # a transcript
    0.0
    >>> TASKS["german"].rule("neun drei fünf", "nine three five")
    1.0

The wordings are those of the example `egs/digits`, whose tiny LLM knows no others; a large LLM understands them as well. An
answer may repeat the digits that were said before or after its own.
"""

import re
from collections.abc import Callable, Sequence

from auralign.generalisation.task import Task
from auralign.layout import SLOT
from auralign.text.words import english_words

MIN_DIGITS, MAX_DIGITS = 3, 9
CORPUS = "spoken digits"
UTTS_PER_SPEAKER = 5
ENGLISH = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SPANISH = ("cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve")
GERMAN = ("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun")
ENGLISH_VALUES = {word: value for value, word in enumerate(ENGLISH)}
SPANISH_VALUES = {word: value for value, word in enumerate(SPANISH)}
GERMAN_VALUES = {word: value for value, word in enumerate(GERMAN)} | {"fuenf": 5, "ein": 1, "zwo": 2}
# "One" that is no digit: "the largest one is nine", "the even ones: two and four", "nine is the largest one".
PRONOUN = re.compile(
    r"\b(?:even|odd|first|last|largest|smallest|biggest|greatest|tiniest|least|lowest|highest|maximum|minimum|final|opening|next|that"
    r"|this|which|no) ones?\b(?= (?:is|are|was|were|in|of|here)\b|\s*(?:[:.,;!?–—-]|$))",
    re.IGNORECASE,
)
# German "ein" before a noun: "ein Berliner würde sagen".
ARTICLE = re.compile(rf"\bein(?= (?!(?:{'|'.join(GERMAN)}|fuenf|zwo|ein|und)\b)[^\W\d_])", re.IGNORECASE)
NUM_CONTINUED = 3
# The number of an item in a list: "1. three", "(2) five".
ITEM_NUMBER = re.compile(r"(?:(?<=\s)|^)\(?(\d{1,2})[.)]\s+(?=\S)")

# Name -> five wordings, the key words of an instruction that asks for the task, and the right digits.
_TABLE: dict[str, tuple[tuple[str, ...], str, Callable[[list[int]], list[int]]]] = {
    "repeat": (
        (
            "repeat {speech}",
            "{speech} please say that again",
            "take {speech} and repeat it",
            "say {speech} once more",
            "what did you hear: {speech}",
        ),
        r"\brepeat\b|\btranscri|\bsay (it|this|that) again\b|\bonce more\b|\bwrite (it |this |that )?down\b|\bdid you hear\b",
        list,
    ),
    "reverse": (
        (
            "reverse {speech}",
            "{speech} now backwards please",
            "take {speech} and turn it round",
            "{speech} read it from the end",
            "say backwards: {speech}",
        ),
        r"\brevers|\bbackwards\b|\bturn it round\b|\bfrom the end\b",
        lambda digits: digits[::-1],
    ),
    "first": (
        (
            "name the first of {speech}",
            "{speech} which comes first",
            "in {speech} what is at the start",
            "how does {speech} begin",
            "give me the opening number: {speech}",
        ),
        r"\bfirst\b(?!,)|\bat the start\b|\bbegin\b|\bopening\b",
        lambda digits: digits[:1],
    ),
    "last": (
        (
            "name the last of {speech}",
            "{speech} which comes last",
            "in {speech} what is at the end",
            "how does {speech} finish",
            "{speech} tell me the final number",
        ),
        r"\blast\b|\bat the end\b|\bfinish\b|\bfinal\b",
        lambda digits: digits[-1:],
    ),
    "largest": (
        (
            "find the largest of {speech}",
            "{speech} which is the biggest",
            "look at {speech} and give the maximum",
            "{speech} name the highest",
            "pick the greatest: {speech}",
        ),
        r"\blargest\b|\bbiggest\b|\bmaximum\b|\bhighest\b|\bgreatest\b",
        lambda digits: [max(digits)],
    ),
    "smallest": (
        (
            "find the smallest of {speech}",
            "{speech} which is the least",
            "look at {speech} and give the minimum",
            "{speech} name the lowest",
            "pick the tiniest: {speech}",
        ),
        r"\bsmallest\b|\bleast\b|\bminimum\b|\blowest\b|\btiniest\b",
        lambda digits: [min(digits)],
    ),
    "count": (
        (
            "count {speech}",
            "{speech} how many are there",
            "listen to {speech} and count them",
            "what is the length of {speech}",
            "how many numbers does {speech} have",
        ),
        r"\bcount (?!on)|\bcount$|\bhow many\b|\blength of\b",
        lambda digits: [len(digits)],
    ),
    "sort": (
        (
            "sort {speech}",
            "{speech} put these in order",
            "take {speech} and sort it",
            "arrange {speech} from low to high",
            "{speech} ascending please",
        ),
        r"\bsort\b|\bin order\b|\blow to high\b|\bascending\b",
        sorted,
    ),
    "even": (
        (
            "keep the even ones of {speech}",
            "{speech} only the even ones",
            "from {speech} remove the odd ones",
            "which in {speech} are even",
            "select even numbers: {speech}",
        ),
        r"\beven\b|\bodd\b",
        lambda digits: [digit for digit in digits if digit % 2 == 0],
    ),
    "spanish": (
        (
            "translate into spanish: {speech}",
            "{speech} in spanish please",
            "say {speech} in spanish",
            "how would a spaniard say {speech}",
            "turn {speech} into spanish words",
        ),
        r"\bspanish\b|\bspaniard\b",
        list,
    ),
    "german": (
        (
            "translate into german: {speech}",
            "{speech} in german please",
            "say {speech} in german",
            "how would a berliner say {speech}",
            "turn {speech} into german words",
        ),
        r"\bgerman\b|\bberliner\b",
        list,
    ),
    "continue": (
        (
            "continue {speech}",
            "{speech} what comes next",
            "given {speech} go on counting",
            "{speech} carry on",
            "what follows {speech}",
        ),
        r"\bcontinu|\bcomes next\b|\bgo on\b|\bcarry on\b|^what follows\b",
        lambda digits: [(digits[-1] + step) % 10 for step in range(1, NUM_CONTINUED + 1)],
    ),
}
ONE_DIGIT = frozenset({"first", "last", "count", "smallest", "largest"})
COUNTED = re.compile(
    r"\b(?:of|among|in|from) (?:the|these|those|all) \w+ (?:digits|numbers)\b", re.IGNORECASE
)
# How many there are, and not which: "there is one even number: two", "just one: 2".
HOW_MANY = re.compile(
    r"\bthere (?:is|are) (?:(?:only|just|exactly) )?\w+(?:(?: (?:even|odd))? (?:digit|number|one)s?\b|(?=\s*:))"
    r"|\b(?:only|just) \w+(?=\s*:)"
    r"|\b\w+ (?:even|odd) (?:digit|number|one)s?\b",
    re.IGNORECASE,
)
VALUES = {"spanish": SPANISH_VALUES, "german": GERMAN_VALUES}
OTHER_NAMES = {"repeat": ("transcription", "transcribe", "asr")}


def read_digits(text: str, values: dict[str, int] = ENGLISH_VALUES) -> list[int]:
    """The digits of a text in order; in English also as numerals, "359" being three of them, but not those that number a list.

    >>> read_digits("The largest one is 9, not five."), read_digits("tres cinco", SPANISH_VALUES)
    ([9, 5], [3, 5])
    >>> read_digits("1. nine\\n2. five"), read_digits("1. 2. 3.")
    ([9, 5], [1, 2, 3])
    """
    found: list[int] = []
    listed = _without_item_numbers(text)
    spoken = english_words(ARTICLE.sub(" ", listed) if values is GERMAN_VALUES else PRONOUN.sub(" ", listed))
    if values is ENGLISH_VALUES and not _hold_digits(spoken):
        spoken = english_words(listed)  # "the smallest one": no pronoun, as nothing else is named
    for word in spoken:
        if word in values:
            found.append(values[word])
        elif word.isascii() and word.isdecimal() and values is ENGLISH_VALUES:
            found += map(int, word)
    return found


def _hold_digits(spoken: Sequence[str]) -> bool:
    return any(word in ENGLISH_VALUES or word.isdecimal() for word in spoken)


def _without_item_numbers(text: str) -> str:
    """The text without the numbers of its list, which count from 1 and have a digit between each two."""
    _, *parts = ITEM_NUMBER.split(text)
    numbers, items = parts[::2], parts[1::2]
    if len(items) < 2 or list(map(int, numbers)) != list(range(1, len(items) + 1)):
        return text
    is_list = all({*english_words(item)} & ENGLISH_VALUES.keys() or re.search(r"\d", item) for item in items)
    return ITEM_NUMBER.sub(" ", text) if is_list else text


def find_digits(said: str) -> list[int] | None:
    """The digits of a transcript that holds nothing else; None for any other transcript."""
    spoken = english_words(said)
    return (
        [ENGLISH_VALUES[word] for word in spoken] if spoken and ENGLISH_VALUES.keys() >= {*spoken} else None
    )


def spoken_command(said: str) -> str | None:
    """The task that the first word of a transcript asks for by voice, if digits alone follow: "first three five"."""
    command, *rest = english_words(said) or [""]
    return command if command in TASKS and rest and ENGLISH_VALUES.keys() >= {*rest} else None


def _is_right(name: str, answer: str, said: str) -> float:
    digits = find_digits(said)
    if digits is None:
        raise ValueError(f"{said!r} holds other words than digits; ask the tasks of digits about digits")
    values = VALUES.get(name, ENGLISH_VALUES)
    if name in ONE_DIGIT:  # "of the four digits" says how many there are, and not which
        answer = COUNTED.sub(" ", answer)
    if name != "count" and read_digits(HOW_MANY.sub(" ", answer), values):
        answer = HOW_MANY.sub(" ", answer)
    expected, found = _TABLE[name][2](digits), read_digits(answer, values)
    accepted: Sequence[list[int]] = [expected]
    if values is ENGLISH_VALUES and name != "repeat":
        accepted = [expected, [*digits, *expected], [*expected, *digits]]
    if name in ONE_DIGIT and found != digits:
        accepted = [*accepted, expected * 2]  # "nine (9)"
    return float(found in accepted)


def _make(name: str) -> Task:
    phrasings, asks, answer = _TABLE[name]

    def rule(text: str, said: str) -> float:
        return _is_right(name, text, said)

    def can_tell(said: str) -> bool:
        digits = find_digits(said)
        return bool(digits and answer(digits)) and (name == "repeat" or not rule(said, said))

    meaning = f"the digits of {phrasings[0].replace(SLOT, '...')!r}, in any form"
    names = frozenset({name, *OTHER_NAMES.get(name, ())})
    return Task(name, phrasings, meaning, rule, can_tell, names, asks)


TASKS: dict[str, Task] = {name: _make(name) for name in _TABLE}


def is_fit(said: str) -> bool:
    """Whether every task can be asked about an utterance."""
    digits = find_digits(said)
    return (
        digits is not None
        and MIN_DIGITS <= len(digits) <= MAX_DIGITS
        and all(task.can_tell(said) for task in TASKS.values())
    )
