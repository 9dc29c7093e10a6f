"""Targets as examples, whoever wrote them: what was said, what is asked, and what is taught.

Targets of stage 2 are laid out by their method, so that the audit reads the student's view, with the transcript in the place of
the speech. Those that were written elsewhere are read by `auralign.audit.foreign`.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from auralign.layout import SLOT, Response, Text, View, fill
from auralign.method import AlignmentMethod, lay_out
from auralign.plugins import MethodError, load_method
from auralign.records import RecordError, Records, Target, Utterance, is_cut_off, read_about, shorten


@dataclass(frozen=True)
class Example:
    """One target.

    Arguments
    ---------
    place : str
        Where it is: file and line, or its key.
    utt_id : str
        Of its utterance; "" if it is unknown.
    text : str
        The transcript of what was said.
    instruction : str or None
        Template with one `{speech}` slot; None if nothing is asked.
    response : str
        The target.
    finished : bool
        Whether an end of turn is taught after it.
    read : callable (str) -> View
        From a transcript to what the student is given, read as text, and then the target.
    drawn : bool
        Whether it was drawn at a temperature, and so need not be the LLM's likeliest answer; default False.
    attributes : mapping
        What is known of the speaker and the speech.
    others : tuple of str
        Transcripts of the other utterances that it names, which may be heard too; default none.
    """

    place: str
    utt_id: str
    text: str
    instruction: str | None
    response: str
    finished: bool
    read: Callable[[str], View]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    drawn: bool = False
    others: tuple[str, ...] = ()

    @property
    def asked(self) -> str:
        """The instruction with its slot; "" if it asks nothing, as "{speech}" alone does.

        >>> [Example("", "", "", asks, "", True, View).asked for asks in (None, "{speech}", "repeat {speech}")]
        ['', '', 'repeat {speech}']
        """
        words = (self.instruction or "").replace(SLOT, "")
        return self.instruction or "" if any(letter.isalnum() for letter in words) else ""


@dataclass
class Source:
    """A file of targets.

    Arguments
    ---------
    path : Path
    iterate : callable () -> iterator of Example
    about : dict
        What is known of all of them: method, LLM, prompts.
    notes : Counter
        Remarks that a reader of the audit needs, with their number; counted while the examples are read.
    """

    path: Path
    iterate: Callable[[], Iterator[Example]]
    about: dict[str, Any] = field(default_factory=dict)
    notes: Counter[str] = field(default_factory=Counter)


def is_foreign(path: Path) -> bool:
    """Whether a file of targets was not written by stage 2: its first line is not a header of records.

    Raises FileNotFoundError if there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"no targets at {path}; give the file that stage 2 wrote, a run's folder, or a JSONL of your own"
        )
    with open(path, "rb") as file:
        first = file.readline()
    try:
        values = json.loads(first)
    except (ValueError, RecursionError):
        return True
    return not (isinstance(values, dict) and "schema" in values and "version" in values)


def own_source(path: Path, manifest: Path, method: AlignmentMethod | None = None) -> Source:
    """The targets of stage 2.

    Arguments
    ---------
    path, manifest : Path
        Files of Target and of the Utterance that they are about.
    method : AlignmentMethod, optional
        The method with the options of the run. Default: the one that the targets name, with its own defaults; if it is not
        installed, the instruction with the transcript in its slot.

    Raises RecordError if a target's utterance is not in the manifest.
    """
    about, first = read_about(path, Target)
    targets, utterances = Records(path, Target), Records(manifest, Utterance)
    source = Source(path, lambda: iter(()), {"prompts": about, "first": first})
    loaded: dict[str, AlignmentMethod | None] = {} if method is None else {method.name: method}

    def find(name: str) -> AlignmentMethod | None:
        if name not in loaded:
            try:
                loaded[name] = load_method(name)
                source.notes[
                    f"the options of the run are not known: {name} lays targets out with its defaults"
                ] = 0
            except MethodError as error:
                loaded[name] = None
                source.notes[f"{error}; its targets are read under their bare instruction"] = 0
        return loaded[name]

    def iterate() -> Iterator[Example]:
        for target in targets:
            if target.utt_id not in utterances:
                raise RecordError(
                    f"{path}: the target {target.key} is about {shorten(target.utt_id)!r}, which is not in {manifest}; give the "
                    "manifest that it was made from: --manifest FILE"
                )
            utterance = utterances[target.utt_id]
            read = _reader(find(target.method), utterance, target)
            yield Example(
                place=f"{path.name}: {target.key}",
                utt_id=utterance.id,
                text=utterance.text,
                instruction=target.choice.instruction,
                response=target.response,
                finished=not is_cut_off(target.finish_reason),
                read=read,
                attributes=utterance.attributes,
                drawn=bool(target.decoding.get("temperature")),
                others=tuple(utterance.other(one).text for one in utterance.others),
            )

    source.iterate = iterate
    return source


def _reader(method: AlignmentMethod | None, utterance: Utterance, target: Target) -> Callable[[str], View]:
    """From a transcript to the student's view of a target, read as text."""
    response = Response.of(target)

    def read(text: str) -> View:
        if method is None:
            return View((*fill(target.choice.instruction, Text(text)), response))
        words = utterance.words
        if words and text != utterance.text and len(words) == len(text.split()):
            words = tuple((word, *time[1:]) for word, time in zip(text.split(), words, strict=True))
        said = replace(utterance, text=text, words=words)
        return lay_out(method, said, target.choice, response).student.read()

    return read


def draw(source: Source, number: int, seed: int, each: Callable[[Example], None]) -> list[Example]:
    """Call `each` with every example, and return `number` of them, drawn at random, in their order; all if there are fewer.

    A reservoir (Vitter's algorithm R, 1985), so that no more than `number` are in memory.
    """
    rng = Random(seed)
    kept: list[tuple[int, Example]] = []
    for count, example in enumerate(source.iterate()):
        each(example)
        if len(kept) < number:
            kept.append((count, example))
        elif (place := rng.randrange(count + 1)) < number:
            kept[place] = (count, example)
    return [example for _, example in sorted(kept, key=lambda pair: pair[0])]
