"""Whether the model hears: the loss on the same targets with their speech, with another utterance's speech, and with their text.

A loss can fall while nothing of the speech arrives, as the LLM learns what targets look like. So a validation compares three
inputs over a fixed part of the validation set, of at most `MAX_UTTERANCES` examples:

    speech      what the model is trained on
    shuffled    each example hears another one, of about its length and with another text
    text        the original LLM reads the teacher's view, all text; computed once in a run

What is compared is the cross-entropy of the target's tokens, whatever the method's loss is. A method without targets, or one that
runs no LLM, has the loss of its own with speech and with shuffled speech, and no loss on text: its `text` is None.

Speech and shuffled speech part if the loss with speech has come down from that with shuffled speech by `LEAST_SHARE` of the way
to the loss on text (to zero, if there is none). A warning says if they do not, from the `NUM_BEFORE_WARNING`-th comparison on,
and at the end of any run.
The forwards cost at most 2 x `SHARE` of the positions that training computes: a comparison that would cost more waits for a later
validation, and the last validation always has one. Nothing here draws a random number.
"""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from auralign.layout import STUDENT, TARGET
from auralign.losses import Term
from auralign.method import is_assisted
from auralign.models.speech_llm import on_device
from auralign.train import parallel
from auralign.train.examples import Examples, PackOfExamples
from auralign.train.memory import evaluate_as_fits
from auralign.train.step import compute_terms

MAX_UTTERANCES = 64
SHARE = 0.04
NUM_BEFORE_WARNING = 3
LEAST_SHARE = 0.05
CROSS_ENTROPY, OWN_LOSS = "cross-entropy of the target", "the method's loss"


@dataclass(frozen=True)
class Comparison:
    """The mean losses with each input.

    Arguments
    ---------
    measure : str
        CROSS_ENTROPY, for each token of the targets, or OWN_LOSS.
    num_examples : int
    speech, shuffled : float
    text : float, optional
        None if the measure is OWN_LOSS.
    """

    measure: str
    num_examples: int
    speech: float
    shuffled: float
    text: float | None

    @property
    def share(self) -> float | None:
        """How far the loss came from shuffled speech to text, or to zero; None if text is no better than shuffled speech."""
        way = self.shuffled - (self.text or 0.0)
        return (self.shuffled - self.speech) / way if way > 0 else None

    def losses(self) -> dict[str, float]:
        """The losses that there are, by input."""
        found = {name: getattr(self, name) for name in ("speech", "shuffled", "text")}
        return {name: loss for name, loss in found.items() if loss is not None}

    def __str__(self) -> str:
        text = "n/a" if self.text is None else f"{self.text:.3f}"
        return (
            f"{self.measure}, {self.num_examples} examples: speech {self.speech:.3f}, shuffled speech {self.shuffled:.3f}, "
            f"text {text}"
        )


