"""The chat template: its ids around a turn, the system prompts and dates that it prints, its marks of reasoning.

Marks replace the contents while the template is rendered; the text around a mark is what the template writes. The ids of that
text are those that it has within a whole conversation.
"""

import datetime
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from auralign.layout import ASSISTANT, DEFAULT, USER, System
from auralign.reasoning import Pair, find_pairs, render_pairs
from auralign.render.system_block import NoCutError, UnknownHeadError, cut_system_block, removed
from auralign.render.tokens import Tokens

# Letters only, so that no template trims or escapes them.
USER_MARK, ASSISTANT_MARK, SYSTEM_MARK = "AURALIGNUSER", "AURALIGNASSISTANT", "AURALIGNSYSTEM"

# A token that separates documents in pre-training, by the names that LLMs give it; Qwen2.5's and SmolLM2's eos_token ends turns.
END_OF_TEXT = ("<|endoftext|>", "<|end_of_text|>")

# Names of frames, by which they are hashed
WITH_SYSTEM, WITHOUT_SYSTEM, OWN_SYSTEM = str(DEFAULT), str(None), "own"

# Llama 3.2's template prints today's date with transformers' strftime_now. This one prints the renderer's date.
DATED = (
    "{%- macro strftime_now(format) %}{% set ns = namespace(text=format) %}{% for code, value in auralign_date.items() %}"
    "{% set ns.text = ns.text | replace(code, value) %}{% endfor %}{{ ns.text }}{% endmacro +%}"
)
CODES = (
    *(f"%{sign}{letter}" for sign in ("-", "") for letter in "aAbBcCdDeFgGhHIjklmMnNpPrRsStTuUVwWxXyYzZ"),
    "%%",
)


@dataclass(frozen=True)
class ChatFrame:
    """What the chat template writes around one turn.

    Arguments
    ---------
    before, between, end : tuple of int
        Ids before the user's words, between them and the answer, and after the answer.
    lead : str
        Text before an answer that the LLM writes itself, as the prompt ends before it: the space of Mistral's answers, the
        channel of gpt-oss's, or the end of the reasoning that DeepSeek-R1's prompt opens. Default "".
    gap : str
        The space before the user's words that sentencepiece writes as one token with the first of them. Default "".
    """

    before: tuple[int, ...]
    between: tuple[int, ...]
    end: tuple[int, ...]
    lead: str = ""
    gap: str = ""


