"""The engine of vLLM, in this process: `engine: vllm`, or with options that `vllm.LLM` takes:

    engine: !name:auralign.generate.vllm_engine.VLLMEngine
        options:
            gpu_memory_utilization: 0.85
            tensor_parallel_size: 2

vLLM loads the weights of the recipe's LLM from its folder or the hub. Prompts are token ids, and embeddings where speech is among
them. vLLM rounds otherwise than transformers, and by the batch: answers are reproduced in most cases, not in all.
"""

import gc
from collections.abc import Iterator
from typing import Any

from auralign.generate.engine import Engine, Prompt, Written

AT_ONCE = 1024  # prompts that vLLM is given at a time: so many answers a kill loses at most


class VLLMEngine(Engine):
    """Asks vLLM for as many answers at a time as fit the GPU.

    Arguments
    ---------
    llm, renderer, batch_size
        As of `Engine`; vLLM itself decides how many answers it writes at a time.
    at_once : int
        Prompts that vLLM is given at a time; default 1024. A kill loses at most so many answers.
    options : dict, optional
        Further arguments of `vllm.LLM`. `gpu_memory_utilization` is 0.8 by default, as the recipe's own copy of the LLM stays on
        the GPU for the embeddings of prompts.

    Raises ValueError if vLLM is not installed.
    """

    def __init__(
        self, llm, renderer, *, batch_size: int, at_once: int = AT_ONCE, options: dict[str, Any] | None = None
    ):
        super().__init__(llm, renderer, batch_size=batch_size)
        try:
            import vllm
        except ImportError as error:
            raise ValueError(
                f"engine vllm: the package vllm is not there ({error}); pip install 'auralign[vllm]', which needs a GPU, or use "
                "--engine transformers"
            ) from error
        self.at_once = at_once
        self._sampling = vllm.SamplingParams
        self._vllm = vllm.LLM(
            **{
                "model": llm.name,
                "dtype": str(llm.model.dtype).removeprefix("torch."),
                "enable_prompt_embeds": True,
                "gpu_memory_utilization": 0.8,
                "generation_config": "vllm",  # none of the folder's own: the recipe says how answers are drawn
                **(options or {}),
            }
        )

    def about(self) -> dict[str, Any]:
        """That vLLM answered."""
        return {"engine": "vllm"}

    def close(self) -> None:
        """Let vLLM go, so that another split can load it again."""
        self._vllm = None
        gc.collect()

    def write(self, prompts: list[Prompt], *, temperature: float) -> Iterator[list[tuple[int, Written]]]:
        """Yield the answers to `at_once` prompts together."""
        for start in range(0, len(prompts), self.at_once):
            batch = prompts[start : start + self.at_once]
            outputs = self._vllm.generate(
                [
                    {"prompt_token_ids": list(prompt.ids)}
                    if prompt.embeddings is None
                    else {"prompt_embeds": prompt.embeddings}
                    for prompt in batch
                ],
                [
                    self._sampling(
                        temperature=temperature,
                        max_tokens=prompt.limit,
                        seed=prompt.seed,
                        stop_token_ids=list(self.renderer.stop_ids),
                        detokenize=False,
                    )
                    for prompt in batch
                ],
                use_tqdm=False,
            )
            yield [(start + number, self._read(output.outputs[0])) for number, output in enumerate(outputs)]

    def _read(self, output) -> Written:
        ids = tuple(output.token_ids)
        if ids and ids[-1] in self.renderer.stop_ids:
            ids = ids[:-1]
        if output.finish_reason not in ("stop", "length"):
            raise ValueError(
                f"engine vllm: an answer ended for the reason {output.finish_reason!r}; see what vLLM said, and run the same "
                "command again: what is answered is kept"
            )
        return Written(ids, None, output.finish_reason)
