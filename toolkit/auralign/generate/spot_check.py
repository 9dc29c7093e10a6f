"""A few answers of a batch, asked for again one by one: what an engine writes for many must be what it writes for one.

A fault of padding, of a cache or of a server would otherwise be in all targets, and nothing later would show it. The sample is
drawn by the requests' keys, which are hashes. Only the first tokens are asked for.
"""

import dataclasses
import heapq
from collections.abc import Callable
from pathlib import Path

from auralign.generate.engine import Engine
from auralign.records import Target, TargetRequest, shorten

SAMPLE, FIRST = 8, 32  # answers that are asked for again, and how many tokens of each
EXACT_LIMIT, LIMIT = 1, 6
"""How many may differ: in fp32 those with two tokens that are about as likely, else also those that rounding changes."""


class SpotCheck:
    """The requests of a run with the smallest keys, and the comparison of their answers."""

    def __init__(self, engine: Engine, size: int = SAMPLE):
        self.engine, self.size = engine, size
        self._requests: list[tuple[int, TargetRequest]] = []  # a heap: the largest key first

    @property
    def num_requests(self) -> int:
        """How many are noted."""
        return len(self._requests)

    def add(self, request: TargetRequest) -> None:
        """Note a request that the engine answers."""
        entry = (-int(request.key, 16), request)
        if any(key == entry[0] for key, _ in self._requests):
            return
        if len(self._requests) < self.size:
            heapq.heappush(self._requests, entry)
        elif self._requests and entry[0] > self._requests[0][0]:
            heapq.heapreplace(self._requests, entry)

    def run(self, read: Callable[[str], Target], kept: Path) -> str:
        """Ask again and compare with what `read` gives for a key, which the file `kept` holds; returns a one-line summary.

        Raises ValueError if more differ than `EXACT_LIMIT`, or, with an engine that is not exact, than `LIMIT`.
        """
        differing = []
        for _, request in sorted(self._requests, key=lambda entry: entry[1].key):
            first = min(FIRST, request.decoding["max_new_tokens"])
            decoding = {**request.decoding, "max_new_tokens": first}
            ((reply,),) = self.engine.answer([dataclasses.replace(request, decoding=decoding)])
            target = read(request.key)
            if not _begins(target, reply.ids, reply.text, reply.finish_reason):
                differing.append(
                    f"{request.utt_id}: {shorten(target.response)!r}, alone {shorten(reply.text)!r}"
                )
        limit = EXACT_LIMIT if self.engine.is_exact else LIMIT
        summary = f"spot check: {len(differing)} of {len(self._requests)} answers differ from those asked for one by one"
        if len(differing) > limit:
            raise ValueError(
                f"{summary}, more than {limit}, such as of {differing[0]}; the engine mixes up answers: remove {kept}, and use "
                "another engine, such as --engine transformers --engine.scheduler static, or another LLM"
            )
        return summary


def _begins(target: Target, ids: tuple[int, ...] | None, text: str, finish_reason: str) -> bool:
    """Whether an answer begins as the one that was asked for alone, and ends with it if that ended."""
    ended = finish_reason == "stop"
    if ids is None or target.response_ids is None:
        return target.response == text if ended else target.response.startswith(text)
    found = tuple(target.response_ids)
    return found == ids if ended else found[: len(ids)] == ids
