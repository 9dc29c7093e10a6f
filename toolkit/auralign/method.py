"""The contract of an alignment method: three hooks; the last one is rarely needed.

    >>> class Echo(AlignmentMethod):
    ...     "Answers what the LLM answers to the bare transcript."
    ...     name = "echo"
    ...     def choices(self, utterance, rng):
    ...         yield Choice(task="none")
    ...     def layout(self, utterance, choice, response):
    ...         return Layout.of(View((Speech(utterance.text), response)))
    >>> Echo().version
    '1'

A method is found by its entry point in the group `auralign.methods` (`auralign.plugins`). Its hooks read their arguments only,
and its module imports no torch: the toolkit computes, the method says what.
"""

import contextlib
import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from types import UnionType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from auralign.environment import is_out_of_memory
from auralign.layout import (  # noqa: F401 (what a method is written with)
    ASSISTANT,
    NONE,
    STUDENT,
    TARGET,
    TEACHER,
    USER,
    Code,
    Layout,
    Response,
    Segment,
    Speech,
    Target,
    Text,
    Turn,
    View,
)
from auralign.records import Choice, Utterance, shorten

if TYPE_CHECKING:  # the loss speaks of tensors, but this module must not load torch
    from auralign.losses import Term

API_VERSION, API_VERSIONS = 2, (1, 2)  # a method of 1 is one of 2: what was added has defaults
FIDELITIES = ("smoke", "mechanism", "replicated")


class MethodFailedError(ValueError):
    """A method's own code raised an exception or returned another type than its contract says: names hook and utterance."""


@dataclass(frozen=True)
class Needs:
    """What a method's loss reads of the model. Each part costs time or memory.

    Arguments
    ---------
    target : bool
        False: the loss reads no response, so the LLM is not asked for any, and the target of every view stays empty.
    teacher : bool
        Compute the teacher's view too: the original LLM, without adapters and without a gradient.
    llm_views : tuple of str
        The views for which the LLM is run: "student", "teacher" (if there is one). A view that is left out has its embeddings
        alone, layer 0; (), for a loss that compares embeddings or the connector's `extras`, runs no LLM at all.
    layers : tuple of int or float
        Hidden states of these layers too, in every view for which the LLM is run: their number, or a depth above 0.0 and
        below 1.0. 0, what is put into the LLM, is always there; -1, what its head reads, wherever the LLM is run.
    num_tokens : bool
        Pass the transcript's token count to the connector in training; the connector must set `counts_tokens` and make that
        many embeddings (`ContinuousIntegrateAndFire`, `CountedQFormer`). The teacher's view is then there too.
    top_k : int
        Distil from cached logits instead of the teacher's view: stage 2 stores the teacher's `top_k` largest logits at each
        token of the target. `views["teacher"]` then gives the divergence from it, at `temperature`, and nothing else.
    temperature : float
        Temperature of the cached log-sum-exp.
    heads : dict of str to int
        Trained linear layers, by name, each with its number of outputs; the input is the LLM's width. The loss finds them in
        the student's `heads`; the YAML's `heads` may name other classes.
    head_bias : bool
        Whether these linear layers have a bias; default True.
    others : bool
        Its views hear other utterances than the one that is asked about: those that `Utterance.others` names. It is then also
        asked for choices about documents, which have no audio of their own; other methods never see them. Default False.
    turns : bool
        Its views are conversations of several turns, or documents: views of `Turn`. What the chat template writes between turns,
        and what begins and ends a document, is then part of the frame hash of its targets. Default False.
    grades : tuple of str
        The grades by name that `layout` reads off the response: stage 2 stops at an answer without one. Default none.
    """

    target: bool = True
    teacher: bool = False
    llm_views: tuple[str, ...] = (STUDENT, TEACHER)
    layers: tuple[int | float, ...] = ()
    num_tokens: bool = False
    top_k: int = 0
    temperature: float = 1.0
    heads: Mapping[str, int] = field(default_factory=dict)
    head_bias: bool = True
    others: bool = False
    turns: bool = False
    grades: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.top_k < 0 or not self.temperature > 0:
            raise ValueError(
                f"top_k {self.top_k}, temperature {self.temperature}: give 0 or more, and more than 0"
            )
        if self.top_k and (self.teacher or self.num_tokens or self.layers):
            raise ValueError("top_k replaces the teacher's view: leave out teacher, num_tokens and layers")
        if isinstance(self.llm_views, str) or not {*self.llm_views} <= {STUDENT, TEACHER}:
            raise ValueError(
                f"llm_views {self.llm_views!r}: name {STUDENT!r}, {TEACHER!r}, both or none, in a tuple"
            )
        if self.layers and not self.llm_views:
            raise ValueError(f"layers {self.layers}: hidden states need the LLM; name a view in llm_views")
        if any(isinstance(layer, float) and not 0 < layer < 1 for layer in self.layers):
            raise ValueError(
                f"layers {self.layers}: a depth is above 0.0 and below 1.0; 0 is the input, -1 the last layer"
            )


