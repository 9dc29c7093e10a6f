"""The three columns are the model's answer to speech, and the original LLM's answers to texts."""

import math
from dataclasses import replace

import pytest

import digits_model
from auralign.demo.listener import Listener, find_recognizer
from auralign.layout import Text, View
from auralign.testing import make_tiny_whisper


@pytest.fixture(scope="module")
def model():
    return digits_model.load()


def test_speech_is_answered_as_by_the_model(model):
    listener = Listener(model)
    samples = listener.read(digits_model.AUDIO)
    pieces = list(listener.from_speech(samples, "repeat {speech}"))
    assert len(pieces) > 1
    assert "".join(pieces) == f"i heard {digits_model.WORDS}"


@pytest.mark.parametrize(
    ("prompt", "read"), [("repeat {speech}", "repeat two one"), ("", "two one"), ("sort", "two one\nsort")]
)
def test_text_takes_the_position_of_the_speech(model, prompt, read, monkeypatch):
    asked = []
    ask = model.ask
    monkeypatch.setattr(model, "ask", lambda views, *others: asked.extend(views) or ask(views, *others))
    answer = "".join(Listener(model).from_text("two one", prompt))
    assert answer
    (view,) = asked
    assert "".join(segment.text for segment in view.segments) == read
    assert isinstance(view, View)
    assert all(isinstance(segment, Text) for segment in view.segments)


def test_an_encoder_without_a_decoder_has_no_cascade(model):
    recognizer, reason = find_recognizer(
        model, digits_model.FOLDER, encoder=str(digits_model.ENCODER), language="en", device="cpu"
    )
    assert recognizer is None
    assert str(digits_model.ENCODER) in reason
    assert Listener(model, recognizer).recognize([0.0]) == ""


def test_a_whole_whisper_is_its_own_recognizer(model, tmp_path):
    folder = make_tiny_whisper(tmp_path / "whisper", decoder=True)
    recognizer, reason = find_recognizer(
        model, digits_model.FOLDER, encoder=str(folder), language="en", device="cpu"
    )
    assert reason == ""
    listener = Listener(model, recognizer)
    assert isinstance(listener.recognize(listener.read(digits_model.AUDIO)), str)


def test_the_answer_to_what_was_said_has_the_limit_of_the_speech(model):
    short = replace(model, decoding=replace(model.decoding, tokens_per_second=1.0))
    samples = short.read(digits_model.AUDIO)
    limit = math.ceil(len(samples) / 16_000)
    heard, bounded, free = (
        "".join(pieces).split()
        for pieces in (
            Listener(short).from_speech(samples, "repeat"),
            Listener(short).from_text("two one four", "repeat", samples),
            Listener(short).from_text("two one four", "repeat"),
        )
    )
    assert len(heard) == len(bounded) == limit < len(free)


def test_a_misspelt_slot_is_refused_beside_text_too(model):
    with pytest.raises(ValueError, match="did you mean {speech}"):
        list(Listener(model).from_text("two one", "repeat {Speech}"))
