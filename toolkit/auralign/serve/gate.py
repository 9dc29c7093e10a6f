"""Lets one request at a time use the model, with a bound on those that wait and a limit of time for each.

The model works in a thread of its own, and the server goes on answering: with 429 to those that find no place.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from auralign.serve.checks import RequestError

RETRY_SECONDS = 1  # what a client that finds no place is asked to wait
T = TypeVar("T")


class StoppedError(Exception):
    """Raised by `Place.check` in the thread of the model: nobody waits for this answer any more."""


@dataclass(frozen=True)
class Outcome:
    """How an answer ended.

    Arguments
    ---------
    finish_reason : str
        "stop" or "length".
    num_prompt_tokens, num_tokens : int
        Positions of the prompt (tokens and embeddings of speech), and tokens of the answer.
    """

    finish_reason: str
    num_prompt_tokens: int
    num_tokens: int


class Gate:
    """The places of those requests that use the model or wait for it.

    Arguments
    ---------
    max_waiting : int
        How many may wait while one is answered.
    max_seconds : float
        Limit of a request from its arrival to its last word, waiting included.
    """

    def __init__(self, max_waiting: int, max_seconds: float):
        self.max_waiting, self.max_seconds = max_waiting, max_seconds
        self.num_taken = 0
        self.closed = False
        self.thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")

    def enter(self) -> "Place":
        """A place, which its holder has to `leave`. Raises RequestError (429) if there is none."""
        if self.num_taken > self.max_waiting:
            raise RequestError(
                f"the model is busy, and {self.max_waiting} requests wait for it; try again later",
                status=429,
                code="server_busy",
            )
        self.num_taken += 1
        return Place(self)

    def close(self) -> None:
        """End all work before its next token."""
        self.closed = True
        self.thread.shutdown(wait=False, cancel_futures=True)


class Place:
    """The place of one request, which ends at its `deadline`."""

    def __init__(self, gate: Gate):
        self.gate = gate
        self.loop = asyncio.get_running_loop()
        self.deadline = time.monotonic() + gate.max_seconds
        self._pieces: asyncio.Queue[str | None] = asyncio.Queue()
        self._left = False
        self._work: Future[Outcome] | None = None

    def start(self, answer: Callable[[Callable[[str], None], Callable[[], None]], Outcome]) -> None:
        """Have `answer(say, check)` called in the thread of the model, when it is free.

        It gives each piece of text to `say`, and calls `check` between tokens, which raises StoppedError if it has to end.
        """

        def work() -> Outcome:
            try:
                self.check()
                return answer(self._say, self.check)
            finally:
                self.loop.call_soon_threadsafe(self._pieces.put_nowait, None)

        self._work = self.gate.thread.submit(work)
        self._work.add_done_callback(lambda _: self.loop.call_soon_threadsafe(self._release))

    def check(self) -> None:
        """Raise StoppedError if the request was left, its time is over, or the server ends."""
        if self._left or self.gate.closed or time.monotonic() > self.deadline:
            raise StoppedError

    async def pieces(self) -> AsyncIterator[str]:
        """The pieces of text as they come. Raises what the work raises, and RequestError (504) at the deadline."""
        while (piece := await self.before_deadline(self._pieces.get())) is not None:
            yield piece
        await self.outcome()

    async def outcome(self) -> Outcome:
        """How the answer ended, once it has; errors as for `pieces`."""
        if self._work is None:
            raise ValueError("nothing was started in this place")
        try:
            return await asyncio.wrap_future(self._work)
        except StoppedError as error:
            raise self._too_late() from error

    async def before_deadline(self, awaitable: Awaitable[T]) -> T:
        """What is awaited. Raises RequestError (504) if it does not come before the deadline."""
        try:
            async with asyncio.timeout(self.deadline - time.monotonic()):
                return await awaitable
        except TimeoutError as error:
            raise self._too_late() from error

    def leave(self) -> None:
        """End the work, if it is not finished: before its next token."""
        if self._work is None and not self._left:
            self._release()
        self._left = True

    def _say(self, piece: str) -> None:
        self.loop.call_soon_threadsafe(self._pieces.put_nowait, piece)

    def _release(self) -> None:
        self.gate.num_taken -= 1

    def _too_late(self) -> RequestError:
        return RequestError(
            f"the request took longer than {self.gate.max_seconds:g} s, the limit of this server, and was ended; ask for "
            "fewer tokens, or start the server with a higher --max-seconds",
            status=504,
            code="timeout",
        )
