"""The server as OpenAI's own client sees it, in front of a model that says what it was asked."""

import asyncio
import base64
import http.client
import json
import re
import threading
import time

import pytest

openai = pytest.importorskip("openai")
pytest.importorskip("uvicorn")

from auralign.serve.app import Limits, make_app  # noqa: E402
from auralign.serve.checks import RequestError  # noqa: E402
from auralign.serve.gate import Outcome  # noqa: E402
from served import Server  # noqa: E402

LIMITS = Limits(request_bytes=20_000, seconds=5.0, waiting=1)


class Echo:
    """Says the last turn word by word; until `free` is set, it waits before each word but "free"."""

    name = "echo"

    def __init__(self):
        self.free = threading.Event()
        self.free.set()
        self.asked, self.stopped = [], threading.Event()

    def answer(self, request, say, check):
        self.asked.append(request)
        turn = request.turns[-1]
        if turn.text == "refuse":
            raise RequestError("the audio is silent", param="messages")
        if turn.text == "fail":
            raise ZeroDivisionError
        words = turn.text.split(" ")
        for number, word in enumerate(words):
            try:
                check()
                while word != "free" and not self.free.wait(0.01):
                    check()
            except Exception:
                self.stopped.set()
                raise
            if word == "fail":
                raise ZeroDivisionError
            say(f" {word}" if number else word)
        return Outcome("stop", 3, len(words))


@pytest.fixture
def model():
    return Echo()


@pytest.fixture
def port(model):
    with Server(make_app(model, LIMITS)) as port:
        yield port


@pytest.fixture
def client(port):
    with openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="unused", max_retries=0) as client:
        yield client


def say(client, content, **options):
    return client.chat.completions.create(
        model="echo", messages=[{"role": "user", "content": content}], **options
    )


def audio_part(data=b"RIFF", kind="wav"):
    return {"type": "input_audio", "input_audio": {"data": base64.b64encode(data).decode(), "format": kind}}


def test_an_answer_is_a_completion(client):
    completion = say(client, "one two")
    assert completion.choices[0].message.content == "one two"
    assert completion.choices[0].finish_reason == "stop"
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (3, 2)
    assert (completion.object, completion.model) == ("chat.completion", "echo")


def test_a_stream_is_the_same_answer_in_chunks(client):
    chunks = list(say(client, "one two three", stream=True))
    assert [chunk.choices[0].delta.content for chunk in chunks] == ["one", " two", " three", None]
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, None, None, "stop"]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_stream_ends_with_the_usage_if_asked(client):
    *_, last = say(client, "one two", stream=True, stream_options={"include_usage": True})
    assert last.choices == []
    assert last.usage.total_tokens == 5


def test_a_stream_ends_with_done(port):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    body = {"model": "echo", "stream": True, "messages": [{"role": "user", "content": "one"}]}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    assert response.headers["content-type"].startswith("text/event-stream")
    events = response.read().decode().split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    assert all(json.loads(event.removeprefix("data: ")) for event in events[:-2])


def test_the_async_client_is_served_too(port):
    async def ask():
        async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="unused") as client:
            stream = await say(client, "one two", stream=True)
            return [chunk.choices[0].delta.content async for chunk in stream]

    assert asyncio.run(ask()) == ["one", " two", None]


def test_audio_comes_with_its_text(client, model):
    say(client, [{"type": "text", "text": "Repeat:"}, audio_part(b"samples")])
    (turn,) = model.asked[0].turns
    assert (turn.text, turn.audio) == ("Repeat:\n{speech}", b"samples")


def test_the_models_are_listed(client):
    assert [model.id for model in client.models.list()] == ["echo"]
    assert client.models.retrieve("echo").owned_by == "auralign"


def test_an_unknown_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError, match="no model 'gpt-4o' here; this server has 'echo'") as found:
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "one"}])
    assert found.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4o")


@pytest.mark.parametrize("stream", [False, True])
def test_what_the_model_refuses_is_a_bad_request(client, stream):
    with pytest.raises(openai.BadRequestError, match="the audio is silent") as found:
        say(client, "refuse", stream=stream)
    assert found.value.param == "messages"
    assert found.value.type == "invalid_request_error"


def test_a_request_that_asks_too_much_is_a_bad_request(client, model):
    with pytest.raises(openai.BadRequestError, match="n 2 is not supported") as found:
        say(client, "one", n=2)
    assert (found.value.param, found.value.code) == ("n", "unsupported_value")
    assert model.asked == []


