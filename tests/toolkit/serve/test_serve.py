"""A small trained model behind the server, as OpenAI's client sees it."""

import base64
import io
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
import soundfile

import digits_model
from auralign import cli

openai = pytest.importorskip("openai")
pytest.importorskip("uvicorn")

from auralign.serve.answering import ModelAnswers  # noqa: E402
from auralign.serve.app import Limits, make_app  # noqa: E402
from served import Server  # noqa: E402


@pytest.fixture(scope="module")
def model():
    return digits_model.load()


@pytest.fixture(scope="module")
def client(model):
    app = make_app(ModelAnswers(model, "digits", max_audio_seconds=5), Limits(seconds=60))
    with (
        Server(app) as port,
        openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="unused", max_retries=0) as client,
    ):
        yield client


def part(content, kind="wav"):
    return {
        "type": "input_audio",
        "input_audio": {"data": base64.b64encode(content).decode(), "format": kind},
    }


def text(content):
    return {"type": "text", "text": content}


def ask(client, *parts, **options):
    messages = [*options.pop("before", []), {"role": "user", "content": list(parts)}]
    return client.chat.completions.create(model="digits", messages=messages, **options)


def said(completion):
    return completion.choices[0].message.content


def encode(samples, rate=16_000, kind="WAV"):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind)
    return file.getvalue()


@pytest.fixture(scope="module")
def clip():
    return digits_model.AUDIO.read_bytes()


def test_spoken_digits_are_repeated(client, clip):
    completion = ask(client, text("repeat {speech}"), part(clip, "flac"))
    assert said(completion) == f"i heard {digits_model.WORDS}"
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage.completion_tokens == 6


@pytest.mark.parametrize("kind", ["WAV", "MP3", "OGG"])
def test_each_format_is_read(client, model, kind):
    content = encode(*soundfile.read(digits_model.AUDIO), kind)
    answer = said(ask(client, text("repeat {speech}"), part(content, kind.lower())))
    assert answer == model.answer(content, "repeat {speech}")


def test_the_answer_is_that_of_the_model(client, model, clip):
    assert said(ask(client, part(clip), text("sort"))) == model.answer(digits_model.AUDIO, "{speech}\nsort")
    assert said(ask(client, text("repeat three five"))) == model.answer(None, "repeat three five")


def test_a_mark_without_speech_is_text(client):
    assert said(ask(client, text("repeat {speech}")))


def test_a_stream_joins_to_the_answer(client, clip):
    parts = (text("repeat {speech}"), part(clip))
    stream = list(ask(client, *parts, stream=True, stream_options={"include_usage": True}))
    pieces = [chunk.choices[0].delta.content or "" for chunk in stream[:-1]]
    assert len(pieces) > 3
    assert "".join(pieces) == said(ask(client, *parts))
    assert stream[-1].usage == ask(client, *parts).usage


def test_an_answer_at_its_limit_says_so(client, clip):
    completion = ask(client, text("repeat {speech}"), part(clip), max_tokens=2)
    assert said(completion) == "i heard"
    assert (completion.choices[0].finish_reason, completion.usage.completion_tokens) == ("length", 2)


def test_an_answer_ends_before_a_stop_string(client, clip):
    completion = ask(client, text("repeat {speech}"), part(clip), stop=[" two"])
    assert (said(completion), completion.choices[0].finish_reason) == ("i heard eight", "stop")


def test_a_seed_draws_the_same_answer(client, clip):
    answers = [
        said(ask(client, part(clip), temperature=2, top_p=0.99, seed=seed)) for seed in (1, 1, 2, 3, 4)
    ]
    assert answers[0] == answers[1]
    assert len(set(answers)) > 1