class ChatTemplate:
    """The chat template of one LLM, with its arguments and on one date.

    Arguments
    ---------
    tokens : Tokens
    system : DEFAULT, None or str
        What DEFAULT means: the template's own system prompt, no system prompt, or this text.
    options : dict
        Arguments of the template.
    date : datetime.date
        The date that the template prints, if it prints one.
    cuts_system : bool
        Whether the template's own system block is cut out of a prompt without a system prompt; default True. False is for what
        an earlier auralign made: it refused such a prompt, or left a block in it that every conversation has (Llama 3.1).
    """

    def __init__(
        self,
        tokens: Tokens,
        *,
        system: System | str | None,
        options: dict,
        date: datetime.date,
        cuts_system: bool = True,
    ):
        self.tokens = tokens
        self.system = system
        self.options = options
        self.date = date
        self.cuts_system = cuts_system
        self._frames: dict[System | str | None, ChatFrame] = {}

    def chat_frame(self, system: System | str | None = DEFAULT) -> ChatFrame:
        """The template's ids around a turn with this system prompt.

        Raises
        ------
        ValueError
            If the template cannot express the system prompt, does not print each turn once, or no token ends a turn.
        """
        if system is DEFAULT:
            system = self.system
        if system not in self._frames:
            self._frames[system] = self._make_frame(system)
        return self._frames[system]

    def conversation_frame(
        self, num_turns: int, system: System | str | None = DEFAULT
    ) -> tuple[tuple[tuple[int, ...], str], ...]:
        """What the template writes around the turns of a conversation: the user's, and the LLM's answers between them.

        Arguments
        ---------
        num_turns : int
            Turns of both. If the last one is the user's, it is followed by what the LLM reads before it answers, else by the end
            of its answer.
        system : DEFAULT, None or str
            The system prompt.

        Returns tuple of (ids, gap): before each of the contents (user, answer, user, ...) and behind the last; the gap is the
        space that sentencepiece writes as one token with the first word of the content that follows.

        Raises ValueError as `chat_frame`, and if the template refuses, drops, repeats or moves a turn.
        """
        frame = self.chat_frame(system)
        system = self.system if system is DEFAULT else system
        roles = [(USER, ASSISTANT)[index % 2] for index in range(num_turns)]
        marks = [
            f"{USER_MARK if role == USER else ASSISTANT_MARK}{_letters(index)}"
            for index, role in enumerate(roles)
        ]
        messages = [{"role": role, "content": mark} for role, mark in zip(roles, marks, strict=True)]
        try:
            whole = self._apply([*_messages(system)[:-2], *messages], prompt=roles[-1] == USER)
        except Exception as error:  # jinja raises errors of any kind
            raise ValueError(
                f"the chat template of {self.tokens.name} refuses a conversation of {', '.join(roles)}: {error}"
            ) from error
        texts = self._split_turns(whole, marks, roles)
        frames = self.tokens.encode_between(texts, marks)
        # The first turn begins with the very ids of training, unless the template writes its beginning otherwise here.
        if texts[0] == self.prompt(system).partition(USER_MARK)[0]:
            frames[0] = frame.before
        if roles[-1] == ASSISTANT:
            frames[-1] = self._end_of_turn(frames[-1], system)
        gaps = [text[len(self.tokens.without_gap(text)) :] for text in texts[:-1]]
        return tuple(zip(frames, [*gaps, ""], strict=True))

    @cached_property
    def document_frame(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The ids that begin a document without a chat frame, and those that end a finished one.

        It begins with the token that begins every text, unless that is one that begins turns, or with the end of the text before.

        Raises ValueError if the tokenizer has neither.
        """
        tokenizer, frame = self.tokens.tokenizer, self.chat_frame()
        by_name = {content: token for token, content in self.tokens.added.items()}
        end = next((by_name[name] for name in END_OF_TEXT if name in by_name), tokenizer.eos_token_id)
        begin = tokenizer.bos_token_id
        if begin is None or begin in (*frame.between, *frame.end):
            begin = end
        if begin is None or end is None:
            raise ValueError(
                f"the tokenizer of {self.tokens.name} has no token that begins or ends a text, so the first token of a document "
                "could not be told from the text before; give it a bos_token and an eos_token"
            )
        return (begin,), (end,)

    def all_frames(self) -> Iterator[tuple[str, ChatFrame]]:
        """The frames that a hash of the template covers, by name: with the default system prompt, without one if the template
        writes that itself, and what the default was cut from if it is one that was cut."""
        yield WITH_SYSTEM, self.chat_frame(DEFAULT)
        if not self._has_own_system():
            yield WITHOUT_SYSTEM, self.chat_frame(None)
        elif self.cuts_system and self.system is None:
            yield OWN_SYSTEM, self._make_frame(DEFAULT)

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """The marks of reasoning that the template writes, and those that it, its system prompt or the added tokens name."""
        declared = [self._source, *self.tokens.added.values()]
        if isinstance(self.system, str):
            declared.append(self.system)
        user = {"role": "user", "content": USER_MARK}
        rendered = render_pairs(
            lambda message: self._apply([user, {"role": "assistant", **message}]), self.prompt()
        )
        return (*find_pairs("\n".join(declared)), *rendered)

    def opened(self, prompt: str) -> str | None:
        """The mark that closes the reasoning that a prompt leaves open; None if it leaves none open."""
        tail = prompt.rpartition(USER_MARK)[2].rstrip()
        for pair in self.pairs:
            if not pair.opener or tail.endswith(pair.opener):
                return next(filter(self._source.__contains__, pair.closers), pair.closers[0])
        return None

    def prompt(self, system: System | str | None = DEFAULT) -> str:
        """The text of a prompt; DEFAULT is the template's own system prompt here."""
        return self._apply(_messages(system)[:-1], prompt=True)

    @property
    def _source(self) -> str:
        return self.tokens.tokenizer.get_chat_template()

    def _apply(self, messages: list[dict], *, prompt: bool = False) -> str:
        options = dict(self.options)
        if "strftime_now" in self._source:
            midnight = datetime.datetime.combine(self.date, datetime.time())
            options["chat_template"] = DATED + self._source
            used = f"{self._source}{self.options}"
            options["auralign_date"] = {code: midnight.strftime(code) for code in CODES if code in used}
        return self.tokens.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=prompt, **options
        )

    def _split(self, text: str, mark: str) -> tuple[str, str]:
        if text.count(mark) != 1:
            raise ValueError(
                f"the chat template of {self.tokens.name} prints a turn {text.count(mark)} times; "
                "it must print each turn once"
            )
        before, _, behind = text.partition(mark)
        return before, behind

    def _split_turns(self, whole: str, marks: list[str], roles: list[str]) -> list[str]:
        """The texts before, between and behind the marks of turns. Raises ValueError if they are not there once, in order."""
        for number, (mark, role) in enumerate(zip(marks, roles, strict=True), start=1):
            if whole.count(mark) != 1:
                raise ValueError(
                    f"the chat template of {self.tokens.name} prints turn {number} of {len(marks)} ({role}) {whole.count(mark)} "
                    "times; it must print each turn once"
                )
        texts = []
        for number, mark in enumerate(marks, start=1):
            text, found, whole = whole.partition(mark)
            if not found:
                raise ValueError(
                    f"the chat template of {self.tokens.name} prints turn {number} of {len(marks)} ({roles[number - 1]}) "
                    "before an earlier one; it must print the turns in their order"
                )
            texts.append(text)
        return [*texts, whole]

    def _make_frame(self, system: System | str | None) -> ChatFrame:
        is_text, repair = isinstance(system, str), "use system_prompt: null and say it in the instruction"
        try:
            prompt = self.prompt(system)
        except (
            Exception
        ) as error:  # jinja raises errors of any kind; Gemma 2's template knows no system message
            what = f"the system prompt {system!r}" if is_text else "a conversation of one turn"
            raise ValueError(
                f"the chat template of {self.tokens.name} refuses {what} ({error}); "
                f"{repair if is_text else 'give the LLM a chat_template.jinja that takes one'}"
            ) from error
        if is_text and str(system).strip() not in prompt:
            raise ValueError(
                f"the chat template of {self.tokens.name} leaves out the system prompt {system!r}; {repair}"
            )
        text, rest = self._split(prompt, USER_MARK)
        if system is None:
            text = self._cut_system(text, rest)
        before, between = self.tokens.encode_around(text, USER_MARK, rest)
        begun, rest = self._split(self._apply(_messages(system)), ASSISTANT_MARK)
        return ChatFrame(
            before=before,
            between=between,
            end=self._end_of_turn(self.tokens.encode_around(begun, ASSISTANT_MARK, rest)[1], system),
            lead=self._lead(prompt, begun),
            gap=text[len(self.tokens.without_gap(text)) :],
        )

    def _lead(self, prompt: str, begun: str) -> str:
        """The text between a prompt and an answer without reasoning."""
        if begun.startswith(prompt):
            return begun.removeprefix(prompt)
        closer = self.opened(prompt)
        return "" if closer is None else f"\n{closer}\n\n"

    def _end_of_turn(self, ids: tuple[int, ...], system: System | str | None) -> tuple[int, ...]:
        for index, token in enumerate(ids):
            if token in self.tokens.special:
                return ids[: index + 1]
        # GLM-4 writes nothing behind an answer: it stops at the token that begins the next turn.
        following = self.tokens.encode_template(self._next_turn(system))
        if following and following[0] in self.tokens.stop_ids:
            return following[:1]
        if self.tokens.tokenizer.eos_token_id is None:
            raise ValueError(
                f"the chat template of {self.tokens.name} ends a turn with no special token, and its "
                "tokenizer has no eos_token: an answer would never stop"
            )
        return (self.tokens.tokenizer.eos_token_id,)

    def _next_turn(self, system: System | str | None) -> str:
        """The text that the template writes between an answer and the user's next words."""
        text = self._apply([*_messages(system), {"role": "user", "content": USER_MARK}])
        return text.rpartition(ASSISTANT_MARK)[2].partition(USER_MARK)[0]

    def _has_own_system(self) -> bool:
        """Whether the template puts a system prompt that the conversation has not."""
        if not self.cuts_system:
            return self._adds_system()
        text, rest = self._split(self.prompt(None), USER_MARK)
        try:
            return self._cut_system(text, rest) != text
        except ValueError:
            return True

    def _adds_system(self) -> bool:
        """Whether a conversation without a system message has more in the system message's place."""
        marked, absent = self._marked(), self.prompt(None)
        if marked is None:
            return False
        header, rest = self._split(marked, SYSTEM_MARK)
        return absent.startswith(header) and absent.endswith(rest) and len(absent) > len(header) + len(rest)

    def _marked(self) -> str | None:
        """A prompt with the system prompt `SYSTEM_MARK`; None if the template takes none."""
        try:
            marked = self.prompt(SYSTEM_MARK)
        except Exception:  # a template without a system role (Gemma 2) raises its own jinja error
            return None
        return marked if SYSTEM_MARK in marked else None

    def _cut_system(self, text: str, rest: str) -> str:
        """The text before the user's words without the template's own system block.

        Raises ValueError if it cannot be cut out, or if that changes the ids of what is left.
        """
        if not self.cuts_system:
            return text
        try:
            cut = self._find_cut(text)
            if cut == text:
                if self._adds_system():
                    raise NoCutError("it is not clear where it ends")
                return text
            whole, whole_between = self.tokens.encode_around(text, USER_MARK, rest)
            ids, between = self.tokens.encode_around(cut, USER_MARK, rest)
            if between != whole_between or removed(whole, ids) is None:
                raise NoCutError("the token ids around it change without it")
        except NoCutError as error:
            raise ValueError(
                f"the chat template of {self.tokens.name} puts its own system prompt if the conversation has none, and it "
                f"cannot be cut out: {error}; give the LLM a chat_template.jinja without it, or let the prompt keep it "
                "(system_prompt: default; for sift, sit and transcription also their option no_system_prompt: False)"
            ) from error
        return cut

    def _find_cut(self, text: str) -> str:
        """The text without the block; the same text if there is none, or if the template does not show where it ends."""
        marked = self._marked()
        try:
            return cut_system_block(
                text,
                head=self._head_of_user(),
                marked=None if marked is None else self._split(marked, USER_MARK)[0],
                mark=SYSTEM_MARK,
                special=self.tokens.added_pattern,
                begin=self.tokens.tokenizer.bos_token or "",
            )
        except UnknownHeadError:
            return text

    def _head_of_user(self) -> str:
        """What the template writes before the user's words in a turn that is not the first."""
        try:
            following = self._next_turn(None)
            end = self._split(self._apply(_messages(None)), ASSISTANT_MARK)[1]
        except Exception as error:  # jinja raises errors of any kind
            raise UnknownHeadError("it takes no second turn") from error
        added = self.tokens.added_pattern
        if end.strip() and not added.search(end):
            # No special token ends a turn: "### " behind an answer may belong to the next one.
            first = self.prompt(None).partition(USER_MARK)[0]
            return os.path.commonprefix([first[::-1], following[::-1]])[::-1].lstrip()
        if following.startswith(end):
            return following.removeprefix(end)
        # Phi-3's ends a conversation with one token more than an answer.
        ended = added.search(following)
        return following if ended is None else following[ended.end() :].lstrip("\n")


def _letters(index: int) -> str:
    """Three letters for a number, so that no mark of a conversation begins another."""
    return "".join(chr(ord("A") + index // 26**power % 26) for power in (2, 1, 0))


def _messages(system: System | str | None) -> list[dict]:
    messages = [] if system in (None, DEFAULT) else [{"role": "system", "content": system}]
    return [
        *messages,
        {"role": "user", "content": USER_MARK},
        {"role": "assistant", "content": ASSISTANT_MARK},
    ]
