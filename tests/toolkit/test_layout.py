"""Views: one target at the end, speech read as text, instructions with one slot."""

from types import SimpleNamespace

import pytest

from auralign.layout import Layout, Response, Speech, Text, View, fill


def test_target_stands_last():
    with pytest.raises(ValueError, match="as its last segment"):
        View((Response("a"), Text("b")))


def test_reading_replaces_speech_by_its_text():
    view = View((Text("say "), Speech("three"), Response("three")))
    assert view.read().segments == (Text("say "), Text("three", tag="speech"), Response("three"))


def test_teacher_reads_what_the_student_hears():
    student = View((Speech("three"), Response("x")))
    assert Layout.of(student).teacher == student.read()


def test_prompt_is_the_view_without_its_target():
    assert View((Speech("three"), Response("x"))).before_target() == View((Speech("three"),))


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        (None, (Speech("five"),)),
        ("{speech}", (Speech("five"),)),
        ("repeat {speech}", (Text("repeat "), Speech("five"))),
        ("{speech} again", (Speech("five"), Text(" again"))),
        ("take {speech} now", (Text("take "), Speech("five"), Text(" now"))),
    ],
)
def test_speech_goes_where_the_slot_is(instruction, expected):
    assert fill(instruction, Speech("five")) == expected


@pytest.mark.parametrize("instruction", ["", "repeat", "{speech} {speech}", "{Speech}"])
def test_instruction_without_exactly_one_slot_is_refused(instruction):
    with pytest.raises(ValueError, match="exactly one {speech}"):
        fill(instruction, Speech("five"))


def test_a_layout_without_a_teacher_reads_what_the_student_hears():
    student = View((Text("say "), Speech("five"), Response("x")))
    assert Layout(student) == Layout.of(student) == Layout(student, student.read())


def test_a_layout_of_something_else_than_views_is_named():
    with pytest.raises(ValueError, match="the student of a layout is tuple"):
        Layout((Speech("five"),))


@pytest.mark.parametrize("span", [(0.5, 0.5), (-0.1, 1.0), (0.2, 1.1)])
def test_a_span_that_is_none_is_refused(span):
    with pytest.raises(ValueError, match="give .start, end. with 0 <= start < end <= 1"):
        Speech("five", span=span)


def test_the_segment_of_a_target_that_was_cut_off_is_not_finished():
    record = SimpleNamespace(response="five", finish_reason="length", response_ids=(1, 2), grades={})
    assert Response.of(record) == Response("five", finished=False, ids=(1, 2))
