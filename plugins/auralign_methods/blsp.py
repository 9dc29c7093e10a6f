"""BLSP: behaviour alignment by continuation writing."""

import re
from dataclasses import dataclass

from auralign.layout import Layout, Speech, View, fill
from auralign.method import AlignmentMethod
from auralign.records import Choice


@dataclass(frozen=True)
class BLSP(AlignmentMethod):
    """Bootstrapping language-speech pre-training: ask the LLM to continue the transcript, and teach its continuation.

    BLSP (arXiv:2309.00916, section 3). Whatever the LLM reads in the text it needs to go on from there; speech that draws
    the same continuation carries it too.

    Faithful to the paper: one fixed request to continue, its text before the speech, the transcript in lower case without
    punctuation, the target written by the same frozen LLM, greedy, cross-entropy, only the connector trained (the
    paper's is `auralign.models.connectors.ConvolveAndProject`; it cuts answers at 64 tokens). Not faithful: the wording of
    the request is ours; Whisper's normaliser also rewrites numbers and spelling; the paper ends cut-off answers with an
    end of turn, which teaches a false stop, and here they carry none; the paper first tunes the LLM on instructions,
    here it comes tuned.

    Arguments
    ---------
    instruction : str
        A template with one `{speech}` slot.
    normalize : bool
        Lower case, no punctuation, single spaces; the continuation then cannot hang on what is not heard.
    """

    instruction: str = (
        "Go on with the following text, fluently and vividly, in fewer than forty words:\n{speech}"
    )
    normalize: bool = True

    name = "blsp"
    paper = "2309.00916"

    def choices(self, utterance, rng):
        """The one choice: continue."""
        yield Choice(task="continue", instruction=self.instruction)

    def layout(self, utterance, choice, response):
        """The request, the speech in its slot, then the LLM's own continuation."""
        text = _normalized(utterance.text) if self.normalize else utterance.text
        return Layout.of(View((*fill(choice.instruction, Speech(text)), response)))


def _normalized(text: str) -> str:
    """Lower case, apostrophes within words the only punctuation left, single spaces."""
    kept = re.sub(r"(?<!\w)'|'(?!\w)|[^\w\s']|_", " ", text.lower())
    return " ".join(kept.split())
