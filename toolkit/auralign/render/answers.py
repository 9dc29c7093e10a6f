"""Answers of the LLM to text: reasoning, special tokens and stop strings are taken out."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from auralign.layout import DEFAULT
from auralign.reasoning import SPECIAL, TAG, Pair, Reasoning, ends_answer
from auralign.render.chat_template import ChatTemplate

ENDLESS = "reasoning without end"


@dataclass(frozen=True)
class Reading:
    """The text of an answer.

    Arguments
    ---------
    text : str
        The text without reasoning and special tokens.
    ids : tuple of int, optional
        The ids in which the LLM wrote exactly this text; None if a part was taken out, or the ids are unknown.
    thought : bool
        Whether reasoning was taken out; default False.
    ended : bool
        Whether the text ends before a special token that ends turns, although the LLM continued; default False.
    reason : str, optional
        Why this is not an answer; default None, it is one.
    """

    text: str
    ids: tuple[int, ...] | None
    thought: bool = False
    ended: bool = False
    reason: str | None = None


class AnswerReader:
    """Reads the answers of one LLM, and knows the ids that end them."""

    def __init__(self, template: ChatTemplate):
        self.template = template
        self.tokens = template.tokens

    def read(self, answer: Sequence[int] | str, *, stop_strings: Sequence[str] = ()) -> Reading:
        """The text of an answer; see `Renderer.read`."""
        ids: tuple[int, ...] | None = None
        if isinstance(answer, str):
            whole = self.tokens.mark(answer)
        else:
            ids = tuple(answer)
            whole = self.tokens.show(ids)
        said, thought, closed = self.reasoning.split(whole)
        if ids is not None and said != whole.strip():
            ids = None
        special, reason = SPECIAL.search(said), None if closed else ENDLESS
        ended = special is not None and (special[1] in self._ends or ends_answer(special[1]))
        if special is not None:
            said = said[: special.start()].strip()
            ids = (
                ids and ids[: next(index for index, token in enumerate(ids) if token in self.tokens.special)]
            )
            if not ended:
                reason = reason or f"special token {special[1]}"
        ends = [said.find(string) for string in stop_strings if string in said]
        return Reading(said[: min(ends, default=None)].strip(), ids, thought, ended, reason)

    @cached_property
    def reasoning(self) -> Reasoning:
        """How the LLM marks its reasoning, with special tokens marked."""
        mark = self.tokens.mark
        pairs = tuple(Pair(mark(pair.opener), tuple(map(mark, pair.closers))) for pair in self.template.pairs)
        head = mark(self.template.chat_frame().lead.strip())
        return Reasoning(
            pairs,
            heads=(head,) if TAG.search(head) else (),
            opened=self.template.opened(self.template.prompt()) is not None,
        )

    @cached_property
    def stop_ids(self) -> tuple[int, ...]:
        """The ids that end an answer: the template's end of turn, those of the LLM's folder, and the tokenizer's end of text.

        An end of turn that also ends reasoning, before the turn with the answer, is left out if the folder lists others.
        """
        tokenizer = self.tokens.tokenizer
        end = self.template.chat_frame().end[-1]
        others = [token for token in (*self.tokens.stop_ids, tokenizer.eos_token_id) if token is not None]
        within = self.tokens.mark(tokenizer.decode([end]))
        if any(within in closer and within != closer for closer in self.reasoning.closers) and others:
            return tuple(dict.fromkeys(others))
        return tuple(dict.fromkeys([end, *others]))

    @cached_property
    def _ends(self) -> frozenset[str]:
        """Special tokens that end an answer: the LLM stops at them, or they are part of the chat frame and begin another turn."""
        frame = self.template.chat_frame(DEFAULT)
        ids = {*self.stop_ids, *frame.before, *frame.between, *frame.end}
        return frozenset(self.tokens.special[token] for token in ids if token in self.tokens.special)
