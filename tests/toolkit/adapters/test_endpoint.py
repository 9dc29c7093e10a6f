"""An endpoint is asked as OpenAI's clients do: text, speech as a WAV file in base64, text."""

import base64
import io
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import soundfile

pytest.importorskip("openai")

from auralign.adapters import Prompt, open_endpoint  # noqa: E402
from auralign.adapters.answering import OtherAnswerer  # noqa: E402
from auralign.records import Hypothesis, Question, Records, Utterance, write_records  # noqa: E402

REPLIES = {  # the forms of answers of other servers
    "parts": [{"type": "text", "text": "Go"}, {"type": "text", "text": "."}],
    "none": None,
    "null": "NULL",
    "think": "<think>the first word is go</think>\n\nGo.",
}


class Handler(BaseHTTPRequestHandler):
    """Answers with the text parts that it was sent and the number of samples."""

    def log_message(self, *words):
        """Print nothing."""

    def do_GET(self):
        self._send({"object": "list", "data": [{"id": one, "object": "model"} for one in self.server.models]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        if body["model"] not in self.server.models:
            self._send({"error": {"message": "no such model", "code": "model_not_found"}}, 404)
            return
        content = body["messages"][0]["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        said = [part["text"] if part["type"] == "text" else count_samples(part) for part in parts]
        answer = "|".join(said)
        message = {"role": "assistant", "content": REPLIES.get(answer, answer)}
        choice = {
            "index": 0,
            "message": None if message["content"] == "NULL" else message,
            "finish_reason": "length",
        }
        self._send({"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]})

    def _send(self, value, status=200):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def count_samples(part):
    content = base64.b64decode(part["input_audio"]["data"])
    samples, rate = soundfile.read(io.BytesIO(content))
    assert part["type"] == "input_audio" and part["input_audio"]["format"] == "wav" and rate == 16_000
    return str(len(samples))


@contextmanager
def serve(*models):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.models, server.asked = models, []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server, f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def served():
    with serve("tiny/model") as found:
        yield found


def test_speech_is_between_the_texts_in_their_order(served):
    model = open_endpoint(served[1])
    samples = np.zeros(800, dtype=np.float32)
    replies = model.answer(
        [Prompt("Is ", samples, " sad?"), Prompt("", samples, "\n\nRepeat."), Prompt("Repeat: go", None)]
    )
    assert [one.text for one in replies] == ["Is |800| sad?", "800|\n\nRepeat.", "Repeat: go"]
    assert {one.finish_reason for one in replies} == {"length"}


def test_the_only_model_is_found_and_asked_greedily(served):
    server, address = served
    model = open_endpoint(f"{address}/", max_new_tokens=7)
    model.answer([Prompt("hello", None)])
    assert model.name == "tiny/model" and model.short_name == "tiny_model"
    body = server.asked[-1]
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("tiny/model", 0, 7)


def test_one_of_several_models_must_be_named():
    with serve("a", "b") as (_, address):
        with pytest.raises(ValueError, match=r"lists 2 models \(a, b\); name one: --model-name ID"):
            open_endpoint(address)
        assert open_endpoint(address, name="b").answer([Prompt("x", None)])[0].text == "x"


def test_a_refusal_names_the_address_and_the_reason(served):
    model = open_endpoint(served[1], name="other")
    with pytest.raises(
        ValueError, match=r"http://127.0.0.1:\d+/v1: the endpoint refuses the request .*no such model"
    ):
        model.answer([Prompt("x", None)])


def test_an_endpoint_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr("auralign.adapters.endpoint.MAX_RETRIES", 0)
    with pytest.raises(ConnectionError, match="http://127.0.0.1:1/v1: no answer"):
        open_endpoint("http://127.0.0.1:1/v1")


@pytest.mark.parametrize(("asked", "text"), [("parts", "Go."), ("none", "")])
def test_an_answer_in_parts_or_without_text_is_read(served, asked, text):
    assert open_endpoint(served[1]).answer([Prompt(asked, None)])[0].text == text


def test_an_answer_without_a_message_names_the_address(served):
    with pytest.raises(ValueError, match=f"{served[1]}: the answer of .* holds no message"):
        open_endpoint(served[1]).answer([Prompt("null", None)])


def test_reasoning_is_no_part_of_an_answer(served, tmp_path):
    write_records(tmp_path / "m.jsonl", [Utterance("a", "a.wav", 1.0, "think")], kind=Utterance)
    write_records(tmp_path / "q.jsonl", [Question("a:1", "a", "g", "none", None, None)], kind=Question)
    answerer = OtherAnswerer(open_endpoint(served[1]), Records(tmp_path / "m.jsonl", Utterance))
    answerer.write(Records(tmp_path / "q.jsonl", Question), tmp_path / "text.jsonl", given="text")
    assert [one.text for one in Records(tmp_path / "text.jsonl", Hypothesis)] == ["Go."]


def test_the_questions_of_a_test_set_are_asked_with_each_input(served, tmp_path):
    for number in (1, 2):
        soundfile.write(tmp_path / f"{number}.wav", np.zeros(1600 * number), 16_000)
    texts = {"a": "Three, five", "b": "nine"}
    utterances = [
        Utterance(name, f"{number}.wav", 0.1 * number, text, speaker=name)
        for number, (name, text) in enumerate(texts.items(), start=1)
    ]
    write_records(tmp_path / "m.jsonl", utterances, kind=Utterance)
    asked = [Question(f"{name}:1", name, "g", "repeat", "say {speech} again", None) for name in texts]
    asked.append(Question("a:2", "a", "g", "none", None, None))
    write_records(tmp_path / "q.jsonl", asked, kind=Question)
    answerer = OtherAnswerer(open_endpoint(served[1]), Records(tmp_path / "m.jsonl", Utterance))
    expected = {
        "speech": ["say |1600| again", "say |3200| again", "1600"],
        "shuffled": ["say |3200| again", "say |1600| again", "3200"],
        "text": ["say Three, five again", "say nine again", "Three, five"],
        "normalised": ["say three five again", "say nine again", "three five"],
        "other_text": ["say nine again", "say three five again", "nine"],
    }
    for given, texts in expected.items():
        answerer.write(Records(tmp_path / "q.jsonl", Question), tmp_path / f"{given}.jsonl", given=given)
        answers = list(Records(tmp_path / f"{given}.jsonl", Hypothesis))
        assert [one.text for one in answers] == texts
        assert {one.input for one in answers} == {given}
    with pytest.raises(ValueError, match="the input 'transcript' needs a recognizer"):
        answerer.write(Records(tmp_path / "q.jsonl", Question), tmp_path / "t.jsonl", given="transcript")
