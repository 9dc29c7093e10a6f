"""The judge of SpeechInstructBench: rules for verifiable instructions, and an LLM that answers YES or NO for the others."""

import ast
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from auralign.corpora.speech_instruct import ADJUSTMENT, CLOSED, OPEN, Instruction
from auralign.records import Question
from auralign.score.ifeval import follow
from auralign.score.judge import Judge
from auralign.store import Store

NAME, VERSION = "speech_instruct", "1"
MARK = re.compile(r"\A<[123]>")  # before answers of some models; the benchmark's code cuts it too
YES, NO = "YES", "NO"
ADJUSTED = ("follow_after_adjust", "follow_before_adjust", "after_adjust_content_correct")
Ask = Callable[[str], str]  # a judge: the prompt, and what the judge answers
OPEN_PROMPT = """\
Read a user's request and an assistant's answer, then answer each question about the answer with YES or NO. Answer YES only if \
the answer fulfils the condition entirely; answer NO if it does not, or if it gives no ground to decide.

Request: {prompt}

Answer: {answer}

Questions:
{questions}

Reply with a list of {number} words alone, one for each question, such as ["YES", "NO"]."""
ADJUSTMENT_PROMPT = """\
A user asked for something and then changed the request while speaking. Read the request and an assistant's answer, and judge:
follow_after_adjust: does the answer follow the changed request?
follow_before_adjust: does the answer follow the request as it was before the change?
after_adjust_content_correct: is its content right for the changed request? (NO if follow_after_adjust is NO)

Request: {prompt}

Answer: {answer}

Reply with a JSON object of these three keys alone; each value is "YES" or "NO"."""


@dataclass(frozen=True)
class Verdict:
    """Whether each instruction was followed, strictly and loosely (equal for a judge); of an adjustment, those of IAR and ECR."""

    strict: tuple[bool, ...]
    loose: tuple[bool, ...]
    unread: str | None = None  # what the judge said, if it could not be read


@dataclass(frozen=True)
class Judgement:
    """What the judge said of an answer, kept on disk."""

    key: str
    text: str


class SpeechInstructJudge(Judge):
    """Judges answers to the items of the benchmark.

    Arguments
    ---------
    items : dict of str -> Instruction
        By the id of their utterance.
    ask : callable (str) -> str, optional
        The judge of open-ended items and of adjustments.
    store : Store, optional
        Where its judgements are kept, so that none is asked for twice.
    asked_of : str
        What names the judge.
    """

    metric = "share of instructions followed"
    is_right = None  # type: ignore[assignment]  # the rules decide about form and content together

    def __init__(
        self,
        items: Mapping[str, Instruction],
        ask: Ask | None = None,
        store: Store | None = None,
        asked_of: str = "",
    ):
        self.items, self.ask, self.store, self.asked_of = items, ask, store, asked_of

    def identity(self) -> str:
        return f"{NAME} {VERSION} {self.asked_of}".strip()

    def score(self, answer: str, question: Question, said: str) -> float:
        """The mean of the shares of instructions followed, strictly and loosely; of an adjustment, whether it was followed."""
        found = self.verdict(answer, question)
        if self.items[question.utt_id].kind == ADJUSTMENT:
            return float(found.strict[0])
        return (sum(found.strict) + sum(found.loose)) / (2 * len(found.strict))

    def verdict(self, answer: str, question: Question) -> Verdict:
        """What an answer is worth."""
        item = self.items[question.utt_id]
        answer = MARK.sub("", answer).strip()
        if item.kind == CLOSED:
            found = follow(answer, item.instructions, item.arguments)
            return Verdict(found.strict, found.loose)
        if item.kind == OPEN:
            listed = "\n".join(item.instructions)
            number = len(item.instructions)
            text = self._ask(OPEN_PROMPT, item, answer, questions=listed, number=number)
            held, wrong = read_list(text, number), (False,) * number
        else:
            text = self._ask(ADJUSTMENT_PROMPT, item, answer)
            held, wrong = read_adjustment(text), (False, True)  # to follow the earlier instruction is wrong
        return Verdict(wrong, wrong, text) if held is None else Verdict(held, held)

    def _ask(self, prompt: str, item: Instruction, answer: str, **values: Any) -> str:
        if self.ask is None or self.store is None:
            raise ValueError(
                f"{item.utterance.id} is {item.kind}, which needs a judge: --judge ADDRESS of an endpoint, or module:function"
            )
        text = prompt.format(prompt=item.utterance.text, answer=answer, **values)
        key = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        if key not in self.store.keys:
            self.store.append([Judgement(key, self.ask(text))])
        said: str = self.store.read(key).text
        return said


def read_list(text: str, number: int) -> tuple[bool, ...] | None:
    """A judge's list of YES and NO; None if it is no list of so many of these words."""
    found = re.search(r"\[.*\]", text, re.DOTALL)
    try:
        values = ast.literal_eval(found[0]) if found else None
    except (ValueError, SyntaxError):
        values = [word.strip() for word in found[0].strip("[]").split(",")] if found else None
    if (
        not isinstance(values, list)
        or len(values) != number
        or any(str(one).upper() not in (YES, NO) for one in values)
    ):
        return None
    return tuple(str(one).upper() == YES for one in values)


def read_adjustment(text: str) -> tuple[bool, bool] | None:
    """A judge's JSON: whether the later instruction was followed with the right content, and whether the earlier one was."""
    found = re.search(r"\{.*\}", text, re.DOTALL)
    try:
        values = json.loads(found[0]) if found else None
    except ValueError:
        values = None
    if not isinstance(values, dict) or any(
        str(values.get(name)).upper() not in (YES, NO) for name in ADJUSTED
    ):
        return None
    after, before, content = (str(values[name]).upper() == YES for name in ADJUSTED)
    return after and content, before