class AlignmentMethod(ABC):
    """One way to align speech with a frozen LLM. Options are the fields of a dataclass: plain values, saved with every target."""

    name: ClassVar[str] = ""
    """Equals the name of the entry point."""
    paper: ClassVar[str] = ""
    """arXiv id of the paper that describes the method, or its title and year if it has no arXiv id."""
    fidelity: ClassVar[str] = "smoke"
    """How far it was tried: "smoke" (runs, its loss falls), "mechanism" (what it is for shows in miniature), "replicated" (a
    published figure was reached)."""
    api_version: ClassVar[int] = API_VERSION
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ({},)
    """Options with which `auralign.testing` tries the method."""
    attributes_tried: ClassVar[Mapping[str, Any]] = {}
    """Attributes that the utterances of `auralign.testing` have beside, or instead of, age 30, gender female, emotion happy."""
    added: ClassVar[Mapping[str, Any]] = {}
    """Options that were added after runs had been made, each with the value by which these runs are still what the method does:
    a record without the option is then no changed input."""
    refusals: tuple[str, ...] | None = None
    """Phrases by which an answer of the LLM is rejected as a refusal, wherever in it and in any case; () rejects none, None those
    that `auralign.generate.refusals.is_refusal` knows. A class attribute, or an option."""
    min_tokens: int = 0
    """Shortest target in tokens of the LLM, the end of its turn counted; shorter ones are rejected, given ones too. A class
    attribute, or an option."""
    not_distances: ClassVar[tuple[str, ...]] = ()
    """Terms of the loss, beside "cross_entropy", that are not zero if the student reads what the teacher reads."""

    @property
    def version(self) -> str:
        """Raise it when the same options make other targets or another loss: a class attribute `version = "2"`, or a property if
        only some options do."""
        return "1"

    @property
    def needs(self) -> Needs:
        """What `loss` asks of the model: a class attribute `needs = Needs(...)`, or a property if it depends on options."""
        return Needs()

    @property
    def grades_tried(self) -> tuple[Mapping[str, Any], ...]:
        """Grades with which `auralign.testing` tries the layout of a response: a class attribute, or a property if they depend on
        options."""
        return ({},)

    @property
    def expected_failures(self) -> Mapping[str, str]:
        """Checks of `auralign.testing` that cannot hold for this method, by name, each with the reason: a class attribute, or a
        property if they depend on options."""
        return {}

    @abstractmethod
    def choices(self, utterance: Utterance, rng: Random) -> Iterable[Choice]:
        """What to ask about one utterance. All randomness is drawn here, once, and kept with the target.

        `rng` is seeded by the recipe's seed and the utterance's id, so that neither order nor restart changes a draw.
        Yield several choices to make several examples of one utterance, or none to ask nothing about it. A document
        (`utterance.is_document`) is passed if `needs.others` is True.
        """

    @abstractmethod
    def layout(self, utterance: Utterance, choice: Choice, response: Response) -> Layout:
        """How the example reads: prompt, speech and `response` in order. Pure: equal arguments, equal layout."""

    def given_response(self, utterance: Utterance, choice: Choice) -> str | None:
        """The target if the corpus holds it already; None (the usual case) asks the LLM."""
        return None

    def slot(self, utterance: Utterance) -> tuple[Segment, ...]:
        """Segments that replace `{speech}` at inference: by default the speech alone. Of the utterance
        only `text` is known then: the encoder's own transcript, or an empty string."""
        return (Speech(utterance.text),)

    def reject(self, utterance: Utterance, choice: Choice, response: str) -> str | None:
        """Why an answer of the LLM may not be taught, in a few words that are counted; None if it may.

        Asked after the toolkit's own filters (empty, looping, short answers, and refusals).
        """
        return None

    def grade(self, utterance: Utterance, choice: Choice, response: str) -> Mapping[str, Any]:
        """What is known of an answer that is kept, plain values by name, written into the target: asked after `reject`.

        `layout` may read them, as `response.grades`, for the student's view alone; they are empty while the LLM is asked.
        """
        return {}

    def loss(self, views: Mapping[str, Any]) -> dict[str, "Term"]:
        """The terms to minimise; cross-entropy on the target by default.

        `views["student"]` is an `auralign.models.views.ViewOutput`: hidden states and labels by tag, and
        `cross_entropy(tag)`; `views["teacher"]` is there if `needs` asks for it. A term is a sum with its count, never a
        mean, so that batches, packs and ranks combine exactly.
        """
        return {"cross_entropy": views[STUDENT].cross_entropy(TARGET)}

    def options(self) -> dict[str, Any]:
        """The method's options as plain values: part of every target's provenance."""
        return dataclasses.asdict(self) if dataclasses.is_dataclass(self) else {}


