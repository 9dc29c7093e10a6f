"""Ask the LLM: requests to answers. An engine is any object with `answer` and `max_prompt_ids`; this one uses transformers."""

from collections.abc import Iterator
from dataclasses import dataclass

from auralign.files import hash_value
from auralign.models.llm import Decoding
from auralign.records import TargetRequest


@dataclass(frozen=True)
class Reply:
    """The answer to one request: its text with special tokens, why it ended, and the LLM's own ids if the engine returns them."""

    request: TargetRequest
    text: str
    finish_reason: str
    ids: tuple[int, ...] | None = None


class TransformersEngine:
    """Static batches of prompts of similar length, decoded by transformers with a key-value cache.

    Arguments
    ---------
    llm : auralign.models.llm.LLM
    renderer : auralign.render.Renderer
    batch_size : int
        Number of prompts that are decoded together.
    """

    def __init__(self, llm, renderer, *, batch_size: int):
        self.llm, self.renderer, self.batch_size = llm, renderer, batch_size
        self.max_prompt_ids = llm.max_positions - 1
        """The longest prompt that leaves room for an answer."""

    def answer(self, requests: list[TargetRequest]) -> Iterator[list[Reply]]:
        """Yield batches of replies, longest prompts first, so that memory runs out at once or never.

        Every request must carry the same decoding. The LLM reads exactly the ids of the request.
        """
        requests = sorted(requests, key=lambda request: (-len(request.prompt_ids), request.key))
        for start in range(0, len(requests), self.batch_size):
            batch = requests[start : start + self.batch_size]
            decoding = batch[0].decoding
            answers = self.llm.generate(
                [self.llm.embed(request.prompt_ids) for request in batch],
                decoding=Decoding(max_new_tokens=decoding["max_new_tokens"]),
                temperature=decoding["temperature"],
                stop_ids=self.renderer.stop_ids,
                seeds=[int(hash_value([request.key])[:12], 16) for request in batch],
            )
            yield [
                Reply(request, self.renderer.tokenizer.decode(answer.ids), answer.finish_reason, answer.ids)
                for request, answer in zip(batch, answers, strict=True)
            ]
