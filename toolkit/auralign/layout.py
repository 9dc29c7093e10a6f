"""What the model reads, as segments: text, speech, and the target to learn.

    >>> view = View((Text("say again: "), Speech("three five"), Response("i heard three five")))
    >>> view.read()                                           # every Speech replaced by its text
    View(segments=(Text(text='say again: ', tag='instruction'), Text(text='three five', tag='speech'),
         Response(text='i heard three five', finished=True, tag='target')), system=DEFAULT)
    >>> fill("take {speech} and sort it", Speech("three five"))
    (Text(text='take ', tag='instruction'), Speech(text='three five'), Text(text=' and sort it', tag='instruction'))

A conversation of several turns, and a document without any chat frame, are views of turns:

    >>> said, asked = Turn((Text("i heard three five", ANSWER),), ASSISTANT), Turn((Text("sort it"),))
    >>> conversation = View((Turn((Speech("three five"),)), said, asked))
    >>> document = View((Turn((Text("He said "), Speech("three five", of="clip-7"), Text(" twice.", "text")), NONE),))

A `Layout` holds named views of one example. The `student` view is what is trained; the `teacher` view is what the original
LLM reads, and by default the student with its speech read as text. What the LLM is asked when
targets are generated is the teacher view cut before its `Response`: the two cannot drift apart.
"""

import dataclasses
import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from auralign.records import shorten

if TYPE_CHECKING:
    from auralign import records

SLOT = "{speech}"
MAIN = "speech"  # the branch of the recipe's `encoder` and `connector`
STUDENT, TEACHER = "student", "teacher"  # views: what is trained, and what the original LLM reads
# Tags, by which losses find tokens. Methods may add their own; `TURN` is the chat template's, `FIRST` and `END` are the first
# position of each target and the tokens that end a turn.
INSTRUCTION, SPEECH, TARGET = "instruction", "speech", "target"
TURN, FIRST, END = "frame", "first", "end"
ANSWER = "answer"  # an earlier answer of the LLM, in a conversation
USER, ASSISTANT, NONE = (
    "user",
    "assistant",
    "none",
)  # roles of turns; NONE is a document, without a chat frame


class System(enum.Enum):
    """`DEFAULT`: the system prompt that the recipe names, or else the one that the chat template puts there itself."""

    DEFAULT = "default"

    def __repr__(self) -> str:
        return self.name


DEFAULT = System.DEFAULT


@dataclass(frozen=True)
class Text:
    """Words that the model reads in the user's turn."""

    text: str
    tag: str = INSTRUCTION


@dataclass(frozen=True)
class Speech:
    """Audio that the model reads, at this position of the user's turn.

    Arguments
    ---------
    text : str
        What the teacher reads instead.
    branch : str
        The encoder and connector that embed it: `MAIN` (default), or one of the recipe's `branches`.
    span : (float, float)
        Start and end of the part of the utterance that is embedded, as shares of its length; default: all of it.
    of : str
        Whose audio it is: the id of one of the utterance's `others`; default "", the utterance itself.
    """

    text: str
    branch: str = MAIN
    tag: str = SPEECH
    span: tuple[float, float] = (0.0, 1.0)
    of: str = ""

    def __post_init__(self) -> None:
        start, end = self.span
        if not 0 <= start < end <= 1:
            raise ValueError(
                f"span {self.span} of {shorten(repr(self.text))}: give (start, end) with 0 <= start < end <= 1"
            )

    def __repr__(self) -> str:
        usual = {item.name: item.default for item in dataclasses.fields(self)}
        given = [f"{name}={value!r}" for name, value in vars(self).items() if value != usual[name]]
        return f"Speech({', '.join(given)})"


@dataclass(frozen=True)
class Response:
    """The answer to learn, in the assistant's turn. One that is not `finished` carries no end of turn.

    `ids` are the token ids that the LLM itself wrote; None if the text comes from elsewhere.
    """

    text: str
    finished: bool = True
    tag: str = TARGET
    ids: tuple[int, ...] | None = dataclasses.field(default=None, repr=False)

    @classmethod
    def of(cls, target: "records.Target") -> "Response":
        """The segment of a target on disk (`auralign.records.Target`)."""
        return cls(
            target.response, finished=target.finish_reason in ("stop", "given"), ids=target.response_ids
        )


