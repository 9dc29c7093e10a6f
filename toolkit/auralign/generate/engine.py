"""Ask an LLM: requests to answers, by an engine that the recipe names.

    engine: transformers          # the default: continuous batching in this process
    engine: vllm                  # vLLM in this process: pip install 'auralign[vllm]'
    engine: !name:auralign.generate.server_engine.ServerEngine
        url: http://127.0.0.1:8000/v1

An engine writes answers to prompts of token ids, and some to prompts of embeddings, as speech is. A recipe may name one of its
own: a subclass of `Engine`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from auralign.files import hash_value
from auralign.models.llm import Answer, Decoding
from auralign.records import TargetRequest

SCHEDULERS = SLOTS, STATIC = ("slots", "static")


@dataclass(frozen=True)
class Reply:
    """The answer to one request: its text with special tokens, why it ended, and the LLM's own ids if the engine returns them."""

    request: TargetRequest
    text: str
    finish_reason: str
    ids: tuple[int, ...] | None = None


class Prompt(NamedTuple):
    """What an engine answers.

    Arguments
    ---------
    ids : tuple of int
        Token ids; empty if there are embeddings.
    limit : int
        Length limit of the answer, in tokens.
    seed : int
        For sampling; default 0.
    embeddings : torch.Tensor, optional
        (U, D), for engines that take embeddings; default none.
    """

    ids: tuple[int, ...]
    limit: int
    seed: int = 0
    embeddings: torch.Tensor | None = None


class Written(NamedTuple):
    """An answer: its ids without the end of turn, or its text if the engine gives no ids; and "stop" or "length"."""

    ids: tuple[int, ...] | None
    text: str | None
    finish_reason: str


class Engine(ABC):
    """Writes the answers of an LLM.

    Arguments
    ---------
    llm : auralign.models.llm.LLM
        The LLM of the recipe. An engine that has the weights elsewhere takes its name and the length of its context.
    renderer : auralign.render.Renderer
    batch_size : int
        Number of answers that are written at a time, as far as the engine counts them.
    """

    is_exact = False
    """Whether an answer is the same, bit for bit, alone and among others, up to rare ties."""

    def __init__(self, llm, renderer, *, batch_size: int):
        self.llm, self.renderer, self.batch_size = llm, renderer, batch_size
        self.max_prompt_ids = llm.max_positions - 1
        """The longest prompt that leaves room for an answer."""

    @abstractmethod
    def write(self, prompts: list[Prompt], *, temperature: float) -> Iterator[list[tuple[int, Written]]]:
        """Yield answers as they end, in any order, each with the number of its prompt.

        A temperature of 0 takes the likeliest tokens. Raises ValueError or OSError if the engine cannot go on.
        """

    def about(self) -> dict[str, Any]:
        """What every target records of the engine, beside the LLM; default nothing, as of transformers."""
        return {}

    def close(self) -> None:
        """Give up what the engine holds."""
        return

    def answer(self, requests: list[TargetRequest]) -> Iterator[list[Reply]]:
        """Yield replies as they are written, longest prompts first, so that memory runs out at once or never.

        Every request must carry the same temperature. The LLM reads exactly the ids of the request.
        """
        requests = sorted(requests, key=lambda request: (-len(request.prompt_ids), request.key))
        if not requests:
            return
        prompts = [
            Prompt(
                request.prompt_ids,
                min(request.decoding["max_new_tokens"], self.max_prompt_ids + 1 - len(request.prompt_ids)),
                int(hash_value([request.key])[:12], 16),
            )
            for request in requests
        ]
        for finished in self.write(prompts, temperature=requests[0].decoding["temperature"]):
            yield [self._reply(requests[number], written) for number, written in finished]

    def _reply(self, request: TargetRequest, written: Written) -> Reply:
        text = written.text if written.ids is None else self.renderer.tokenizer.decode(written.ids)
        return Reply(request, text or "", written.finish_reason, written.ids)

    def answer_embeddings(self, prompts: list[torch.Tensor], limits: list[int]) -> list[Answer]:
        """The likeliest answers to prompts of embeddings (U, D), in order, each up to its limit.

        Raises ValueError if the engine takes ids alone.
        """
        asked = [Prompt((), limit, embeddings=one) for one, limit in zip(prompts, limits, strict=True)]
        found = {number: one for finished in self.write(asked, temperature=0.0) for number, one in finished}
        return [Answer(found[number].ids or (), found[number].finish_reason) for number in range(len(asked))]


class TransformersEngine(Engine):
    """transformers, in this process and with the weights of the recipe's LLM.

    Arguments
    ---------
    llm, renderer, batch_size
        As of `Engine`.
    scheduler : str
        "slots" (default): a finished answer's place is taken by the next prompt at once (`auralign.models.llm.slots`), if the LLM
        can be decoded so. "static": batches of prompts of similar length, which end together.
    """

    def __init__(self, llm, renderer, *, batch_size: int, scheduler: str = SLOTS):
        super().__init__(llm, renderer, batch_size=batch_size)
        if scheduler not in SCHEDULERS:
            raise ValueError(f"engine: scheduler {scheduler!r}: use {' or '.join(SCHEDULERS)}")
        self.scheduler = scheduler

    @property
    def is_exact(self) -> bool:
        """Whether the LLM computes in fp32."""
        return self.llm.model.dtype == torch.float32

    def write(self, prompts: list[Prompt], *, temperature: float) -> Iterator[list[tuple[int, Written]]]:
        """Yield answers as they end."""
        finished: Iterable[list[tuple[int, Answer]]]
        if self.scheduler == SLOTS and self.llm.uses_slots:
            finished = self._in_slots(prompts, temperature)
        else:
            finished = self._in_batches(prompts, temperature)
        for batch in finished:
            yield [(number, Written(answer.ids, None, answer.finish_reason)) for number, answer in batch]

    def _in_slots(self, prompts: list[Prompt], temperature: float) -> Iterator[list[tuple[int, Answer]]]:
        from auralign.models.llm.sampling import Sampler
        from auralign.models.llm.slots import Prompt as Embedded
        from auralign.models.llm.slots import answer_in_slots

        return answer_in_slots(
            self.llm,
            (Embedded(self._embed(prompt), prompt.limit, prompt.seed) for prompt in prompts),
            num_slots=self.batch_size,
            stop_ids=self.renderer.stop_ids,
            sampler=Sampler(temperature) if temperature > 0 else None,
        )

    def _in_batches(self, prompts: list[Prompt], temperature: float) -> Iterator[list[tuple[int, Answer]]]:
        for start in range(0, len(prompts), self.batch_size):
            batch = prompts[start : start + self.batch_size]
            answers = self.llm.generate(
                [self._embed(prompt) for prompt in batch],
                decoding=Decoding(max_new_tokens=max(prompt.limit for prompt in batch)),
                temperature=temperature,
                stop_ids=self.renderer.stop_ids,
                seeds=[prompt.seed for prompt in batch],
            )
            yield list(enumerate(answers, start))

    def _embed(self, prompt: Prompt) -> torch.Tensor:
        return self.llm.embed(prompt.ids) if prompt.embeddings is None else prompt.embeddings