def check_options(method: "AlignmentMethod | type[AlignmentMethod]", options: Mapping[str, Any]) -> None:
    """Raise ValueError if the value of an option is not of the type that the method's dataclass gives it: a number in letters
    (YAML reads 5e-4 as text), or one string for a list of strings, which would be iterated character by character."""
    if not dataclasses.is_dataclass(method):
        return
    for option in dataclasses.fields(method):
        if option.name not in options or options[option.name] is option.default:
            continue
        value, words = options[option.name], _WORDS.get(_written(option.type))
        where = f"method {method.name!r}: {option.name}: {shorten(repr(value))}"
        if words and not words.takes(value):
            raise ValueError(f"{where} is not {words.said}; {words.repair}")
        if "tuple[str" not in str(option.type):
            continue
        for found in value.values() if isinstance(value, Mapping) else (value,):
            if isinstance(found, str):
                raise ValueError(
                    f"method {method.name!r}: {option.name}: {found!r} is one string; give a list: [{found!r}]"
                )


class _Words(NamedTuple):
    """What a plain type takes, in words."""

    takes: Callable[[Any], bool]
    said: str
    repair: str


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_WORDS = {
    "float": _Words(_is_number, "a finite number", "write 0.0005 or 5.0e-4"),
    "int": _Words(_is_whole, "a whole number", "write 2"),
    "bool": _Words(lambda value: isinstance(value, bool), "true or false", "write true or false"),
    "str": _Words(lambda value: isinstance(value, str), "text", "put it in quotes"),
}


def _written(annotation: Any) -> str:
    """A plain type as it is written: annotations may be strings."""
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")


def cite(paper: str) -> str:
    """A method's `paper` as it is printed.

    >>> cite("2405.19041"), cite("Align, Integrate and Fire (2025)"), cite("")
    ('arXiv:2405.19041', 'Align, Integrate and Fire (2025)', '')
    """
    return f"arXiv:{paper}" if paper.replace(".", "").isdigit() else paper


@contextlib.contextmanager
def running(method: AlignmentMethod, hook: str, utt_id: str = "") -> Iterator[None]:
    """Context manager for a method's own code: its exceptions become a MethodFailedError that names hook and utterance."""
    try:
        yield
    except MethodFailedError:
        raise
    except Exception as error:
        if is_out_of_memory(error):  # no fault of the method
            raise
        raise MethodFailedError(
            f"method {method.name!r}: {hook}{utt_id and f' for {utt_id}'} raised {type(error).__name__}: "
            f"{shorten(str(error), 1000)} (AURALIGN_TRACEBACK=1 prints the traceback)"
        ) from error


