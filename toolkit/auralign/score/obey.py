"""Instructions other than transcription, each with a rule that decides whether an answer obeys; a transcript never does.

    >>> first = TASKS["first_word"]
    >>> first.phrasings[0]
    'Which word comes first in this sentence? Give that word alone: {speech}'
    >>> first.check('"Go."', "go do you hear"), first.check("Go, do you hear?", "go do you hear")
    (True, False)
    >>> is_transcription("Go, do you hear?", "go do you hear")
    True
    >>> first.can_tell("go"), first.can_tell("go do you hear")
    (False, True)

`said` must be English in lower case, as the LLM reads it: LibriSpeech's own text is in capitals, so that a copy of it would obey
"in capital letters". A rule checks only what it can decide. If an answer must contain the whole sentence, up to 20 % of its words
may differ, as a recognition error does not disobey the instruction.

Use a task only for utterances that it `can_tell`: the first word of a one-word sentence is its whole transcript.

The answer must be alone; white space, quotes, brackets, marks of Markdown, a code fence and punctuation around it are ignored.
If a short sentence is accepted too ("The first word is go."), `meaning` says so; then "Answer:" may go before it.

This file has more than 300 lines, as half of it is the wordings, which are read beside the rules that judge their answers.
"""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from auralign.layout import SLOT
from auralign.score.judge import OTHER_FORM, WRONG_CONTENT
from auralign.score.metrics import word_error_rate
from auralign.text.characters import compose, straighten
from auralign.text.words import english_words

CONTENT_BOUND, FORM_ONLY = "content-bound rules", "form-only rules"
TOLERANCE = 0.2
"""Share of the spoken words that may differ in a repeated sentence."""
SCRIPT_SHARE = 0.8
"""Minimum share of an answer's letters in the requested script; names may remain in another one."""
ASKED_WORD = "and"
"""The word of "does it occur?": about half of LibriSpeech's utterances hold it, so that no constant answer is right."""
OPENING = "ANSWER"
NUM_ITEMS = 3
MAX_DIGITS = 6  # of a number of words; int() refuses thousands of digits

FENCE = re.compile(
    r"```(?:\w*[ \t]*\r?\n|(?:json|text|txt|plaintext|markdown)\s+)?(.*?)\s*```", re.DOTALL | re.IGNORECASE
)
JSON_KEY = re.compile(r"[\"'\w]+\s*:")
# The mark before an item: "1. go", "2) do", "(c) you", "- hear".
MARK = re.compile(r"^\s*(?:[-*•–]|\(?(?:\d{1,2}|[a-c])[.)])(?:\s+|$)")
AROUND = " \t\n\r\"'`*_“”‘’«».,!?;:…#()[]<>="
# Words that a short sentence around the answer may have: those of the instructions, so that echoing them does not disobey.
SENTENCE_WORDS = frozenset(
    "the a this that these those it its of in is was are has have with to you your speech sentence text audio passage phrase "
    "statement utterance line following word words".split()
)
POSITIONS = {
    "first": frozenset(
        "first opening initial begins began begin starts started start opens opened open beginning".split()
    ),
    "last": frozenset(
        "last final closing ends ended end closes closed close ending finishes finished finish finishing".split()
    ),
}
PLACE_FRAME = SENTENCE_WORDS | frozenset("comes came by said spoken very".split())
COUNT_FRAME = SENTENCE_WORDS | frozenset(
    "there contains contain consists consist holds hold number count counted total exactly in all made up comprises"
    " i long".split()
)
LINKS = frozenset("is was with by comes came in as".split())
"""Between a sentence's frame and the word that it names."""
# "It's go" is "it is go" in a frame; what was said may be "it's".
SHORT_IS = re.compile(r"^(it|that|this|there|here|what|word|sentence|answer|number)'s$")
NEGATIONS = frozenset("not doesn't isn't wasn't didn't don't never nowhere absent missing cannot".split())
ASSERTIONS = frozenset(
    "does do did occur occurs occurred appear appears appeared is was contain contains used found mentioned there true".split()
)
YES_NO_FRAME = (
    SENTENCE_WORDS
    | NEGATIONS
    | ASSERTIONS
    | frozenset(f"{ASKED_WORD} anywhere present be does once twice times".split())
)
# "Answer: go", "The answer is 4".
ANSWER_LEAD = re.compile(r"^(?:the |my )?answer(?:\s+is\b|\s*[:=-])\s*", re.IGNORECASE)
# A word of the instruction alone is no answer to "what is it about, in one word?".
ASKED_NOUNS = frozenset("word topic title mood".split())
CAPITALS = frozenset("capital capitals uppercase upper".split())
CHATTER = frozenset("sure okay ok certainly absolutely".split())
# The signs between the letters of a word: hyphens and dashes, and a point in the middle.
HYPHENS = r"\-\u2010-\u2015\u2212"
NOT_RUSSIAN = frozenset("іїєґўјљњћђџѓќѕәғқңөұүһ")
SHORTEST_RUN = 4  # words that are written as one
SHORTEST_ECHO = 4  # words in a row that are in an instruction
SPELLING_LEAD = re.compile(
    r"^(?:(?:the )?(?:(?:first|opening) )?word(?: (?:of|in) (?:the|this|that) (?:sentence|speech|text))?(?: is)?|it is|it's)"
    r"(?: spelt| spelled)?(?: as)?\s*:?\s+",
    re.IGNORECASE,
)
SMALL = {
    word: value
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
        " eighteen nineteen".split()
    )
}
TENS = {
    word: 10 * value
    for value, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2)
}


