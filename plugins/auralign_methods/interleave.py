"""InSerter: predict the text of documents of which spans are heard."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from auralign.layout import ASSISTANT, NONE, STUDENT, USER, Layout, Speech, Text, Turn, View
from auralign.method import AlignmentMethod, Needs
from auralign.records import Choice, shorten

TEXT, BEFORE = (
    "text",
    "before",
)  # tags: text that is learnt, and text before the first speech, which can teach no connector
DOCUMENT, CHAT = "document", "chat"


@dataclass(frozen=True)
class Interleave(AlignmentMethod):
    """Predict the next token of text of which spans are spoken: a connector learns from a text corpus alone.

    InSerter (Wang et al., ACL 2025, arXiv:2503.02769). A text-to-speech engine voices random spans of a text corpus; the model
    reads the rest, and what is read is predicted, speech positions are not. No speech corpus is needed, and no generated target:
    with the LLM frozen, the loss falls only as far as what was heard helps to predict what is read behind it.

    A document is a row of the manifest without audio (`Utterance.is_document`). Its `others` are the rows of its voiced spans,
    and `labels["spans"]` gives the characters of each: `{"clip-7": [8, 18]}`. Every other row is passed over.

    Faithful to the paper, as far as it is known: text with spans voiced apart, next-text-token prediction over the mixed
    sequence, speech positions without loss. Not faithful: the connector alone is trained by default (which modules the paper
    trains is not stated; `lora` or `train_llm` of the recipe train more); text before the first speech has no loss, as it
    teaches a connector nothing; the mixture of 40 % interleaved, 30 % speech and 30 % text is the recipe's business; there is
    no second stage on instructions. There is no public training code to compare with.

    Arguments
    ---------
    share_heard : float
        Of the voiced spans of a document: how likely each is heard instead of read; at least one is. Default 1.0, all.
    frame : str
        "document" (default): no chat frame. "chat": the paragraphs of a document, parted by an empty line, are the turns of a
        conversation, the user's first; for an LLM that has seen nothing but conversations.
    """

    share_heard: float = 1.0
    frame: str = DOCUMENT

    name = "interleave"
    paper = "2503.02769"
    needs = Needs(target=False, others=True, turns=True)
    examples = ({}, {"share_heard": 0.5}, {"frame": CHAT})

    def __post_init__(self):
        if not 0 < self.share_heard <= 1:
            raise ValueError(f"share_heard {self.share_heard}: give more than 0, at most 1")
        if self.frame not in (DOCUMENT, CHAT):
            raise ValueError(f"frame {self.frame!r}: give {DOCUMENT!r} or {CHAT!r}")

    def choices(self, utterance, rng):
        """Which voiced spans are heard; nothing about a row that is no document, or of which no text follows what is heard."""
        if not utterance.is_document:
            return
        spans = read_spans(utterance)
        heard = [name for name in spans if rng.random() < self.share_heard] or [rng.choice([*spans])]
        edges = [edge for name in heard for edge in spans[name]]
        read = zip(edges[1::2], [*edges[2::2], None], strict=True)  # behind each heard span
        if any(utterance.text[start:end].strip() for start, end in read):
            yield Choice(task="document", options={"heard": heard})

    def layout(self, utterance, choice, response):
        """The document, with speech in the place of the spans that are heard."""
        spans = {name: read_spans(utterance)[name] for name in choice.options["heard"]}
        if self.frame == DOCUMENT:
            return Layout(View((Turn(_interleave(utterance.text, 0, spans), NONE),)))
        first = next(iter(spans.values()))[0]
        turns = [
            Turn(_interleave(utterance.text[:end], start, spans, after=first), (USER, ASSISTANT)[number % 2])
            for number, (start, end) in enumerate(_paragraphs(utterance.text))
        ]
        num_heard = sum(isinstance(one, Speech) for turn in turns for one in turn.segments)
        if num_heard != len(spans):
            raise ValueError(
                f"{len(spans) - num_heard} voiced spans of {utterance.id} cross an empty line, which parts the turns of the chat"
            )
        return Layout(View(tuple(turns)))

    def loss(self, views):
        """Cross-entropy on what is read behind the first speech."""
        return {"text": views[STUDENT].cross_entropy(TEXT)}


def read_spans(utterance) -> dict[str, tuple[int, int]]:
    """The voiced spans of a document, in order: id -> (start, end) in characters.

    Raises ValueError if they are not spans of its text.
    """
    found = utterance.labels.get("spans")
    if not found:
        raise ValueError(
            f"the document {utterance.id} has no labels['spans'], which say what is heard: build it with its voiced spans"
        )
    if not isinstance(found, Mapping) or not all(map(_is_span, found.values())):
        raise ValueError(
            f"labels['spans'] of {utterance.id} are {shorten(repr(found))}; give the first character of each span and the one "
            'behind it: {"clip-7": [8, 18]}'
        )
    place = 0
    for name, (start, end) in found.items():
        if not place <= start < end <= len(utterance.text):
            raise ValueError(
                f"labels['spans'] of {utterance.id}: {name!r} is [{start}, {end}] after {place}, in a text of "
                f"{len(utterance.text)} characters; give spans in order that do not overlap"
            )
        place = end
    return {name: (start, end) for name, (start, end) in found.items()}


def _is_span(value) -> bool:
    return isinstance(value, (list, tuple)) and [type(one) for one in value] == [int, int]


def _interleave(text: str, place: int, spans, after: int | None = None) -> tuple[Text | Speech, ...]:
    """The text from `place` on as text and speech in turn. What is read before the first speech, at `after`, has its own tag."""
    segments: list[Text | Speech] = []
    after = min(start for start, _ in spans.values()) if after is None else after

    def read(end: int) -> None:
        if end > place:
            segments.append(Text(text[place:end], TEXT if place > after else BEFORE))

    for name, (start, end) in spans.items():
        if place <= start and end <= len(text):
            read(start)
            segments.append(Speech(text[start:end], of=name))
            place = end
    read(len(text))
    return tuple(segments)


def _paragraphs(text: str) -> list[tuple[int, int]]:
    """Start and end of each paragraph, without the empty lines between them."""
    edges = [0, *(edge for found in re.finditer(r"\n\s*\n", text) for edge in found.span()), len(text)]
    return [(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True) if end > start]
