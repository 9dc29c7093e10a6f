"""Views to token ids, by the LLM's own chat template: the one place that knows prompts.

Generation, training, decoding and export all read their ids here. Every segment is tokenised alone and the ids are
joined, so that no merge crosses the edge between template, instruction, content and target; what users and corpora wrote
is tokenised with special tokens switched off, so that a transcript holding `<|im_end|>` stays a transcript.

The frame's ids are those that it has within a whole conversation, and text gets the space that sentencepiece puts before a
text only where it begins one, so that a turn of one segment has the very ids of `apply_chat_template`. They differ where the
tokenizer merges letters across an edge: of two segments, or, a byte-level one, of a text and a space that the template writes
before it.
"""

import copy
import datetime
import json
import re
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from auralign.files import hash_value
from auralign.layout import DEFAULT, TURN, Speech, System, View
from auralign.reasoning import (
    CLOSE,
    OPEN,
    SPECIAL,
    TAG,
    Pair,
    Reasoning,
    ends_answer,
    find_pairs,
    render_pairs,
)

# Stand where content goes while the chat template is rendered; letters only, so that no template trims or escapes them.
USER_MARK, ASSISTANT_MARK, SYSTEM_MARK = "AURALIGNUSER", "AURALIGNASSISTANT", "AURALIGNSYSTEM"

# Llama 3.2's template prints the date by strftime_now, which transformers gives it. Ours gives the renderer's date.
DATED = (
    "{%- macro strftime_now(format) %}{% set ns = namespace(text=format) %}{% for code, value in auralign_date.items() %}"
    "{% set ns.text = ns.text | replace(code, value) %}{% endfor %}{{ ns.text }}{% endmacro +%}"
)
CODES = (
    *(f"%{sign}{letter}" for sign in ("-", "") for letter in "aAbBcCdDeFgGhHIjklmMnNpPrRsStTuUVwWxXyYzZ"),
    "%%",
)
SPACE = "▁"  # how sentencepiece writes it
PREFIXING = ("Prepend", "Metaspace", "ByteLevel")  # parts of a tokenizer that may put a space before a text


def today() -> datetime.date:
    """The date of a prompt that nothing was made with yet."""
    return datetime.date.today()


@dataclass(frozen=True)
class Piece:
    """A run of token ids, or, where `ids` is None, the place of a span of the speech of `branch`.

    `num_end` of a target: how many of its last ids end the turn; None of anything else. `num_read` of speech: how many ids
    the text has that it stands for.
    """

    tag: str
    ids: tuple[int, ...] | None
    branch: str = ""
    num_end: int | None = None
    span: tuple[float, float] = (0.0, 1.0)
    num_read: int = 0

    @property
    def is_speech(self) -> bool:
        return self.ids is None


@dataclass(frozen=True)
class Rendered:
    """A view as the model reads it, piece by piece. The chat template's own pieces carry the tag `TURN`."""

    pieces: tuple[Piece, ...]

    @property
    def speech(self) -> tuple[Piece, ...]:
        """The places of speech in order."""
        return tuple(piece for piece in self.pieces if piece.is_speech)

    @cached_property
    def num_ids(self) -> int:
        """Token ids in all, speech not counted."""
        return sum(len(piece.ids) for piece in self.pieces if not piece.is_speech)

    @property
    def before_target(self) -> "Rendered":
        """The prompt: what `View.before_target` is rendered to."""
        has_target = bool(self.pieces) and self.pieces[-1].num_end is not None
        return Rendered(self.pieces[:-1]) if has_target else self

    @property
    def ids(self) -> tuple[int, ...]:
        """All ids in order. Raises ValueError where the view holds speech, which has no ids."""
        if any(piece.is_speech for piece in self.pieces):
            raise ValueError("this view holds speech; read() it before asking for its ids")
        return tuple(token for piece in self.pieces for token in piece.ids)


@dataclass(frozen=True)
class Frame:
    """What the chat template puts before the user's turn, between it and the answer, and after the answer (ids).

    `gap` is the space before the user's words that sentencepiece writes as one token with the first of them.
    `lead` is what it puts before an answer and not at the end of a prompt, which the LLM writes itself: the space of Mistral's
    answers, the channel of gpt-oss's, or what ends the reasoning that DeepSeek-R1's prompt has opened.
    """

    before: tuple[int, ...]
    between: tuple[int, ...]
    end: tuple[int, ...]
    lead: str = ""
    gap: str = ""