@dataclass(frozen=True)
class ObeyTask:
    """One instruction in five wordings, and its rule.

    `phrasings` are templates with one `{speech}` slot. `check(answer, said)` returns whether the answer obeys; an empty one, and
    one that copies an instruction, never does. `meaning` states the rule in one line. `is_content_bound`: whether the rule
    depends on what was said. A rule on the form alone passes one constant answer for every utterance, so the two kinds are
    reported apart (`kind`).
    """

    name: str
    phrasings: tuple[str, ...]
    rule: Callable[[str, str], bool]
    meaning: str
    is_content_bound: bool

    def check(self, answer: str, said: str) -> bool:
        return not self._echoes(answer) and self.rule(answer, said)

    @property
    def kind(self) -> str:
        """The kind of its rule, CONTENT_BOUND or FORM_ONLY."""
        return CONTENT_BOUND if self.is_content_bound else FORM_ONLY

    def _echoes(self, answer: str) -> bool:
        """Whether an answer of four words or more, but for its list marks and `OPENING`, is a piece of an instruction."""
        lines = [MARK.sub("", line, count=1) for line in _unfence(answer).splitlines()]
        words = english_words(" ".join(lines))
        words = words[1:] if words[:1] == [OPENING.lower()] else words
        piece = f" {' '.join(words)} "
        return len(words) >= SHORTEST_ECHO and any(piece in asked for asked in _words_of(self.phrasings))

    def can_tell(self, said: str) -> bool:
        """Whether a transcript of this sentence fails the check, so that obeying and transcribing can be distinguished."""
        return not any(self.check(copy, said) for copy in (said, f"{said[:1].upper()}{said[1:]}."))


@cache
def _words_of(phrasings: tuple[str, ...]) -> tuple[str, ...]:
    """The words of each instruction, with a space before, between and after them."""
    return tuple(f" {' '.join(english_words(phrasing.replace(SLOT, ' ')))} " for phrasing in phrasings)


def is_transcription(answer: str, said: str) -> bool:
    """Whether the answer is the transcript with at most 20 % of its words edited; case and punctuation are ignored."""
    found, expected = english_words(answer), english_words(said)
    if not found or not expected:
        return False
    return word_error_rate([" ".join(expected)], [" ".join(found)]) <= TOLERANCE


def classify_attempt(answer: str, said: str, task: str) -> str | None:
    """The class of a wrong answer that tries its task, and so is no transcript although it has the words said; else None.

    That is JSON of another form, such as another key or single quotes around it.
    """
    text = _unfence(answer).strip("`")
    if task != "json" or text[:1] not in ("{", "["):
        return None
    return OTHER_FORM if is_transcription(JSON_KEY.sub(" ", text), said) else WRONG_CONTENT


def _unfence(answer: str) -> str:
    answer = compose(answer).strip()
    fenced = FENCE.fullmatch(answer)
    return (fenced[1] if fenced else answer).strip()


