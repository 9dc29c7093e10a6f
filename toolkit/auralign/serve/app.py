"""The server's routes: POST /v1/chat/completions, GET /v1/models, GET /v1/models/NAME and GET /health."""

import asyncio
import json
import time
import traceback
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from auralign import __version__
from auralign.serve.checks import RequestError
from auralign.serve.gate import RETRY_SECONDS, Gate, Outcome, Place
from auralign.serve.request import ChatRequest

T = TypeVar("T")


class Answers(Protocol):
    """What answers requests: a model."""

    name: str

    def answer(self, request: ChatRequest, say: Callable[[str], None], check: Callable[[], None]) -> Outcome:
        """Answer the last turn; gives pieces of text to `say`, and calls `check` between tokens.

        Raises RequestError if the model cannot take the request."""


@dataclass(frozen=True)
class Limits:
    """What one request may cost.

    Arguments
    ---------
    request_bytes : int
        Of its body.
    seconds : float
        From its arrival to the last word of its answer.
    waiting : int
        How many may wait while one is answered.
    """

    request_bytes: int = 25_000_000
    seconds: float = 120.0
    waiting: int = 8


def make_app(model: Answers, limits: Limits) -> Starlette:
    """The application, in the ASGI form that uvicorn runs."""
    server = _Server(model, limits)
    return Starlette(
        lifespan=server.lifespan,
        routes=[
            Route("/v1/chat/completions", server.complete, methods=["POST"]),
            Route("/v1/models", server.list_models),
            Route("/v1/models/{name:path}", server.describe_model),
            Route("/health", server.tell_health),
        ],
        exception_handlers={
            RequestError: _refuse,
            HTTPException: _refuse_path,
            ClientDisconnect: lambda request, error: Response(status_code=499),
        },
    )


class _Server:
    """The routes, with what they share."""

    def __init__(self, model: Answers, limits: Limits):
        self.model, self.limits = model, limits
        self.gate = Gate(limits.waiting, limits.seconds)
        self.started = int(time.time())

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """End the work of the model when the server ends."""
        yield
        self.gate.close()

    async def complete(self, request: Request) -> Response:
        """POST /v1/chat/completions."""
        place = self.gate.enter()
        streams = False
        try:
            body = await place.before_deadline(_read_json(request, self.limits.request_bytes))
            asked = ChatRequest.parse(body)
            self._check_model(asked.model)
            place.start(lambda say, check: self.model.answer(asked, say, check))
            pieces = place.pieces()
            # An answer that fails before its first word is refused by its status, streamed or not.
            if not asked.stream:
                said = await _unless_disconnected(request, _all(pieces))
                return JSONResponse(self._make_completion(said, await place.outcome()))
            first = await _unless_disconnected(request, _first(pieces))
            streams = True
            return StreamingResponse(
                self._events(asked, place, first, pieces),
                media_type="text/event-stream",
                headers={"Cache-Control": "no-cache"},
            )
        except (RequestError, ClientDisconnect):
            raise
        except Exception as error:
            raise _internal(error) from error
        finally:
            if not streams:
                place.leave()

    async def _events(
        self, asked: ChatRequest, place: Place, first: str, pieces: AsyncIterator[str]
    ) -> AsyncIterator[str]:
        """The lines of a stream: a chunk for each piece, and one that says how the answer ended."""
        head = {"id": _make_id(), "object": "chat.completion.chunk", "created": int(time.time())}
        head |= {"model": self.model.name}
        usage = {"usage": None} if asked.include_usage else {}

        def chunk(delta: dict, finish_reason: str | None = None) -> str:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
            return _event({**head, "choices": [choice], **usage})

        try:
            yield chunk({"role": "assistant", "content": first})
            async for piece in pieces:
                yield chunk({"content": piece})
            outcome = await place.outcome()
            yield chunk({}, outcome.finish_reason)
            if asked.include_usage:
                yield _event({**head, "choices": [], "usage": _count(outcome)})
            yield "data: [DONE]\n\n"
        except RequestError as error:
            yield _event(error.as_json())
        except Exception as error:
            yield _event(_internal(error).as_json())
        finally:
            place.leave()

    def _make_completion(self, pieces: list[str], outcome: Outcome) -> dict[str, Any]:
        message = {"role": "assistant", "content": "".join(pieces), "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": outcome.finish_reason}
        return {
            "id": _make_id(),
            "object": "chat.completion",
            "created": int(time.time()),
            "model": self.model.name,
            "choices": [choice],
            "usage": _count(outcome),
        }

    async def list_models(self, request: Request) -> Response:
        """GET /v1/models."""
        return JSONResponse({"object": "list", "data": [self._describe()]})

    async def describe_model(self, request: Request) -> Response:
        """GET /v1/models/NAME."""
        self._check_model(request.path_params["name"])
        return JSONResponse(self._describe())

    async def tell_health(self, request: Request) -> Response:
        """GET /health."""
        return JSONResponse(
            {
                "status": "ok",
                "model": self.model.name,
                "auralign": __version__,
                "requests": self.gate.num_taken,
            }
        )

    def _describe(self) -> dict[str, Any]:
        return {"id": self.model.name, "object": "model", "created": self.started, "owned_by": "auralign"}

    def _check_model(self, name: str) -> None:
        if name != self.model.name:
            raise RequestError(
                f"there is no model {name!r} here; this server has {self.model.name!r}",
                status=404,
                param="model",
                code="model_not_found",
            )