@dataclass(frozen=True)
class Reading:
    """What an answer says.

    Arguments
    ---------
    text : str
        Without reasoning, and without special tokens.
    ids : tuple of int, optional
        In which the LLM wrote just this text; None where something was taken out of it, or no ids are known.
    thought : bool
        Whether reasoning was taken out.
    ended : bool
        Whether it ends before a special token that ends turns, though the LLM went on.
    reason : str, optional
        Why it is no answer.
    """

    text: str
    ids: tuple[int, ...] | None
    thought: bool = False
    ended: bool = False
    reason: str | None = None


ENDLESS = "reasoning without end"


class Renderer:
    """Renders views for one LLM, and reads its answers.

    Arguments
    ---------
    tokenizer : transformers.PreTrainedTokenizerBase
        With a chat template.
    system : DEFAULT, None or str
        What a view's DEFAULT means: the template's own, no system prompt, or this text.
    template_options : dict
        Arguments of the chat template, such as `enable_thinking` or `date_string`.
    stop_ids : sequence of int
        The ids that the LLM's folder says end an answer.
    date : str, optional
        As YYYY-MM-DD, for a template that prints it: that of what the prompt was first rendered for; today's unless given.

    Raises
    ------
    ValueError
        Where the tokenizer has no chat template, the template loses the user's words, or special tokens in plain text
        cannot be switched off.
    """

    def __init__(
        self,
        tokenizer,
        *,
        system: System | str | None = DEFAULT,
        template_options: dict | None = None,
        stop_ids=(),
        date: str | None = None,
    ):
        if not getattr(tokenizer, "chat_template", None):
            raise ValueError(
                f"the tokenizer of {tokenizer.name_or_path} has no chat template; use an instruction-tuned LLM "
                "or put a chat_template.jinja beside its tokenizer"
            )
        self.tokenizer = tokenizer
        self.system = system
        self.template_options = dict(template_options or {})
        self._folder_stop_ids = tuple(stop_ids)
        self._date = today() if date is None else datetime.date.fromisoformat(date)
        self._frames: dict[System | str | None, Frame] = {}
        self._check_text_is_data()

    def render(self, view: View) -> Rendered:
        """The whole view: frame, segments and, where it has one, the target with its end of turn."""
        frame = self.frame(view.system)
        pieces = [Piece(TURN, frame.before)]
        last, gap = frame.before, frame.gap  # what stands before the next segment
        for segment in view.before_target().segments:
            ids = self.encode(gap + segment.text, after=last)
            pieces.append(self._piece(segment, ids))
            if isinstance(segment, Speech) or ids:
                last, gap = ids or None, ""
        pieces += [Piece(TURN, self.encode(gap, after=last))] * bool(gap)
        pieces.append(Piece(TURN, frame.between))
        if view.response is not None:
            ids = view.response.ids
            if ids is None:
                mark = frame.lead.rstrip()
                head = self._encode_frame(mark, after=frame.between)
                ids = head + self.encode(
                    frame.lead[len(mark) :] + view.response.text, after=frame.between + head
                )
            # A target cut off at the length limit has no end of turn: it would teach a false stop.
            end = frame.end if view.response.finished else ()
            if (
                end[:-1] and ids[1 - len(end) :] == end[:-1]
            ):  # the LLM has written Llama 2's space before </s> itself
                ids = ids[: 1 - len(end)]
            pieces.append(Piece(view.response.tag, ids + end, num_end=len(end)))
        return Rendered(tuple(pieces))

    def encode(self, text: str, *, after: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """Ids of plain text, in which nothing is a special token, behind the ids `after`; within a text unless given."""
        tokenizer = self._tokenizer_after(after)
        return tuple(tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])

    def _tokenizer_after(self, ids: tuple[int, ...] | None):
        """The tokenizer of a text that stands behind these ids: sentencepiece puts a space before one that begins there."""
        begins = ids is not None and (not ids or ids[-1] in self._added and self._begins_after_added)
        return self.tokenizer if begins else self._within

    @cached_property
    def _within(self):
        """The tokenizer, without the space that it may put before a text."""
        return without_prefix(self.tokenizer)

    @cached_property
    def _begins_after_added(self) -> bool:
        """Whether the tokenizer puts that space behind an added token, too: Llama's does in its older form."""
        if self._within is self.tokenizer or not self._added:
            return False
        ids = self.tokenizer(f"{next(iter(self._added.values()))}a", add_special_tokens=False)["input_ids"]
        return ids[1:] == self.tokenizer("a", add_special_tokens=False)["input_ids"]

    def read(self, answer, *, stop_strings=()) -> Reading:
        """What an answer says, up to the first of `stop_strings`.

        Reasoning is taken out. A special token ends the answer if it ends turns or belongs to the template's frame; any other,
        and reasoning that never ends, is the reason why there is no answer.

        Arguments
        ---------
        answer : sequence of int, or str
            Its ids; or its text with special tokens in it, of an engine that tells no ids.
        """
        ids = None if isinstance(answer, str) else tuple(answer)
        whole = self._mark(answer) if ids is None else self._show(ids)
        said, thought, closed = self.reasoning.split(whole)
        if ids is not None and said != whole.strip():
            ids = None
        special, reason = SPECIAL.search(said), None if closed else ENDLESS
        ended = special is not None and (special[1] in self._ends or ends_answer(special[1]))
        if special is not None:
            said = said[: special.start()].strip()
            ids = ids and ids[: next(place for place, token in enumerate(ids) if token in self._special)]
            if not ended:
                reason = reason or f"special token {special[1]}"
        ends = [said.find(string) for string in stop_strings if string in said]
        return Reading(said[: min(ends, default=None)].strip(), ids, thought, ended, reason)

    @cached_property
    def reasoning(self) -> Reasoning:
        """How the LLM marks its reasoning."""
        pairs = tuple(
            Pair(self._mark(pair.opener), tuple(map(self._mark, pair.closers))) for pair in self._pairs
        )
        head = self._mark(self.frame(DEFAULT).lead.strip())
        return Reasoning(
            pairs,
            heads=(head,) if TAG.search(head) else (),
            opened=self._opened(self._template(DEFAULT, prompt=True)) is not None,
        )

    @cached_property
    def _pairs(self) -> tuple[Pair, ...]:
        """The marks of reasoning, as the chat template writes them."""
        declared = [self._chat_template, *self._added.values()]
        if isinstance(self.system, str):
            declared.append(self.system)
        user = {"role": "user", "content": USER_MARK}
        rendered = render_pairs(
            lambda message: self._apply([user, {"role": "assistant", **message}]),
            self._template(DEFAULT, prompt=True),
        )
        return (*find_pairs("\n".join(declared)), *rendered)

    def _opened(self, prompt: str) -> str | None:
        """What ends the reasoning that a prompt leaves open; None where it leaves none."""
        tail = prompt.rpartition(USER_MARK)[2].rstrip()
        for pair in self._pairs:
            if not pair.opener or tail.endswith(pair.opener):
                return next(filter(self._chat_template.__contains__, pair.closers), pair.closers[0])
        return None

    @cached_property
    def stop_ids(self) -> tuple[int, ...]:
        """The ids that end an answer: those of the template's end of turn, of the LLM's folder, and the tokenizer's end of text.

        The end of a turn that also ends reasoning, before the turn with the answer, stops nothing if the folder has others.
        """
        end = self.frame(DEFAULT).end[-1]
        others = [*self._folder_stop_ids, self.tokenizer.eos_token_id]
        others = [token for token in others if token is not None]
        within = self._mark(self.tokenizer.decode([end]))
        if any(within in closer and within != closer for closer in self.reasoning.closers) and others:
            return tuple(dict.fromkeys(others))
        return tuple(dict.fromkeys([end, *others]))

    @property
    def date(self) -> str | None:
        """The date that the template prints, as YYYY-MM-DD; None if it prints none."""
        other = self.on(self._date + datetime.timedelta(days=400))
        same = self._template(DEFAULT, prompt=True) == other._template(DEFAULT, prompt=True)
        return None if same else self._date.isoformat()

    def on(self, date: datetime.date) -> "Renderer":
        """The same with another date."""
        other = copy.copy(self)
        other._date, other._frames = date, {}
        for name in ("frame_hash", "reasoning", "stop_ids", "_pairs", "_ends"):
            other.__dict__.pop(name, None)
        return other

    @cached_property
    def frame_hash(self) -> str:
        """Names the frame that targets and checkpoints were made with: its ids and the arguments that shaped it."""
        frames = {
            str(system): [list(frame.before), list(frame.between), list(frame.end)]
            + [frame.lead] * bool(frame.lead)
            + [{"gap": frame.gap}] * bool(frame.gap)
            for system, frame in self._all_frames()
        }
        return hash_value({"frames": frames, "options": self.template_options, "system": str(self.system)})[
            :16
        ]

    def describe(self) -> dict:
        """What is recorded with all that is made with these prompts: `date` first of all, without which they cannot be rendered
        again, and the frame's pieces, by which an error can say what changed."""
        frames = {
            "with the system prompt" if system is DEFAULT else "without a system prompt": {
                "before the user's words": self.tokenizer.decode(frame.before) + frame.gap,
                "between them and the answer": self.tokenizer.decode(frame.between),
                "before the answer": frame.lead,
                "behind the answer": self.tokenizer.decode(frame.end),
            }
            for system, frame in self._all_frames()
        }
        return {
            "date": self.date,
            "frame_hash": self.frame_hash,
            "frames": frames,
            "template_options": self.template_options,
        }

    def _all_frames(self):
        for system in (DEFAULT, None):
            if system is DEFAULT or self._can_omit_system():
                yield system, self.frame(system)

    def frame(self, system: System | str | None = DEFAULT) -> Frame:
        """The template's ids around a turn under this system prompt."""
        if system is DEFAULT:
            system = self.system
        if system not in self._frames:
            self._frames[system] = self._make_frame(system)
        return self._frames[system]

    def _make_frame(self, system) -> Frame:
        if system is None and not self._can_omit_system():
            raise ValueError(
                f"the chat template of {self.tokenizer.name_or_path} puts its own system prompt where none is given; "
                "give the LLM a chat_template.jinja without it, or let the prompt keep it (system_prompt: default; for sift "
                "also its option no_system_prompt: False)"
            )
        prompt = self._template(system, prompt=True)
        if isinstance(system, str) and system.strip() not in prompt:
            raise ValueError(
                f"the chat template of {self.tokenizer.name_or_path} leaves out the system prompt {system!r}; use "
                "system_prompt: null and say it in the instruction"
            )
        whole = self._template(system, prompt=False)
        before, between = self._encode_around(prompt, USER_MARK)
        text, begun = (self._split(*parts)[0] for parts in ((prompt, USER_MARK), (whole, ASSISTANT_MARK)))
        return Frame(
            before=before,
            between=between,
            end=self._end_of_turn(self._encode_around(whole, ASSISTANT_MARK)[1], system),
            lead=self._lead(prompt, begun),
            gap=text[len(self._without_gap(text)) :],
        )

    def _lead(self, prompt: str, begun: str) -> str:
        """What stands before an answer behind the prompt."""
        if begun.startswith(prompt):
            return begun.removeprefix(prompt)
        closer = self._opened(prompt)
        return "" if closer is None else f"\n{closer}\n\n"

    def _template(self, system, *, prompt: bool) -> str:
        return self._apply(self._messages(system, prompt=prompt), prompt=prompt)

    def _messages(self, system, *, prompt: bool) -> list[dict]:
        messages = [] if system in (None, DEFAULT) else [{"role": "system", "content": system}]
        messages.append({"role": "user", "content": USER_MARK})
        if not prompt:
            messages.append({"role": "assistant", "content": ASSISTANT_MARK})
        return messages

    def _apply(self, messages: list[dict], *, prompt: bool = False) -> str:
        options = dict(self.template_options)
        if "strftime_now" in self._chat_template:
            midnight = datetime.datetime.combine(self._date, datetime.time())
            options["chat_template"] = DATED + self._chat_template
            used = f"{self._chat_template}{self.template_options}"
            options["auralign_date"] = {code: midnight.strftime(code) for code in CODES if code in used}
        return self.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=prompt, **options
        )

    def _split(self, text: str, mark: str) -> tuple[str, str]:
        if text.count(mark) != 1:
            raise ValueError(
                f"the chat template of {self.tokenizer.name_or_path} prints a turn {text.count(mark)} times; "
                "it must print each turn once"
            )
        return tuple(text.split(mark))

    @property
    def _chat_template(self) -> str:
        return self.tokenizer.get_chat_template()

    @cached_property
    def _added(self) -> dict[int, str]:
        """Tokens beside the vocabulary that was learned from text, by id."""
        return {token: added.content for token, added in self.tokenizer.added_tokens_decoder.items()}

    @cached_property
    def _special(self) -> dict[int, str]:
        """Special tokens by id: also those that have no role of their own, such as Llama 3's headers."""
        marked = {token for token, added in self.tokenizer.added_tokens_decoder.items() if added.special}
        ids = marked | set(self.tokenizer.all_special_ids) | set(self._folder_stop_ids)
        return {token: self.tokenizer.decode([token]) for token in sorted(ids)}

    @cached_property
    def _ends(self) -> frozenset[str]:
        """Special tokens that end an answer: those at which the LLM stops, and those of the frame, which begin another turn."""
        frame = self.frame(DEFAULT)
        ids = {*self.stop_ids, *frame.before, *frame.between, *frame.end}
        return frozenset(self._special[token] for token in ids if token in self._special)

    def _show(self, ids) -> str:
        """The text of ids, in which special tokens are marked as such."""
        shown = []
        for is_special, run in groupby(ids, key=self._special.__contains__):
            if is_special:
                shown += [f"{OPEN}{self._special[token]}{CLOSE}" for token in run]
            else:
                shown.append(self.tokenizer.decode(list(run), clean_up_tokenization_spaces=False))
        return "".join(shown)

    def _mark(self, text: str) -> str:
        """Text in which what is written like a special token is one."""
        return self._special_pattern.sub(lambda found: f"{OPEN}{found[0]}{CLOSE}", text)

    @cached_property
    def _special_pattern(self) -> re.Pattern:
        return _any_of(self._special.values())

    @cached_property
    def _added_pattern(self) -> re.Pattern:
        return _any_of(self._added.values())

    def _encode_frame(self, text: str, *, after: tuple[int, ...] | None = ()) -> tuple[int, ...]:
        """Ids of what the template writes, in which special tokens are special, behind others."""
        first = self._added_pattern.search(text)
        place = len(text) if first is None else first.start()
        begun = self._tokenizer_after(after)(text[:place], add_special_tokens=False)["input_ids"]
        return (*begun, *self.tokenizer(text[place:], add_special_tokens=False)["input_ids"])

    def _encode_around(self, text: str, mark: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Ids before a mark, and the spaces before it, and behind it: as they are in the whole text."""
        before, behind = self._split(text, mark)
        start, end = len(self._without_gap(before)), len(before) + len(mark)
        if self.tokenizer.is_fast:
            found = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
            ids, places = tuple(found["input_ids"]), found["offset_mapping"]
            first = sum(stop <= start for _, stop in places)
            last = len(ids) - sum(begin >= end for begin, _ in places)
            is_cut = all(begin >= start for begin, _ in places[first:]) and all(
                stop <= end for _, stop in places[:last]
            )
            if is_cut and first <= last:
                return ids[:first], ids[last:]
        return self._encode_frame(before[:start]), self._encode_frame(behind, after=None)

    def _without_gap(self, text: str) -> str:
        """Without the spaces at its end, if the tokenizer writes a word and the space before it as a word of its own: to
        sentencepiece a text that stands alone begins with that space."""
        return text.rstrip(" ") if self.tokenizer.is_fast and _is_sentencepiece(self.tokenizer) else text

    def _end_of_turn(self, ids: tuple[int, ...], system) -> tuple[int, ...]:
        for place, token in enumerate(ids):
            if token in self._special:
                return ids[: place + 1]
        # GLM-4 writes nothing behind an answer: it stops at what begins the next turn.
        following = self._encode_frame(self._next_turn(system))
        if following and following[0] in self._folder_stop_ids:
            return following[:1]
        if self.tokenizer.eos_token_id is None:
            raise ValueError(
                f"the chat template of {self.tokenizer.name_or_path} ends a turn with no special token, and its "
                "tokenizer has no eos_token: an answer would never stop"
            )
        return (self.tokenizer.eos_token_id,)

    def _next_turn(self, system) -> str:
        """What the template puts between an answer and the user's next words."""
        messages = self._messages(system, prompt=False)
        text = self._apply([*messages, {"role": "user", "content": USER_MARK}])
        return text.rpartition(ASSISTANT_MARK)[2].partition(USER_MARK)[0]

    def _can_omit_system(self) -> bool:
        """Whether giving no system message yields no system prompt: Qwen2.5's template would put its own."""
        absent = self._template(None, prompt=True)
        try:
            marked = self._template(SYSTEM_MARK, prompt=True)
        except Exception:  # a template without a system role (Gemma) raises its own jinja error
            return True
        if SYSTEM_MARK not in marked:  # a template that leaves system prompts out
            return True
        header, rest = self._split(marked, SYSTEM_MARK)
        injected = (
            absent.startswith(header) and absent.endswith(rest) and len(absent) > len(header) + len(rest)
        )
        return not injected

    def _piece(self, segment, ids: tuple[int, ...]) -> Piece:
        if isinstance(segment, Speech):
            return Piece(segment.tag, None, segment.branch, span=segment.span, num_read=len(ids))
        return Piece(segment.tag, ids)

    def _check_text_is_data(self) -> None:
        special = set(self.tokenizer.all_special_ids)
        for token in self.tokenizer.all_special_tokens:
            if special.intersection(self.encode(f"a {token} b")) - {self.tokenizer.unk_token_id}:
                raise ValueError(
                    f"the tokenizer of {self.tokenizer.name_or_path} reads {token!r} in plain text as a special token: "
                    "transcripts could break the prompt; use its fast tokenizer (tokenizer.json)"
                )


def _any_of(names) -> re.Pattern:
    names = sorted(filter(None, names), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, names)) or r"(?!)")


