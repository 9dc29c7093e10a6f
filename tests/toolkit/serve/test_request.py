"""Each thing that a client may send is read, or refused by its name."""

import base64
import json

import pytest

from auralign.serve.checks import RequestError
from auralign.serve.request import ChatRequest

USER = {"role": "user", "content": "one"}
AUDIO = {"type": "input_audio", "input_audio": {"data": base64.b64encode(b"ab").decode(), "format": "wav"}}


def text(content):
    return {"type": "text", "text": content}


def parse(*content, **fields):
    messages = [{"role": "user", "content": list(content)}] if content else [USER]
    return ChatRequest.parse({"model": "m", "messages": messages, **fields})


def with_input(**changes):
    return {"type": "input_audio", "input_audio": {**AUDIO["input_audio"], **changes}}


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([AUDIO], "{speech}"),
        ([AUDIO, text("sort")], "{speech}\nsort"),
        ([text("sort"), AUDIO], "sort\n{speech}"),
        ([text("first"), AUDIO, text("last")], "first\n{speech}\nlast"),
        ([text("sort {speech} now"), AUDIO], "sort {speech} now"),
        ([text("{speech}"), AUDIO, text("sort")], "{speech}\nsort"),
        ([text(""), AUDIO], "{speech}"),
    ],
)
def test_the_speech_comes_at_its_position_among_the_parts(parts, expected):
    (turn,) = parse(*parts).turns
    assert (turn.text, turn.audio) == (expected, b"ab")


def test_a_mark_in_a_turn_without_audio_is_text():
    assert parse(text("what is {speech}?")).turns[0].text == "what is {speech}?"


