"""What every engine promises: an answer for each request, cut and ended alike; and what becomes of a server's failures."""

import contextlib
import dataclasses
import importlib.util
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from auralign.files import hash_value
from auralign.generate.engine import Engine, Prompt, TransformersEngine, Written
from auralign.generate.server_engine import ServerEngine
from auralign.generate.spot_check import SpotCheck
from auralign.generate.vllm_engine import VLLMEngine
from auralign.recipe import RecipeError, load_recipe
from auralign.records import Choice, TargetRequest
from recipe import make_recipe

TEXTS = (
    "repeat three",
    "please sort the above words again three five nine",
    "nine",
    "five nine",
    "say seven",
)


def make_requests(renderer, *, temperature=0.0, limit=6):
    decoding = {"max_new_tokens": limit, "temperature": temperature}
    return [
        TargetRequest(hash_value(text)[:16], f"u{number}", Choice(), tuple(renderer.encode(text)), decoding)
        for number, text in enumerate(TEXTS)
    ]


def replies(engine, requests):
    """Replies by utterance; each is there once."""
    found = [reply for batch in engine.answer(requests) for reply in batch]
    assert len(found) == len({reply.request.key for reply in found})
    return {reply.request.utt_id: (reply.ids, reply.finish_reason) for reply in found}


@pytest.mark.parametrize("temperature", [0.0, 1.5])
@pytest.mark.parametrize(("scheduler", "size"), [("slots", 2), ("slots", 5), ("static", 2)])
def test_slots_and_batches_give_the_answers_that_are_given_one_by_one(
    llm, renderer, temperature, scheduler, size
):
    requests = make_requests(renderer, temperature=temperature)
    alone = {}
    for request in requests:
        alone |= replies(TransformersEngine(llm, renderer, batch_size=1, scheduler="static"), [request])
    assert replies(TransformersEngine(llm, renderer, batch_size=size, scheduler=scheduler), requests) == alone


class Served:
    """A server of completions: `answer` makes each; `statuses` are given first, one to a request."""

    def __init__(self):
        self.statuses, self.asked, self.headers, self.at_once, self.most, self.body = [], [], {}, 0, 0, None
        self.lock = threading.Lock()
        self.meeting = None  # where the first two requests wait for each other

    def answer(self, request):
        ids = [request["prompt"][0], request["prompt"][-1], 0][: request["max_tokens"]]
        return {"choices": [{"text": "t", "token_ids": ids, "finish_reason": "length"}]}


@pytest.fixture
def served():
    state = Served()

    class Handler(BaseHTTPRequestHandler):
        def reply(self, status, body):
            self.send_response(status)
            for name, value in state.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            self.reply(200, json.dumps({"data": [{"id": "tiny"}]}).encode())

        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with state.lock:
                state.asked.append({**request, "key": self.headers["Authorization"]})
                state.at_once += 1
                state.most = max(state.most, state.at_once)
                status = state.statuses.pop(0) if state.statuses else 200
            if state.meeting and len(state.asked) <= 2:
                state.meeting.wait(20)
            with state.lock:
                state.at_once -= 1
            body = state.body or json.dumps(state.answer(request)).encode()
            self.reply(status, body if status == 200 else b"too much of it")

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


def ask(llm, renderer, served, **options):
    options = {"pause_s": 0.001, "tries": 3, "timeout_s": 5.0, **options}
    return ServerEngine(llm, renderer, batch_size=2, url=served.url, **options)


