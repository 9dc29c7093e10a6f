"""SIT: self-generated targets under a generic instruction."""

from dataclasses import dataclass

from auralign.layout import Layout, Speech, View, fill
from auralign.method import AlignmentMethod
from auralign.records import Choice


@dataclass(frozen=True)
class SIT(AlignmentMethod):
    """Self-generated instruction tuning: ask the LLM to say the transcript back, and teach its answer in its own words.

    AZeroS's `SIT_s` (arXiv:2601.06086, section on SIT and Table 3).

    Faithful to the paper: one generic request to repeat the text, the target written by the same frozen LLM,
    greedy, an answer cut off at the length limit taught without its end of turn, cross-entropy, only the connector
    trained. Not faithful: the wording of the request is the recipe's; the paper lower-cases its transcripts, here that is
    the recipe's `prepare`.

    Arguments
    ---------
    instructions : list of str
        Templates with one `{speech}` slot; one is drawn at random for each utterance.
    """

    instructions: tuple[str, ...] = ("{speech}\nRepeat the above.",)

    name = "sit"
    paper = "2601.06086"
    fidelity = "mechanism"

    def choices(self, utterance, rng):
        """One instruction, drawn at random."""
        yield Choice(task="repeat", instruction=rng.choice(list(self.instructions)))

    def layout(self, utterance, choice, response):
        """The instruction with the speech in its slot, then the LLM's own answer."""
        return Layout.of(View((*fill(choice.instruction, Speech(utterance.text)), response)))
