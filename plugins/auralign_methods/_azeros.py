"""What the arms of AZeroS share: `transcription` (TSIT), `sit` and `sift` differ in what is asked and taught alone.

Facts marked "script" are of examples/azeros/scripts/data_generation/run_data_generation.py in https://github.com/AudenAI/Auden,
those marked "texts" of auden/utils/text_normalization.py there.
"""

import re
from dataclasses import dataclass

from auralign.layout import DEFAULT, SLOT, Response, Speech, System, Text, View, fill
from auralign.method import AlignmentMethod
from auralign.records import Utterance
from auralign.text.attributes import spoken_form
from auralign.text.words import is_unknown

VIEWS = TRANSCRIPT, ATTRIBUTES, PERSONA = ("s", "sp", "ssp")
FIRST, LAST = "first", "last"
# Quotes at the edges of a slot.
QUOTED, CLOSING = re.compile(r"""["'“‘«<]+\s*$"""), re.compile(r"""\s*["'”’»>]+""")
BRACKETED = re.compile(r"\[[^\]]*\]|<[^>]*>|\([^)]*\)")
# Texts: Hangul, Chinese and Japanese characters, with their punctuation.
EAST_ASIAN = "\u1100-\u11ff\u2e80-\ua4cf\ua840-\ud7af\uf900-\ufaff\ufe30-\ufe4f\uff65-\uffdc\U00020000-\U0002ffff\uff01-\uff60"
SPACE_WITHIN = re.compile(rf"(?<=[{EAST_ASIAN}])\s+(?=[{EAST_ASIAN}])")
EDGE = re.compile(rf"(?<=[^\s{EAST_ASIAN}])(?=[{EAST_ASIAN}])")


@dataclass(frozen=True)
class Arm(AlignmentMethod):
    """Text, system prompt and choice of utterances of an arm.

    Arguments
    ---------
    no_system_prompt : bool
        True (default), as in all arms of the paper; False keeps the recipe's, or the one that the chat template puts itself.
    normalize : bool
        Whether texts are in lower case, without what stands in brackets, without spaces between Chinese characters and with one
        from a Latin word to them, as in the paper; default False.
    min_seconds, max_seconds : float, optional
        Only utterances that are longer than the one and at most as long as the other; the paper's are 1 and 30. Default: all.
    max_letters_per_second : float, optional
        Only utterances with a text of fewer characters; the paper's is 30. Default: all.
    """

    no_system_prompt: bool = True
    normalize: bool = False
    min_seconds: float | None = None
    max_seconds: float | None = None
    max_letters_per_second: float | None = None

    paper = "2601.06086"

    def __post_init__(self):
        limits = {"min_seconds": self.min_seconds, "max_seconds": self.max_seconds}
        limits["max_letters_per_second"] = self.max_letters_per_second
        for name, value in limits.items():
            if value is not None and not value >= 0:
                raise ValueError(
                    f"{name} {value!r}: give a number that is not negative, or null for no limit"
                )
        least, most = self.min_seconds, self.max_seconds
        if least is not None and most is not None and least >= most:
            raise ValueError(f"min_seconds {least} leaves nothing below max_seconds {most}")

    def text_of(self, utterance: Utterance) -> str:
        """The text that the LLM reads."""
        if not self.normalize:
            return utterance.text
        text = BRACKETED.sub(" ", utterance.text).lower()
        return " ".join(EDGE.sub(" ", SPACE_WITHIN.sub("", text)).split())

    def is_chosen(self, utterance: Utterance) -> bool:
        """Whether the utterance is within the limits."""
        seconds, limit = utterance.seconds, self.max_letters_per_second
        return (
            (self.min_seconds is None or seconds > self.min_seconds)
            and (self.max_seconds is None or seconds <= self.max_seconds)
            and (limit is None or 0 < len(utterance.text) < limit * seconds)
        )

    @property
    def system(self) -> System | None:
        """The system prompt of a view."""
        return None if self.no_system_prompt else DEFAULT