def test_a_conversation_has_its_system_prompt_and_its_turns():
    request = ChatRequest.parse(
        {
            "model": "m",
            "messages": [
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": [AUDIO]},
                {"role": "assistant", "content": "one", "refusal": None, "annotations": [], "audio": None},
                USER,
            ],
        }
    )
    assert request.system == "Be brief."
    assert [(turn.role, turn.text, turn.audio) for turn in request.turns] == [
        ("user", "{speech}", b"ab"),
        ("assistant", "one", None),
        ("user", "one", None),
    ]


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({}, {}),
        ({"temperature": 0}, {"temperature": 0}),
        ({"top_p": 1.0}, {}),
        ({"temperature": 2, "top_p": 0.9, "seed": -3}, {"temperature": 2, "top_p": 0.9, "seed": -3}),
        ({"max_tokens": 5}, {"max_new_tokens": 5}),
        ({"max_completion_tokens": 5, "max_tokens": 5}, {"max_new_tokens": 5}),
        ({"stop": "end"}, {"stop_strings": ("end",)}),
        ({"stop": ["a", "b"]}, {"stop_strings": ("a", "b")}),
        ({"stop": [], "seed": None}, {}),
        ({"n": 1, "tools": [], "tool_choice": "auto", "logprobs": False, "user": "x"}, {}),
        ({"response_format": {"type": "text"}, "frequency_penalty": 0.0}, {}),
    ],
)
def test_options_are_read(fields, options):
    assert parse(**fields).options == options


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": 3}, "model is 3; give the id of a model"),
        ({"model": None}, "model is missing"),
        ({"messages": None}, "messages is missing"),
        ({"messages": []}, r"messages is \[\]; give a list"),
        ({"messages": "one"}, "messages is 'one'; give a list"),
        ({"messages": ["one"]}, r"messages\[0\] is 'one'; give an object"),
        ({"messages": [{"role": "system", "content": "one"}]}, "no user message to answer"),
        ({"messages": [USER, {"role": "assistant", "content": "x"}]}, "no user message to answer"),
        (
            {"messages": [{"role": "assistant", "content": "x"}, USER]},
            r"\[0\] has the role 'assistant', 'user' is",
        ),
        ({"messages": [USER, USER]}, r"\[1\] has the role 'user', 'assistant' is expected"),
        (
            {"messages": [USER, {"role": "system", "content": "x"}]},
            r"messages\[1\] is a system message; it is the",
        ),
        (
            {"messages": [{"role": "tool", "content": "x"}]},
            r"messages\[0\].role is 'tool'; this server knows",
        ),
        ({"messages": [{"role": ["user"], "content": "x"}]}, r"messages\[0\].role is \['user'\]"),
        ({"messages": [{"role": "user"}]}, r"messages\[0\].content is nothing; give a string, or a list"),
        ({"messages": [{"role": "user", "content": 5}]}, r"messages\[0\].content is 5"),
        ({"messages": [{"role": "user", "content": []}]}, r"messages\[0\].content is \[\]"),
        ({"messages": [{"role": "user", "content": " "}]}, r"messages\[0\].content is empty"),
        (
            {"messages": [{"role": "user", "content": "\ud800"}]},
            r"messages\[0\].content.text is '.ud800'; give a str",
        ),
        ({"messages": [{**USER, "name": "Ann"}]}, r"messages\[0\].name is not supported"),
        (
            {"messages": [USER, {"role": "assistant", "content": "x", "tool_calls": [{}]}, USER]},
            r"messages\[1\].tool_calls is not supported",
        ),
        (
            {"messages": [USER, {"role": "assistant", "content": [AUDIO]}, USER]},
            r"messages\[1\].content\[0\] is .*this server reads text alone of assistant",
        ),
        ({"n": 2}, "n 2 is not supported by this server; it takes 1"),
        ({"n": True}, "n True is not supported"),
        ({"tools": [{"type": "function"}]}, "tools .* is not supported"),
        ({"tool_choice": "required"}, "tool_choice 'required' is not supported"),
        ({"response_format": {"type": "json_object"}}, "response_format .* is not supported"),
        ({"modalities": ["text", "audio"]}, "modalities .* is not supported"),
        ({"audio": {"voice": "alloy"}}, "audio .* is not supported by this server: leave it out"),
        ({"logprobs": True}, "logprobs True is not supported"),
        ({"presence_penalty": 0.5}, "presence_penalty 0.5 is not supported"),
        ({"temprature": 1}, "the field 'temprature' is unknown"),
        (
            {"temperature": 2.5},
            "temperature is 2.5; give a number from 0 to 2",
        ),
        ({"temperature": "hot"}, "temperature is 'hot'; give a number"),
        ({"temperature": True}, "temperature is True"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"temperature": 10**400}, "temperature is 1000"),
        ({"top_p": 0}, "top_p is 0; give a number above 0"),
        ({"seed": 1.5}, "seed is 1.5; give an integer"),
        ({"seed": 2**70}, "seed is .*; give an integer of 64 bits"),
        ({"max_tokens": 0}, "max_tokens is 0; give an integer, at least 1"),
        ({"max_completion_tokens": "9"}, "max_completion_tokens is '9'"),
        ({"max_completion_tokens": 4, "max_tokens": 5}, "max_completion_tokens 4 and max_tokens 5 differ"),
        ({"stop": [""]}, "stop is .* none of them empty"),
        ({"stop": list("abcde")}, "stop is .* at most 4"),
        ({"stop": 3}, "stop is 3"),
        ({"stream": "yes"}, "stream is 'yes'; give true or false"),
        ({"stream_options": {"include_usage": True}}, "stream_options is given without stream"),
        ({"stream": True, "stream_options": {"usage": True}}, "stream_options is .*include_usage"),
    ],
)
def test_what_cannot_be_done_is_refused_by_its_name(fields, message):
    with pytest.raises(RequestError, match=message) as found:
        parse(**fields)
    assert found.value.status == 400


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            [{"type": "image_url", "image_url": {"url": "x"}}],
            r"content\[0\] is .*reads parts of the types text and inp",
        ),
        (["one"], r"content\[0\] is 'one'"),
        ([{"type": "text", "text": 5}], r"content\[0\].text is 5; give a string"),
        ([text("")], "content is empty"),
        ([AUDIO, AUDIO], r"content\[1\] is a second input_audio"),
        ([text("{speech} and {speech}"), AUDIO], "content marks 2 positions of the speech"),
        ([{"type": "input_audio"}], r"content\[0\].input_audio is nothing; give .*base64"),
        ([with_input(data=5)], r"content\[0\].input_audio is .*; give"),
        ([with_input(data="a$b")], r"content\[0\].input_audio.data is not base64"),
        ([with_input(data="abc")], r"input_audio.data is not base64 \(Incorrect padding\)"),
        ([with_input(data="é")], r"input_audio.data is not base64"),
        ([with_input(data="data:audio/wav;base64,YWI=")], "without a data: prefix"),
        ([with_input(data="")], "input_audio.data is empty"),
        ([with_input(format="exe")], "input_audio.format is 'exe'; this server reads wav, mp3, flac"),
        ([with_input(format=["wav"])], r"input_audio.format is \['wav'\]"),
        ([with_input(format=None)], "input_audio.format is nothing"),
    ],
)
def test_a_part_that_cannot_be_read_is_named(parts, message):
    with pytest.raises(RequestError, match=message) as found:
        parse(*parts)
    assert found.value.param.startswith("messages[0].content")


def test_an_error_is_in_the_form_of_openai():
    error = RequestError("too busy", status=429, code="server_busy")
    assert error.as_json() == {
        "error": {"message": "too busy", "type": "rate_limit_error", "param": None, "code": "server_busy"}
    }


def test_a_field_that_no_text_can_hold_is_named_in_an_error_that_can_be_sent():
    with pytest.raises(RequestError) as caught:
        ChatRequest.parse({"model": "m", "messages": [{"role": "user", "content": "a"}], "\ud800": 1})
    json.dumps(caught.value.as_json(), ensure_ascii=False).encode("utf-8")
    assert "\\ud800" in caught.value.as_json()["error"]["param"]