# A body that is too large is read to its end and discarded, up to this multiple of the limit: a client that cannot send
# all of it sees a broken connection, and never the reason.
MAX_DISCARDED = 4


async def _read_json(request: Request, max_bytes: int) -> Any:
    """The value of the body. Raises RequestError if it is too large or no JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":  # which a page of another site cannot send unasked
        raise RequestError(
            f"the Content-Type is {kind or 'missing'}; send JSON as application/json", status=415
        )
    length = request.headers.get("content-length", "")
    body, size = bytearray(), 0
    if not (length.isdecimal() and int(length) > MAX_DISCARDED * max_bytes):
        async for piece in request.stream():
            size += len(piece)
            if size <= max_bytes:
                body += piece
            elif size > MAX_DISCARDED * max_bytes:
                break
    if size != len(body) or (length.isdecimal() and int(length) > max_bytes):
        raise RequestError(
            f"the body is larger than {max_bytes:,} bytes, the limit of this server; send shorter audio, or audio in a "
            "compressed format, or start the server with a higher --max-request-mb",
            status=413,
            code="request_too_large",
        )
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the body is not JSON ({error})", code="invalid_json") from error


async def _unless_disconnected(request: Request, awaitable: Coroutine[Any, Any, T]) -> T:
    """What is awaited. Raises ClientDisconnect if the client goes before it comes."""

    async def disconnected() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    wanted, gone = asyncio.ensure_future(awaitable), asyncio.ensure_future(disconnected())
    try:
        await asyncio.wait({wanted, gone}, return_when=asyncio.FIRST_COMPLETED)
        if wanted.done():
            return wanted.result()
        raise ClientDisconnect
    finally:
        for task in (wanted, gone):
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task


async def _first(pieces: AsyncIterator[str]) -> str:
    return await anext(pieces, "")


async def _all(pieces: AsyncIterator[str]) -> list[str]:
    return [piece async for piece in pieces]


def _event(content: dict[str, Any]) -> str:
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"


def _count(outcome: Outcome) -> dict[str, int]:
    return {
        "prompt_tokens": outcome.num_prompt_tokens,
        "completion_tokens": outcome.num_tokens,
        "total_tokens": outcome.num_prompt_tokens + outcome.num_tokens,
    }


def _make_id() -> str:
    return f"chatcmpl-{uuid.uuid4().hex}"


def _refuse(request: Request, error: Any) -> Response:
    headers = {"Retry-After": str(RETRY_SECONDS)} if error.status == 429 else {}
    if error.status >= 500:
        headers["x-should-retry"] = "false"  # OpenAI's clients would ask the same again
    return JSONResponse(error.as_json(), status_code=error.status, headers=headers)


def _refuse_path(request: Request, error: Any) -> Response:
    served = "POST /v1/chat/completions, GET /v1/models and GET /health"
    message = f"{request.method} {request.url.path} is not served here; this server has {served}"
    code = "method_not_allowed" if error.status_code == 405 else "unknown_path"
    response = _refuse(request, RequestError(message, status=error.status_code, code=code))
    response.headers.update(error.headers or {})  # such as Allow
    return response


def _internal(error: Exception) -> RequestError:
    """The refusal for a defect of the server, whose traceback goes to the log and not to the client."""
    traceback.print_exception(error)
    return RequestError("the server failed; its log has the reason", status=500, code="internal_error")
