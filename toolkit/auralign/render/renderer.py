"""The renderer of one LLM: prompts and targets to ids, answers to text, and a hash of the chat frame.

Generation, training, decoding and export all read their ids here. Every segment is tokenised alone and the ids are
joined, so that no merge crosses the edge between template, instruction, content and target. Text of users and corpora
is tokenised with special tokens switched off, so that a transcript with `<|im_end|>` in it stays a transcript.

A turn of one segment has exactly the ids of `apply_chat_template`, as sentencepiece's space before a text is added only
if the text begins there. The ids differ if the tokenizer merges letters across an edge: of two segments, or (byte-level
tokenizers) of a text and a space that the template writes before it.
"""

import copy
import datetime
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from auralign.files import hash_value
from auralign.layout import (
    ANSWER,
    ASSISTANT,
    DEFAULT,
    TURN,
    Code,
    Response,
    Segment,
    Speech,
    System,
    Text,
    Turn,
    View,
)
from auralign.reasoning import Reasoning
from auralign.render.answers import AnswerReader, Reading
from auralign.render.changes import NUM_TURNS
from auralign.render.chat_template import OWN_SYSTEM, WITH_SYSTEM, WITHOUT_SYSTEM, ChatFrame, ChatTemplate
from auralign.render.pieces import NO_TOKEN, Piece, Rendered
from auralign.render.tokens import Tokens

# Frames as a record of prompts names them
FRAMES = {
    WITH_SYSTEM: "with the system prompt",
    WITHOUT_SYSTEM: "without a system prompt",
    OWN_SYSTEM: "with the template's own system prompt",
}


def today() -> datetime.date:
    """The date for prompts that nothing was made with yet."""
    return datetime.date.today()