def draw(method: AlignmentMethod, utterance: Utterance, rng: Random) -> list[Choice]:
    """The method's choices for an utterance, checked; none about a document if the method needs no others."""
    if utterance.is_document and not method.needs.others:
        return []
    with running(method, "choices", utterance.id):
        choices = list(method.choices(utterance, rng))
    for choice in choices:
        _check(method, "choices", utterance, choice, Choice)
    return choices


def lay_out(method: AlignmentMethod, utterance: Utterance, choice: Choice, response: Response) -> Layout:
    """The method's layout of one example, checked."""
    with running(method, "layout", utterance.id):
        layout = method.layout(utterance, choice, response)
    _check(method, "layout", utterance, layout, Layout)
    for name, view in vars(layout).items():
        if view.has_turns and not method.needs.turns:
            raise MethodFailedError(
                f"method {method.name!r}: layout for {utterance.id} gave a {name} view of turns; write turns=True in its needs"
            )
        _check_heard(method, utterance, view.contents)
    return layout


def _check_heard(method: AlignmentMethod, utterance: Utterance, segments: tuple[Segment, ...]) -> None:
    """Raise MethodFailedError if a Speech is of an utterance that is unknown, or that has no audio."""
    for segment in segments:
        if not isinstance(segment, Speech):
            continue
        found = f"method {method.name!r}: layout for {utterance.id} gave {shorten(repr(segment))}"
        known = shorten(", ".join(map(repr, utterance.others)), 200) or "none"
        if segment.of and not method.needs.others:
            raise MethodFailedError(f"{found}, of another utterance; write others=True in its needs")
        if segment.of and segment.of not in utterance.others:
            raise MethodFailedError(
                f"{found}: {segment.of!r} is not among the utterance's others, which are: {known}"
            )
        if segment.of and utterance.find_other and utterance.other(segment.of).is_document:
            raise MethodFailedError(
                f"{found}, but {segment.of!r} is a document, which has no audio; hear one of its own others, or read its text"
            )
        if not segment.of and utterance.is_document:
            raise MethodFailedError(
                f"{found}, but a document has no audio of its own; write Speech(..., of=ID) with one of its others: {known}"
            )


def respond(method: AlignmentMethod, utterance: Utterance, choice: Choice) -> str | None:
    """The response that the corpus holds, checked; None if the LLM is asked."""
    with running(method, "given_response", utterance.id):
        response = method.given_response(utterance, choice)
    if response is not None:
        _check(method, "given_response", utterance, response, str)
    return response


def in_slot(method: AlignmentMethod, transcript: str = "") -> tuple[Segment, ...]:
    """Segments that replace `{speech}` at inference, validated; the method sees only the transcript."""
    known = Utterance(id="", audio="", seconds=1.0, text=transcript)
    with running(method, "slot"):
        segments = tuple(method.slot(known))
    for segment in segments:
        _check(method, "slot", known, segment, Segment)
        if isinstance(segment, Speech) and segment.of:
            raise MethodFailedError(
                f"method {method.name!r}: slot gave {shorten(repr(segment))}; at inference there are no other utterances: leave "
                "out `of`"
            )
    return segments


def is_assisted(method: AlignmentMethod) -> bool:
    """Whether the model is given the encoder's transcript as text beside the speech."""
    texts = [
        [segment for segment in in_slot(method, transcript) if isinstance(segment, Text)]
        for transcript in ("", "zyzzyva")
    ]
    return texts[0] != texts[1]


def _check(
    method: AlignmentMethod, hook: str, utterance: Utterance, found: Any, kind: type | UnionType
) -> None:
    if not isinstance(found, kind):
        wanted = getattr(kind, "__name__", str(kind))
        raise MethodFailedError(
            f"method {method.name!r}: {hook} for {utterance.id} gave {type(found).__name__}; it must give {wanted}"
        )
