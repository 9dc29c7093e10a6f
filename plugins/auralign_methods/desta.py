"""DeSTA: the LLM answers about a description of the speech: words, speaker and sound."""

from dataclasses import dataclass

from auralign.layout import Layout, Speech, Text, View, fill
from auralign.method import AlignmentMethod
from auralign.records import Choice

PROMPTS = (
    "{speech}\nWhat can you tell about this recording?",
    "{speech}\nDescribe everything that you notice.",
    "{speech}\nWho might be speaking, and how?",
    "{speech}\nWhat is said, and in which manner?",
    "{speech}\nRetell this in your own words.",
    "{speech}\nHow would you reply to this person?",
    "{speech}\nWhich mood does this convey, and what shows it?",
    "{speech}\nWrite a caption for this audio.",
)


@dataclass(frozen=True)
class DeSTA(AlignmentMethod):
    """Tell the LLM in brackets what is known of an utterance, ask it something, and teach its answer.

    DeSTA2 (arXiv:2409.20007) and DeSTA2.5-Audio (arXiv:2507.02768). The seed description holds the times, the transcript and
    the attributes; the prompt is drawn from a pool. The model is given the speech, and the transcript as text beside it
    (`text_assist`): the reference in training, the encoder's own in use. The ledger shows such a model with and without it.

    Faithful to the papers and the code of the second (https://github.com/kehanlu/DeSTA2.5-Audio): description, prompt and answer
    by the backbone LLM itself; the embeddings of the speech before those of the transcript; cross-entropy, only the connector
    trained (`auralign.models.connectors.MultiLayerQFormer`: 64 queries on four layers of Whisper; DeSTA2.5 has six layers of
    its own on 7, 15, 23 and 31 of whisper-large-v3, DeSTA2 two on 2, 5, 8 and 11 of whisper-small). Not faithful: the form of the
    description is ours, while DeSTA2 writes `[..]: "text" (..)` and DeSTA2.5 `[mm:ss-mm:ss] text (..)`; the wording of the
    prompts is ours, eight instead of DeSTA2's one and DeSTA2.5's large pool; the transcript beside the speech is not cut, that
    of DeSTA2.5 is at 100 tokens; sounds and music are left out. DeSTA2.5's values: `as_published/desta.yaml`.

    Arguments
    ---------
    prompts : list of str
        Templates with one `{speech}` slot; one is drawn for each utterance.
    attributes : list of str, optional
        The utterance's attributes that the LLM reads, in this order; default: all.
    text_assist : bool
        False gives the speech alone.
    refusals : list of str, optional
        Phrases by which an answer is rejected as a refusal, () for none; default: the toolkit's.
    """

    prompts: tuple[str, ...] = PROMPTS
    attributes: tuple[str, ...] | None = None
    text_assist: bool = True
    refusals: tuple[str, ...] | None = None

    name = "desta"
    paper = "2409.20007"
    added = {"refusals": None}
    examples = ({}, {"text_assist": False, "attributes": ("gender",)})

    @property
    def expected_failures(self):
        """With `text_assist` the student reads the transcript too, which the teacher reads once."""
        reason = "text_assist puts the transcript beside the speech"
        checks = ("check_student_is_asked_what_the_teacher_is", "check_student_is_not_told")
        return dict.fromkeys(checks, reason) if self.text_assist else {}

    def choices(self, utterance, rng):
        """One prompt, drawn at random."""
        yield Choice(task="description", instruction=rng.choice(list(self.prompts)))

    def layout(self, utterance, choice, response):
        """The description, or the speech with its transcript, in the slot of the prompt, then the LLM's answer."""
        described = Speech(self._describe(utterance))
        asked = View((*fill(choice.instruction, described), response))
        shown = (described, *self._assist(utterance))
        return Layout(student=View((*fill(choice.instruction, *shown), response)), teacher=asked.read())

    def slot(self, utterance):
        """The speech, and the transcript if there is one."""
        return (Speech(utterance.text), *self._assist(utterance))

    def _assist(self, utterance):
        return (Text(utterance.text, tag="transcript"),) if self.text_assist and utterance.text else ()

    def _describe(self, utterance) -> str:
        """Such as: [00:00:00 - 00:00:05] good morning (Gender: female, Emotion: happy)"""
        names = utterance.attributes if self.attributes is None else self.attributes
        known = {name: value for name, value in utterance.attributes.items() if value not in (None, "")}
        named = [f"{name.capitalize()}: {known[name]}" for name in names if name in known]
        span = f"[{_clock(0)} - {_clock(utterance.seconds)}]"
        return f"{span} {utterance.text}" + (f" ({', '.join(named)})" if named else "")


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}"
