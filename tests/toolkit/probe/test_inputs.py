"""The sequences of a probe: what is asked, in which order, and under which tags."""

import pytest
import torch

from auralign.layout import INSTRUCTION, SPEECH, TARGET, Speech, Text
from auralign.probe.inputs import BESIDE, FIRST, LAST, Inputs, move_slot, words_of
from auralign.records import Hypothesis, Question


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("Repeat: {speech}", "Repeat: {speech}", "{speech} Repeat:"),
        ("{speech}\nSort it.", "Sort it. {speech}", "{speech}\nSort it."),
        ("take {speech} and sort", "take and sort {speech}", "{speech} take and sort"),
    ],
)
def test_the_words_are_moved_and_an_order_that_is_there_is_kept(asked, first, last):
    question = Question("q", "u", "g", "t", asked, None)
    assert move_slot(question, FIRST).instruction == first
    assert move_slot(question, LAST).instruction == last


@pytest.mark.parametrize("nothing", [None, "{speech}", " {speech}\n"])
def test_nothing_is_asked_without_words(nothing):
    assert words_of(nothing) == ""


class Manifest(dict):
    def find(self, utt_id):
        return 0, self[utt_id]


class Assisted:
    """A method that puts a marker and the transcript beside the speech."""

    name = "assisted"

    def slot(self, utterance):
        return (Text("sort"), Speech(utterance.text, tag="voice"), Text(utterance.text, tag="transcript"))


@pytest.fixture
def inputs(graded):
    from types import SimpleNamespace

    one = graded([0.0])
    frames = {"speech": (torch.eye(8)[1].repeat(1, 5, 1), torch.tensor([5]))}
    return Inputs(
        SimpleNamespace(
            model=one.model,
            renderer=one.renderer,
            method=Assisted(),
            manifest=Manifest(u=None),
            frames=SimpleNamespace(get=lambda rows: frames),
            transcribe=lambda rows: ["nine"],
        )
    )


def test_only_the_speech_counts_as_speech_and_only_the_words_that_ask_as_instruction(inputs):
    answer = Hypothesis("q", "u", "speech", " nine", "stop")
    pack = inputs.with_speech("u", "sort {speech}", answer)
    encode = inputs.decoder.renderer.encode
    assert (pack.ids[pack.tagged[SPEECH]] < 0).all() and len(pack.tagged[SPEECH]) == 5
    assert pack.ids[pack.tagged[INSTRUCTION]].tolist() == list(encode("sort "))
    assert pack.ids[pack.tagged[BESIDE]].tolist() == [*encode("sort"), *encode("nine")]
    assert pack.ids[pack.tagged[TARGET]].tolist()[: len(encode(" nine"))] == list(encode(" nine"))


def test_an_answer_that_was_cut_off_has_no_end_of_turn(inputs):
    sizes = [
        len(inputs.with_text("nine", "sort {speech}", Hypothesis("q", "u", "text", "nine", reason)).ids)
        for reason in ("stop", "length")
    ]
    assert sizes[0] == sizes[1] + 1


def test_text_is_in_the_place_of_the_speech(inputs):
    pack = inputs.with_text("nine", "sort {speech}", num_positions=7)
    assert len(pack.tagged[SPEECH]) == max(7, len(inputs.decoder.renderer.encode("nine")))
    assert pack.tagged[INSTRUCTION].max() < pack.tagged[SPEECH].min()
