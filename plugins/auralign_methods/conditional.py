"""Conditional: train on good and bad answers alike, each under a tag that says which it is."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from auralign.layout import Code, Layout, Segment, Speech, View
from auralign.method import AlignmentMethod
from auralign.plugins import load_method

GOOD, BAD = "good", "bad"
BELOW, ABOVE = "below", "above"


@dataclass(frozen=True)
class Conditional(AlignmentMethod):
    """Teach every answer of another method, under the tag "good" or "bad" by its grade, and ask for good ones in use.

    Pretraining Language Models with Human Preferences (arXiv:2302.08582, conditional training): instead of dropping bad data, say
    that they are bad. The grade is a number that stage 2 gives to each answer (`grade` of the recipe, or the method's own hook);
    the student reads the tag, a token of the book "quality", before the speech, and the LLM that is asked never does. Filtering,
    the usual way, is `keep: {copied: [null, 0.5]}` with the other method alone.

    Faithful to the paper and its code (https://github.com/tomekkorbak/pretraining-with-human-feedback): two control tokens by a
    threshold; new embeddings at the mean of the LLM's, with noise of 0.01; no tag for 1 % of the examples; cross-entropy
    alone; in use the good tag, and neither tag can be written. Not faithful: whole answers are graded, and not sentences; the LLM
    is frozen, so that the connector and the tags alone learn the difference; the tag is a token of the user's turn, before the
    speech; the bound is the recipe's, to be taken from the grades of its own training set.

    Arguments
    ---------
    of : dict of str
        The method whose answers are taught: its name, and its options.
    by : str
        The grade.
    bound : float
        Between good and bad.
    good : str
        "below": a grade below the bound is good (default); "above": one that is at least the bound.
    book : str
        The book with the tokens "good" and "bad"; default "quality".
    share_untagged : float
        How many examples have no tag, at random; default 0.01.
    """

    of: Mapping[str, Any] = field(default_factory=lambda: {"name": "sift"})
    by: str = "copied"
    bound: float = 0.5
    good: str = BELOW
    book: str = "quality"
    share_untagged: float = 0.01

    name = "conditional"
    paper = "2302.08582"
    examples = ({}, {"of": {"name": "distillation"}, "good": ABOVE, "share_untagged": 0.0})

    def __post_init__(self):
        if self.good not in (BELOW, ABOVE):
            raise ValueError(f"good {self.good!r}: use {BELOW} or {ABOVE}")
        if not 0 <= self.share_untagged < 1:
            raise ValueError(f"share_untagged {self.share_untagged}: give at least 0 and less than 1")
        if not isinstance(self.of, Mapping) or "name" not in self.of:
            raise ValueError(f"of: {self.of}: give the name of a method, and its options: {{name: sift}}")
        if not self.method.needs.target:
            raise ValueError(
                f"of: {self.of['name']!r} teaches no answer, so that there is nothing to grade; name a method that does"
            )

    @property
    def method(self):
        """The other method."""
        return _made(json.dumps(self.of))

    @property
    def version(self):
        """That of the other method too."""
        return f"1 of {self.method.name} {self.method.version}"

    @property
    def needs(self):
        """What the other method needs, and the grade."""
        needs = self.method.needs
        return dataclasses.replace(needs, grades=(*needs.grades, self.by))

    @property
    def grades_tried(self):
        """One on each side of the bound."""
        others = self.method.grades_tried[0]
        return ({**others, self.by: self.bound - 1}, {**others, self.by: self.bound + 1})

    refusals = property(lambda self: self.method.refusals)
    min_tokens = property(lambda self: self.method.min_tokens)
    expected_failures = property(lambda self: self.method.expected_failures)
    attributes_tried = property(lambda self: self.method.attributes_tried)
    not_distances = property(lambda self: self.method.not_distances)

    def choices(self, utterance, rng):
        """Those of the other method; a few are without a tag."""
        for choice in self.method.choices(utterance, rng):
            untagged = {"untagged": True} if rng.random() < self.share_untagged else {}
            yield dataclasses.replace(choice, options={**choice.options, **untagged})

    def given_response(self, utterance, choice):
        return self.method.given_response(utterance, choice)

    def reject(self, utterance, choice, response):
        return self.method.reject(utterance, choice, response)

    def grade(self, utterance, choice, response):
        return self.method.grade(utterance, choice, response)

    def loss(self, views):
        return self.method.loss(views)

    def layout(self, utterance, choice, response):
        """As the other method, with the tag of the answer before the speech of the student."""
        laid_out = self.method.layout(utterance, choice, response)
        grade = response.grades.get(self.by)  # none while the LLM is asked
        if grade is None or choice.options.get("untagged"):
            return laid_out
        return Layout(_before_speech(laid_out.student, self._tag(self.is_good(grade))), laid_out.teacher)

    def slot(self, utterance):
        """The tag of good answers, and what the other method puts there."""
        return (self._tag(True), *self.method.slot(utterance))

    def is_good(self, grade) -> bool:
        """Whether an answer with this grade is good. Raises ValueError if it is no number."""
        if not isinstance(grade, (int, float)):
            raise ValueError(
                f"the grade {self.by!r} is {grade!r}; it must be a number, for the bound {self.bound}"
            )
        return grade < self.bound if self.good == BELOW else grade >= self.bound

    def _tag(self, is_good: bool) -> Code:
        return Code(self.book, (GOOD if is_good else BAD,))


@cache
def _made(of: str) -> AlignmentMethod:
    return load_method(**json.loads(of))


def _before_speech(view: View, tag: Code) -> View:
    """The view with a tag before its first speech."""
    if not view.has_turns:
        return dataclasses.replace(view, segments=_put(view.contents, tag))
    turns = list(view.turns)
    for number, turn in enumerate(turns):
        if any(isinstance(one, Speech) for one in turn.segments):
            turns[number] = dataclasses.replace(turn, segments=_put(turn.segments, tag))
            break
    return dataclasses.replace(view, segments=tuple(turns))


def _put(segments: tuple[Segment, ...], tag: Code) -> tuple[Segment, ...]:
    place = next(number for number, one in enumerate(segments) if isinstance(one, Speech))
    return (*segments[:place], tag, *segments[place:])
