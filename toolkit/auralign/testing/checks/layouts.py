"""Checks of what a method asks and lays out: its choices, and the student's and the teacher's views."""

import contextlib
import copy
from dataclasses import replace
from random import Random

from auralign.layout import Code, Layout, Response, Speech, Text, View
from auralign.method import AlignmentMethod, MethodFailedError, draw, lay_out
from auralign.records import Utterance
from auralign.render import Rendered
from auralign.testing.checks.failure import fail
from auralign.testing.world import RESPONSE, UTTERANCES, get_world, make_layouts, tried_utterances

NUM_DRAWS = 20  # a coin that falls the same way twenty times is no coin
ODD_TEXTS = (
    "",
    "مرحبا بالعالم",
    "三五九",
    "</s><|im_end|><|eot_id|>",
    "{speech} {}",
    "tab\tline\nnul\0",
    "word " * 500,
)


def check_layout(method: AlignmentMethod) -> None:
    """Without speech there is nothing to hear, without a target nothing to learn, and the teacher has no ears."""
    texts = set()
    if not make_layouts(method):
        fail(
            method,
            "it asks nothing about any utterance",
            "yield a Choice for one with text, words, gender, age and emotion",
        )
    for utterance, layout in make_layouts(method):
        speech = [segment for segment in layout.student.contents if isinstance(segment, Speech)]
        texts |= {(segment.of or utterance.id, segment.text) for segment in speech}
        if not speech:
            fail(
                method,
                "its student view has no Speech",
                "put Speech(utterance.text) at the position of the audio",
            )
        if any(isinstance(segment, Speech) for segment in layout.teacher.contents):
            fail(method, "its teacher view has Speech", "let the teacher read: Layout.of(student) does")
        for name, view in (("student", layout.student), ("teacher", layout.teacher)):
            if view.response is None and not _is_unasked(method, view):
                fail(
                    method,
                    f"its {name} view has no Response",
                    "put `response` last; only a document of a method with Needs(target=False) has none",
                )
    if len({text for _, text in texts}) < len({identity for identity, _ in texts}):
        fail(method, "its Speech has the same text whatever was said", "write Speech(utterance.text)")


def check_layout_knows_no_answer(method: AlignmentMethod) -> None:
    """The LLM is asked before there is an answer: another response may change the Response alone, and goes into it as it is.
    Grades may change what the student reads, and never what the LLM is asked."""
    for name in method.needs.grades:
        if any(name not in grades for grades in method.grades_tried):
            fail(
                method,
                f"it needs the grade {name!r} and is not tried with one",
                f"give two values that it tells apart: grades_tried = ({{{name!r}: 0.0}}, {{{name!r}: 1.0}})",
            )
    for utterance in tried_utterances(method):
        for choice in draw(method, utterance, Random(f"1:{utterance.id}")):
            asked = lay_out(method, utterance, choice, Response("")).teacher.before_target()
            for grades in method.grades_tried:
                graded = lay_out(method, utterance, choice, Response(RESPONSE, grades=grades))
                if graded.teacher.before_target() != asked:
                    fail(
                        method,
                        f"what the LLM is asked changes with the grades {dict(grades)} of its answer",
                        "let the student's view alone read response.grades, and pass the teacher's: Layout(student, teacher)",
                    )
            laid = {
                text: lay_out(method, utterance, choice, Response(text)) for text in (RESPONSE, "zyzzyva")
            }
            for text, layout in laid.items():
                if layout.student.response != Response(text) and not _is_unasked(method, layout.student):
                    fail(
                        method,
                        f"the response {text!r} becomes {layout.student.response}",
                        "hand `response` on as it is",
                    )
            prompts = {
                (layout.student.before_target(), layout.teacher.before_target()) for layout in laid.values()
            }
            if len(prompts) > 1:
                fail(
                    method,
                    "its prompt changes with the response",
                    "lay out the prompt from utterance and choice alone",
                )


def check_layout_is_pure(method: AlignmentMethod) -> None:
    """Targets are asked for and trained on in different runs: what was drawn must be drawn again, and laid out alike."""
    for utterance in tried_utterances(method):
        before = copy.deepcopy(utterance)
        first, *others = (draw(method, utterance, Random("seed")) for _ in range(NUM_DRAWS))
        again = next((found for found in others if found != first), first)
        if first != again:
            fail(
                method,
                f"choices draws {first}, then {again}",
                "draw from the rng that is given, and from nothing else",
            )
        for choice in first:
            laid = [lay_out(method, utterance, choice, Response(RESPONSE)) for _ in range(NUM_DRAWS)]
            if any(layout != laid[0] for layout in laid):
                fail(
                    method,
                    "layout gives two layouts for one choice",
                    "draw in `choices` and keep it in the Choice",
                )
        if utterance != before:
            fail(method, "it changes the utterance", "make new values; the records are shared")