class Renderer:
    """Renders views for one LLM, and reads its answers.

    Arguments
    ---------
    tokenizer : transformers.PreTrainedTokenizerBase
        A tokenizer with a chat template.
    system : DEFAULT, None or str
        What a view's DEFAULT means: the template's own system prompt, no system prompt, or this text. Default DEFAULT.
    template_options : dict, optional
        Arguments of the chat template, such as `enable_thinking` or `date_string`; default none.
    stop_ids : sequence of int
        The ids that the LLM's folder lists as ends of an answer; default none.
    date : str, optional
        The date (YYYY-MM-DD) that the template prints; default today. Pass the date of the first rendering to repeat it.
    turns : bool
        Whether conversations and documents count in `frame_hash`, as for a method whose `needs` have them; default False.

    Raises
    ------
    ValueError
        If the tokenizer has no chat template, or reads plain text as a special token.
    """

    def __init__(
        self,
        tokenizer: Any,
        *,
        system: System | str | None = DEFAULT,
        template_options: dict | None = None,
        stop_ids: Sequence[int] = (),
        date: str | None = None,
        turns: bool = False,
    ):
        if not getattr(tokenizer, "chat_template", None):
            raise ValueError(
                f"the tokenizer of {tokenizer.name_or_path} has no chat template; use an instruction-tuned LLM "
                "or put a chat_template.jinja beside its tokenizer"
            )
        self.tokenizer = tokenizer
        self.system = system
        self.turns = turns
        self.template_options = dict(template_options or {})
        self._cuts_system = True
        self._tokens = Tokens(tokenizer, stop_ids)
        self._set_date(today() if date is None else datetime.date.fromisoformat(date))

    def _set_date(self, date: datetime.date) -> None:
        self._template = ChatTemplate(
            self._tokens,
            system=self.system,
            options=self.template_options,
            date=date,
            cuts_system=self._cuts_system,
        )
        self._answers = AnswerReader(self._template)

    def render(self, view: View) -> Rendered:
        """Render a whole view: the chat frame, the segments and, if the view has one, the target with its end of turn.

        Several turns have the chat template's own form of them. A document begins with a token that is no one's label.

        Raises ValueError if the template cannot express the system prompt or the turns.
        """
        if view.is_document:
            return self._render_document(view.turns[0])
        turns, frame = view.before_target().turns, self.chat_frame(view.system)
        around: Sequence[tuple[tuple[int, ...], str]] = ((frame.before, frame.gap), (frame.between, ""))
        if len(turns) > 1:
            around = self._template.conversation_frame(len(turns), view.system)
        pieces = []
        for turn, (before, gap) in zip(turns, around, strict=False):
            pieces += [Piece(TURN, before), *self._contents(turn.segments, before, gap)]
        if turns[-1].role != ASSISTANT or turns[-1].finished:
            pieces.append(Piece(TURN, around[-1][0]))
        if view.response is not None:
            pieces.append(self._render_target(view.response, frame, around[-1][0]))
        return Rendered(tuple(pieces))

    def _render_document(self, document: Turn) -> Rendered:
        begin, end = self._template.document_frame
        pieces = [Piece(TURN, begin), *self._contents(document.segments, (), "")]
        return Rendered((*pieces, *[Piece(TURN, end)] * document.finished))

    def render_conversation(self, views: Sequence[View], answers: Sequence[str]) -> Rendered:
        """Render a conversation that the LLM is to answer, in the template's own form of several turns.

        Arguments
        ---------
        views : sequence of View
            The user's turns.
        answers : sequence of str
            The LLM's answers to all of them but the last, without reasoning.

        Returns Rendered: the prompt. One turn is rendered as `render` renders it.

        Raises ValueError if the numbers do not fit, a view holds a response, or the system prompts of the views differ.
        """
        if len(views) != len(answers) + 1:
            raise ValueError(
                f"{len(views)} turns and {len(answers)} answers; give an answer to each turn but the last"
            )
        if any(view.has_turns for view in views):
            raise ValueError("a view of turns is one of the turns of a conversation; give its segments")
        if any(view.response is not None for view in views):
            raise ValueError("a turn of a conversation holds a response; give it as an answer")
        if any(view.system != views[0].system for view in views):
            raise ValueError(
                "the turns of a conversation have several system prompts; give all of them the same"
            )
        said = [Turn((Text(answer, tag=ANSWER),), ASSISTANT) for answer in answers]
        turns = [one for view, answer in zip(views, said, strict=False) for one in (*view.turns, answer)]
        return self.render(View((*turns, *views[-1].turns), views[0].system))

    def _contents(self, segments: Sequence[Segment], before: tuple[int, ...], gap: str) -> list[Piece]:
        """The pieces of a turn's segments, after these ids and the space between."""
        pieces = []
        last: tuple[int, ...] | None = before  # the ids before the next segment; None after speech
        for segment in segments:
            if (
                isinstance(segment, Code) and not segment.text
            ):  # the teacher reads the next one directly after the last
                pieces.append(_piece(segment, ()))
                continue
            ids = self.encode(gap + segment.text, after=last)
            pieces.append(_piece(segment, ids))
            if isinstance(segment, (Speech, Code)) or ids:
                last, gap = ids or None, ""
        if gap:
            pieces.append(Piece(TURN, self.encode(gap, after=last)))
        return pieces

    def _render_target(self, target: Response, frame: ChatFrame, before: tuple[int, ...]) -> Piece:
        """The piece of a target, after these ids."""
        ids = target.ids
        if ids is None:
            mark = frame.lead.rstrip()
            head = self._tokens.encode_template(mark, after=before)
            ids = head + self.encode(frame.lead[len(mark) :] + target.text, after=before + head)
        # A target cut off at the length limit has no end of turn: it would teach a false stop.
        end = frame.end if target.finished else ()
        if end[:-1] and ids[1 - len(end) :] == end[:-1]:
            ids = ids[
                : 1 - len(end)
            ]  # the LLM wrote the beginning of the end itself, as Llama 2 its space before </s>
        return Piece(target.tag, ids + end, num_end=len(end))

    def encode(self, text: str, *, after: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """Ids of plain text, in which nothing is a special token.

        Arguments
        ---------
        text : str
        after : tuple of int, optional
            The ids before the text, () at the start of a prompt; default None, in the middle of a text.
        """
        return self._tokens.encode(text, after=after)

    def chat_frame(self, system: System | str | None = DEFAULT) -> ChatFrame:
        """The template's ids around a turn with this system prompt. Raises ValueError if the template cannot express it."""
        return self._template.chat_frame(system)

    def read(self, answer: Sequence[int] | str, *, stop_strings: Sequence[str] = ()) -> Reading:
        """The text of an answer, up to the first of `stop_strings`.

        Reasoning is taken out. A special token ends the answer if it ends turns or belongs to the chat frame; any other
        special token, and reasoning that never ends, is recorded as the reason why this is not an answer.

        Arguments
        ---------
        answer : sequence of int, or str
            Its ids; or its text including special tokens, if the engine does not return ids.
        stop_strings : sequence of str
            The texts at which the engine stops; default none.
        """
        return self._answers.read(answer, stop_strings=stop_strings)

    @property
    def reasoning(self) -> Reasoning:
        """How the LLM marks its reasoning."""
        return self._answers.reasoning

    @property
    def stop_ids(self) -> tuple[int, ...]:
        """The ids that end an answer: the template's end of turn, those of the LLM's folder, and the tokenizer's end of text."""
        return self._answers.stop_ids

    @property
    def date(self) -> str | None:
        """The date that the template prints, as YYYY-MM-DD; None if it prints none."""
        date = self._template.date
        other = self.on(date + datetime.timedelta(days=400))
        return None if self._template.prompt() == other._template.prompt() else date.isoformat()

    def on(self, date: datetime.date) -> "Renderer":
        """The same renderer with another date."""
        return self._changed(date, cuts_system=self._cuts_system)

    def keeping_system(self) -> "Renderer":
        """The same renderer with what an earlier auralign did without a system prompt: it left Llama 3.1's own one in."""
        return self._changed(self._template.date, cuts_system=False)

    def _changed(self, date: datetime.date, *, cuts_system: bool) -> "Renderer":
        other = copy.copy(self)
        other.__dict__.pop("frame_hash", None)
        other._cuts_system = cuts_system
        other._set_date(date)
        return other

    @cached_property
    def frame_hash(self) -> str:
        """A hash of the chat frame (ids) and its arguments, which targets and checkpoints record."""
        frames = {
            name: [list(frame.before), list(frame.between), list(frame.end)]
            + [frame.lead] * bool(frame.lead)
            + [{"gap": frame.gap}] * bool(frame.gap)
            for name, frame in self._template.all_frames()
        }
        content: dict[str, Any] = {
            "frames": frames,
            "options": self.template_options,
            "system": str(self.system),
        }
        if self.turns:
            content["conversation"] = self._conversation_frame()
            content["document"] = self._template.document_frame
        return hash_value(content)[:16]

    def describe(self) -> dict:
        """The record of these prompts that is kept with everything made with them.

        `date` comes first: no prompt can be rendered again without it. From the texts of the frame an error names what changed.
        """
        frames = {
            FRAMES[name]: {
                "before the user's words": self.tokenizer.decode(frame.before) + frame.gap,
                "between them and the answer": self.tokenizer.decode(frame.between),
                "before the answer": frame.lead,
                "behind the answer": self.tokenizer.decode(frame.end),
            }
            for name, frame in self._template.all_frames()
        }
        return {
            "date": self.date,
            "frame_hash": self.frame_hash,
            "frames": frames,
            "conversation": self._describe_conversation(),
            **(
                {"document": [self.tokenizer.decode(ids) for ids in self._template.document_frame]}
                if self.turns
                else {}
            ),
            "template_options": self.template_options,
        }

    def _conversation_frame(self) -> tuple[tuple[tuple[int, ...], str], ...] | None:
        """What the template writes around `NUM_TURNS` turns of the user; None if it refuses so many, as a view of them says."""
        try:
            return self._template.conversation_frame(2 * NUM_TURNS - 1)
        except ValueError:
            return None

    def _describe_conversation(self) -> list[str] | None:
        """What the template writes before, between and behind the contents of `NUM_TURNS` turns; None if it refuses so many."""
        frame = self._conversation_frame()
        return None if frame is None else [self.tokenizer.decode(ids) + gap for ids, gap in frame]


def _piece(segment: Segment, ids: tuple[int, ...]) -> Piece:
    if isinstance(segment, Code):
        codes = segment.ids
        return Piece(segment.tag, (NO_TOKEN,) * len(codes), book=segment.book, codes=codes)
    if isinstance(segment, Speech):
        return Piece(segment.tag, None, segment.branch, span=segment.span, num_read=len(ids), of=segment.of)
    return Piece(segment.tag, ids)
