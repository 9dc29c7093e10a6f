"""The instruction language of the digits example: what is said, what is asked, and the one right answer.

    >>> reference("reverse", ["three", "five", "nine"])
    'backwards that is nine five three'
    >>> reference(None, ["first", "three", "five", "nine"])  # a command in the content is obeyed
    'it starts with three'
    >>> reference("repeat", ["first", "three", "five", "nine"])  # all of it is repeated
    'i heard first three five nine'
    >>> classify("nine five three", "backwards that is nine five three", "reverse", ["three", "five", "nine"])
    'right content in another form'
    >>> classify("three five nine", "backwards that is nine five three", "reverse", ["three", "five", "nine"])
    'transcribed'

"Content" is what fills the slot of an instruction: digit words, with at most one command word before.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from auralign.score.judge import classify_copy

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SPANISH = ("cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve")
GERMAN = ("null", "eins", "zwei", "drei", "vier", "fuenf", "sechs", "sieben", "acht", "neun")
SLOT = "{speech}"
DEFAULT = "default"
"""The name that `extract` gives to the form of the reply to content without any instruction."""
DEFAULT_FORM = "okay you gave me {content}"
NOTHING_EVEN = "none of them is even"
NUM_CONTINUED = 3


@dataclass(frozen=True)
class Task:
    """One thing that the LLM can be asked to do with a string of digits.

    Arguments
    ---------
    name : str
        In records and tables.
    command : str
        The word that asks for the task when it is spoken in front of the digits.
    phrasings : tuple of str
        Five text instructions with one slot for the content; the last two are for evaluation only.
    form : str
        How the LLM words its answer, with one slot for the answer's content.
    answer : callable
        From the digit words to the words of the answer's content.
    """

    name: str
    command: str
    phrasings: tuple[str, ...]
    form: str
    answer: Callable[[Sequence[str]], Sequence[str]]


def reverse(digits):
    return digits[::-1]


def count(digits):
    if len(digits) >= len(DIGITS):
        raise ValueError(
            f"{len(digits)} digits cannot be counted with one digit; give at most {len(DIGITS) - 1}"
        )
    return [DIGITS[len(digits)]]


def sort(digits):
    return sorted(digits, key=DIGITS.index)


def keep_even(digits):
    return [digit for digit in digits if DIGITS.index(digit) % 2 == 0]


def spell_spanish(digits):
    return [SPANISH[DIGITS.index(digit)] for digit in digits]


def spell_german(digits):
    return [GERMAN[DIGITS.index(digit)] for digit in digits]


def count_on(digits):
    last = DIGITS.index(digits[-1])
    return [DIGITS[(last + step) % len(DIGITS)] for step in range(1, NUM_CONTINUED + 1)]


TASKS = {
    task.name: task
    for task in (
        Task(
            "repeat",
            "repeat",
            (
                "repeat {speech}",
                "{speech} please say that again",
                "take {speech} and repeat it",
                "say {speech} once more",
                "what did you hear: {speech}",
            ),
            "i heard {content}",
            list,
        ),
        Task(
            "reverse",
            "reverse",
            (
                "reverse {speech}",
                "{speech} now backwards please",
                "take {speech} and turn it round",
                "{speech} read it from the end",
                "say backwards: {speech}",
            ),
            "backwards that is {content}",
            reverse,
        ),
        Task(
            "first",
            "first",
            (
                "name the first of {speech}",
                "{speech} which comes first",
                "in {speech} what is at the start",
                "how does {speech} begin",
                "give me the opening number: {speech}",
            ),
            "it starts with {content}",
            lambda digits: [digits[0]],
        ),
        Task(
            "last",
            "last",
            (
                "name the last of {speech}",
                "{speech} which comes last",
                "in {speech} what is at the end",
                "how does {speech} finish",
                "{speech} tell me the final number",
            ),
            "it ends in {content}",
            lambda digits: [digits[-1]],
        ),
        Task(
            "largest",
            "largest",
            (
                "find the largest of {speech}",
                "{speech} which is the biggest",
                "look at {speech} and give the maximum",
                "{speech} name the highest",
                "pick the greatest: {speech}",
            ),
            "the largest is {content}",
            lambda digits: [max(digits, key=DIGITS.index)],
        ),
        Task(
            "smallest",
            "smallest",
            (
                "find the smallest of {speech}",
                "{speech} which is the least",
                "look at {speech} and give the minimum",
                "{speech} name the lowest",
                "pick the tiniest: {speech}",
            ),
            "the smallest is {content}",
            lambda digits: [min(digits, key=DIGITS.index)],
        ),
        Task(
            "count",
            "count",
            (
                "count {speech}",
                "{speech} how many are there",
                "listen to {speech} and count them",
                "what is the length of {speech}",
                "how many numbers does {speech} have",
            ),
            "there are {content} of them",
            count,
        ),
        Task(
            "sort",
            "sort",
            (
                "sort {speech}",
                "{speech} put these in order",
                "take {speech} and sort it",
                "arrange {speech} from low to high",
                "{speech} ascending please",
            ),
            "in order they are {content}",
            sort,
        ),
        Task(
            "even",
            "even",
            (
                "keep the even ones of {speech}",
                "{speech} only the even ones",
                "from {speech} remove the odd ones",
                "which in {speech} are even",
                "select even numbers: {speech}",
            ),
            "the even ones are {content}",
            keep_even,
        ),
        Task(
            "spanish",
            "spanish",
            (
                "translate into spanish: {speech}",
                "{speech} in spanish please",
                "say {speech} in spanish",
                "how would a spaniard say {speech}",
                "turn {speech} into spanish words",
            ),
            "in spanish it is {content}",
            spell_spanish,
        ),
        Task(
            "german",
            "german",
            (
                "translate into german: {speech}",
                "{speech} in german please",
                "say {speech} in german",
                "how would a berliner say {speech}",
                "turn {speech} into german words",
            ),
            "auf deutsch {content}",
            spell_german,
        ),
        Task(
            "continue",
            "continue",
            (
                "continue {speech}",
                "{speech} what comes next",
                "given {speech} go on counting",
                "{speech} carry on",
                "what follows {speech}",
            ),
            "next come {content}",
            count_on,
        ),
    )
}
NUM_TRAINING_PHRASINGS = 3
TRAINING_PHRASINGS = {name: task.phrasings[:NUM_TRAINING_PHRASINGS] for name, task in TASKS.items()}
HELD_OUT_PHRASINGS = {name: task.phrasings[NUM_TRAINING_PHRASINGS:] for name, task in TASKS.items()}

VERBATIM = {
    "repeat": TASKS["repeat"].phrasings,
    "write": (
        "write {speech}",
        "{speech} please note that",
        "take {speech} and write it",
        "put {speech} on paper",
        "write down: {speech}",
    ),
}
"""Two requests for the words that are said, of LLMs that were taught to answer one of them with the bare words."""

HEARD_COMMANDS = ("repeat", "first", "last", "count", "smallest", "spanish")
"""The tasks whose commands occur in speech, in training and test. Nothing spoken asks for the other six."""
TASK_OF_COMMAND = {task.command: task.name for task in TASKS.values()}
HEARD_WORDS = DIGITS + tuple(TASKS[name].command for name in HEARD_COMMANDS)
CONTENT_WORDS = frozenset(DIGITS) | frozenset(TASK_OF_COMMAND)
ANSWER_WORDS = CONTENT_WORDS | frozenset(SPANISH) | frozenset(GERMAN)


ONE_STRING_IN = 10


def is_held_out(digits):
    """Whether this string of digit words is for evaluation only: one in ten, for the LLM and for the speech
    alike.
    """
    return zlib.crc32(" ".join(digits).encode()) % ONE_STRING_IN == 0


def draw_digits(rng, min_digits, max_digits, *, held_out):
    """Draw digit words with a uniform length, from the strings held out or from the others."""
    while True:
        digits = [rng.choice(DIGITS) for _ in range(rng.randint(min_digits, max_digits))]
        if is_held_out(digits) == held_out:
            return digits


def split_content(content):
    """Content words -> (the task that a spoken command asks for, or None; the digit words)."""
    command, digits = (
        (content[0], content[1:]) if content and content[0] in TASK_OF_COMMAND else (None, content)
    )
    for word in digits:
        if word not in DIGITS:
            raise ValueError(f"'{word}' in '{' '.join(content)}' is no digit; use {', '.join(DIGITS)}")
    if not digits:
        raise ValueError(f"'{' '.join(content)}' holds no digit; give at least one")
    return TASK_OF_COMMAND.get(command), list(digits)


def answer(task, digits):
    """The LLM's right answer, in its own form, to a task over digit words."""
    if task not in TASKS:
        raise ValueError(f"no task '{task}' in the digits world; use one of {', '.join(TASKS)}")
    content = TASKS[task].answer(list(digits))
    if task == "even" and not content:
        return NOTHING_EVEN
    return TASKS[task].form.format(content=" ".join(content))