def check_choices_are_kept(method: AlignmentMethod) -> None:
    """A choice is kept with its target as JSON; what comes back must lay out as what was drawn."""
    from auralign.generate.targets import draw_choices

    for utterance in tried_utterances(method):
        drawn = draw(method, utterance, Random(f"1:{utterance.id}"))
        for before, after in zip(drawn, draw_choices(method, utterance, 1), strict=True):
            layouts = [lay_out(method, utterance, choice, Response(RESPONSE)) for choice in (before, after)]
            if layouts[0] != layouts[1]:
                fail(
                    method,
                    f"the choice {before} is read back as {after}",
                    "keep plain values: str, numbers, lists, dicts",
                )


def check_odd_texts(method: AlignmentMethod) -> None:
    """Corpora hold empty lines, other scripts, special tokens and half an hour in one row: text is data."""
    _, renderer = get_world(method)
    for text in ODD_TEXTS:
        utterance = replace(UTTERANCES[0], id="odd", text=text, words=())
        odd, plain = (make_layouts(method, [said]) for said in (utterance, replace(utterance, text="three")))
        for (_, layout), (_, other) in zip(odd, plain, strict=True):
            if _frame(renderer.render(layout.teacher)) != _frame(renderer.render(other.teacher)):
                fail(
                    method,
                    f"the text {text[:20]!r} changes the frame of the prompt",
                    "leave rendering to the toolkit",
                )


def check_student_is_asked_what_the_teacher_is(method: AlignmentMethod) -> None:
    """A model trained after another prompt than the one that drew its target learns the difference of the prompts."""
    for _, layout in make_layouts(method):
        student, teacher = layout.student.read().before_target(), layout.teacher.before_target()
        if _said(student) != _said(teacher) or student.system != teacher.system:
            fail(
                method,
                f"the LLM is asked {_said(teacher)!r}, the model is trained after {_said(student)!r}",
                "use Layout.of(student); if the difference is the method, declare this check in expected_failures",
            )


def check_student_is_not_told(method: AlignmentMethod) -> None:
    """What the student can read it need not hear: neither the transcript nor an attribute may be in its text."""
    for utterance in tried_utterances(method):
        for name, value in utterance.attributes.items():
            other = value + 100 if isinstance(value, (int, float)) else "zyzzyva"
            changed = replace(utterance, attributes={**utterance.attributes, name: other})
            if _texts_of_students(method, utterance, utterance) != _texts_of_students(
                method, utterance, changed
            ):
                fail(
                    method,
                    f"what its student reads changes with the {name} of the utterance",
                    "give it Speech there; if it is meant, declare it in expected_failures",
                )
    secret = Utterance(
        id="secret",
        audio="s.flac",
        seconds=1.0,
        text="zyzzyva quokka",
        speaker="rumpelstiltskin",
        words=(("zyzzyva", 0.0, 0.5), ("quokka", 0.5, 1.0)),
        attributes={"emotion": "flabbergasted"},
    )
    for _, layout in make_layouts(method, [secret]):
        text = " ".join(_texts_of(layout)).lower()
        read = [word for word in ("zyzzyva", "quokka", "flabbergasted", "rumpelstiltskin") if word in text]
        if read:
            fail(
                method,
                f"its student reads {read}",
                "give it Speech there; if it is meant, declare it in expected_failures",
            )


def _texts_of(layout: Layout) -> list[str]:
    """What the student reads, by words or by tokens of a book."""
    texts = [segment.text for segment in layout.student.contents if isinstance(segment, Text)]
    codes = [" ".join(map(str, one.ids)) for one in layout.student.contents if isinstance(one, Code)]
    return [*texts, *codes, str(layout.student.system)]


def _texts_of_students(method: AlignmentMethod, utterance: Utterance, changed: Utterance) -> list[list[str]]:
    """What students of a changed utterance read; by the choices for the other if fewer things are asked about it."""
    choices = draw(method, utterance, Random(f"1:{utterance.id}"))
    with contextlib.suppress(MethodFailedError):  # of a value that the method does not know
        drawn = draw(method, changed, Random(f"1:{utterance.id}"))
        choices = drawn if len(drawn) == len(choices) else choices
    return [_texts_of(lay_out(method, changed, choice, Response(RESPONSE))) for choice in choices]


def _is_unasked(method: AlignmentMethod, view: View) -> bool:
    """Whether a view may do without a Response: nothing is asked, and its text is what is learnt."""
    return view.response is None and view.has_turns and not method.needs.target


def _said(view: View) -> str:
    return "".join(segment.text for segment in view.contents)


def _frame(rendered: Rendered) -> tuple:
    return tuple(piece.ids for piece in rendered.pieces if piece.tag == "frame")
