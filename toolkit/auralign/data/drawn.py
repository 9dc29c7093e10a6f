"""The training set as a recipe's `keep`, `mixture`, `sampling` and `order` draw it: what is left out, the parts, and the steps.

drawn = Drawn(draws, targets, manifest, rejected)      reads the facts of every target, if a key needs them
drawn.divide(numbers, lengths)                         the targets that remain, and their LLM positions
drawn.steps(tokens_per_step=1024, seed=1)              optimiser steps without end
drawn.held(step)                                       {"task=repeat": 730, "the rest": 281}
"""

from collections import Counter
from collections.abc import Iterator
from itertools import count

import numpy as np

from auralign.data.batching import epoch_steps, steps_in_shares
from auralign.data.rejected import Rejected
from auralign.recipe.draws import SHUFFLED, Draws, facts_of
from auralign.records import Records


class Drawn:
    """The targets of the training set, divided into parts.

    Arguments
    ---------
    draws : Draws
    targets, manifest : Records
        Records of Target and of Utterance.
    rejected : Rejected
        Lists what is left out.

    Raises ValueError if `draws` reads a label that no target has, or one of a wrong type.
    """

    def __init__(self, draws: Draws, targets: Records, manifest: Records, rejected: Rejected):
        self.draws = draws
        self.shares: dict[str, float] = {}  # of LLM positions, by part; empty if all is drawn alike
        self._parts: list[str | None] = []  # of each target: None for one that is left out
        known: set[str] = set()
        for target in targets if draws.reads_facts else ():
            facts = facts_of(manifest[target.utt_id], target)
            known |= facts.keys()
            try:
                reason = draws.why_not(facts)
            except ValueError as error:
                raise ValueError(f"{manifest.path}: {target.utt_id}: {error}") from error
            if reason is not None:
                rejected.leave_out(target.utt_id, *reason)
            self._parts.append(None if reason is not None else draws.part_of(facts) or "")
        if self._parts:
            draws.check_names(known)

    def has(self, number: int) -> bool:
        """Whether a target is drawn."""
        return not self._parts or self._parts[number] is not None

    def divide(self, numbers: list[int], lengths: np.ndarray) -> None:
        """Set the examples that are drawn: their targets by number, and the LLM positions (num_examples,) of each.

        Raises ValueError if a part of the mixture has no example.
        """
        self.lengths = lengths
        if not self.draws.has_parts:
            return
        names = [self._parts[number] or "" for number in numbers]
        positions: Counter[str] = Counter()
        for name, length in zip(names, lengths.tolist(), strict=True):
            positions[name] += length
        self.shares = self.draws.shares(dict(sorted(positions.items())))
        numbers_of = {name: number for number, name in enumerate(self.shares)}
        self._part_of = np.array([numbers_of[name] for name in names])

    def steps(self, *, tokens_per_step: int, seed: int) -> Iterator[np.ndarray]:
        """Optimiser steps without end, arrays of examples: the same whenever they are drawn."""
        options = {
            "tokens_per_step": tokens_per_step,
            "seed": seed,
            "shuffled": self.draws.order == SHUFFLED,
        }
        if self.shares:
            return steps_in_shares(self.lengths, self._part_of, [*self.shares.values()], **options)
        return (step for epoch in count() for step in epoch_steps(self.lengths, epoch=epoch, **options))

    def held(self, step: np.ndarray) -> dict[str, int]:
        """The LLM positions of a step by part; empty if all is drawn alike."""
        return {
            name: int(self.lengths[step[self._part_of[step] == number]].sum())
            for number, name in enumerate(self.shares)
        }