def test_a_server_gets_the_ids_seed_and_limits_and_its_ids_are_the_answer(llm, renderer, served, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    requests = make_requests(renderer, temperature=0.5, limit=2)
    engine = ask(llm, renderer, served)
    found = replies(engine, requests)
    for request in requests:
        ids = request.prompt_ids
        assert found[request.utt_id] == ((ids[0], ids[-1]), "length")
        (sent,) = (one for one in served.asked if one["prompt"] == list(ids))
        assert sent["seed"] == int(hash_value([request.key])[:12], 16)
        assert (sent["max_tokens"], sent["temperature"], sent["model"]) == (2, 0.5, "tiny")
        assert (sent["stop_token_ids"], sent["key"]) == (list(renderer.stop_ids), "Bearer secret")
    assert engine.about() == {"engine": "server", "model": "tiny"}


def test_a_stop_id_is_no_part_of_an_answer_and_text_alone_will_do(llm, renderer, served):
    stop = renderer.stop_ids[0]
    served.answer = lambda _: {"choices": [{"text": "", "token_ids": [7, stop], "finish_reason": "stop"}]}
    assert set(replies(ask(llm, renderer, served), make_requests(renderer)).values()) == {((7,), "stop")}
    served.answer = lambda _: {"choices": [{"text": "five", "finish_reason": "stop"}]}
    ((reply,),) = ask(llm, renderer, served).answer(make_requests(renderer)[:1])
    assert (reply.text, reply.ids) == ("five", None)


@pytest.mark.parametrize("statuses", [[429], [500, 503], [502]])
def test_what_fails_for_a_moment_is_asked_again(llm, renderer, served, statuses):
    served.statuses, served.headers = list(statuses), {"Retry-After": "0"}
    assert len(replies(ask(llm, renderer, served), make_requests(renderer))) == len(TEXTS)
    assert len(served.asked) == len(TEXTS) + len(statuses)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (
            {"statuses": [503] * 9},
            r"/v1/completions: HTTP 503: too much of it, at 3 tries; see that the server runs",
        ),
        (
            {"statuses": [400] * 9},
            r"/v1/completions: HTTP 400: too much of it; see that the server serves this LLM",
        ),
        ({"statuses": [404] * 9}, r"HTTP 404: .*engine.model names"),
        ({"statuses": [401] * 9}, r"HTTP 401: .*engine.key_variable"),
        ({"statuses": [302] * 9}, r"HTTP 302: .*redirects are not followed"),
        ({"body": b"<html>"}, r"the response is no JSON .*, at 3 tries"),
        ({"body": b"[" * 100_000}, r"the response is no JSON .*, at 3 tries"),
        ({"body": b'{"choices": []}'}, r"the response has another form \(IndexError"),
        (
            {"body": b'{"choices": [{"text": "a", "finish_reason": "abort"}]}'},
            r"ended for the reason 'abort', expected stop or length",
        ),
    ],
)
def test_an_error_names_address_status_and_repair(llm, renderer, served, what, message):
    vars(served).update(what)
    with pytest.raises((ValueError, ConnectionError), match=message):
        replies(ask(llm, renderer, served, concurrency=1), make_requests(renderer))


def test_no_more_requests_than_allowed_are_under_way(llm, renderer, served):
    served.meeting = threading.Barrier(2)
    replies(ask(llm, renderer, served, concurrency=2), make_requests(renderer))
    assert (served.most, len(served.asked)) == (2, len(TEXTS))


def test_a_server_that_is_not_there_is_named(llm, renderer):
    with pytest.raises(ConnectionError, match=r"http://127.0.0.1:9/v1/models: no answer .*, at 2 tries"):
        ServerEngine(llm, renderer, batch_size=1, url="http://127.0.0.1:9/v1", tries=2, pause_s=0.001)
    with pytest.raises(ValueError, match="engine.url 'file:///etc/hosts': give the address"):
        ServerEngine(llm, renderer, batch_size=1, url="file:///etc/hosts")
    with pytest.raises(ValueError, match="engine.tries 0: give a number above 0"):
        ServerEngine(llm, renderer, batch_size=1, url="http://127.0.0.1:9/v1", tries=0)


def test_a_server_takes_no_embeddings(llm, renderer, served):
    with pytest.raises(ValueError, match="it takes token ids alone"):
        ask(llm, renderer, served).answer_embeddings([torch.zeros(3, llm.width)], [2])


class Mixing(Engine):
    """Answers that depend on how many are asked together; the first `num_same` do not."""

    num_same, is_exact = 0, True

    def write(self, prompts, *, temperature):
        for number in range(len(prompts)):
            yield [(number, Written((len(prompts),) if number >= self.num_same else (1,), None, "length"))]


@pytest.mark.parametrize(
    ("num_same", "is_exact", "stops"),
    [(5, True, False), (4, True, False), (3, True, True), (0, False, False)],
)
def test_answers_that_differ_alone_stop_the_stage_above_a_limit(
    llm, renderer, tmp_path, num_same, is_exact, stops
):
    engine, requests = Mixing(llm, renderer, batch_size=5), make_requests(renderer)
    engine.num_same, engine.is_exact = num_same, is_exact
    check = SpotCheck(engine)
    answers = {}
    for batch in engine.answer(requests):
        for reply in batch:
            check.add(reply.request)
            answers[reply.request.key] = Answered(reply.text, reply.ids)
    with (
        pytest.raises(ValueError, match="2 of 5 answers differ.*remove kept.jsonl")
        if stops
        else contextlib.nullcontext()
    ):
        said = check.run(answers.__getitem__, "kept.jsonl")
        assert f"{5 - num_same} of 5 answers differ" in said