def test_beam_search_of_the_model_is_kept(client, model, clip, monkeypatch):
    import dataclasses

    monkeypatch.setattr(model, "decoding", dataclasses.replace(model.decoding, num_beams=2))
    parts = (text("repeat {speech}"), part(clip))
    assert said(ask(client, *parts)) == model.answer(digits_model.AUDIO, "repeat {speech}")
    (first, *_) = ask(client, *parts, stream=True)
    assert first.choices[0].delta.content == said(ask(client, *parts))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([part(b"no audio")], "input_audio: cannot be read as audio"),
        ([part(encode(np.zeros(0)))], "input_audio: holds no samples"),
        (
            [part(encode(np.zeros(96_000), kind="FLAC"))],
            r"input_audio lasts 6.0 s, the limit of this server is 5 s",
        ),
        ([part(digits_model.AUDIO.read_bytes()[:2000])], "input_audio: cannot be read as audio"),
        ([text("repeat " * 1000)], "take .* positions, the LLM llm has 512"),
        ([text("repeat {speach}"), part(digits_model.AUDIO.read_bytes())], "did you mean {speech}"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_the_model_cannot_take_is_a_bad_request(client, parts, message, stream):
    with pytest.raises(openai.BadRequestError, match=message) as found:
        ask(client, *parts, stream=stream)
    assert found.value.param == "messages"
    assert "/tmp" not in str(found.value)


def test_earlier_turns_and_a_system_prompt_are_read(client, model, clip):
    spoken = {"role": "user", "content": [text("repeat {speech}"), part(clip)]}
    before = [spoken, {"role": "assistant", "content": f"i heard {digits_model.WORDS}"}]
    alone = ask(client, text("sort two one"))
    after = ask(client, text("sort two one"), before=before)
    assert after.usage.prompt_tokens > alone.usage.prompt_tokens + 10
    system = [{"role": "system", "content": "three five"}]
    assert ask(client, text("sort two one"), before=system).usage.prompt_tokens > alone.usage.prompt_tokens


def test_a_path_in_a_message_is_text(client):
    path = str(digits_model.AUDIO)
    completion = ask(
        client, text(path), before=[{"role": "user", "content": path}, {"role": "assistant", "content": "a"}]
    )
    assert completion.usage.prompt_tokens > len(path)


def test_top_p_without_a_temperature_is_refused(client):
    with pytest.raises(
        openai.BadRequestError, match="top_p 0.5 changes nothing without a temperature"
    ) as found:
        ask(client, text("sort three"), top_p=0.5)
    assert found.value.param is None  # and not "messages"


def test_time_ends_an_answer_between_its_tokens(model):
    with Server(make_app(ModelAnswers(model, "digits", max_audio_seconds=5), Limits(seconds=1e-3))) as port:
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="unused", max_retries=0)
        with pytest.raises(openai.InternalServerError, match="longer than 0.001 s"):
            ask(client, text("repeat three"))


def test_the_command_serves_on_this_machine_alone_until_it_is_interrupted(clip):
    command = [sys.executable, "-m", "auralign", "serve", str(digits_model.FOLDER), *digits_model.PARTS]
    with subprocess.Popen(
        [*command, "--port", "0", "--name", "digits"], stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            line = process.stderr.readline()
            url = re.search(r"digits is served at (http://127\.0\.0\.1:\d+/v1)", line)[1]
            with openai.OpenAI(base_url=url, api_key="unused", max_retries=0) as client:
                assert (
                    said(ask(client, text("repeat {speech}"), part(clip))) == f"i heard {digits_model.WORDS}"
                )
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def test_a_port_that_is_taken_is_named(model):
    with Server(make_app(ModelAnswers(model, "digits", max_audio_seconds=5), Limits())) as port:
        with pytest.raises(
            ValueError, match=f"cannot listen at --host 127.0.0.1 --port {port}: Address already in"
        ):
            cli.run(["serve", str(digits_model.FOLDER), "--port", str(port)])


def test_an_address_of_another_machine_is_named():
    with pytest.raises(
        ValueError, match="cannot listen at --host 192.0.2.1 .*; give an address of this machine"
    ):
        cli.run(["serve", str(digits_model.FOLDER), "--host", "192.0.2.1"])


def test_an_open_address_is_warned_of(capsys, tmp_path):
    with pytest.raises(FileNotFoundError, match="auralign.json"):
        cli.run(["serve", str(tmp_path), "--host", "0.0.0.0", "--port", "0"])
    assert "warning: everybody who reaches 0.0.0.0" in capsys.readouterr().err
    with pytest.raises(FileNotFoundError, match="auralign.json"):
        cli.run(["serve", str(tmp_path), "--port", "0"])
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "option", ["--port=70000", "--max-seconds=0", "--max-request-mb=inf", "--max-waiting=-1"]
)
def test_an_option_out_of_its_range_is_refused(option, capsys, tmp_path):
    with pytest.raises(SystemExit):
        cli.run(["serve", str(tmp_path), option])
    assert f"argument {option.partition('=')[0]}: invalid" in capsys.readouterr().err


def test_the_server_is_an_endpoint_that_can_be_evaluated(client, model):
    from auralign.adapters import Prompt, open_endpoint

    endpoint = open_endpoint(str(client.base_url))
    samples, _ = soundfile.read(digits_model.AUDIO, dtype="float32")
    heard, read = endpoint.answer(
        [Prompt("", samples, " please say that again"), Prompt("repeat three five", None)]
    )
    assert endpoint.name == "digits"
    assert heard.text == model.answer(digits_model.AUDIO, "{speech}\n please say that again")
    assert (read.text, read.finish_reason) == ("i heard three five", "stop")
