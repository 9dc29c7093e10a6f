"""The conformance kit: every shipped method passes, and each check catches a method broken in just that way."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from random import random

import pytest

import auralign
from auralign import layout, method
from auralign.layout import Code, Layout, Response, Speech, Text, View, fill
from auralign.losses import Term
from auralign.method import AlignmentMethod, Needs
from auralign.plugins import find_methods, load_class
from auralign.records import Choice
from auralign.testing import CHECKS, CheckFailedError, check_method, parametrize_with_checks
from auralign.testing.checks import run_check

SHIPPED = [load_class(entry) for entry in find_methods() if entry.package == "auralign"]


@parametrize_with_checks(SHIPPED)
def test_a_shipped_method_passes(method, check):
    check(method)


@dataclass(frozen=True)
class Sound(AlignmentMethod):
    """A method with nothing wrong."""

    instruction: str = "repeat {speech}"
    name = "sound"

    def choices(self, utterance, rng):
        yield Choice(task="repeat", instruction=self.instruction, options={"draw": rng.random()})

    def layout(self, utterance, choice, response):
        return Layout.of(View((*fill(choice.instruction, Speech(utterance.text)), response)))


class Nameless(Sound):
    """It has no name."""

    name = ""


class OldApi(Sound):
    """It speaks another API."""

    api_version = 0


class Undocumented(Sound):
    __doc__ = ""


@dataclass(frozen=True)
class Forgetful(Sound):
    """Its options cannot make it again."""

    def options(self):
        return {"instruction": "another {speech}"}


class Closed(Sound):
    """Its options are no plain values."""

    def options(self):
        return {"instruction": object()}


class Deaf(Sound):
    """It has no speech."""

    def layout(self, utterance, choice, response):
        return Layout.of(View((Text(utterance.text), response)))


class HearingTeacher(Sound):
    """Its teacher has speech."""

    def layout(self, utterance, choice, response):
        view = View((Speech(utterance.text), response))
        return Layout(student=view, teacher=view)


class Aimless(Sound):
    """It has no target."""

    def layout(self, utterance, choice, response):
        return Layout.of(View((Speech(utterance.text),)))


class Moody(Sound):
    """Its layout is drawn anew each time."""

    def layout(self, utterance, choice, response):
        return Layout.of(View((Text(f"{random()}"), Speech(utterance.text), response)))


class Restless(Sound):
    """Its choices hang on more than the rng."""

    def choices(self, utterance, rng):
        yield Choice(task=f"{random()}", instruction=self.instruction)


class Vandal(Sound):
    """It changes the utterance."""

    def layout(self, utterance, choice, response):
        utterance.attributes["seen"] = True
        return super().layout(utterance, choice, response)


class Picky(Sound):
    """Its choice does not come back from JSON as it was."""

    def choices(self, utterance, rng):
        yield Choice(task="repeat", options={"pair": (1, 2)})

    def layout(self, utterance, choice, response):
        return Layout.of(View((Text(str(choice.options["pair"])), Speech(utterance.text), response)))


class Fragile(Sound):
    """An odd text changes its system prompt."""

    def layout(self, utterance, choice, response):
        system = None if utterance.text.isascii() else "this is not English"
        return Layout.of(View((Speech(utterance.text), response), system=system))


class TwoFaced(Sound):
    """It asks the LLM one thing and trains after another."""

    def layout(self, utterance, choice, response):
        student = View((Text("repeat "), Speech(utterance.text), response))
        return Layout.of(student, View((Text("say again "), Text(utterance.text), response)))


class Telltale(Sound):
    """Its student reads the transcript."""

    def layout(self, utterance, choice, response):
        return Layout.of(View((Text(utterance.text), Speech(utterance.text), response)))


class Blabber(Sound):
    """Its student reads the emotion."""

    def layout(self, utterance, choice, response):
        mood = utterance.attributes.get("emotion", "")
        return Layout.of(View((Text(f"({mood}) "), Speech(utterance.text), response)))


class Mean(Sound):
    """Its loss is a mean."""

    def loss(self, views):
        term = super().loss(views)["cross_entropy"]
        return {"mean": replace(term, sum=term.sum / max(term.count, 1))}


class Constant(Sound):
    """Its loss hangs on nothing that is trained."""

    def loss(self, views):
        term = super().loss(views)["cross_entropy"]
        return {"constant": replace(term, sum=term.sum.detach())}


class Unshifted(Sound):
    """It compares the states at the target's tokens with those that predict them: off by one."""

    needs = Needs(teacher=True)

    def loss(self, views):
        from auralign.losses import distance

        return {"off": distance(views["student"].at("target"), views["teacher"].predicting("target"))}


