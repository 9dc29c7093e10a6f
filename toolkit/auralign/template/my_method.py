"""An alignment method of your own, in a package of your own."""

from dataclasses import dataclass

from auralign.layout import Layout, Speech, View, fill
from auralign.method import AlignmentMethod
from auralign.records import Choice


@dataclass(frozen=True)
class MyMethod(AlignmentMethod):
    """Ask the LLM something about each transcript, and teach its answer after the speech.

    Say here which paper the method is from, what is faithful to it, and what is not.

    Arguments
    ---------
    instruction : str
        A template with one `{speech}` slot, which holds the transcript for the LLM and the speech for the model.
    """

    instruction: str = "Summarise in one sentence: {speech}"

    name = "my_method"

    def choices(self, utterance, rng):
        """What to ask about one utterance; draw from `rng` what is drawn at random."""
        yield Choice(task="summarise", instruction=self.instruction)

    def layout(self, utterance, choice, response):
        """How the example reads: the instruction with the speech in its slot, then the answer."""
        return Layout.of(View((*fill(choice.instruction, Speech(utterance.text)), response)))