def _bare(answer: str) -> str:
    return _unfence(answer).strip(AROUND)


def _unmark(answer: str) -> str:
    """An answer without the mark before the one item of a list."""
    bare = _bare(answer)
    return _bare(MARK.sub("", _unfence(answer), count=1)) or bare


def _lead_off(answer: str) -> str:
    """An answer without "The answer is" before it, or a list's mark."""
    bare = _unmark(answer)
    return _bare(ANSWER_LEAD.sub("", bare, count=1)) or bare


def _upper_case(answer: str, said: str) -> bool:
    if said.isupper():
        raise ValueError(
            f"upper_case: the transcript {said[:40]!r} is in capitals, so that a copy would obey; give it in lower case"
        )
    added = (CAPITALS | CHATTER).intersection(english_words(answer)).difference(english_words(said))
    return _unfence(answer).isupper() and not added and is_transcription(answer, said)


def _first_word(answer: str, said: str) -> bool:
    return _is_placed(answer, said, said.split()[:1], "first")


def _last_word(answer: str, said: str) -> bool:
    return _is_placed(answer, said, said.split()[-1:], "last")


def _is_placed(answer: str, said: str, expected: list[str], position: str) -> bool:
    """Whether the answer is the expected word, alone, or last or first in a short sentence that names the position.

    The word that is expected may have hyphens: then it is several, or the one of them at that end of the sentence.
    """
    parts = english_words(" ".join(expected))
    ends = parts[:1] if position == "first" else parts[-1:]
    return bool(parts) and any(_names_word(answer, said, word, position) for word in (parts, ends))


def _names_word(answer: str, said: str, expected: list[str], position: str) -> bool:
    words, size = english_words(_lead_off(answer)), len(expected)
    known = PLACE_FRAME | POSITIONS[position]
    if words == expected or english_words(answer) == expected:
        return True
    if words[-size:] == expected:
        frame = _write_out(words[:-size])
        if frame[-1:] != ["word"] and LINKS.isdisjoint(frame[-1:]) and expected[-1] in SENTENCE_WORDS:
            return False  # "the last word" is the frame alone
    elif words[:size] == expected and words[size : size + 1] in (["is"], ["was"], ["comes"], ["came"]):
        frame = words[size:]
    elif size == 1 and words.count(*expected) == 1 and expected[0] not in known:  # "the word go comes first"
        frame = [word for word in words if word != expected[0]]
    else:
        return False
    # "Word: go" is enough; "the word is go" may be what was said.
    names_it = not POSITIONS[position].isdisjoint(frame) or (
        "word" in frame and not is_transcription(answer, said)
    )
    return names_it and known.issuperset(frame)


def _write_out(words: list[str]) -> list[str]:
    """Words with "it is" for "it's"."""
    return [part for word in words for part in SHORT_IS.sub(r"\1 is", word).split()]


def _count_words(answer: str, said: str) -> bool:
    numbers, others = _read_numbers(_write_out(english_words(_lead_off(answer))))
    return set(numbers) == {len(english_words(said))} and COUNT_FRAME.issuperset(others)


def _read_numbers(words: list[str]) -> tuple[list[int], list[str]]:
    """The numbers among the words, in digits or up to ninety-nine in letters, and the other words."""
    numbers: list[int] = []
    others: list[str] = []
    before = ""
    for word in words:
        if before in TENS and 1 <= SMALL.get(word, 0) <= 9:
            numbers[-1] += SMALL[word]
        elif word in SMALL or word in TENS:
            numbers.append((SMALL | TENS)[word])
        elif word.isdecimal() and len(word) <= MAX_DIGITS:
            numbers.append(int(word))
        else:
            others.append(word)
        before = word
    return numbers, others


def _one_word(answer: str, said: str) -> bool:
    bare = _unmark(answer)
    parts = re.split(rf"['’{HYPHENS}]", bare)
    spoken, written = english_words(said), english_words(bare)
    if bare.lower() in ASKED_NOUNS.difference(spoken):
        return False
    # "go-do-you-hear" and "GoDoYouHear" are sentences; a single word that was said is one word all the same.
    is_run = len(written) > 2 and f" {' '.join(written)} " in f" {' '.join(spoken)} "
    is_joined = len(spoken) > 1 and _joins("".join(written), spoken)
    if is_run or is_joined or (len(written) > 1 and is_transcription(bare, said)):
        return False
    return all(part.isalpha() and _in_script(part, "LATIN") for part in parts)