class Tinkerer(Sound):
    """It trains the LLM's embeddings behind the toolkit's back."""

    def loss(self, views):
        llm = views["student"].llm
        llm.model.get_input_embeddings().weight.data.add_(1e-3)
        return super().loss(views)


class Backwards(Sound):
    """It raises the loss."""

    def loss(self, views):
        term = super().loss(views)["cross_entropy"]
        return {"cross_entropy": Term(-term.sum, term.count)}


class Mute(Sound):
    """Its speech stands for no text of the utterance."""

    def layout(self, utterance, choice, response):
        return Layout.of(View((Text("repeat "), Speech("hello"), response)))


class Clairvoyant(Sound):
    """Its prompt knows the answer."""

    def layout(self, utterance, choice, response):
        return Layout.of(View((Text(response.text), Speech(utterance.text), response)))


class Rewriter(Sound):
    """It teaches another answer than the LLM's."""

    def layout(self, utterance, choice, response):
        return super().layout(utterance, choice, replace(response, text="yes"))


class Secretive(Sound):
    """Its options do not tell what it was made with."""

    def __init__(self, instruction="repeat {speech}"):
        object.__setattr__(self, "instruction", instruction)

    def options(self):
        return {}


class Gossip(Sound):
    """Its system prompt says what was said."""

    def layout(self, utterance, choice, response):
        view = View((Speech(utterance.text), response), system=f"It says: {utterance.text}")
        return Layout.of(view)


class Coin(Sound):
    """Its choice hangs on a coin."""

    def choices(self, utterance, rng):
        yield Choice(task="a" if random() < 0.5 else "b", instruction=self.instruction)


class Shapeless(Sound):
    """Its term is no scalar."""

    def loss(self, views):
        return {"vector": Term(views["student"].predicting("target").sum(-1), 1)}


class Misspelt(Sound):
    """A term reads a tag that no view has."""

    needs = Needs(teacher=True)

    def loss(self, views):
        student, teacher = views["student"], views["teacher"]
        return {**super().loss(views), "cosine": student.cosine_distance(teacher, "tagret")}


class Miscounted(Sound):
    """A term adds up sequences, and is divided by tokens."""

    def loss(self, views):
        student = views["student"]
        return {"mean": Term(student.predicting("target").square().mean(), len(student.choices))}


class Presumptuous(Sound):
    """It reads the teacher's view without asking for it."""

    def loss(self, views):
        return {"divergence": views["student"].divergence(views["teacher"], "target")}


class Slow(Sound):
    """It tells the student the speed of speech."""

    attributes_tried = {"speed": "andante"}

    def layout(self, utterance, choice, response):
        speed = utterance.attributes.get("speed", "")
        return Layout(View((Text(f"said {speed}: "), Speech(utterance.text), response)))


class Fair(Sound):
    """It asks for more of an answer that will be good."""

    grades_tried = ({"quality": 0.0}, {"quality": 1.0})

    def layout(self, utterance, choice, response):
        well = " well" * bool(response.grades.get("quality"))
        return Layout.of(View((*fill(choice.instruction + well, Speech(utterance.text)), response)))


class Ungraded(Sound):
    """It needs a grade, and is never tried with one: what it does with it would not be seen."""

    needs = Needs(grades=("quality",))


class Flatterer(Sound):
    """Its student reads which word was said, as a token of a book."""

    def layout(self, utterance, choice, response):
        word = Code("words", (utterance.text.split()[0],)) if utterance.text else Text("")
        return Layout(View((word, Speech(utterance.text), response)))


class Marked(Sound):
    """Its student reads tokens of two books, one of which depends on the grade."""

    grades_tried = ({"quality": 0.0}, {"quality": 1.0})

    def layout(self, utterance, choice, response):
        mark = Code("quality", ("good" if response.grades.get("quality") else "bad",))
        said = fill(choice.instruction, Speech(utterance.text))
        return Layout(View((mark, *said, Code("numbers", (6, 0)), response)))


