"""The builder `negate`: each row names rows of other texts, from which a method draws what was not said.

UNITER (arXiv:1909.11740) learns whether text and image belong together from pairs of which one part was exchanged.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from auralign.builders.builder import Rows, Step
from auralign.data.rejected import Item
from auralign.records import Utterance
from auralign.text.words import plain


@dataclass(frozen=True)
class Negate:
    """Give each row the ids of rows of other texts as `others`; texts that differ in case and punctuation alone count as one.

    Arguments
    ---------
    number : int
        How many, all of different texts.
    seed : int
        The rows of an utterance are drawn by its id and the seed.
    """

    number: int = 8
    seed: int = 1
    name = "negate"

    def __post_init__(self) -> None:
        if self.number < 1:
            raise ValueError(f"--number {self.number}: give at least 1")

    def describe(self) -> dict[str, Any]:
        return {"number": self.number, "seed": self.seed}

    def steps(self, rows: Rows, folder: Path) -> Iterator[Step]:
        by_text: dict[str, list[str]] = {}
        for utterance in rows:
            by_text.setdefault(plain(utterance.text), []).append(utterance.id)
        by_text.pop("", None)  # of no word: it can be no other text
        if len(by_text) <= self.number:
            raise ValueError(
                f"--number {self.number}: the manifest has {len(by_text)} different texts, of which {len(by_text) - 1} are not "
                "an utterance's own; give at most that, or a larger manifest"
            )
        texts = list(by_text)
        for utterance in rows:
            yield utterance.id, partial(self._negate, utterance, texts, by_text)

    def _negate(self, utterance: Utterance, texts: list[str], by_text: dict[str, list[str]]) -> list[Item]:
        refuse_others(utterance)
        rng = Random(f"{self.seed}:{utterance.id}")
        drawn = rng.sample(texts, self.number + 1)  # one more, as its own text may be among them
        own = plain(utterance.text)
        others = tuple(rng.choice(by_text[text]) for text in drawn if text != own)[: self.number]
        return [replace(utterance, others=others)]


def refuse_others(utterance: Utterance) -> None:
    """Raise ValueError if a row has `others` already, which mean something else to the method that reads them."""
    if utterance.others:
        raise ValueError(
            f"{utterance.id!r} names others already, such as {utterance.others[0]!r}; build from a manifest without them"
        )
