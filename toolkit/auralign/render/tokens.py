"""Text to ids and back, for prompts: plain text never becomes an added token, and no edge gets a stray space."""

import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import groupby
from typing import Any

from auralign.reasoning import CLOSE, OPEN
from auralign.render.prefix import is_sentencepiece, with_special, without_prefix


class Tokens:
    """A tokenizer that knows its position in a prompt, and keeps special tokens and plain text apart.

    Arguments
    ---------
    tokenizer : transformers.PreTrainedTokenizerBase
    stop_ids : sequence of int
        The ids that the LLM's folder lists as ends of an answer; default none.

    Raises
    ------
    ValueError
        If the tokenizer reads plain text as a special token.
    """

    def __init__(self, tokenizer: Any, stop_ids: Sequence[int] = ()):
        self.tokenizer = tokenizer
        self.name = tokenizer.name_or_path
        self.stop_ids = tuple(stop_ids)
        # By the id of the object: tokenizers have no hash that tells them apart.
        self._changed: dict[int, Any] = {}
        special = set(tokenizer.all_special_ids)
        for token in tokenizer.all_special_tokens:
            if special.intersection(self.encode(f"a {token} b")) - {tokenizer.unk_token_id}:
                raise ValueError(
                    f"the tokenizer of {self.name} reads {token!r} in plain text as a special token: "
                    "transcripts could break the prompt; use its fast tokenizer (tokenizer.json)"
                )

    def encode(self, text: str, *, after: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """Ids of plain text, in which nothing is a special token, nor an added one, such as `<think>` or `<tool_call>`.

        Arguments
        ---------
        text : str
        after : tuple of int, optional
            The ids before the text, () at the start of a prompt; default None, in the middle of a text.

        Raises ValueError if the text spells an added token, and the tokenizer is a slow one, which cannot split it.
        """
        tokenizer = self._tokenizer_after(after)
        ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        # The ids tell, and not the text: a tokenizer that normalises reads other spellings too, such as <THINK>.
        spelled = next((token for token in ids if token in self._ordinary), None)
        if spelled is not None:
            if not tokenizer.is_fast:
                raise ValueError(
                    f"the tokenizer of {self.name} reads {self._ordinary[spelled]!r} in plain text as an added token: use its "
                    "fast tokenizer (tokenizer.json)"
                )
            ids = self._as_data(tokenizer)(text, add_special_tokens=False, split_special_tokens=True)[
                "input_ids"
            ]
        return tuple(ids)

    def encode_template(self, text: str, *, after: tuple[int, ...] | None = ()) -> tuple[int, ...]:
        """Ids of text that the chat template writes, in which special tokens are special; `after` as for `encode`."""
        first = self.added_pattern.search(text)
        start = len(text) if first is None else first.start()
        begun = self._tokenizer_after(after)(text[:start], add_special_tokens=False)["input_ids"]
        return (*begun, *self.tokenizer(text[start:], add_special_tokens=False)["input_ids"])

    def encode_around(self, before: str, mark: str, behind: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Ids before a mark (without the spaces directly before it) and behind it, as they are in the whole text."""
        first, last = self.encode_between([before, behind], [mark])
        return first, last

    def encode_between(self, texts: Sequence[str], marks: Sequence[str]) -> list[tuple[int, ...]]:
        """Ids of the texts before, between and behind marks, one more than marks, as they are in the whole text.

        Spaces directly before a mark are left out if `without_gap` leaves them out.
        """
        bare = [*(self.without_gap(text) for text in texts[:-1]), texts[-1]]
        if self.tokenizer.is_fast:
            whole = "".join(text + mark for text, mark in zip(texts, (*marks, ""), strict=True))
            found = self.tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
            ids, spans = tuple(found["input_ids"]), found["offset_mapping"]
            pieces, begin, position, is_cut = [], 0, 0, True
            for text, without, mark in zip(texts, bare, marks, strict=False):
                start, end = position + len(without), position + len(text) + len(mark)
                first = sum(stop <= start for _, stop in spans)
                last = len(ids) - sum(opened >= end for opened, _ in spans)
                is_cut = is_cut and begin <= first <= last
                is_cut = is_cut and all(opened >= start for opened, _ in spans[first:])
                is_cut = is_cut and all(stop <= end for _, stop in spans[:last])
                pieces.append(ids[begin:first])
                begin, position = last, end
            if is_cut:
                return [*pieces, ids[begin:]]
        return [self.encode_template(text, after=None if index else ()) for index, text in enumerate(bare)]

    def without_gap(self, text: str) -> str:
        """The text without trailing spaces, if the tokenizer is sentencepiece: it writes them as part of the next word."""
        return text.rstrip(" ") if self.tokenizer.is_fast and is_sentencepiece(self.tokenizer) else text

    @cached_property
    def added(self) -> dict[int, str]:
        """The added tokens, which are not part of the learned vocabulary, by id."""
        return {token: added.content for token, added in self.tokenizer.added_tokens_decoder.items()}

    @cached_property
    def special(self) -> dict[int, str]:
        """Special tokens by id, including those without a role of their own, such as Llama 3's headers."""
        marked = {token for token, added in self.tokenizer.added_tokens_decoder.items() if added.special}
        ids = marked | set(self.tokenizer.all_special_ids) | set(self.stop_ids)
        return {token: self.tokenizer.decode([token]) for token in sorted(ids)}

    def show(self, ids: Iterable[int]) -> str:
        """The text of ids, with each special token between `OPEN` and `CLOSE`."""
        shown = []
        for is_special, run in groupby(ids, key=self.special.__contains__):
            if is_special:
                shown += [f"{OPEN}{self.special[token]}{CLOSE}" for token in run]
            else:
                shown.append(self.tokenizer.decode(list(run), clean_up_tokenization_spaces=False))
        return "".join(shown)

    def mark(self, text: str) -> str:
        """The text with everything that is spelled like a special token between `OPEN` and `CLOSE`."""
        return self._special_pattern.sub(lambda found: f"{OPEN}{found[0]}{CLOSE}", text)

    @cached_property
    def _special_pattern(self) -> re.Pattern:
        return _any_of(self.special.values())

    @cached_property
    def added_pattern(self) -> re.Pattern:
        """Matches the text of an added token."""
        return _any_of(self.added.values())

    def _tokenizer_after(self, ids: tuple[int, ...] | None) -> Any:
        """The tokenizer for a text after these ids: sentencepiece puts a space before a text that begins there."""
        begins = ids is not None and (not ids or ids[-1] in self.added and self._begins_after_added)
        return self.tokenizer if begins else self._within

    @cached_property
    def _ordinary(self) -> dict[int, str]:
        """Added tokens that are not special, by id, but for those of spaces and line ends alone: these are text."""
        added = self.tokenizer.added_tokens_decoder.items()
        return {token: one.content for token, one in added if not one.special and one.content.strip()}

    def _as_data(self, tokenizer: Any) -> Any:
        """The tokenizer, to which the ordinary added tokens are text; made when a text first spells one, as it takes a second."""
        if id(tokenizer) not in self._changed:
            self._changed[id(tokenizer)] = with_special(tokenizer, self._ordinary.keys())
        return self._changed[id(tokenizer)]

    @cached_property
    def _within(self) -> Any:
        """The tokenizer for a text that continues another one."""
        return without_prefix(self.tokenizer)

    @cached_property
    def _begins_after_added(self) -> bool:
        """Whether the tokenizer also puts that space after an added token, as Llama's older one does."""
        if self._within is self.tokenizer or not self.added:
            return False
        ids = self.tokenizer(f"{next(iter(self.added.values()))}a", add_special_tokens=False)["input_ids"]
        return ids[1:] == self.tokenizer("a", add_special_tokens=False)["input_ids"]


def _any_of(names: Iterable[str]) -> re.Pattern:
    names = sorted(filter(None, names), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, names)) or r"(?!)")
