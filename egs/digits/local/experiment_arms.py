"""The arms of the experiments: what the student is asked, what it is taught, and the questions about tasks that no arm trains.

arm = Arm(ask="licensed", teach="bare", licensed="write")    # "write {speech}" -> "three five nine"
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from random import Random

import world
from auralign.layout import STUDENT, TARGET, Layout, Speech, View, fill
from auralign.losses import quantity_error
from auralign.method import AlignmentMethod, Needs
from auralign.records import Choice, Question, Utterance

NOTHING, LICENSED, UNLICENSED = "nothing", "licensed", "unlicensed"
PLACES = {
    "": lambda text: True,
    "first": lambda text: text.startswith(world.SLOT),
    "last": lambda text: text.endswith(world.SLOT),
}
"""Where the speech is in the phrasings of a request; "": anywhere."""
TAUGHT = ("default", "own", "bare", "spanish")
NUM_QUESTIONS = 2  # of each utterance


@dataclass(frozen=True)
class Arm(AlignmentMethod):
    """One way to choose prompt and target; the loss is cross-entropy on the target, and with a counting connector the count's.

    Arguments
    ---------
    ask : str
        "nothing", or the request for the words said that licenses bare digits ("licensed"), or the other one ("unlicensed").
    teach : str
        "default", the LLM's reply to bare digits; "own", its answer to the request; "bare", the digits alone; "spanish", its
        answer to a request for Spanish. All by the rules of `world`, which the LLM follows.
    licensed : str
        Key of `world.VERBATIM`: the request that licenses bare digits.
    counts : bool
        Whether the connector makes one embedding for each token; default False.
    place : str
        Of the speech in the request: "first" or "last"; default "", as each training phrasing has it.
    """

    ask: str
    teach: str
    licensed: str
    counts: bool = False
    place: str = ""

    name = "arm"

    def __post_init__(self):
        for value, known in (
            (self.ask, (NOTHING, LICENSED, UNLICENSED)),
            (self.teach, TAUGHT),
            (self.place, tuple(PLACES)),
        ):
            if value not in known:
                raise ValueError(f"experiments.yaml: an arm with {value!r}: use {', '.join(known)}")
        if self.teach == "own" and self.ask == NOTHING:
            raise ValueError("experiments.yaml: an arm that asks nothing teaches default, bare or spanish")

    @property
    def needs(self):
        """The transcript's token count, if the connector counts."""
        return Needs(num_tokens=self.counts, llm_views=(STUDENT,))

    def choices(self, utterance, rng):
        """One request, in one of its training phrasings."""
        instruction = None
        if self.ask != NOTHING:
            other = next(way for way in sorted(world.VERBATIM) if way != self.licensed)
            way = self.licensed if self.ask == LICENSED else other
            trained = world.VERBATIM[way][: world.NUM_TRAINING_PHRASINGS]
            instruction = rng.choice([text for text in trained if PLACES[self.place](text)])
        yield Choice(task="none" if instruction is None else "repeat", instruction=instruction)

    def given_response(self, utterance, choice):
        """The target, by rule."""
        digits = utterance.text.split()
        if self.teach == "bare" or (self.teach == "own" and self.ask == LICENSED):
            return utterance.text
        if self.teach == "default":
            return world.default_reply(digits)
        return world.answer("repeat" if self.teach == "own" else self.teach, digits)

    def layout(self, utterance, choice, response):
        """The request with the speech in its slot, then the target."""
        return Layout.of(View((*fill(choice.instruction, Speech(utterance.text)), response)))

    def loss(self, views):
        """Cross-entropy on the target, and the error of the connector's count."""
        student = views[STUDENT]
        terms = {"cross_entropy": student.cross_entropy(TARGET)}
        if self.counts:
            error = quantity_error(student.extras["quantity"], student.extras["num_tokens"])
            terms["quantity"] = replace(error, weight=1.0)
        return terms


def make_questions(utterances: Iterable[Utterance]) -> list[Question]:
    """Questions about tasks that no arm trains, two for each utterance.

    An utterance is asked only what tells the tasks apart: the right answer's words are not those of another task, nor the words
    said (palindromes, sorted strings). Utterances with fewer than two such tasks are left out.
    """
    questions = []
    for utterance in utterances:
        digits = utterance.text.split()
        words = {name: tuple(task.answer(digits)) for name, task in world.TASKS.items()}
        unseen = [name for name in world.TASKS if name not in world.HEARD_COMMANDS]
        apart = [
            name
            for name in unseen
            if all(words[name] != other for task, other in words.items() if task != name)
        ]
        rng = Random(utterance.id)
        if len(apart) < NUM_QUESTIONS:
            continue
        for task in rng.sample(apart, NUM_QUESTIONS):
            instruction = rng.choice(world.TASKS[task].phrasings)
            questions.append(
                Question(
                    key=f"{utterance.id}:{task}",
                    utt_id=utterance.id,
                    group="unseen tasks",
                    task=task,
                    instruction=instruction,
                    reference=world.reference(task, digits),
                )
            )
    return questions