def test_a_defect_is_no_fault_of_the_request(client, capfd):
    with pytest.raises(openai.InternalServerError, match="its log has the reason") as found:
        say(client, "fail")
    assert "ZeroDivisionError" not in str(found.value)
    assert say(client, "one").choices[0].message.content == "one"


def test_a_stream_that_fails_says_so(client, capfd):
    stream = say(client, "one fail", stream=True)
    assert next(stream).choices[0].delta.content == "one"
    with pytest.raises(openai.APIError, match="the server failed"):
        list(stream)
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_a_body_above_the_limit_is_refused(client, model):
    with pytest.raises(openai.APIStatusError, match="larger than 20,000 bytes") as found:
        say(client, "x" * 21_000)
    assert found.value.status_code == 413
    assert model.asked == []
    assert say(client, "x" * 1000).choices[0].message.content == "x" * 1000


def test_a_body_of_unknown_length_is_bounded_too(port, model):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    connection.request(
        "POST", "/v1/chat/completions", iter([b" " * 10_000] * 3), headers, encode_chunked=True
    )
    assert connection.getresponse().status == 413


@pytest.mark.parametrize(
    ("body", "kind", "status", "message"),
    [
        (b"{", "application/json", 400, "the body is not JSON"),
        (b"[" * 20_000, "application/json", 400, "the body is not JSON"),
        (b'{"model": "\xff"}', "application/json", 400, "the body is not JSON"),
        (b"[]", "application/json", 400, r"the body is \[\]; send a JSON object"),
        (b"{}", "text/plain", 415, "the Content-Type is text/plain; send JSON"),
    ],
)
def test_a_body_that_is_no_request_is_refused(port, body, kind, status, message):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", "/v1/chat/completions", body, {"Content-Type": kind})
    response = connection.getresponse()
    assert response.status == status
    assert re.search(message, json.load(response)["error"]["message"])


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/v1/chat/completions", 405), ("GET", "/v2", 404)]
)
def test_another_path_is_answered_in_the_form_of_errors(port, method, path, status):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request(method, path)
    response = connection.getresponse()
    assert response.status == status
    assert response.getheader("Allow") == ("POST" if status == 405 else None)
    assert "this server has POST /v1/chat/completions" in json.load(response)["error"]["message"]


def test_one_request_is_answered_at_a_time_and_a_bound_of_them_waits(client, model):
    model.free.clear()
    answers = []
    threads = [
        threading.Thread(target=lambda word=word: answers.append(say(client, word)))
        for word in ("one", "two")
    ]
    for number, thread in enumerate(threads):
        thread.start()
        wait_until(lambda number=number: health(client)["requests"] == number + 1)
    assert len(model.asked) == 1
    with pytest.raises(openai.RateLimitError, match="the model is busy, and 1 requests wait") as found:
        say(client, "three")
    assert found.value.response.headers["retry-after"] == "1"
    model.free.set()
    for thread in threads:
        thread.join()
    assert sorted(answer.choices[0].message.content for answer in answers) == ["one", "two"]
    wait_until(lambda: health(client)["requests"] == 0)


def test_a_request_that_takes_too_long_is_ended(model):
    with Server(make_app(model, Limits(seconds=0.3))) as port:
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="unused", max_retries=3)
        model.free.clear()
        with pytest.raises(openai.InternalServerError, match="longer than 0.3 s") as found:
            say(client, "one")
        assert found.value.status_code == 504
        assert model.stopped.wait(5)
        assert len(model.asked) == 1  # the client does not ask again
        model.free.set()
        assert say(client, "two").choices[0].message.content == "two"


def test_a_stream_that_takes_too_long_is_ended_with_the_reason(model):
    with Server(make_app(model, Limits(seconds=0.5))) as port:
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="unused", max_retries=0)
        model.free.clear()
        stream = say(client, "free two", stream=True)
        assert next(stream).choices[0].delta.content == "free"
        with pytest.raises(openai.APIError, match="longer than 0.5 s"):
            list(stream)


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_frees_the_model(client, model, stream):
    model.free.clear()
    with pytest.raises(openai.APITimeoutError):
        say(client.with_options(timeout=0.2), "one", stream=stream)
    assert model.stopped.wait(5)
    wait_until(lambda: health(client)["requests"] == 0)


def health(client):
    return client.get("/../health", cast_to=dict)


def wait_until(condition):
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