def _joins(text: str, words: list[str]) -> bool:
    """Whether a text is all of the words without spaces, or at least `SHORTEST_RUN` of them in a row."""
    if text not in "".join(words):  # as nearly always: then no run has to be tried
        return False
    shortest = min(SHORTEST_RUN, len(words))
    ends = range(shortest, len(words) + 1)
    return any(text == "".join(words[first:end]) for end in ends for first in range(end - shortest + 1))


def _list_of_three(answer: str, said: str) -> bool:
    lines = [line for line in _unfence(answer).splitlines() if line.strip()]
    if len(lines) > NUM_ITEMS and lines[0].rstrip(" *_").endswith(":"):
        lines = lines[1:]
    items = [english_words(MARK.sub("", line, count=1)) for line in lines]
    if len(items) != NUM_ITEMS or not all(items) or len({tuple(item) for item in items}) < NUM_ITEMS:
        return False
    marked = [bool(MARK.match(line)) for line in lines]
    # A transcript broken into lines is no list; three single words of a sentence of three are one, if they are marked.
    is_copy = is_transcription(" ".join(" ".join(item) for item in items), said)
    if all(marked):
        return not is_copy or all(len(item) == 1 for item in items)
    return not any(marked) and not is_copy


def _in_russian(answer: str, said: str) -> bool:
    del said  # translations are not judged
    return _in_script(answer, "CYRILLIC") and NOT_RUSSIAN.isdisjoint(answer.lower())


def _in_chinese(answer: str, said: str) -> bool:
    del said
    names = (unicodedata.name(letter, "") for letter in set(answer))
    is_other = any(name.startswith(("HIRAGANA LETTER", "KATAKANA LETTER", "HANGUL")) for name in names)
    return _in_script(answer, "CJK UNIFIED") and not is_other


def _in_script(text: str, name: str) -> bool:
    """Whether the text holds letters, and the Unicode names of 80 % of them begin with `name`."""
    letters = Counter(letter for letter in text if letter.isalpha())
    num_fitting = sum(
        number for letter, number in letters.items() if unicodedata.name(letter, "").startswith(name)
    )
    return bool(letters) and num_fitting >= SCRIPT_SHARE * letters.total()


def _contains_word(answer: str, said: str) -> bool:
    right, wrong = ("yes", "no") if ASKED_WORD in english_words(said) else ("no", "yes")
    words = _write_out(english_words(_lead_off(answer)))
    rest = words[1:]
    if (
        words[:1] != [right]
        or wrong in rest
        or set(rest) == {right}
        or not (YES_NO_FRAME | {right}).issuperset(rest)
    ):
        return False
    # "Yes, it does not", "No, it does" and "No, it isn't absent" contradict themselves.
    num_negations = sum(word in NEGATIONS or word == "no" for word in rest)
    is_denied, is_asserted = num_negations % 2 == 1, num_negations > 0 or not ASSERTIONS.isdisjoint(rest)
    return not is_denied if right == "yes" else is_denied or not is_asserted


def _json(answer: str, said: str) -> bool:
    try:
        # In pairs, so that a key may not be there twice.
        value = json.loads(_unfence(answer).strip("`"), object_pairs_hook=tuple)
    except (ValueError, RecursionError):  # no JSON, or thousands of brackets
        return False
    if not isinstance(value, tuple) or len(value) != 1:
        return False
    key, text = value[0]
    return key == "text" and isinstance(text, str) and is_transcription(text, said)


def _begins_with(answer: str, said: str) -> bool:
    bare = _unmark(answer)
    rest = bare.removeprefix(OPENING)
    words, spoken = english_words(rest), english_words(said)
    if rest == bare or rest[0:1].isalnum() or not words or set(words) == {OPENING.lower()}:
        return False
    # The transcript behind OPENING, once or several times, in whatever case, comments on nothing.
    num_copies = max(1, round(len(words) / max(1, len(spoken))))
    return not is_transcription(rest, " ".join(spoken * num_copies))