def default_reply(content):
    """What the LLM says to bare digits without an instruction: it mentions all of them, in order."""
    return DEFAULT_FORM.format(content=" ".join(content))


def asked_task(task, content):
    """The task really asked: by the text instruction, else by the spoken command, else the default reply."""
    return task or split_content(content)[0] or DEFAULT


def reference(task, content):
    """The right answer to content under a text instruction.

    Arguments
    ---------
    task : str or None
        The text instruction's task; None if there is no text instruction.
    content : list of str
        The words that are read or spoken in the slot.

    Raises
    ------
    ValueError : an instruction other than "repeat" over content with a command has no defined answer.
    """
    command, digits = split_content(content)
    if task == "repeat":
        return TASKS["repeat"].form.format(content=" ".join(content))
    if task is not None and command is not None:
        raise ValueError(
            f"'{task}' over '{' '.join(content)}' is undefined; ask 'repeat', nothing, or bare digits"
        )
    if task is None and command is None:
        return default_reply(content)
    return answer(task or command, digits)


def extract(answer_text):
    """Take an answer's form off, so that its content can be scored with the form ignored.

    Returns
    -------
    task : str or None
        The task whose form it has, `DEFAULT` for the default reply, None if it fits no form.
    content : tuple of str
        The words within the form; all the words if it fits no form.
    """
    if answer_text == NOTHING_EVEN:
        return "even", ()
    forms = {name: task.form for name, task in TASKS.items()} | {DEFAULT: DEFAULT_FORM}
    for name, form in forms.items():
        before, after = form.split("{content}")
        if answer_text.startswith(before) and answer_text.endswith(after):
            content = tuple(answer_text[len(before) : len(answer_text) - len(after)].split())
            if content and ANSWER_WORDS.issuperset(content):
                return name, content
    return None, tuple(answer_text.split())


def classify(answer_text, reference_text, task, content):
    """Name what became of an answer, so that every lost point of a ledger has a cause.

    Returns one of
        "right": word for word the reference;
        "wrong content": the right form around other words;
        "wrong task": the form of another task, or of the default reply;
        "right content in another form": the words of the right answer in no form, or in one of another task;
        "transcribed": the words that were said, a fifth of which may be wrong;
        "other": any other, such as digits that are neither the right ones nor those that were said.
    """
    words = answer_text.split()
    if words == reference_text.split():
        return "right"
    form, found = extract(" ".join(words))
    is_right = bool(words) and found == extract(reference_text)[1]
    # A copy may begin with the word of the instruction, which is copied too: "reverse three five nine".
    is_command = words[:1] != list(content[:1]) and not TASK_OF_COMMAND.keys().isdisjoint(words[:1])
    spoken = words[1:] if is_command else words
    if form is None or is_right:
        return classify_copy(spoken, content, is_right=is_right) or "other"
    return "wrong content" if form == asked_task(task, content) else "wrong task"
