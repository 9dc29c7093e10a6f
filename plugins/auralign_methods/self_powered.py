"""Self-Powered LSM: the LLM's own answers to many instructions, against the habit of taking speech for the command."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from auralign.layout import SLOT, Layout, Speech, Text, View, fill
from auralign.method import AlignmentMethod
from auralign.records import Choice

TRANSCRIBE = "transcribe"
FAMILIES = {
    "repeat": (
        "Say in your own words what stands here",
        "Put the following differently without changing what it means",
        "Reword the passage below",
        "Tell me again, phrased another way, what this says",
        "Express the content of these words afresh",
    ),
    "keywords": (
        "Pick out the words that matter most",
        "Which terms carry the meaning here? List them",
        "Name the key words of the passage below",
        "Give me the handful of words that sum this up",
        "List the most important expressions in what follows",
    ),
    "intent": (
        "What does the speaker want, and is it said clearly?",
        "Describe the aim behind these words and judge how plain it is",
        "State the intention of what follows, and whether it is unmistakable",
        "What is meant to be achieved here? Say also if anything stays unclear",
        "Explain the purpose of this remark and rate its clarity",
    ),
    "sentiment": (
        "Which feeling do these words show? Quote what gives it away",
        "Is the mood below good, bad or neither? Give your evidence",
        "Judge the sentiment of what follows and say where you see it",
        "Name the emotional tone here and the words that prove it",
        "Say how the speaker feels, with the passage that tells you so",
    ),
    "continue": (
        "Carry on from here in fewer than fifty words",
        "Write what could come next, in under fifty words",
        "Take the passage further, with no more than fifty words",
        "Add a fitting continuation of at most fifty words",
        "Go on with the following, staying below fifty words",
    ),
    "translate": (
        "Turn the following into Chinese",
        "What is this in Chinese?",
        "Give the Chinese for the passage below",
        "Render these words in Chinese",
        "Put what follows into Chinese",
    ),
    TRANSCRIBE: (
        "Write down what is said",
        "Give me the exact words that follow",
        "Transcribe the speech",
        "Note word for word what you hear",
        "Put the spoken words on paper",
    ),
}
PUNCTUATION = ".!?;:,\"')]}…。！？；：，”’）】》"


@dataclass(frozen=True)
class SelfPowered(AlignmentMethod):
    """Answers of the LLM itself to many instructions about the transcript, in several phrasings each, beside plain transcription.

    Self-Powered LSM (arXiv:2410.03798). A model tuned on transcription alone takes the whole speech for the command and
    ignores the instruction in the text; answers to many instructions teach it to read them.

    Faithful to the paper: seven families of instructions with five phrasings each; the instruction before the speech; the
    answers written by the same LLM, greedy (the paper's limit is 225 tokens), the transcript itself for the family of
    transcription; answers that do not end in punctuation left out; cross-entropy. By option as in the authors' code
    (https://github.com/ytf-philp/Self-powered-LSM, src/speech_text_paired_dataset_vicuna.py): a "SPEECH:" marker that the
    student reads before the speech, while the teacher reads ": " before the text (`speech_marker`, `text_marker`); one family for
    each utterance, as each of their files has one (`families_per_utterance: 1`); targets of five tokens or fewer left out, the
    end of the turn counted (`min_tokens: 6`). Not faithful: the wording of all phrasings is ours, and theirs asks for the
    continuation in Chinese; the paper trains the whole LLM beside its Q-Former, here the recipe says what is trained
    (`train_llm: True`, `lora` or neither); the window of `auralign.models.connectors.WindowedQFormer` is fixed in seconds, which
    that of the paper's code is not. The paper's values: `as_published/self_powered.yaml`.

    Arguments
    ---------
    families : dict of str to list of str
        Phrasings by family, put before the speech; one with a `{speech}` slot is a whole template. The family "transcribe" is
        answered by the reference transcript.
    only_punctuated : bool
        Leave out answers of the LLM that do not end in punctuation: many of them were cut off.
    families_per_utterance : int, optional
        Number of families that are drawn for each utterance; default: all.
    text_marker : str
        Between a phrasing without a slot and the text.
    speech_marker : str, optional
        Between a phrasing and the speech, for the student, in training and in use; default: the text's, for both.
    min_tokens : int
        Shortest target in tokens, with the end of the turn; default 0, any.
    refusals : list of str, optional
        Phrases by which an answer is rejected as a refusal; default: the toolkit's.
    """

    families: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: FAMILIES)
    only_punctuated: bool = True
    families_per_utterance: int | None = None
    text_marker: str = ":\n"
    speech_marker: str | None = None
    min_tokens: int = 0
    refusals: tuple[str, ...] | None = None

    name = "self_powered"
    paper = "2410.03798"
    examples = ({}, {"speech_marker": "\nSPEECH:", "text_marker": ": ", "families_per_utterance": 1})
    added = {
        "families_per_utterance": None,
        "text_marker": ":\n",
        "speech_marker": None,
        "min_tokens": 0,
        "refusals": None,
    }

    def __post_init__(self):
        if self.families_per_utterance is not None and self.families_per_utterance < 1:
            raise ValueError(
                f"families_per_utterance {self.families_per_utterance}: give at least 1, or null for all families"
            )

    @property
    def expected_failures(self):
        """With a marker of the speech, the student reads what the teacher does not."""
        if self.speech_marker in (None, self.text_marker):
            return {}
        return {
            "check_student_is_asked_what_the_teacher_is": "the marker of the speech is the student's alone"
        }

    def choices(self, utterance, rng):
        """One phrasing of each family, or of those that are drawn."""
        names = list(self.families)
        if self.families_per_utterance is not None:
            names = rng.sample(names, min(self.families_per_utterance, len(names)))
        for family in names:
            phrasing = rng.choice(list(self.families[family]))
            instruction = phrasing if SLOT in phrasing else f"{phrasing}{self.text_marker}{SLOT}"
            yield Choice(task=family, instruction=instruction)

    def given_response(self, utterance, choice):
        """The reference transcript, if it is asked for."""
        return utterance.text if choice.task == TRANSCRIBE else None

    def reject(self, utterance, choice, response):
        """Why an answer of the LLM is not taught."""
        if self.only_punctuated and not response.rstrip().endswith(tuple(PUNCTUATION)):
            return "does not end in punctuation"
        return None

    def layout(self, utterance, choice, response):
        """The instruction, the speech, the answer."""
        speech = Speech(utterance.text)
        teacher = View((*fill(choice.instruction, speech), response))
        if self.speech_marker is None:
            return Layout.of(teacher)
        phrasing = choice.instruction
        if phrasing.endswith(self.text_marker + SLOT):
            phrasing = phrasing.removesuffix(self.text_marker + SLOT) + SLOT
        student = View((*fill(phrasing, *self.slot(utterance)), response))
        return Layout.of(student, teacher.read())

    def slot(self, utterance):
        """The speech, with its marker."""
        marker = (Text(self.speech_marker),) if self.speech_marker else ()
        return (*marker, Speech(utterance.text))
