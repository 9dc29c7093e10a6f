"""SIFT: self-generated targets without any instruction."""

from dataclasses import dataclass

from auralign.layout import DEFAULT, Layout, Speech, View
from auralign.method import AlignmentMethod
from auralign.records import Choice


@dataclass(frozen=True)
class SIFT(AlignmentMethod):
    """Self-generated instruction-free tuning: give the LLM the bare transcript as if typed, and teach what it replies.

    AZeroS's `SIFT_s` (arXiv:2601.06086, equations 1 to 3 and Table 3). With no instruction to lean on, the only way to
    lower the loss is to make the speech read like the text, and whatever the LLM can do with text follows.

    Faithful to the paper: no instruction, no system prompt, the target written by the same frozen LLM, greedy, an answer
    cut off at the length limit taught without its end of turn, cross-entropy, only the connector trained. Not faithful:
    no attributes are told (the paper's `SIFT_sp`, its second encoder and its second stage).

    The loss is the default of `auralign.method.AlignmentMethod.loss`: cross-entropy on the target.

    Arguments
    ---------
    no_system_prompt : bool
        True, as in the paper; False keeps the recipe's, for a chat template that always puts one.
    """

    no_system_prompt: bool = True

    name = "sift"
    paper = "2601.06086"
    fidelity = "mechanism"

    def choices(self, utterance, rng):
        """The one choice: ask nothing."""
        yield Choice(task="none")

    def layout(self, utterance, choice, response):
        """The speech alone, then the LLM's own reply to its transcript."""
        system = None if self.no_system_prompt else DEFAULT
        return Layout.of(View((Speech(utterance.text), response), system=system))
