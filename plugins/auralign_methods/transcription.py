"""Transcription: the usual way, against which the others are measured."""

from dataclasses import dataclass

from auralign.layout import Layout, Speech, View, fill
from auralign.records import Choice
from auralign_methods._azeros import Arm, check_place, place


@dataclass(frozen=True)
class Transcription(Arm):
    """Ask for a transcript and teach the bare reference transcript, whatever the LLM itself would have answered.

    The baseline that AZeroS calls TSIT (arXiv:2601.06086, Table 3), and what most speech LLMs are first trained on.

    Faithful to the paper: an instruction to transcribe, no system prompt, the reference transcript as the target, cross-entropy
    on it, only the connector trained. Not faithful: the paper does not print its instruction, nor whether the speech is before
    or after it, so `instructions` are the recipe's, one drawn at random for each utterance; lower case without brackets
    (`normalize: True`) and the limits of length are options. The paper's values: `as_published/transcription.yaml`.

    Arguments
    ---------
    no_system_prompt : bool
        True, as in the paper; False keeps the recipe's, for a chat template that always puts one.
    normalize : bool
        Whether texts are in lower case, without what stands in brackets and without spaces between Chinese characters, as in the
        paper; default False.
    min_seconds, max_seconds, max_letters_per_second : float, optional
        Teach utterances longer than the first, at most as long as the second and with fewer characters a second than the third
        alone; default: all. The paper's are 1, 30 and 30.
    instructions : list of str
        Templates with one `{speech}` slot, such as "transcribe this: {speech}".
    speech_place : str, optional
        "first" or "last" moves the slot of every template to its beginning or end, which is a factor in what such a model does
        with other instructions; default None, as they are written.
    """

    instructions: tuple[str, ...] = ("transcribe this: {speech}",)
    speech_place: str | None = None

    name = "transcription"
    fidelity = "mechanism"
    examples = ({}, {"speech_place": "first", "normalize": True, "max_seconds": 30.0})
    added = {
        "no_system_prompt": False,
        "normalize": False,
        "min_seconds": None,
        "max_seconds": None,
        "max_letters_per_second": None,
        "speech_place": None,
    }

    def __post_init__(self):
        super().__post_init__()
        check_place(self.speech_place)

    @property
    def version(self):
        """1 had the recipe's system prompt."""
        return "2" if self.no_system_prompt else "1"

    def choices(self, utterance, rng):
        """One instruction, drawn at random."""
        if self.is_chosen(utterance):
            instruction = rng.choice(list(self.instructions))
            yield Choice(task="transcription", instruction=place(instruction, self.speech_place))

    def given_response(self, utterance, choice):
        """The reference transcript: the LLM is not asked."""
        return self.text_of(utterance)

    def layout(self, utterance, choice, response):
        """The instruction with the speech in its slot, then the transcript."""
        spoken = Speech(self.text_of(utterance))
        return Layout.of(View((*fill(choice.instruction, spoken), response), system=self.system))
