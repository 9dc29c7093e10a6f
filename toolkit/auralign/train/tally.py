"""What the log says about training steps: the mean loss of those that moved the weights, and which ones were skipped.

>>> tally = Tally()
>>> tally.count(2.0); tally.count(4.0); tally.skip(3, "loss or gradient is not finite", ["a-1"])
>>> tally.mean, tally.num_skipped
(3.0, 1)
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

MOST = 3  # skipped steps that a short run survives
SHARE = 0.01  # share of its steps that a long run may skip
NUM_NAMED = 10  # utterances in a message; the log names all


@dataclass
class Tally:
    """The steps since the last validation, and the numbers of the whole run, which checkpoints keep.

    Arguments
    ---------
    loss_sum, num_counted : float, int
        Sum of the losses, and number, of the steps since the last validation that moved the weights.
    skipped : list of dict
        The others since then, each with its `step`, the reason (`why`) and the ids of the `utterances` that gave it.
    left_out : dict of str to list of str
        By the name of a term, the ids of the utterances that it left out of its sum since then (`auralign.losses.Term`).
    run_counted, run_skipped : int
        The same of the whole run. Overflows of fp16, after which the scaler lowers its scale, are not in `run_skipped`.
    held : dict of str to int
        By the name of a part of the training set, its LLM positions in the steps since then, if it is drawn in shares.
    num_split : int
        How often a pack since the last validation was split in two, as it did not fit into memory.
    """

    loss_sum: float = 0.0
    num_counted: int = 0
    skipped: list[dict] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    run_counted: int = 0
    run_skipped: int = 0
    num_split: int = 0
    held: dict[str, int] = field(default_factory=dict)

    @property
    def mean(self) -> float | None:
        """The mean loss of the steps that counted; None if there is none."""
        return self.loss_sum / self.num_counted if self.num_counted else None

    @property
    def num_skipped(self) -> int:
        """The number of steps since the last validation that were skipped."""
        return len(self.skipped)

    def next_stretch(self) -> "Tally":
        """The tally after a validation."""
        return replace(self, loss_sum=0.0, num_counted=0, skipped=[], left_out={}, num_split=0, held={})

    def count(self, loss: float) -> None:
        """Count a step that moved the weights."""
        self.loss_sum += loss
        self.num_counted += 1
        self.run_counted += 1

    def skip(self, step: int, why: str, utterances: list[str], *, is_fault: bool = True) -> None:
        """Count a step that was skipped; `is_fault` says whether patience ends with too many of them."""
        self.skipped.append({"step": step, "why": why, "utterances": sorted(set(utterances))})
        self.run_skipped += is_fault

    def hold(self, positions: Mapping[str, int]) -> None:
        """Add the LLM positions of a step, by the name of the part of the training set."""
        for name, number in positions.items():
            self.held[name] = self.held.get(name, 0) + number

    def leave_out(self, utterances: Mapping[str, Iterable[str]]) -> None:
        """Add the utterances that terms left out, by the name of the term; each is named once."""
        for name, ids in utterances.items():
            self.left_out[name] = sorted({*self.left_out.get(name, ()), *ids})

    def check(self, *, is_over: bool) -> None:
        """Raise ValueError if more steps of the run were skipped than a good one skips, or if it `is_over` and none counted."""
        num_steps = self.run_counted + self.run_skipped
        if self.run_skipped > max(MOST, SHARE * num_steps) or (
            is_over and self.run_skipped and not self.run_counted
        ):
            raise ValueError(
                f"{self.run_skipped} of {num_steps} steps had no finite loss or gradient"
                f"{f', the last one with {named(self.skipped[-1])}' if self.skipped else ''}; look at these recordings and "
                "targets, or lower lr"
            )

    def describe(self) -> dict:
        """The entries of the log: the mean loss, and what was skipped, left out or split, if anything was."""
        mean = self.mean
        rare = {
            "skipped": self.skipped,
            "left_out": self.left_out,
            "packs_split": self.num_split,
            "held": self.held,
        }
        found = {name: value for name, value in rare.items() if value}
        return {"train_loss": None if mean is None else round(mean, 6), **found}


def named(skipped: dict) -> str:
    """The utterances of a skipped step for a message."""
    utterances = skipped["utterances"]
    more = len(utterances) - NUM_NAMED
    return ", ".join(utterances[:NUM_NAMED]) + (f" and {more} more" if more > 0 else "")


def is_finite(loss: float | None) -> bool:
    """Whether a loss is there, and a number."""
    return loss is not None and math.isfinite(loss)
