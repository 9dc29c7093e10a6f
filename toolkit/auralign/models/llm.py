"""A frozen causal LLM from a Hugging Face folder: embed, run, predict, generate."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from auralign.files import hash_path


@dataclass(frozen=True)
class Answer:
    """Token ids of one answer without its end of turn, and why it ended: "stop" or "length"."""

    ids: tuple[int, ...]
    finish_reason: str


class LLM(nn.Module):
    """A causal LLM of transformers, frozen: no gradient for its weights, always in eval mode, absent from checkpoints.

    Arguments
    ---------
    model : transformers.PreTrainedModel
        With a language-model head.
    tokenizer : transformers.PreTrainedTokenizerBase
        With a chat template.
    name, revision : str
        Recorded with targets and checkpoints. A local folder's revision is the hash of its content.
    """

    def __init__(self, model, tokenizer, *, name: str, revision: str):
        super().__init__()
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.name = name
        self.revision = revision
        self._neutralise_generation_config()
        self._check_head()

    def train(self, mode: bool = True) -> "LLM":
        """Frozen is frozen: stays in eval mode."""
        return super().train(False)

    @property
    def width(self) -> int:
        """D: the width of its embeddings."""
        return self.model.get_input_embeddings().embedding_dim

    @property
    def max_positions(self) -> int:
        """The longest sequence that it was made for, in positions."""
        return self.model.config.max_position_embeddings

    @property
    def device(self) -> torch.device:
        return self.model.device

    def embed(self, ids) -> torch.Tensor:
        """Embeddings (U, D) of token ids."""
        return self.model.get_input_embeddings()(torch.as_tensor(ids, dtype=torch.long, device=self.device))

    def hidden_states(self, embeddings: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Last hidden states (N, D) of one pack: embeddings (N, D), positions (N,) restarting at each sequence.

        No mask and no cache: restarted positions keep the sequences apart only then (an all-ones mask, or the default
        cache, leaks across them without an error).
        """
        output = self.model.base_model(
            inputs_embeds=embeddings[None], position_ids=positions[None], use_cache=False
        )
        return output.last_hidden_state[0]

    def head(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits (M, V) of hidden states (M, D)."""
        logits = self.model.get_output_embeddings()(hidden)
        cap = getattr(self.model.config, "final_logit_softcapping", None)
        return torch.tanh(logits / cap) * cap if cap else logits

    @torch.no_grad()
    def generate(
        self,
        prompts: list[torch.Tensor],
        *,
        max_new_tokens: int,
        stop_ids,
        temperature: float = 0.0,
        seeds: list[int] | None = None,
        streamer=None,
    ) -> list[Answer]:
        """Answers to prompts given as embeddings (U, D), decoded together with left padding and a key-value cache.

        Greedy at temperature 0. Otherwise each answer is sampled with noise that is a function of its own seed and the
        position alone, so that neither batch mates nor order change it.
        """
        from transformers import GenerationConfig, LogitsProcessorList

        longest = max(len(prompt) for prompt in prompts)
        embeddings = torch.stack(
            [nn.functional.pad(prompt, (0, 0, longest - len(prompt), 0)) for prompt in prompts]
        )
        mask = torch.stack([torch.arange(longest) >= longest - len(prompt) for prompt in prompts]).to(
            self.device
        )
        config = GenerationConfig(
            max_new_tokens=max_new_tokens,
            do_sample=False,
            num_beams=1,
            eos_token_id=list(stop_ids),
            pad_token_id=stop_ids[0],
        )
        processors = LogitsProcessorList([GumbelNoise(temperature, seeds)] if temperature > 0 else [])
        output = self.model.generate(
            inputs_embeds=embeddings,
            attention_mask=mask.long(),
            generation_config=config,
            logits_processor=processors,
            streamer=streamer,
        )
        return [_cut(row, stop_ids) for row in output.tolist()]

    def _neutralise_generation_config(self) -> None:
        # Qwen's generation_config.json samples at 0.7 with a repetition penalty, and would do so behind our back.
        from transformers import GenerationConfig

        self.model.generation_config = GenerationConfig()

    @torch.no_grad()
    def _check_head(self) -> None:
        """The head is applied apart from the model (only at targets); see once that this gives the model's own logits."""
        ids = torch.arange(min(4, self.model.get_input_embeddings().num_embeddings), device=self.device)
        whole = self.model(input_ids=ids[None], use_cache=False).logits[0]
        apart = self.head(self.hidden_states(self.embed(ids), torch.arange(len(ids), device=self.device)))
        if not torch.allclose(whole, apart, rtol=1e-4, atol=1e-4):
            raise ValueError(
                f"{type(self.model).__name__} does more between its last hidden state and its logits than auralign "
                "knows of; please report this class"
            )


class GumbelNoise:
    """Turns argmax into sampling: adds noise seeded by (seed of the row, position) to logits / temperature."""

    def __init__(self, temperature: float, seeds: list[int] | None):
        if seeds is None:
            raise ValueError("sampling needs a seed for each prompt")
        self.temperature, self.seeds, self.position = temperature, seeds, 0

    def __call__(self, input_ids, scores):
        """Noisy scores (B, V)."""
        noise = torch.empty_like(scores, device="cpu")
        for row, seed in zip(noise, self.seeds, strict=True):
            row.exponential_(
                generator=torch.Generator().manual_seed((seed * 1_000_003 + self.position) % 2**63)
            )
        self.position += 1
        return scores / self.temperature - noise.log().to(scores)


def _cut(row: list[int], stop_ids) -> Answer:
    for place, token in enumerate(row):
        if token in stop_ids:
            return Answer(tuple(row[:place]), "stop")
    return Answer(tuple(row), "length")


def load_llm(path, *, dtype: str = "float32", device: str = "cpu") -> LLM:
    """The LLM and tokenizer of a local Hugging Face folder. Code that comes with the folder is never run.

    Raises FileNotFoundError where the folder is absent, ValueError on an unknown dtype.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    if not (Path(path) / "config.json").is_file():
        raise FileNotFoundError(
            f"no LLM at {path}: expected a Hugging Face folder with config.json, weights and tokenizer"
        )
    if dtype not in ("float32", "bfloat16", "float16"):
        raise ValueError(f"dtype {dtype!r}: use float32, bfloat16 or float16")
    disable_progress_bar()  # "Loading weights", which would be printed to logs too
    tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype), local_files_only=True)
    return LLM(model.to(device), tokenizer, name=Path(path).name, revision=hash_path(path)[:16])