class References:
    """The comparison of a run.

    Arguments
    ---------
    valid : Examples
        The validation set.
    method : AlignmentMethod
    model : SpeechLLM
    tokens_per_step : int
        LLM positions in one optimiser step.
    tokens_per_pack : int
        LLM positions in one forward.

    Attributes
    ----------
    begin_again : callable
        Is given a pack that does not fit into memory, before it is split; the trainer sets it. Default: nothing is done.
    """

    begin_again: Callable[[PackOfExamples], None] = staticmethod(lambda pack: None)

    def __init__(self, valid: Examples, *, method, model, tokens_per_step: int, tokens_per_pack: int) -> None:
        self.valid, self.method, self.model, self.tokens_per_pack = valid, method, model, tokens_per_pack
        self.examples, self.heard = choose(valid, model)
        self.measure = measure_of(method)
        num_positions = int(valid.lengths[self.examples].sum())
        self.num_steps_between = max(math.ceil(num_positions / (SHARE * tokens_per_step)), 1)
        self.num_compared, self.last_step, self.text, self.is_over = 0, 0, None, False

    def go_on_from(self, log: list[dict]) -> None:
        """Continue after the validations whose entries `log` holds; those of an earlier auralign have no comparison."""
        if not log:  # stopped by a signal before the first one
            return
        compared = [entry["references"] for entry in log if entry.get("references")]
        self.num_compared, self.last_step = len(compared), log[-1]["step"]
        self.text = compared[0]["text"] if compared else None

    def compare(self, step: int, *, num_steps: int) -> Comparison | None:
        """Compare the model as it is at the validation after `step`; None if that would cost too much so soon.

        Every rank must call this, at every validation, without gradients and without dropout. `num_steps` is the last step.
        """
        before, self.last_step, self.is_over = self.last_step, step, step >= num_steps
        is_due = step // self.num_steps_between > before // self.num_steps_between or self.is_over
        if not len(self.examples) or not is_due:
            return None
        if self.measure == CROSS_ENTROPY and self.text is None:
            self.text = round(self._mean(self._text_terms()), 6)  # as in the log, which a resumed run reads
        self.num_compared += 1
        return Comparison(
            self.measure,
            len(self.examples),
            speech=round(self._mean(self._terms(self.examples)), 6),
            shuffled=round(self._mean(self._terms(self.heard)), 6),
            text=self.text,
        )

    def warn(self, comparison: Comparison) -> str | None:
        """A warning in one line if speech and shuffled speech do not part; None if they do, or if it is too early to say."""
        if self.num_compared < NUM_BEFORE_WARNING and not self.is_over:
            return None
        share = comparison.share
        if share is None:
            return (
                "warning: the loss on the text itself is not below that with another utterance's speech: these targets do "
                "not depend on what is said, so no loss can show whether the model hears"
            )
        if share >= LEAST_SHARE:
            return None
        beside = " (the method puts the transcript beside the speech)" if is_assisted(self.method) else ""
        to = "zero" if comparison.text is None else "that on text"
        return (
            f"warning: speech and shuffled speech do not part after {self.num_compared} "
            f"comparison{'s' * (self.num_compared != 1)}: so far the model does not hear{beside}; the loss with speech has come "
            f"{100 * share:.1f} % of the way from shuffled speech to {to}, {100 * LEAST_SHARE:.0f} % are expected"
        )

    def _terms(self, heard: np.ndarray):
        """The terms and units of each pack of this rank, whose examples hear the speech of the examples `heard`."""
        for pack in self.valid.packs(self.examples, tokens_per_pack=self.tokens_per_pack, heard=heard):
            yield from evaluate_as_fits(pack, self._terms_of, begin_again=self.begin_again)

    def _terms_of(self, pack: PackOfExamples):
        if self.measure == OWN_LOSS:
            return compute_terms(self.method, self.model, pack), pack.units()
        return self._cross_entropy(pack)

    def _cross_entropy(self, pack: PackOfExamples):
        views, needs = pack.views[STUDENT], self.method.needs
        frames = on_device(pack.frames, self.model.llm.device)
        speech, extras = self.model.listen(
            views, frames, rows=pack.frame_rows(), use_token_count=needs.num_tokens
        )
        output = self.model(self.model.pack(views, speech), (), extras, pack.choices)
        return _of_target(output.cross_entropy(TARGET))

    def _text_terms(self):
        for views in self.valid.read_views(self.examples, tokens_per_pack=self.tokens_per_pack):
            yield _of_target(self.model.read(self.model.pack_text(views)).cross_entropy(TARGET))

    def _mean(self, terms_of_packs) -> float:
        """The loss over the packs of all ranks: each term divided by the number of its unit."""
        sums: Counter = Counter()
        units: Counter = Counter()
        weights: dict[str, tuple[str, float]] = {}
        mine = [
            (
                {name: (float(term.sum), term.unit, term.weight) for name, term in terms.items()},
                counts,
            )
            for terms, counts in terms_of_packs
        ]
        self.model.llm.meet()
        for terms, counts in (pack for packs in parallel.gathered(mine) for pack in packs):
            units.update(counts)
            for name, (value, unit, weight) in terms.items():
                sums[name] += value
                weights[name] = (unit, weight)
        return math.fsum(
            weights[name][1] * value / max(units[weights[name][0]], 1) for name, value in sums.items()
        )


def measure_of(method) -> str:
    """CROSS_ENTROPY if the method has targets and runs the LLM on the student's view, else OWN_LOSS."""
    return CROSS_ENTROPY if method.needs.target and STUDENT in method.needs.llm_views else OWN_LOSS


def choose(valid: Examples, model) -> tuple[np.ndarray, np.ndarray]:
    """The examples that are compared, and for each the one whose speech it hears when it is shuffled.

    Examples are taken at equal distances from the whole set. Each hears the next longer one that has another text, fits into the
    LLM's context and gives the connector enough speech, and the longest ones hear the shortest. An example without such a
    partner is left out.

    Returns
    -------
    examples, heard : numpy.ndarray
        int64 (E,), with E at most MAX_UTTERANCES; empty if all examples have one text.
    """
    taken = np.unique(np.linspace(0, len(valid) - 1, min(MAX_UTTERANCES, len(valid))).astype(np.int64))
    utterances = {int(example): valid.manifest[int(valid.rows[example])] for example in taken}
    seconds = {
        example: sum(valid.manifest[row].seconds for row in valid.heard(example)) for example in utterances
    }
    order = sorted(utterances, key=lambda example: (seconds[example], example))
    found = {}
    for number, example in enumerate(order):
        for other in order[number + 1 :] + order[:number]:
            if utterances[other].text != utterances[example].text and valid.fits(example, other, model):
                found[example] = other
                break
    examples = sorted(found)
    return np.array(examples, dtype=np.int64), np.array(
        [found[example] for example in examples], dtype=np.int64
    )


def _of_target(term: Term):
    return {"cross_entropy": term}, Counter({term.unit: term.count})