Target = Response  # alias for methods that were written with the older name
Segment = Text | Speech | Response


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation, or a whole document.

    Arguments
    ---------
    segments : tuple of Segment
    role : str
        USER (default), ASSISTANT, or NONE: a document, which has no chat frame.
    finished : bool
        Whether the end of the turn, or of the text, is put behind it; default True. Only a document and a last turn of the
        assistant may be unfinished.
    """

    segments: tuple[Segment, ...]
    role: str = USER
    finished: bool = True

    def __post_init__(self) -> None:
        _check_segments(self.segments, "a turn")
        if self.role not in (USER, ASSISTANT, NONE):
            raise ValueError(
                f"the role of a turn is {self.role!r}; it is {USER!r}, {ASSISTANT!r} or {NONE!r}"
            )
        if any(isinstance(one, Response) for one in self.segments) and (
            len(self.segments) > 1 or self.role != ASSISTANT or not self.finished
        ):
            raise ValueError(
                f"the turn {shorten(repr(self))} holds a Response among other things; write Turn((response,), ASSISTANT): the "
                "Response itself says whether it is finished"
            )


@dataclass(frozen=True)
class View:
    """The segments of the user's turn in order, then at most one `Response`, which is the assistant's turn; or turns alone.

    Turns begin with the user's, and the assistant's alternate with them; at most one Response is the last turn. A document
    (`NONE`) is a view's only turn. `View((*said, response))` means `View((Turn(said), Turn((response,), ASSISTANT)))`.

    `system` is DEFAULT, None (no system prompt) or the system prompt itself.
    """

    segments: "tuple[Segment | Turn, ...]"
    system: System | str | None = DEFAULT

    def __post_init__(self) -> None:
        if self.has_turns:
            self._check_turns()
            return
        _check_segments(self.segments, "a view")
        indices = [index for index, segment in enumerate(self.segments) if isinstance(segment, Response)]
        if indices and indices != [len(self.segments) - 1]:
            raise ValueError(
                f"a view holds one Response, as its last segment; found Responses at {indices} of "
                f"{shorten(repr(self.segments))}"
            )

    def _check_turns(self) -> None:
        for index, turn in enumerate(self.segments):
            if not isinstance(turn, Turn):
                raise ValueError(
                    f"item {index} of a view of turns is {type(turn).__name__} {shorten(repr(turn))}; put it into a Turn"
                )
        turns = self.turns
        roles = [turn.role for turn in turns]
        if NONE in roles:
            if len(turns) > 1 or self.system is not DEFAULT:
                raise ValueError(
                    f"a document ({NONE!r}) is the only turn of its view, which has no system prompt; found the roles {roles} "
                    f"and the system prompt {self.system!r}"
                )
        elif roles != [(USER, ASSISTANT)[index % 2] for index in range(len(roles))]:
            raise ValueError(f"the roles of a view's turns are {roles}; begin with {USER!r} and alternate")
        for index, turn in enumerate(turns[:-1]):
            if not turn.finished:
                raise ValueError(f"turn {index} of {len(turns)} is not finished; only the last one may be so")
        if roles[-1] == USER and not turns[-1].finished:
            raise ValueError("the user's last turn is not finished; the prompt always ends it")
        if any(isinstance(one, Response) for turn in turns[:-1] for one in turn.segments):
            raise ValueError(
                f"a view holds one Response, as its last turn; earlier answers are Text(answer, {ANSWER!r})"
            )

    @property
    def has_turns(self) -> bool:
        """Whether the view was written as turns."""
        return any(isinstance(one, Turn) for one in self.segments)

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The view as turns, however it was written."""
        if self.has_turns:
            return self.segments  # type: ignore[return-value]  # checked above
        prompt, response = self._prompt, self.response
        return (Turn(prompt), *([] if response is None else [Turn((response,), ASSISTANT)]))  # type: ignore[arg-type]

    @property
    def contents(self) -> tuple[Segment, ...]:
        """All segments in order, whatever their turns."""
        if self.has_turns:
            return tuple(segment for turn in self.turns for segment in turn.segments)
        return self.segments  # type: ignore[return-value]

    @property
    def is_document(self) -> bool:
        """Whether the view is a document: it has no chat frame, and nothing is asked."""
        return self.has_turns and self.turns[0].role == NONE

    @property
    def response(self) -> Response | None:
        """The answer to learn, or None if the view ends with the prompt."""
        last = self.contents[-1:]
        return last[0] if last and isinstance(last[0], Response) else None

    @property
    def target(self) -> Response | None:
        """Alias of `response`, for methods that were written with the older name."""
        return self.response

    def read(self) -> "View":
        """The view with every `Speech` replaced by its text."""
        return dataclasses.replace(
            self,
            segments=tuple(
                dataclasses.replace(one, segments=tuple(map(_read, one.segments)))
                if isinstance(one, Turn)
                else _read(one)
                for one in self.segments
            ),
        )

    def before_target(self) -> "View":
        """The prompt: the view without its `Response`."""
        return dataclasses.replace(self, segments=self._prompt)

    @property
    def _prompt(self) -> "tuple[Segment | Turn, ...]":
        return self.segments if self.response is None else self.segments[:-1]


def _read(segment: Segment) -> Segment:
    return Text(segment.text, segment.tag) if isinstance(segment, Speech) else segment


def _check_segments(segments: tuple, where: str) -> None:
    for index, segment in enumerate(segments):
        if not isinstance(segment, Segment):
            raise ValueError(
                f"segment {index} of {where} is {type(segment).__name__} {shorten(repr(segment))}; write Text(...), "
                "Speech(...) or the `response` that layout is given"
            )


@dataclass(frozen=True)
class Layout:
    """The named views of one example. By default the teacher is the student's view with its speech read as text."""

    student: View
    teacher: View = None  # type: ignore[assignment]  # never None after __post_init__

    def __post_init__(self) -> None:
        for name, view in vars(self).items():
            if not isinstance(view, View) and not (name == TEACHER and view is None):
                raise ValueError(
                    f"the {name} of a layout is {type(view).__name__} {shorten(repr(view))}; write View((...))"
                )
        if self.teacher is None:
            object.__setattr__(self, "teacher", self.student.read())

    @classmethod
    def of(cls, student: View, teacher: View | None = None) -> "Layout":
        """The same, in words."""
        return cls(student) if teacher is None else cls(student, teacher)


def fill(instruction: str | None, *speech: Segment) -> tuple[Segment, ...]:
    """The user's turn for an instruction template with one `{speech}` slot and the segments that fill it.

    If `instruction` is None, the segments are the whole turn.

    Raises ValueError if the template has no slot, or several.
    """
    if instruction is None:
        return speech
    if instruction.count(SLOT) != 1:
        raise ValueError(
            f"the instruction {shorten(repr(instruction))} needs exactly one {SLOT}, which the speech replaces"
        )
    before, after = instruction.split(SLOT)
    around = (Text(before) if before else None, *speech, Text(after) if after else None)
    return tuple(segment for segment in around if segment is not None)