BROKEN = {
    Fair: "check_layout_knows_no_answer",
    Ungraded: "check_layout_knows_no_answer",
    Flatterer: "check_student_is_not_told",
    Misspelt: "check_terms_count_their_unit",
    Miscounted: "check_terms_count_their_unit",
    Presumptuous: "check_loss",
    Slow: "check_student_is_not_told",
    Mute: "check_layout",
    Clairvoyant: "check_layout_knows_no_answer",
    Rewriter: "check_layout_knows_no_answer",
    Secretive: "check_options",
    Gossip: "check_student_is_not_told",
    Shapeless: "check_loss",
    Nameless: "check_metadata",
    OldApi: "check_metadata",
    Undocumented: "check_metadata",
    Forgetful: "check_options",
    Closed: "check_options",
    Deaf: "check_layout",
    HearingTeacher: "check_layout",
    Aimless: "check_layout",
    Moody: "check_layout_is_pure",
    Restless: "check_layout_is_pure",
    Vandal: "check_layout_is_pure",
    Picky: "check_choices_are_kept",
    Fragile: "check_odd_texts",
    TwoFaced: "check_student_is_asked_what_the_teacher_is",
    Telltale: "check_student_is_not_told",
    Blabber: "check_student_is_not_told",
    Mean: "check_loss",
    Constant: "check_loss",
    Unshifted: "check_teacher_is_matched_by_an_oracle",
    Tinkerer: "check_what_is_frozen_stays",
    Backwards: "check_it_learns",
}


def check_named(name):
    return next(check for check in CHECKS if check.__name__ == name)


def test_a_sound_method_passes_all():
    check_method(Sound)


def test_a_sound_method_with_tokens_of_books_and_grades_passes_all():
    check_method(Marked)


def test_a_method_may_use_the_older_name_of_the_response():
    class Older(Sound):
        """It makes a `Target`, and reads the target of a view."""

        def layout(self, utterance, choice, response):
            view = super().layout(utterance, choice, response).student
            assert isinstance(view.target, layout.Target)
            answer = method.Target(view.target.text, view.target.finished, ids=view.target.ids)
            return Layout.of(View((*view.before_target().segments, answer)))

    check_method(Older)
    assert auralign.Target is auralign.Response


@pytest.mark.parametrize(("broken", "name"), BROKEN.items(), ids=lambda case: getattr(case, "__name__", case))
def test_a_broken_method_is_caught_by_its_check(broken, name):
    with pytest.raises(CheckFailedError):
        run_check(check_named(name), broken())


def test_a_coin_is_thrown_often_enough():
    for _ in range(20):
        with pytest.raises(CheckFailedError):
            run_check(check_named("check_layout_is_pure"), Coin())


def test_a_cosine_may_round():
    class Cosine(Sound):
        """Cosine distance to the teacher."""

        needs = Needs(teacher=True)

        def loss(self, views):
            from auralign.losses import cosine_distance

            pair = [views[name].predicting("target") for name in ("student", "teacher")]
            return {"cosine": cosine_distance(*pair)}

    run_check(check_named("check_teacher_is_matched_by_an_oracle"), Cosine())


def test_a_failure_tells_why_the_check_is_there():
    with pytest.raises(
        CheckFailedError, match="put Speech.*\n.*check_layout: Without speech there is nothing to hear"
    ):
        run_check(check_named("check_layout"), Deaf())


def test_whatever_a_method_raises_is_a_failure_and_may_be_expected():
    class Refuses(Sound):
        """It refuses an empty text."""

        expected_failures = {"check_odd_texts": "it cannot lay out an empty text"}

        def layout(self, utterance, choice, response):
            if not utterance.text:
                raise KeyError("empty")
            return super().layout(utterance, choice, response)

    check_method(Refuses)


def test_an_instruction_may_name_what_might_be_heard():
    class Asks(Sound):
        """Its instruction names attributes, the same ones of everybody."""

        instruction = "Is the speaker female or male, happy or sad? {speech}"

    run_check(check_named("check_student_is_not_told"), Asks())


