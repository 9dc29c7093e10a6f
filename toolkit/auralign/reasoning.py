"""Separate the reasoning in an LLM's answer from the answer itself.

>>> Reasoning().split("<think>two digits</think>i heard five six")
('i heard five six', True, True)
>>> Reasoning(find_pairs("{%- if thinking %}[THINK]...[/THINK]")).split("[THINK]two digits")
('', True, False)

The marks of reasoning are found in the LLM's chat template, its added tokens and the template's rendering of a message with
reasoning. Special tokens are written between `OPEN` and `CLOSE` here, so that they never match the same letters in plain
text.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

OPEN, CLOSE = (
    "\ue000",
    "\ue001",
)  # around a special token: private characters, which no tokenizer writes by itself
SPECIAL = re.compile(f"{OPEN}([^{CLOSE}]*){CLOSE}")

THOUGHT, ANSWER = "AURALIGNTHOUGHT", "AURALIGNANSWER"  # contents of a message while the template is rendered

# <think>, </think>, <seed:think>, <|START_THINKING|>, <|begin_of_thought|>, <|inner_prefix|>, [THINK], ◁think▷
TAG = re.compile(r"<[|｜]?/?[^<>|｜\s]{1,40}[|｜]?>|\[/?[A-Z_]{1,40}\]|◁/?\w{1,40}▷")
THINKS = re.compile(r"think|thought|reason|scratchpad|analysis|inner_(pre|suf)fix", re.IGNORECASE)
ANSWERS = re.compile(r"answer|response|solution|output|final", re.IGNORECASE)
ENDS = re.compile(r"/|(?<![a-z])end(?![a-z])|suffix", re.IGNORECASE)
OPPOSITES = (("begin", "end"), ("start", "end"), ("BEGIN", "END"), ("START", "END"), ("prefix", "suffix"))

# Marks whose names do not say what they are for. They count if the LLM declares all their tags and words.
UNNAMED = (
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),  # harmony: gpt-oss
    ("<|channel>thought", "<channel|>"),  # Gemma 4
    ("<unused94>thought", "<unused95>"),  # MedGemma
    ("[unused16]", "[unused17]"),  # openPangu
    ("Here is my thought process:", "Here is my response:"),  # Granite 3.2
)
# The forms in which templates take a message with reasoning; the first has the most common names.
MESSAGES = (
    {"content": ANSWER, "reasoning_content": THOUGHT, "thinking": THOUGHT, "reasoning": THOUGHT},
    {"content": [{"type": "thinking", "thinking": THOUGHT}, {"type": "text", "text": ANSWER}]},
    {"content": {"blocks": [{"type": "thoughts", "text": THOUGHT}, {"type": "response", "text": ANSWER}]}},
)


@dataclass(frozen=True)
class Pair:
    """A mark that opens reasoning and those that may close it."""

    opener: str
    closers: tuple[str, ...]


def _closers(opener: str) -> tuple[str, ...]:
    """All that may close a tag: `</think>` closes `<think>`, and `<|END_THINKING|>` closes `<|START_THINKING|>`."""
    parts = re.fullmatch(r"(\W+?)([\w:.-]+)(\W+)", opener)
    if parts is None:
        raise ValueError(f"{opener!r} is not a tag: give one such as <think>")
    start, name, end = parts.groups()
    forms = [f"{start}/{name}{end}"]
    forms += [opener.replace(word, opposite) for word, opposite in OPPOSITES if word in name]
    forms += [f"{start}{form.format(name)}{end}" for form in ("end_{}", "end_of_{}", "{}_end")]
    return tuple(dict.fromkeys(forms))


def _named(text: str, names: re.Pattern) -> Iterator[Pair]:
    """The tags in a text whose names match, each with its closers."""
    for tag in dict.fromkeys(TAG.findall(text)):
        if names.search(tag) and not ENDS.search(tag) and re.fullmatch(r"\W+?[\w:.-]+\W+", tag):
            yield Pair(tag, _closers(tag))


def find_pairs(declared: str) -> tuple[Pair, ...]:
    """The marks of reasoning in what an LLM's folder declares: its chat template, system prompt and added tokens."""
    unnamed = (
        Pair(opener, (closer,))
        for opener, closer in UNNAMED
        if all(tag in declared for tag in TAG.findall(opener + closer) or (opener, closer))
    )
    return (Pair("<think>", ("</think>",)), *_named(declared, THINKS), *unnamed)


