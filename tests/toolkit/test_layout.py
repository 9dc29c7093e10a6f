"""Views: one target at the end, speech read as text, instructions with one slot."""

import pytest

from auralign.layout import Layout, Speech, Target, Text, View, fill


def test_target_stands_last():
    with pytest.raises(ValueError, match="as its last segment"):
        View((Target("a"), Text("b")))


def test_reading_replaces_speech_by_its_text():
    view = View((Text("say "), Speech("three"), Target("three")))
    assert view.read().segments == (Text("say "), Text("three", tag="speech"), Target("three"))


def test_teacher_reads_what_the_student_hears():
    student = View((Speech("three"), Target("x")))
    assert Layout.of(student).teacher == student.read()


def test_prompt_is_the_view_without_its_target():
    assert View((Speech("three"), Target("x"))).before_target() == View((Speech("three"),))


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
