"""BLSP: behaviour alignment by continuation writing."""

from dataclasses import dataclass
from functools import cache

from auralign.layout import Layout, Speech, View, fill
from auralign.method import AlignmentMethod
from auralign.records import Choice


@dataclass(frozen=True)
class BLSP(AlignmentMethod):
    """Bootstrapping language-speech pre-training: ask the LLM to continue the transcript, and teach its continuation.

    BLSP (arXiv:2309.00916, section 3). Whatever the LLM reads in the text it needs to go on from there; speech that draws
    the same continuation carries it too.

    Faithful to the paper: one fixed request to continue, its text before the speech, the transcript as Whisper's English
    normaliser leaves it, the target written by the same frozen LLM, greedy, cross-entropy, only the connector trained (the
    paper's is `auralign.models.connectors.ConvolveAndProject`; it cuts answers at 64 tokens). Not faithful: the wording of
    the request is ours; other languages, which the paper has not, get Whisper's basic normaliser, but keep their vowel signs;
    the paper ends cut-off answers with an end of turn, which teaches a false stop, and here they carry none; the paper first
    tunes the LLM on instructions, here it comes tuned. The paper's values: `as_published/blsp.yaml`.

    Arguments
    ---------
    instruction : str
        A template with one `{speech}` slot.
    normalize : bool
        By Whisper's normaliser: lower case, no punctuation, numbers as digits; the continuation then cannot hang on what is not
        audible.
    spellings : str, optional
        JSON file of British to American spellings, such as the normalizer.json of a Whisper folder; none are changed without.
    refusals : list of str, optional
        Phrases by which an answer is rejected as a refusal, () for none; default: the toolkit's.
    """

    instruction: str = (
        "Go on with the following text, fluently and vividly, in fewer than forty words:\n{speech}"
    )
    normalize: bool = True
    spellings: str | None = None
    refusals: tuple[str, ...] | None = None

    name = "blsp"
    paper = "2309.00916"
    added = {"refusals": None}
    version = "2"  # 1 had a normaliser of our own

    def choices(self, utterance, rng):
        """The one choice: continue."""
        yield Choice(task="continue", instruction=self.instruction)

    def layout(self, utterance, choice, response):
        """The request, the speech in its slot, then the LLM's own continuation."""
        text = utterance.text
        if self.normalize:
            text = _normalizer(utterance.language[:2].lower() or "en", self.spellings)(text)
        return Layout.of(View((*fill(choice.instruction, Speech(text)), response)))


@cache
def _normalizer(language: str, spellings: str | None):
    """Whisper's normaliser; made once, as it loads transformers."""
    from auralign.text.whisper import read_spellings, whisper_normaliser

    return whisper_normaliser(language, read_spellings(spellings))
