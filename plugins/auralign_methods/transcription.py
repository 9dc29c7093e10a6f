"""Transcription: the usual way, against which the others are measured."""

from dataclasses import dataclass

from auralign.layout import Layout, Speech, View, fill
from auralign.method import AlignmentMethod
from auralign.records import Choice


@dataclass(frozen=True)
class Transcription(AlignmentMethod):
    """Ask for a transcript and teach the bare reference transcript, whatever the LLM itself would have answered.

    The baseline that AZeroS calls TSIT (arXiv:2601.06086, Table 3), and what most speech LLMs are first trained on.

    Faithful to the paper: an instruction to transcribe, the reference transcript as the target, cross-entropy on it, only
    the connector trained. Not faithful: the paper does not print its instruction, so `instructions` are the recipe's, one
    drawn at random for each utterance.

    Arguments
    ---------
    instructions : list of str
        Templates with one `{speech}` slot, such as "transcribe this: {speech}".
    """

    instructions: tuple[str, ...] = ("transcribe this: {speech}",)

    name = "transcription"
    paper = "2601.06086"
    fidelity = "mechanism"

    def choices(self, utterance, rng):
        """One instruction, drawn at random."""
        yield Choice(task="transcription", instruction=rng.choice(list(self.instructions)))

    def given_response(self, utterance, choice):
        """The reference transcript: the LLM is not asked."""
        return utterance.text

    def layout(self, utterance, choice, response):
        """The instruction with the speech in its slot, then the transcript."""
        return Layout.of(View((*fill(choice.instruction, Speech(utterance.text)), response)))