def _spell_first_word(answer: str, said: str) -> bool:
    expected = "".join(english_words(said)[:1]).replace("'", "")
    text = SPELLING_LEAD.sub("", _lead_off(answer), count=1)
    before, colon, behind = re.sub(
        r"[(=]|\bis spel(?:t|led)(?: as| out as)?\b", ":", text, count=1
    ).partition(":")
    *frame, named = english_words(before) or [""]
    if colon and [named] == english_words(said)[:1] and (PLACE_FRAME | POSITIONS["first"]).issuperset(frame):
        text = _bare(behind)
    letters = [
        letter.strip(AROUND) or letter
        for letter in re.split(rf"[\s.,·•{HYPHENS}]+", re.sub(rf"^[ {HYPHENS}]+|[ {HYPHENS}]+$", "", text))
    ]
    spelt = straighten("".join(letters).lower(), opening=True).replace("'", "")
    return all(len(letter) == 1 for letter in letters) and spelt == expected != ""


def _name(*tasks: ObeyTask) -> dict[str, ObeyTask]:
    return {task.name: task for task in tasks}


TASKS: dict[str, ObeyTask] = _name(
    ObeyTask(
        "upper_case",
        (
            "Write this sentence in capital letters only: {speech}",
            "{speech}\n\nPut all of that into upper case.",
            'Give back "{speech}" with every letter a capital.',
            "I need what follows in block capitals, word for word.\n{speech}",
            "Take the words {speech} and print them in upper-case letters, adding nothing.",
        ),
        _upper_case,
        "the sentence, and no small letter; 20 % of the words may differ",
        is_content_bound=True,
    ),
    ObeyTask(
        "first_word",
        (
            "Which word comes first in this sentence? Give that word alone: {speech}",
            "{speech}\n\nName the first word of it, and nothing else.",
            'What is the first word of "{speech}"? Answer with just that word.',
            "Reply with the opening word of the following and then stop.\n{speech}",
            "Somebody said {speech} to me. Tell me only the word that it began with.",
        ),
        _first_word,
        'the first word, alone or in a short sentence such as "The first word is go" or "It begins with go"',
        is_content_bound=True,
    ),
    ObeyTask(
        "last_word",
        (
            "Which word comes last in this sentence? Give that word alone: {speech}",
            "{speech}\n\nName the last word of it, and nothing else.",
            'What is the final word of "{speech}"? Answer with just that word.',
            "Reply with the closing word of the following and leave out all the others.\n{speech}",
            "Somebody said {speech} to me. Tell me only the word that it ended with.",
        ),
        _last_word,
        'the last word, alone or in a short sentence such as "The last word is go" or "It ends with go"',
        is_content_bound=True,
    ),
    ObeyTask(
        "count_words",
        (
            "How many words has this sentence? Give the number alone: {speech}",
            "{speech}\n\nCount the words of that and answer with a number.",
            'Of how many words does "{speech}" consist? Reply with the number only.',
            "Do not repeat what follows, but say in one number how many words it holds.\n{speech}",
            "Here is a sentence, {speech}, and I would like to know its number of words, just the figure.",
        ),
        _count_words,
        'the number of words, in digits or letters, alone or as "There are 12 words in the sentence."; no other number',
        is_content_bound=True,
    ),
    ObeyTask(
        "one_word",
        (
            "Say in exactly one word what this is about: {speech}",
            "{speech}\n\nSum that up in a single word.",
            'If "{speech}" needed a title of one word, which would it be? Give the word only.',
            "What is the topic of the following? One word, please.\n{speech}",
            "Read or listen to {speech} and describe its mood with just one word.",
        ),
        _one_word,
        "exactly one word in Latin letters, whichever, but not the sentence with hyphens",
        is_content_bound=False,
    ),
    ObeyTask(
        "list_of_three",
        (
            "Make a numbered list of exactly three words that occur in this: {speech}",
            "{speech}\n\nName three things that this makes you think of, as a list with one on each line.",
            'Give three possible titles for "{speech}", numbered from 1 to 3.',
            "Put three key words of what follows into a bulleted list, and write nothing else.\n{speech}",
            "After {speech} what could be said next? Offer three ideas, each on its own line behind a dash.",
        ),
        _list_of_three,
        "three different lines, all or none with list marks, that are not the transcript; a line ending in : may go before",
        is_content_bound=False,
    ),
    ObeyTask(
        "in_russian",
        (
            "Translate this sentence into Russian: {speech}",
            "{speech}\n\nSay that in Russian.",
            'How would a Russian say "{speech}"? Write it in Cyrillic letters only.',
            "Give me the Russian for the following, without any English.\n{speech}",
            "Please turn the words {speech} into Russian.",
        ),
        _in_russian,
        "80 % of the letters are Cyrillic, none of another language than Russian; the translation is not judged",
        is_content_bound=False,
    ),
    ObeyTask(
        "in_chinese",
        (
            "Translate this sentence into Chinese: {speech}",
            "{speech}\n\nSay that in Chinese.",
            'How would a Chinese speaker say "{speech}"? Write it in Chinese characters only.',
            "Give me the Chinese for the following, without any English.\n{speech}",
            "Please turn the words {speech} into Chinese.",
        ),
        _in_chinese,
        "80 % of the letters are Chinese characters, none Japanese or Korean; the translation is not judged",
        is_content_bound=False,
    ),
    ObeyTask(
        "contains_word",
        (
            f"Does the word '{ASKED_WORD}' occur in this sentence? Answer yes or no: {{speech}}",
            f"{{speech}}\n\nIs the word '{ASKED_WORD}' anywhere in that? Say only yes or no.",
            f"Is it true that \"{{speech}}\" contains the word '{ASKED_WORD}'? Yes or no.",
            f"Look for the word '{ASKED_WORD}' in the following; reply yes if it is there, and no if it is not.\n{{speech}}",
            f"In {{speech}} was the word '{ASKED_WORD}' used? A plain yes or no will do.",
        ),
        _contains_word,
        f"yes or no, as '{ASKED_WORD}' is among the words said, alone or as \"Yes, it does.\"",
        is_content_bound=True,
    ),
    ObeyTask(
        "json",
        (
            'Write this sentence as a JSON object whose only key is "text": {speech}',
            '{speech}\n\nReturn that as JSON, an object with the one key "text" and the sentence as its value.',
            'Wrap "{speech}" into a JSON object under the key "text", and print only the object.',
            'Answer in JSON. Let the object hold a single key, "text", and as its value the words that follow.\n{speech}',
            'Store the sentence {speech} in the field "text" of a JSON object and show me the JSON alone.',
        ),
        _json,
        'a JSON object with the one key "text" that holds the sentence; 20 % of the words may differ',
        is_content_bound=True,
    ),
    ObeyTask(
        "begins_with",
        (
            f"Say what this is about, and begin your reply with the word {OPENING} in capitals: {{speech}}",
            f"{{speech}}\n\nWhat do you make of that? The first word of your reply must be {OPENING}, in capital letters.",
            f'Start with the word {OPENING}, as it stands here, and then explain "{{speech}}" in a few words.',
            f"Comment on the following in one sentence that opens with {OPENING} in capital letters.\n{{speech}}",
            f"When you hear or read {{speech}} what comes to your mind? Put {OPENING} before all else, in capitals.",
        ),
        _begins_with,
        f"{OPENING} in capitals first, and behind it words other than the transcript",
        is_content_bound=False,
    ),
    ObeyTask(
        "spell_first_word",
        (
            "Spell the first word of this sentence, with hyphens between its letters: {speech}",
            "{speech}\n\nSpell out its first word letter by letter, with a hyphen after each letter but the last.",
            'How is the first word of "{speech}" spelt? Separate the letters by hyphens and add nothing.',
            "Only the opening word of what follows is wanted, as single letters joined by hyphens.\n{speech}",
            "From {speech} take the first word and give its letters one by one, divided by hyphens.",
        ),
        _spell_first_word,
        "the letters of the first word, one by one, with hyphens, spaces, commas or full stops between; the word may go before",
        is_content_bound=True,
    ),
)


def obeys_another(answer: str, said: str, task: str) -> bool:
    """Whether an answer does another task than the one that it was asked for: the rule of one on the content holds.

    The rules on the form are left out, as they hold for many answers by chance, and so is "contains_word": yes and no answer
    many questions.
    """
    return any(
        other.is_content_bound and name not in (task, "contains_word") and other.check(answer, said)
        for name, other in TASKS.items()
    )