def render_pairs(render: Callable[[dict], str], prompt: str) -> Iterator[Pair]:
    """The marks that a chat template puts around the reasoning of a message; without an opener if the prompt already has it.

    Arguments
    ---------
    render : callable
        From an assistant's message to the whole conversation as text; may raise if the template has no such message.
    prompt : str
        The conversation up to the point at which the LLM continues.
    """
    for message in MESSAGES:
        try:
            rendered = render(message)
        except Exception:  # jinja raises errors of any kind if the template does not know the form
            continue
        parts = re.fullmatch(f"(.*){THOUGHT}(.*){ANSWER}.*", rendered, flags=re.DOTALL)
        if parts is None or rendered.count(THOUGHT) > 1 or not parts[2].strip():
            continue
        same = len(os.path.commonprefix([parts[1], prompt]))
        opener, closer = parts[1][same:].strip(), parts[2].strip()
        # If the two differ within a tag, the rest is a piece of a tag, and not a mark.
        if (TAG.match(opener) or not (opener or prompt[same:].strip())) and TAG.search(closer):
            yield Pair(opener, (closer,))


@dataclass(frozen=True)
class Reasoning:
    """How one LLM marks its reasoning.

    Arguments
    ---------
    pairs : tuple of Pair
        The marks; a pair without an opener is only closed in an answer.
    heads : tuple of str
        Texts that the template writes before an answer without reasoning; any text before them is not part of the answer.
    opened : bool
        Whether the prompt ends inside reasoning, as that of DeepSeek-R1 with `<think>`.
    """

    pairs: tuple[Pair, ...] = find_pairs("")
    heads: tuple[str, ...] = ()
    opened: bool = False

    @cached_property
    def closers(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(closer for pair in self.pairs for closer in pair.closers))

    def split(self, text: str) -> tuple[str, bool, bool]:
        """The text without its reasoning, whether it had reasoning, and whether the reasoning ended.

        Reasoning without an end removes the rest of the text. Reasoning that is closed but not opened began with the text.
        """
        openers: dict[str, tuple[str, ...]] = {}
        for pair in (*self.pairs, *self._own(text)):
            openers[pair.opener] = (*openers.get(pair.opener, ()), *pair.closers)
        ends = (*self.closers, *self.heads)
        said, start, thought = "", 0, False
        inside = self.closers if self.opened else None
        while True:
            if inside is not None:
                end = _first(text, inside, start)
                if end is None:
                    return said.strip(), True, False
                thought |= bool(text[start : end[0]].strip())
                start, inside = end[1], None
            opener, end = _first(text, openers, start), _first(text, ends, start)
            if end is not None and (opener is None or end[0] <= opener[0]):
                thought |= bool((said + text[start : end[0]]).strip())
                said, start = "", end[1]
            elif opener is not None:
                said, start, inside = said + text[start : opener[0]], opener[1], openers[opener[2]]
            else:
                said = said + text[start:]
                return (said.strip() if said == text else _unwrap(said.strip())), thought, True

    def sure(self, text: str) -> str:
        """The text of an unfinished answer, without an end that may be the beginning of a mark."""
        if re.fullmatch(r"[<\[◁][^>\]▷]{0,40}", text):
            return ""
        marks = (*(pair.opener for pair in self.pairs), *self.closers, *self.heads)
        held = (size for mark in marks for size in range(len(mark), 0, -1) if text.endswith(mark[:size]))
        return text[: len(text) - max(held, default=0)]

    def _own(self, text: str) -> Iterator[Pair]:
        """A tag of reasoning that no template declares counts if the answer begins with it."""
        tag = TAG.match(text.replace(OPEN, "").replace(CLOSE, "").lstrip())
        for pair in _named(tag[0], THINKS) if tag else ():
            yield pair
            yield Pair(_special(pair.opener), tuple(map(_special, pair.closers)))


def ends_answer(tag: str) -> bool:
    """Whether a tag is one that closes an answer, as `<|END_RESPONSE|>` does."""
    return bool(ANSWERS.search(tag) and ENDS.search(tag))


def _unwrap(said: str) -> str:
    """Remove the tags that some LLMs put around the answer after their reasoning: `<answer>five</answer>`."""
    bare = said.removeprefix(OPEN)
    first = TAG.match(bare)
    if first and ANSWERS.search(first[0]) and not ENDS.search(first[0]):
        said = bare[first.end() :].removeprefix(CLOSE).strip()
    last = max(TAG.finditer(said), key=lambda tag: tag.end(), default=None)
    if last and last.end() == len(said) and ends_answer(last[0]):
        said = said[: last.start()].strip()
    return said


def _special(mark: str) -> str:
    return f"{OPEN}{mark}{CLOSE}"


def _first(text: str, marks: Iterable[str], start: int) -> tuple[int, int, str] | None:
    """Begin, end and text of the first of the marks; of several at the same position, the longest."""
    found = [(text.find(mark, start), -len(mark), mark) for mark in marks if mark]
    found = [one for one in found if one[0] >= 0]
    if not found:
        return None
    begin, length, mark = min(found)
    return begin, begin - length, mark
