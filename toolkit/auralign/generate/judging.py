"""Which answers may become targets, and whether so many may not that it is no use to ask on.

>>> watch = Watch(limit=0.25)
>>> for number in range(16):
...     watch.add(f"utt-{number}", "looping", "so it goes so it goes")
>>> watch.is_too_many(None)                             # sixteen of sixteen: of thousands, more than a quarter
True
"""

import math
from collections.abc import Mapping
from dataclasses import replace

from auralign.data.rejected import ALWAYS_ALLOWED, Rejected
from auralign.generate.filters import Answered, check
from auralign.generate.grades import Grade, grade
from auralign.method import AlignmentMethod, running
from auralign.records import Target, Utterance, shorten

UNASKED = GIVEN, NONE = ("given", "none")  # finish reasons of targets that the LLM did not write
SURE = (
    4.0  # standard deviations: one false stop in tens of thousands of runs, although each batch is looked at
)
MIN_JUDGED = 16  # of fewer, Wilson's interval says little
NUM_EXAMPLES = 3
EXAMPLE_LETTERS = 160


class Judge:
    """Reads answers as they were written and says which of them may become targets.

    Arguments
    ---------
    method : AlignmentMethod
        Its `refusals` and `min_tokens` count, and its `reject` is asked, if it has one.
    renderer : auralign.render.Renderer
    utterances : mapping of str to Utterance
        The manifest.
    keep_cut_off : bool
        Whether an answer cut off at the length limit may become a target.
    grade : callable, optional
        The recipe's function of an utterance and a target that returns its grades; default none.
    """

    def __init__(
        self,
        method,
        renderer,
        utterances: Mapping[str, Utterance],
        *,
        keep_cut_off: bool,
        grade: Grade | None = None,
    ):
        self.method, self.renderer, self.utterances = method, renderer, utterances
        self.keep_cut_off, self.grade = keep_cut_off, grade
        self._is_graded = (
            grade is not None or bool(method.needs.grades) or type(method).grade is not AlignmentMethod.grade
        )

    def graded(self, target: Target) -> Target:
        """A target that is kept, with its grades. Raises ValueError if it lacks one that the method needs."""
        if not self._is_graded:
            return target
        found = grade(self.method, self.grade, self.utterances[target.utt_id], target)
        return replace(target, grades=found)

    def judge(self, written: Target) -> tuple[Target, str | None, bool]:
        """The target with the text of its answer, the reason for rejecting it if any, and whether reasoning was stripped."""
        if written.finish_reason in UNASKED:
            if not self.method.needs.target:
                return written, None, False
            is_empty = not written.response.strip()
            return written, "empty" if is_empty else self._is_short(written), False
        answer = written.response if written.response_ids is None else written.response_ids
        reading = self.renderer.read(answer)
        finish_reason = "stop" if reading.ended else written.finish_reason
        reason = reading.reason or check(
            Answered(reading.text, finish_reason),
            keep_cut_off=self.keep_cut_off,
            refusals=self.method.refusals,
        )
        said = {"response": reading.text, "response_ids": reading.ids, "finish_reason": finish_reason}
        target = replace(written, **said)
        reason = reason or self._is_short(target)
        if reason is None and type(self.method).reject is not AlignmentMethod.reject:
            with running(self.method, "reject", target.utt_id):
                utterance = self.utterances[target.utt_id]
                reason = self.method.reject(utterance, target.choice, target.response)
        return target, reason, reading.thought

    def _is_short(self, target: Target) -> str | None:
        """The reason for rejecting a target of fewer tokens than the method takes; the end of a finished turn is one."""
        least = self.method.min_tokens
        if not least:
            return None
        ids = target.response_ids
        if ids is None:
            ids = self.renderer.encode(target.response)
        ends = target.finish_reason in ("stop", "given")
        return f"shorter than {least} tokens" if len(ids) + ends < least else None


class Watch:
    """Counts what is rejected while the LLM is still being asked.

    Arguments
    ---------
    limit : float
        Largest share of rejected items, as of `auralign.data.rejected.Rejected`.
    """

    def __init__(self, *, limit: float):
        self.rejected = Rejected(limit=limit)
        self.num_kept = 0

    def add(self, utt_id: str, reason: str | None, answer: str) -> None:
        """Count one item; `reason` is None if it was not rejected."""
        if reason is None:
            self.num_kept += 1
        else:
            self.rejected.add(utt_id, reason, answer)

    def is_too_many(self, num_all: int | None) -> bool:
        """Whether more than the limit will be rejected: for certain, or by all odds.

        Arguments
        ---------
        num_all : int or None
            The number of all items; None if it is not known yet.
        """
        number, limit = len(self.rejected.items), self.rejected.limit
        if num_all is not None and number > self.rejected.num_allowed(num_all):
            return True
        judged = number + self.num_kept
        return number > ALWAYS_ALLOWED and judged >= MIN_JUDGED and least_share(number, judged) > limit


def least_share(number: int, num_all: int) -> float:
    """The lower end of Wilson's interval for a share, of `SURE` standard deviations.

    Wilson (1927), Probable inference, the law of succession, and statistical inference.

    >>> round(least_share(16, 16), 3), round(least_share(10, 1000), 3)
    (0.5, 0.003)
    """
    share, square = number / num_all, SURE**2
    spread = SURE * math.sqrt(share * (1 - share) / num_all + square / (4 * num_all**2))
    return (share + square / (2 * num_all) - spread) / (1 + square / num_all)


def examples(rejected: Rejected, utterances: Mapping[str, Utterance]) -> str:
    """Lines with a few rejected answers, of different reasons first: what was said, and how the LLM answered."""
    first = {item["reason"]: item for item in reversed(rejected.items)}
    chosen = [*first.values(), *(item for item in rejected.items if item not in first.values())]
    return "".join(
        f"    {item['reason']}: {shorten(item['id'])}, {shorten(repr(utterances[item['id']].text))}: "
        f"{shorten(repr(item.get('detail', '')), EXAMPLE_LETTERS)}\n"
        for item in chosen[:NUM_EXAMPLES]
    )