def _is_sentencepiece(tokenizer) -> bool:
    backend = tokenizer.backend_tokenizer
    return any(SPACE in repr(part) for part in (backend.normalizer, backend.pre_tokenizer))


def without_prefix(tokenizer):
    """A tokenizer that puts no space before a text: the same where it puts none, or is written in Python."""
    if not tokenizer.is_fast:
        return tokenizer
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    backend = tokenizer.backend_tokenizer
    if not any(
        name in repr(part) for part in (backend.normalizer, backend.pre_tokenizer) for name in PREFIXING
    ):
        return tokenizer
    state = json.loads(backend.to_str())
    changed = {name: _drop_prefix(state[name]) for name in ("normalizer", "pre_tokenizer")}
    if all(state[name] == part for name, part in changed.items()):
        return tokenizer
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps({**state, **changed})))


def _drop_prefix(part: dict | None) -> dict | None:
    """A normalizer or pre-tokenizer of a tokenizer.json that puts no space before a text."""
    if part is None or part["type"] == "Prepend":
        return None
    for parts in ("normalizers", "pretokenizers"):
        if parts in part:
            kept = [one for one in map(_drop_prefix, part[parts]) if one is not None]
            part = {**part, parts: kept}
    if part["type"] == "Metaspace":
        return {**part, "prepend_scheme": "never"}
    if part["type"] == "ByteLevel":
        return {**part, "add_prefix_space": False}
    return part


def tell_change(before: dict | None, now: dict | None) -> str:
    """What of the prompts changed, from one `Renderer.describe` to another; "" where the first was not recorded."""
    if not before or not now or "frames" not in before:
        return ""
    pairs = [("the date", before["date"], now["date"])]
    pairs.append(("template_options", before["template_options"], now["template_options"]))
    for name in {**before["frames"], **now["frames"]}:
        old, new = before["frames"].get(name, {}), now["frames"].get(name, {})
        pairs += [(f"{piece} ({name})", old.get(piece), new.get(piece)) for piece in {**old, **new}]
    changes = [f"{what} was {old!r}, is {new!r}" for what, old, new in pairs if old != new]
    return f" ({'; '.join(changes) or 'the same words, as other token ids'})"