@dataclass(frozen=True)
class ViewingArm(Arm):
    """An arm that may give the LLM what is known of the speaker too.

    Arguments
    ---------
    views : list of str
        "s", the transcript; "sp", the transcript and the attributes; "ssp", these and a persona for the teacher. One example of
        each utterance for each.
    attributes : list of str
        The utterance's attributes that the LLM reads, in this order.
    voice_branch : str, optional
        The branch that encodes what the attributes describe; default: the main one encodes all.
    persona : str
        System prompt that the teacher reads in the view "ssp"; the student never does.
    refusals : list of str, optional
        Phrases by which an answer is rejected as a refusal; default: none, as in the paper. None: the toolkit's.
    """

    views: tuple[str, ...] = (TRANSCRIPT,)
    attributes: tuple[str, ...] = ("age", "gender", "emotion")
    voice_branch: str | None = None
    persona: str = (
        "You are somebody who listens. What reaches you was said aloud: take in the voice as well as the words, never say "
        "that you were told about it, and reply as one person to another."
    )
    refusals: tuple[str, ...] | None = ()

    def __post_init__(self):
        super().__post_init__()
        unknown = sorted(set(self.views) - set(VIEWS))
        if unknown or not self.views:
            raise ValueError(f"views {self.views!r}: name one or more of {', '.join(VIEWS)}")

    @property
    def expected_failures(self):
        """With two encoders, both are in the view "s" too; a persona is the teacher's alone."""
        reasons = []
        if self.voice_branch is not None and TRANSCRIPT in self.views:
            reasons.append("in the view s, the tags of the slots are the student's alone")
        if PERSONA in self.views:
            reasons.append("in the view ssp, the persona is the teacher's alone")
        return {"check_student_is_asked_what_the_teacher_is": "; ".join(reasons)} if reasons else {}

    def views_of(self, utterance: Utterance, view: str, instruction: str | None, response: Response):
        """The student's view and the teacher's: the speech alone, or in the slots of two encoders, within the instruction."""
        read = (Speech(self.text_of(utterance)),) if view == TRANSCRIPT else self._read(utterance)
        branch = self.voice_branch
        spoken = read if branch is None else self._slots(utterance, branch)
        system = self.persona if view == PERSONA else self.system
        student = View((*fill(instruction, *spoken), response), system=self.system)
        return student, View((*fill(instruction, *read), response), system=system).read()

    def slot(self, utterance):
        """The speech alone; in the slots of two encoders, if there are two."""
        branch = self.voice_branch
        return (Speech(utterance.text),) if branch is None else self._slots(utterance, branch)

    def _read(self, utterance: Utterance):
        """The text with its attributes, in one segment if one encoder hears it all."""
        if self.voice_branch is not None:
            return self._slots(utterance, self.voice_branch)
        meta, text = self._known(utterance), self.text_of(utterance)
        return (Speech(f"<audio><meta>{meta}</meta><text>{text}</text></audio>"),)

    def _slots(self, utterance: Utterance, branch: str):
        return (
            Text("<audio><meta>"),
            Speech(self._known(utterance), branch=branch, tag="attributes"),
            Text("</meta><text>"),
            Speech(self.text_of(utterance)),
            Text("</text></audio>"),
        )

    def _known(self, utterance: Utterance) -> str:
        """Such as: age: young adult, emotion: happy"""
        named = ((name, spoken_form(name, utterance.attributes.get(name))) for name in self.attributes)
        return ", ".join(f"{name}: {value}" for name, value in named if not is_unknown(value))


def check_place(speech_place: str | None) -> None:
    """Raise ValueError on another value of the option than "first", "last" and None."""
    if speech_place not in (None, FIRST, LAST):
        raise ValueError(
            f"speech_place {speech_place!r}: use {FIRST}, {LAST}, or null for the place in the instruction"
        )


def place(instruction: str, speech_place: str | None) -> str:
    """An instruction with its slot moved to the beginning ("first") or the end ("last"); None leaves it.

    The quotes around the slot and a full stop after it go.

    >>> place("transcribe this: {speech}", "first"), place("{speech} Repeat the above content.", "first")
    ('{speech} transcribe this', '{speech} Repeat the above content.')
    >>> place('Transcribe: "{speech}"', "first"), place('Transcribe: "{speech}"', "last")
    ('{speech} Transcribe', 'Transcribe: "{speech}"')
    """
    before, _, after = instruction.partition(SLOT)
    beyond = before if speech_place == FIRST else after
    if speech_place is None or not any(letter.isalnum() for letter in beyond):
        return instruction
    opening, closing = QUOTED.search(before), CLOSING.match(after)
    if opening and closing:  # the quotes go with the speech
        before, after = before[: opening.start()], after[closing.end() :]
    parts = (part.strip() for part in (before, after) if any(letter.isalnum() for letter in part))
    words = " ".join(parts).rstrip(":：")
    return f"{SLOT} {words}" if speech_place == FIRST else f"{words} {SLOT}"