@dataclasses.dataclass
class Answered:
    response: str
    response_ids: tuple


def test_a_recipe_names_its_engine_by_a_word_or_with_options(tmp_path, llm_folder, whisper_folder):
    yaml = make_recipe(tmp_path / "r", llm=llm_folder, encoder=whisper_folder) / "hparams" / "sift.yaml"
    plain = load_recipe(yaml)
    assert "engine" not in plain.settings("generate")
    static = load_recipe(yaml, {"engine.scheduler": "static"})
    assert static.engine.keywords == {"scheduler": "static"}
    assert static.settings("generate") == plain.settings("generate")  # the same answers
    served = load_recipe(
        yaml, {"engine": "server", "engine.url": "http://127.0.0.1:1/v1", "engine.model": "a"}
    )
    assert served.engine.func is ServerEngine
    assert served.settings("generate")["engine"].keywords == {"model": "a"}
    assert load_recipe(yaml, {"decode_engine": "vllm"}).decode_engine.func is VLLMEngine
    yaml.write_text(f"{yaml.read_text()}\nengine: server\n")
    named = load_recipe(yaml, {"engine.url": "http://127.0.0.1:1/v1"}).engine
    assert (named.func, named.keywords) == (ServerEngine, {"url": "http://127.0.0.1:1/v1"})
    assert load_recipe(yaml, {"engine": "transformers"}).engine.func is TransformersEngine
    for wrong in ({"engine": "sglang"}, {"decode_engine": "server"}):
        with pytest.raises(RecipeError, match="use transformers"):
            load_recipe(yaml, wrong)


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vllm is installed")
def test_without_vllm_the_error_names_the_extra(llm, renderer):
    with pytest.raises(ValueError, match=r"pip install 'auralign\[vllm\]'"):
        VLLMEngine(llm, renderer, batch_size=2)


@pytest.mark.skipif(
    importlib.util.find_spec("vllm") is None or not torch.cuda.is_available(), reason="needs vllm and a GPU"
)
def test_vllm_gives_the_answers_of_transformers_to_ids_and_to_embeddings(llm, renderer):
    requests = make_requests(renderer)
    expected = replies(TransformersEngine(llm.to("cuda"), renderer, batch_size=1), requests)
    engine = VLLMEngine(llm, renderer, batch_size=2, options={"gpu_memory_utilization": 0.3})
    assert replies(engine, requests) == expected
    embeddings = [llm.embed(request.prompt_ids) for request in requests]
    answers = engine.answer_embeddings(embeddings, [6] * len(embeddings))
    assert [(answer.ids, answer.finish_reason) for answer in answers] == list(expected.values())


def test_a_vllm_answer_is_cut_at_its_stop_id(llm, renderer, monkeypatch):
    """What is taken from vLLM and what it is given, by a stand-in with its names."""
    import sys
    from types import SimpleNamespace

    given = {}

    class Stand:
        def __init__(self, **options):
            given["options"] = options

        def generate(self, prompts, sampling, *, use_tqdm):
            given.update(prompts=prompts, sampling=sampling)
            ends = [((5, renderer.stop_ids[0]), "stop"), ((5, 6), "length")]
            return [
                SimpleNamespace(outputs=[SimpleNamespace(token_ids=ids, finish_reason=reason)])
                for ids, reason in ends
            ]

    stand = SimpleNamespace(LLM=Stand, SamplingParams=lambda **options: options)
    monkeypatch.setitem(sys.modules, "vllm", stand)
    engine = VLLMEngine(llm, renderer, batch_size=2, options={"tensor_parallel_size": 2})
    speech = torch.zeros(3, llm.width)
    ((first, second),) = engine.write(
        [Prompt((1, 2), 4, 9), Prompt((), 2, embeddings=speech)], temperature=0.3
    )
    assert (first, second) == ((0, Written((5,), None, "stop")), (1, Written((5, 6), None, "length")))
    assert given["options"]["tensor_parallel_size"] == 2
    assert given["options"]["enable_prompt_embeds"]
    assert given["prompts"] == [{"prompt_token_ids": [1, 2]}, {"prompt_embeds": speech}]
    assert [one["max_tokens"] for one in given["sampling"]] == [4, 2]
    assert (given["sampling"][0]["seed"], given["sampling"][0]["temperature"]) == (9, 0.3)
