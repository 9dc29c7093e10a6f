"""BLSP-Emo: the LLM reads how it was said, the model has to hear it."""

from dataclasses import dataclass, replace

from auralign.layout import DEFAULT, SPEECH, STUDENT, TARGET, Layout, Speech, View, fill
from auralign.method import AlignmentMethod, Needs
from auralign.records import Choice
from auralign.text.attributes import EMOTIONS

EMPATHY = "You feel with those who speak to you, and it shows in what you say."


@dataclass(frozen=True)
class BLSPEmo(AlignmentMethod):
    """Ask the LLM to continue what was said in a known emotion, and teach its answer under a request that does not name it.

    The second stage of BLSP-Emo (arXiv:2406.03872); its first is `blsp_kd` with `input_weight: 0`, from which it goes on
    (`init_from`). An utterance whose emotion is unknown, or not among `values`, is not asked about.

    Faithful to the paper and its code (https://github.com/cwang621/blsp-emo): a system prompt that asks for empathy, which both
    read; the emotion named to the teacher alone; the student asked to go on by the tone that it hears; cross-entropy on the
    answer, and of a linear head without bias on the mean of the speech embeddings over five emotions, both with weight 1; LoRA on
    the positions of speech (`lora_scope: speech`) beside the connector; answers with the authors' phrases of refusal left out.
    Not faithful: the wording of all prompts is ours; other words for an emotion, such as "surprised", count as its class. The
    paper's values: `as_published/blsp_emo.yaml`.

    Arguments
    ---------
    teacher_instruction : str
        A template with one `{speech}` slot, and one `{value}` for the emotion.
    student_instruction : str
        A template with one `{speech}` slot.
    teacher_system, student_system : str, optional
        System prompts of the two, by default the same one; None leaves the recipe's.
    attribute : str
        Of the utterance: what the teacher reads.
    values : list of str
        The classes of the head, in lower case and in the order of the authors' code; those of the utterances may have capitals,
        and be other words for them (`auralign.text.attributes.EMOTIONS`).
    head_weight : float
        Of its term.
    refusals : list of str, optional
        Phrases by which an answer is rejected as a refusal; default: those of the authors' data_process/clean_noise_examples.py.
        None: the toolkit's.
    """

    teacher_instruction: str = (
        "The following is said in a tone that is {value}. Go on from there, in keeping:\n{speech}"
    )
    student_instruction: str = "Go on from the following, in keeping with its tone:\n{speech}"
    teacher_system: str | None = EMPATHY
    student_system: str | None = EMPATHY
    attribute: str = "emotion"
    values: tuple[str, ...] = ("neutral", "happy", "angry", "sad", "surprise")
    head_weight: float = 1.0
    refusals: tuple[str, ...] | None = (
        "as an ai language model",
        "i'm sorry, but i",
        "i'm not sure what you",
    )

    name = "blsp_emo"
    paper = "2406.03872"
    version = "2"  # 1 had a head with a bias
    expected_failures = {
        "check_student_is_asked_what_the_teacher_is": "the teacher reads the emotion, the student has to hear it",
    }

    def __post_init__(self):
        if "{value}" not in self.teacher_instruction:
            raise ValueError(
                f"teacher_instruction {self.teacher_instruction!r}: name the emotion in it, as {{value}}"
            )
        if any(value != value.lower() for value in self.values):
            raise ValueError(f"values {list(self.values)}: give them in lower case")

    @property
    def needs(self):
        """A head with an output for each emotion."""
        return Needs(heads={"emotion": len(self.values)}, head_bias=False)

    def choices(self, utterance, rng):
        """Continue, if the emotion is known."""
        value = self._class_of(utterance.attributes.get(self.attribute))
        if value is not None:
            yield Choice(task="continue", instruction=self.student_instruction, options={"value": value})

    def _class_of(self, value) -> str | None:
        """The class of an utterance's emotion; None if it is not known, or none of `values`."""
        value = str(value or "").strip().lower()
        if value in self.values:
            return value
        words = next((words for words in EMOTIONS if value in words), ())
        return next((known for known in self.values if known in words), None)

    def layout(self, utterance, choice, response):
        """Each its own request around the speech, then the LLM's answer to the one that names the emotion."""
        asked = self.teacher_instruction.replace("{value}", choice.options["value"])
        systems = (
            DEFAULT if system is None else system for system in (self.student_system, self.teacher_system)
        )
        speech = Speech(utterance.text)
        student, teacher = (
            View((*fill(instruction, speech), response), system=system)
            for instruction, system in zip((choice.instruction, asked), systems, strict=True)
        )
        return Layout(student=student, teacher=teacher.read())

    def loss(self, views):
        """Cross-entropy of the answer, and of the emotion that the head hears."""
        import torch

        from auralign.losses import SEQUENCES, Term

        student = views[STUDENT]
        means = torch.stack([embeddings.mean(0) for embeddings in student.each(SPEECH, 0)])
        values = [self.values.index(choice.options["value"]) for choice in student.choices]
        logits = student.heads["emotion"](means.float())
        labels = torch.tensor(values, device=logits.device)
        emotion = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
        return {
            "cross_entropy": student.cross_entropy(TARGET),
            "emotion": replace(Term(emotion, len(labels), unit=SEQUENCES), weight=self.head_weight),
        }
