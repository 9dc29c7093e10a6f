"""The engine of a server that speaks OpenAI's API, such as that of vLLM or SGLang: `POST <url>/completions` with token ids.

    vllm serve MODEL                                                     # elsewhere
    engine: !name:auralign.generate.server_engine.ServerEngine           # in the YAML
        url: http://127.0.0.1:8000/v1

The server must hold the weights of the recipe's LLM. That is loaded here too: its tokenizer writes the prompts, and its revision
is recorded. A fixed number of requests is under way at a time. What fails for a moment (status 429 and 5xx, no connection, no
answer in time, an answer that is cut) is asked again after a pause that doubles each time; another failure stops the stage.
"""

import http.client
import json
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any
from urllib.parse import urlsplit

from auralign.generate.engine import Engine, Prompt, Written
from auralign.records import shorten

LONGEST_PAUSE_S = 60.0
MAX_BYTES = 64 * 1024**2  # of a response
BUSY = 429
REASONS = ("stop", "length")


class ServerEngine(Engine):
    """Asks a server, which batches the requests that are under way.

    Arguments
    ---------
    llm, renderer, batch_size
        As of `Engine`.
    url : str
        Of the API, such as "http://127.0.0.1:8000/v1".
    model : str, optional
        Its id on the server; default: the only one that the server lists.
    concurrency : int, optional
        Requests that are under way at a time; default `batch_size`.
    tries : int
        How often a request is sent before the stage stops; default 6.
    timeout_s : float
        Seconds to wait for an answer; default 600.
    pause_s : float
        Seconds before the second try, and twice as many before each further one, up to a minute; default 1. A server that names
        a time (Retry-After) gets that.
    key_variable : str
        Environment variable that holds the key of the API, if it needs one; default "OPENAI_API_KEY".

    Raises ValueError if a value is out of its range or no model can be chosen, ConnectionError if the server does not answer.
    """

    def __init__(
        self,
        llm,
        renderer,
        *,
        batch_size: int,
        url: str,
        model: str | None = None,
        concurrency: int | None = None,
        tries: int = 6,
        timeout_s: float = 600.0,
        pause_s: float = 1.0,
        key_variable: str = "OPENAI_API_KEY",
    ):
        super().__init__(llm, renderer, batch_size=batch_size)
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
            raise ValueError(
                f"engine.url {url!r}: give the address of the API, such as http://127.0.0.1:8000/v1"
            )
        self.url, self.tries, self.timeout_s, self.pause_s = url.rstrip("/"), tries, timeout_s, pause_s
        self.concurrency = batch_size if concurrency is None else concurrency
        for name in ("tries", "concurrency", "timeout_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"engine.{name} {getattr(self, name)}: give a number above 0")
        self._stopped = threading.Event()
        self._opener = urllib.request.build_opener(_NoRedirects)
        self._headers = {"Content-Type": "application/json"}
        if os.environ.get(key_variable):
            self._headers["Authorization"] = f"Bearer {os.environ[key_variable]}"
        self.model = model or self._find_model()

    def about(self) -> dict[str, Any]:
        """That a server answered, and which of its models."""
        return {"engine": "server", "model": self.model}

    def write(self, prompts: list[Prompt], *, temperature: float) -> Iterator[list[tuple[int, Written]]]:
        """Yield answers as they come in. Raises ValueError, before anything is asked, if a prompt is embeddings."""
        if any(prompt.embeddings is not None for prompt in prompts):
            raise ValueError(
                "engine server: it takes token ids alone, and speech has none; use transformers or vllm for stage 4"
            )
        self._stopped.clear()
        waiting, running = enumerate(prompts), dict[Future, int]()
        with ThreadPoolExecutor(self.concurrency) as threads:
            try:
                while True:
                    while len(running) < self.concurrency and (new := next(waiting, None)):
                        running[threads.submit(self._ask, new[1], temperature)] = new[0]
                    if not running:
                        return
                    ended, _ = wait(running, return_when=FIRST_COMPLETED)
                    yield [(running.pop(one), one.result()) for one in ended]
            finally:
                self._stopped.set()  # those that wait to ask again give up
                for one in running:
                    one.cancel()

    def _ask(self, prompt: Prompt, temperature: float) -> Written:
        asked = {
            "model": self.model,
            "prompt": list(prompt.ids),
            "max_tokens": prompt.limit,
            "temperature": temperature,
            "seed": prompt.seed,
            "stop_token_ids": list(self.renderer.stop_ids),
            "skip_special_tokens": False,
            "return_token_ids": True,
        }
        return self._send("completions", asked, self._read)

    def _read(self, answer: Any) -> Written:
        """The first choice of a response; raises what `_send` takes for a response that is cut if it has none."""
        choice = answer["choices"][0]
        text, reason, ids = choice["text"], choice["finish_reason"], choice.get("token_ids")
        if reason not in REASONS:
            raise ValueError(
                f"{self.url}/completions: an answer ended for the reason {reason!r}, expected {' or '.join(REASONS)}; see the "
                "server's log, and run the same command again: what is answered is kept"
            )
        if ids and ids[-1] in self.renderer.stop_ids:
            ids = ids[:-1]
        return Written(None if ids is None else tuple(map(int, ids)), str(text), reason)

    def _find_model(self) -> str:
        known = self._send("models", None, lambda answer: [one["id"] for one in answer["data"]])
        if len(known) != 1:
            listed = ", ".join(sorted(known)[:5]) or "none"
            raise ValueError(
                f"{self.url}/models: lists {len(known)} models ({listed}); name one: engine.model"
            )
        return known[0]

    def _send(self, path: str, body: dict | None, read) -> Any:
        """What `read` makes of the JSON of a response; asks again as long as there are tries.

        Raises ValueError if the server refuses the request, ConnectionError if it fails at the last try.
        """
        url, data = f"{self.url}/{path}", None if body is None else json.dumps(body).encode()
        for attempt in range(self.tries):
            pause = min(self.pause_s * 2**attempt, LONGEST_PAUSE_S)
            try:
                request = urllib.request.Request(url, data, self._headers)
                with self._opener.open(request, timeout=self.timeout_s) as response:
                    answer = json.loads(response.read(MAX_BYTES))
                try:
                    return read(answer)
                except (KeyError, IndexError, TypeError) as error:
                    failure = f"the response has another form ({type(error).__name__}: {error}): {shorten(str(answer))}"
            except urllib.error.HTTPError as error:
                failure = f"HTTP {error.code}: {_reason(error)}"
                if error.code != BUSY and error.code < 500:
                    raise ValueError(f"{url}: {failure}; {_repair(error.code)}") from error
                pause = _asked_pause(error, pause)
            except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
                failure = f"the response is no JSON ({error})"
            except (
                OSError,
                http.client.HTTPException,
            ) as error:  # no connection, or none any more; no answer in time
                failure = f"no answer ({getattr(error, 'reason', error) or type(error).__name__})"
            if attempt + 1 < self.tries and self._stopped.wait(pause):
                break
        raise ConnectionError(
            f"{url}: {failure}, at {self.tries} tries; see that the server runs there and how much it can bear "
            "(engine.concurrency, engine.timeout_s), and run the same command again: what is answered is kept"
        )


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        """None: an address that the recipe does not name gets no prompts."""
        return None


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        found = error.read(MAX_BYTES).decode(errors="replace")
    except (OSError, http.client.HTTPException):
        found = ""
    return shorten(" ".join(found.split())) or str(error.reason)


def _repair(code: int) -> str:
    """What to do about a status that asking again does not change."""
    if code in (401, 403):
        return "give the key of the API in the variable that engine.key_variable names"
    if code == 404:
        return "see that the address ends as the server's does (often /v1), and that it serves the model that engine.model names"
    if 300 <= code < 400:
        return "redirects are not followed; give the address itself as engine.url"
    return (
        "see that the server serves this LLM, with a context that is as long, and takes token ids as prompts"
    )


def _asked_pause(error: urllib.error.HTTPError, pause: float) -> float:
    """The seconds that the server names, at most `LONGEST_PAUSE_S`; else `pause`."""
    named = (error.headers or {}).get("Retry-After", "")
    return min(float(named), LONGEST_PAUSE_S) if named.isdigit() else pause
