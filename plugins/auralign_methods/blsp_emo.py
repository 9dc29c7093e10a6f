"""BLSP-Emo: the LLM reads how it was said, the model has to hear it."""

from dataclasses import dataclass, replace

from auralign.layout import DEFAULT, SPEECH, STUDENT, TARGET, Layout, Speech, View, fill
from auralign.method import AlignmentMethod, Needs
from auralign.records import Choice


@dataclass(frozen=True)
class BLSPEmo(AlignmentMethod):
    """Ask the LLM to continue what was said in a known emotion, and teach its answer under a request that does not name it.

    The second stage of BLSP-Emo (arXiv:2406.03872); its first is `blsp_kd` with `input_weight: 0`, from which it goes on
    (`init_from`). An utterance whose emotion is unknown, or not among `values`, is not asked about.

    Faithful to the paper and its code: the emotion named to the teacher alone, with a system prompt that asks for empathy; the
    student asked to go on by the tone that it hears; cross-entropy on the answer, and of a linear head on the mean of the
    speech embeddings over five emotions; LoRA on the positions of speech (`lora_scope: speech`) beside the connector;
    refusals left out (by the toolkit's filter of answers). Not faithful: the wording of all prompts is ours; the two terms
    weigh 1, which was not checked against the paper.

    Arguments
    ---------
    teacher_instruction : str
        A template with one `{speech}` slot, and one `{value}` for the emotion.
    student_instruction : str
        A template with one `{speech}` slot.
    teacher_system : str, optional
        System prompt of the teacher alone; None leaves the recipe's.
    attribute : str
        Of the utterance: what the teacher reads.
    values : list of str
        The classes of the head, in lower case; those of the utterances may have capitals.
    head_weight : float
        Of its term.
    """

    teacher_instruction: str = (
        "The following is said in a tone that is {value}. Go on from there, in keeping:\n{speech}"
    )
    student_instruction: str = "Go on from the following, in keeping with its tone:\n{speech}"
    teacher_system: str | None = "You feel with those who speak to you, and it shows in what you say."
    attribute: str = "emotion"
    values: tuple[str, ...] = ("neutral", "happy", "sad", "angry", "surprised")
    head_weight: float = 1.0

    name = "blsp_emo"
    paper = "2406.03872"
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
        return Needs(heads={"emotion": len(self.values)})

    def choices(self, utterance, rng):
        """Continue, if the emotion is known."""
        value = str(utterance.attributes.get(self.attribute) or "").lower()
        if value and value in self.values:
            yield Choice(task="continue", instruction=self.student_instruction, options={"value": value})

    def layout(self, utterance, choice, response):
        """Each its own request around the speech, then the LLM's answer to the one that names the emotion."""
        asked = self.teacher_instruction.replace("{value}", choice.options["value"])
        system = DEFAULT if self.teacher_system is None else self.teacher_system
        speech = Speech(utterance.text)
        return Layout(
            student=View((*fill(choice.instruction, speech), response)),
            teacher=View((*fill(asked, speech), response), system=system).read(),
        )

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