def test_a_transcript_in_another_spelling_is_told_all_the_same():
    class Joins(Sound):
        """It joins the words."""

        def layout(self, utterance, choice, response):
            return Layout(View((Text(utterance.text.replace(" ", "_")), Speech(utterance.text), response)))

    with pytest.raises(CheckFailedError, match="its student reads"):
        run_check(check_named("check_student_is_not_told"), Joins())


def test_an_attribute_that_is_a_number_is_told_too():
    class Tells(Sound):
        """It tells the age."""

        def layout(self, utterance, choice, response):
            age = utterance.attributes.get("age", "")
            return Layout(View((Text(f"{age} years: "), Speech(utterance.text), response)))

    with pytest.raises(CheckFailedError, match="changes with the age"):
        run_check(check_named("check_student_is_not_told"), Tells())


def test_every_check_is_tried_by_a_broken_method():
    assert {check.__name__ for check in CHECKS} == set(BROKEN.values())


def test_a_failure_that_is_expected_and_comes_is_none():
    class Declared(TwoFaced):
        """Another teacher's prompt is the method."""

        expected_failures = {"check_student_is_asked_what_the_teacher_is": "the teacher is told more"}

    check_method(Declared)


def test_a_failure_that_is_expected_and_does_not_come_is_one():
    class Declared(Sound):
        """It declares a failure that does not come."""

        expected_failures = {"check_layout": "no reason"}

    with pytest.raises(CheckFailedError, match="passes, but is declared to fail .no reason."):
        check_method(Declared)


def test_an_unknown_check_cannot_be_declared():
    class Declared(Sound):
        """It declares what is no check."""

        expected_failures = {"check_colour": "blue"}

    with pytest.raises(CheckFailedError, match="check_colour"):
        check_method(Declared)


def test_a_class_that_needs_options_says_which():
    @dataclass(frozen=True)
    class Needy(Sound):
        """It needs an option."""

        level: int = None

        def __post_init__(self):
            if self.level is None:
                raise TypeError("level is missing")

    with pytest.raises(CheckFailedError, match="level is missing.*`examples`"):
        check_method(Needy)


def test_every_check_says_why():
    assert all((check.__doc__ or "").strip() for check in CHECKS)


def test_the_target_of_the_kit_is_taught():
    assert Response("x").finished


@pytest.mark.parametrize(
    ("needs", "read", "says"),
    [
        (Needs(), lambda views: views["teacher"], "no 'teacher' among 'student': name it in .*Needs.teacher=True"),
        (Needs(), lambda views: views["student"].heads["mood"], "no 'mood' among none: name it, with its number of outputs"),
        (Needs(), lambda views: views["student"].extras["quantity"], "no 'quantity' among none: use a connector that gives it"),
        (Needs(), lambda views: None, "must return a dict of at least one Term by name; it returned NoneType"),
        (Needs(), lambda views: {"a": views["student"].predicting("target").sum()}, "its loss returns Tensor as 'a'"),
    ],
)  # fmt: skip
def test_what_a_loss_may_not_do_is_said(needs, read, says):
    class Reads(Sound):
        """Its loss reads something."""

        def loss(self, views):
            return read(views)

    with pytest.raises(CheckFailedError, match=says):
        run_check(check_named("check_loss"), Reads())


def test_the_example_of_the_guide_is_what_the_guide_says():
    """The methods that CONTRIBUTING shows pass the kit, as it stands there."""
    guide = (Path(__file__).parents[3] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    first, _, *others = (block.split("```")[0] for block in guide.split("```python\n")[1:])
    (longest,) = (block for block in others if "heads=" in block)
    declared = dict(re.findall(r"`((?:not_distances|expected_failures) = [^`]+)`()", guide))
    given = {"instruction": 'instruction: str = "go on: {speech}"', "name": 'name = "heard"'}
    body = "\n".join(f"    {line}" for line in (*given.values(), *declared))
    code = (
        "import torch\nfrom auralign.layout import Text\nfrom auralign.losses import Term, quantity_error\n"
        "from auralign.method import Needs\nSPEEDS = ('slow', 'medium', 'fast')\n"
        f"{first}\n\n@dataclass(frozen=True)\nclass Heard(AlignmentMethod):\n    '''Of the guide.'''\n\n{body}\n{longest}"
    )
    found = {}
    exec(compile(code, "CONTRIBUTING.md", "exec"), found)
    check_method(found["Keywords"])
    check_method(found["Heard"])
