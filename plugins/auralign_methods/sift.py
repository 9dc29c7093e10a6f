"""SIFT: self-generated targets without any instruction."""

from dataclasses import dataclass

from auralign.layout import DEFAULT, Layout, Speech, Text, View
from auralign.method import AlignmentMethod
from auralign.records import Choice

VIEWS = TRANSCRIPT, ATTRIBUTES, PERSONA = ("s", "sp", "ssp")


@dataclass(frozen=True)
class SIFT(AlignmentMethod):
    """Self-generated instruction-free tuning: give the LLM the bare transcript as if typed, and teach what it replies.

    AZeroS (arXiv:2601.06086, equations 1 to 3 and Table 3). With no instruction to lean on, the only way to lower the loss is
    to make the speech read like the text, and whatever the LLM can do with text follows. `SIFT_s` reads the transcript;
    `SIFT_sp` reads what is known of the speaker too, in slots that the student fills with speech: of one encoder, or of two,
    one for the voice and one for the words (the paper's second stage, in which the first's connector stays as it is:
    `branches`, `init_from` and `frozen` of the recipe); `SIFT_ssp` adds a persona that pretends to hear.

    Faithful to the paper: no instruction, no system prompt, the target written by the same frozen LLM, greedy (the paper's
    limit is 256 tokens), an answer cut off at the length limit taught without its end of turn, cross-entropy, only connectors
    trained; the tags around the slots, unknown attributes left out, ages in four groups. Not faithful: the persona's wording
    is ours; with one encoder its speech replaces both slots; with two encoders, the view "s" too hears
    both in their slots, while the LLM was given the bare transcript (neither was checked against the paper's code); lower
    case is the recipe's `prepare`.

    The loss is the default of `auralign.method.AlignmentMethod.loss`: cross-entropy on the target.

    Arguments
    ---------
    no_system_prompt : bool
        True, as in the paper; False keeps the recipe's, for a chat template that always puts one.
    views : list of str
        "s", "sp", "ssp": one example of each utterance for each. The paper's final model has "s" and "sp".
    attributes : list of str
        The utterance's attributes that the LLM reads, in this order.
    voice_branch : str, optional
        The branch that encodes what the attributes describe; default: the main one encodes all.
    persona : str
        System prompt of the view "ssp".
    """

    no_system_prompt: bool = True
    views: tuple[str, ...] = (TRANSCRIPT,)
    attributes: tuple[str, ...] = ("age", "gender", "emotion")
    voice_branch: str | None = None
    persona: str = (
        "You are somebody who listens. What reaches you was said aloud: take in the voice as well as the words, never say "
        "that you were told about it, and reply as one person to another."
    )

    name = "sift"
    paper = "2601.06086"
    fidelity = "mechanism"
    examples = ({}, {"views": ("s", "sp", "ssp")}, {"views": ("s", "sp"), "voice_branch": "voice"})

    @property
    def expected_failures(self):
        """With two encoders, both are in the view "s" too."""
        if self.voice_branch is None or TRANSCRIPT not in self.views:
            return {}
        return {
            "check_student_is_asked_what_the_teacher_is": "in the view s, the tags of the slots are the student's alone"
        }

    def __post_init__(self):
        unknown = sorted(set(self.views) - set(VIEWS))
        if unknown or not self.views:
            raise ValueError(f"views {self.views!r}: name one or more of {', '.join(VIEWS)}")

    def choices(self, utterance, rng):
        """Ask nothing, once for each view."""
        for view in self.views:
            yield Choice(task="none", options={"view": view})

    def layout(self, utterance, choice, response):
        """The speech alone or in its slots, then the LLM's own reply to its text."""
        view = choice.options["view"]
        system = self.persona if view == PERSONA else None if self.no_system_prompt else DEFAULT
        read = (Speech(utterance.text),) if view == TRANSCRIPT else self._slots(utterance)
        spoken = read if self.voice_branch is None else self._slots(utterance)
        student, teacher = (View((*segments, response), system=system) for segments in (spoken, read))
        return Layout.of(student, teacher.read())

    def slot(self, utterance):
        """The speech alone, or in its slots if it is trained in them."""
        alone = set(self.views) == {TRANSCRIPT} and self.voice_branch is None
        return (Speech(utterance.text),) if alone else self._slots(utterance)

    def _slots(self, utterance):
        values = ((name, utterance.attributes.get(name)) for name in self.attributes)
        known = ", ".join(
            f"{name}: {_in_words(name, value)}" for name, value in values if value not in (None, "")
        )
        if self.voice_branch is None:
            whole = Speech(f"<meta>{known}</meta><text>{utterance.text}</text>")
            return (Text("<audio>"), whole, Text("</audio>"))
        return (
            Text("<audio><meta>"),
            Speech(known, branch=self.voice_branch, tag="attributes"),
            Text("</meta><text>"),
            Speech(utterance.text),
            Text("</text></audio>"),
        )


def _in_words(name: str, value) -> str:
    """An attribute in words; ages in years by the paper's groups."""
    try:
        years = float(value) if name == "age" else None
    except ValueError:  # such as "twenties"
        years = None
    if years is None:
        return str(value)
    groups = {"teenager": years < 18, "young adult": years < 40, "middle-age": years <= 60, "senior": True}
    return next(group for group, within in groups.items() if within)
