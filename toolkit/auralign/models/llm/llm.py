"""A frozen causal LLM of transformers: embed, run, predict, generate.

With LoRA (`add_lora`) its weights stay frozen and adapters beside them are trained; after `unfreeze` the weights themselves
are. `original` is the LLM as it was loaded, without either.

Axes: N positions of a pack, U text positions, M chosen positions, D width, V vocabulary.
"""

import contextlib
import math
import sys
from collections.abc import Iterator
from functools import cached_property

import torch
from torch import nn

from auralign.losses import Prototypes, mix_tokens
from auralign.models.identity import Base
from auralign.models.llm.attention import follow
from auralign.models.llm.casting import Casts
from auralign.models.llm.generation import Answer, generate
from auralign.models.llm.lora import ALL, Adapters
from auralign.models.llm.packs import LAST, run_pack
from auralign.models.llm.sharded import Shards
from auralign.models.llm.sharing import Sharing, probe
from auralign.models.sending import send

# What configs call the length of the context; families without one have no limit.
CONTEXTS = ("max_position_embeddings", "max_seq_len", "seq_length", "context_length")
# Between the head and the logits: config fields that multiply them, and one that divides them.
FACTORS, DIVISOR = ("logit_scale", "lm_head_multiplier"), "logits_scaling"
FINAL_NORMS = (
    "norm",
    "norm_f",
    "ln_f",
    "final_layernorm",
    "final_layer_norm",
    "embedding_norm",
    "out_norm",
    "ln_out",
)


class LLM(nn.Module):
    """A causal LLM of transformers, frozen: no gradient for its weights, always in eval mode, absent from checkpoints.

    Arguments
    ---------
    model : transformers.PreTrainedModel
        With a language-model head.
    tokenizer : transformers.PreTrainedTokenizerBase
        With a chat template.
    name, revision : str
        Recorded with targets and checkpoints.
    base : auralign.models.identity.Base, optional
        What it was loaded from, whose revision it has. Default none: its revision is compared as a text.

    Attributes
    ----------
    stop_ids : tuple of int
        Token ids that end an answer.
    batch_invariant : bool
        Decode prompts one by one, so that in bf16 and fp16 too no answer depends on batch mates; default False.

    Raises ValueError if the model cannot be given speech; see `auralign.models.llm.sharing.probe`.
    """

    def __init__(self, model, tokenizer, *, name: str, revision: str, base: Base | None = None):
        super().__init__()
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.name = name
        self.revision = revision
        self.base = base
        self._adapters: Adapters | None = None
        self._trained: list[nn.ParameterDict] = []  # in a list: they are registered in the model already
        self._original: dict[str, torch.Tensor] = {}
        self.stop_ids = find_stop_ids(model, tokenizer)
        self.batch_invariant = False
        self._sizes: tuple[int, ...] | None = None
        self._prototypes: dict[bool, tuple[list, list[torch.Tensor], Prototypes]] = {}
        self._sharing: dict[tuple[str, torch.dtype], Sharing] = {}  # kernels differ by kind of device
        self._slots: dict[tuple[str, torch.dtype], bool] = {}
        self._shards: Shards | None = None
        self._neutralise_generation_config()
        follow(self.decoder, self.config)
        for note in self.sharing.notes():
            print(f"{self.name} ({type(model).__name__}): {note}, which takes longer", file=sys.stderr)

    def train(self, mode: bool = True) -> "LLM":
        """Stay in eval mode, whatever the mode."""
        return super().train(False)

    def shard(self, device: str) -> None:
        """Share the layers out over the ranks of a training; see `auralign.models.llm.sharded`."""
        self._shards = Shards(self, device)

    def meet(self) -> None:
        """If the layers are shared out: help the ranks that are not done. Call it before the ranks exchange anything else."""
        if self._shards is not None:
            self._shards.meet()

    def before_backward(self) -> None:
        """If the layers are shared out: call it before a backward through them."""
        if self._shards is not None:
            self._shards.before_backward()

    @property
    def is_sharded(self) -> bool:
        """Whether the layers are shared out over several ranks."""
        return self._shards is not None

    def add_lora(self, config, *, scope: str = ALL) -> None:
        """Put trained LoRA adapters beside the frozen weights.

        Arguments and errors as of `auralign.models.llm.lora.Adapters`; ValueError also if there are adapters already.
        """
        if self._adapters is not None:
            raise ValueError("lora: this LLM has adapters already; load it again to give it others")
        self._adapters = Adapters(self.model, config, scope=scope, name=self.name)
        self.eval()  # adapters come in training mode

    @property
    def lora(self) -> nn.ModuleDict | None:
        """The adapters by module of the LLM; None without LoRA."""
        return self._adapters and self._adapters.modules

    @property
    def adapted_positions(self) -> torch.Tensor | None:
        """Which positions (B, N) LoRA adapts now; None without LoRA, or if its scope is all positions."""
        return self._adapters and self._adapters.positions

    def adapting(self, is_speech: torch.Tensor) -> contextlib.AbstractContextManager:
        """Context manager: LoRA whose scope is speech adapts the positions (B, N) that are `is_speech`."""
        return self._adapters.adapting(is_speech) if self._adapters else contextlib.nullcontext()

    def merge_lora(self) -> None:
        """Add the adapters, if there are any, to the weights for good; raises ValueError if their scope is speech."""
        if self._adapters is not None:
            self._adapters.merge()
            self._prototypes.clear()  # peft writes past the counters of versions

    def casts(self, precision: str) -> contextlib.AbstractContextManager:
        """Context manager for steps of training: on a CPU a frozen LLM's weights are cast to a 16-bit precision once."""
        dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
        if dtype is None or self.device.type != "cpu" or self._adapters or self._trained or self._shards:
            return contextlib.nullcontext()
        return Casts(self.decoder, dtype)

    def unfreeze(self) -> None:
        """Train the LLM's own weights; a copy of them is kept for `original`.

        Raises ValueError if they are not float32: small steps would be lost.
        """
        parameters = dict(self.model.named_parameters())
        if any(parameter.dtype != torch.float32 for parameter in parameters.values()):
            raise ValueError(
                "train_llm: the LLM's weights are not float32; load it with dtype: float32 (precision: bf16 computes in bf16)"
            )
        self.model.requires_grad_(True)
        self._trained = [nn.ParameterDict({name.replace(".", "/"): p for name, p in parameters.items()})]
        self._original = {name: parameter.detach().clone() for name, parameter in self._trained[0].items()}

    @property
    def trained(self) -> nn.ParameterDict | None:
        """The LLM's own weights by name, if they are trained."""
        return self._trained[0] if self._trained else None

    @contextlib.contextmanager
    def original(self) -> Iterator[None]:
        """Context manager: the LLM as it was loaded, bit for bit: original weights, adapters disabled."""
        parameters = self.trained or {}
        trained = {name: parameter.data for name, parameter in parameters.items()}
        for name, parameter in parameters.items():
            parameter.data = self._original[name].to(parameter)
        try:
            with self._adapters.disabled() if self._adapters else contextlib.nullcontext():
                yield
        finally:
            for name, parameter in parameters.items():
                parameter.data = trained[name]

    @property
    def width(self) -> int:
        """D: the width of its embeddings."""
        return self.model.get_input_embeddings().embedding_dim

    @property
    def config(self):
        """The config of its text part."""
        return self.model.config.get_text_config(decoder=True)

    @property
    def decoder(self) -> nn.Module:
        """The model below the head."""
        base = self.model.base_model
        # Llama 4 gives its decoder another name than `base_model_prefix` says.
        return base if base is not self.model else self.model.model

    @property
    def max_positions(self) -> float:
        """The longest sequence that the LLM was trained for, in positions; infinite if its family has no such limit."""
        return next((getattr(self.config, name) for name in CONTEXTS if hasattr(self.config, name)), math.inf)

    @property
    def rope_edges(self) -> list[int]:
        """Lengths at which the rotary factors change (LongRoPE, arXiv:2402.13753): sequences on two sides share no forward.

        In a shared forward all sequences are rotated by the factors of the longest. (Dynamic factors change beyond
        `max_positions`, which no sequence exceeds.)"""
        rope = getattr(self.config, "rope_parameters", None) or {}
        parts = [part for part in (rope, *rope.values()) if isinstance(part, dict)]
        return sorted(
            {
                part["original_max_position_embeddings"]
                for part in parts
                if part.get("rope_type") == "longrope"
            }
        )

    @property
    def sharing(self) -> Sharing:
        """Which sequences may share a forward; probed at the first use on a kind of device in a precision."""
        kind = (self.device.type, self.model.dtype)
        if kind not in self._sharing:
            with self.original():
                self._sharing[kind] = probe(self.model, self.decoder, self.head)
        return self._sharing[kind]

    @property
    def uses_slots(self) -> bool:
        """Whether answers are written in slots (`auralign.models.llm.slots`); probed at the first use, as `sharing` is."""
        from auralign.models.llm.slots import can_use_slots  # needs transformers

        kind = (self.device.type, self.model.dtype)
        if kind not in self._slots:
            with self.original():
                self._slots[kind] = can_use_slots(self)
        return self._slots[kind] and self.sharing.left and not self.batch_invariant

    @property
    def vocabulary_size(self) -> int:
        """V: the number of tokens that have an embedding."""
        return self.model.get_input_embeddings().num_embeddings

    @property
    def device(self) -> torch.device:
        return self.model.device

    def embed(self, ids) -> torch.Tensor:
        """Embeddings (U, D) of U token ids.

        Raises ValueError if an id has no embedding, as of a token that was added to the tokenizer alone.
        """
        embeddings = self.model.get_input_embeddings()
        largest = -1 if isinstance(ids, torch.Tensor) else max(ids, default=-1)
        if largest >= embeddings.num_embeddings:
            raise ValueError(
                f"the token {self.tokenizer.convert_ids_to_tokens(largest)!r} has id {largest}, the LLM {self.name} has "
                f"{embeddings.num_embeddings} embeddings; leave it out of the text, or resize the embeddings"
            )
        return embeddings(send(torch.as_tensor(ids, dtype=torch.long), self.device))

    @cached_property
    def mean_embedding(self) -> torch.Tensor:
        """The mean (D,) of the original token embeddings: they share a large part, which carries nothing of a token."""
        with self.original(), torch.no_grad():
            return self.embed(torch.arange(self.vocabulary_size)).float().mean(0)

    def prototypes(self, *, original: bool) -> Prototypes:
        """All token embeddings with their mean, for `naming_loss` and `mix_tokens`: the `original` ones or those of now.

        They are computed again whenever a weight of the embeddings was written to, replaced or moved since.
        """
        with self.original() if original else contextlib.nullcontext(), torch.no_grad():
            weights = [weight.detach() for weight in self.model.get_input_embeddings().parameters()]
            state = [(weight.data_ptr(), weight._version, weight.device, weight.dtype) for weight in weights]
            if original not in self._prototypes or self._prototypes[original][0] != state:
                tokens = self.embed(torch.arange(self.vocabulary_size))
                if torch.equal(tokens, weights[0]):  # unless a family scales them: no second copy is kept
                    tokens = weights[0]
                made = Prototypes.of(tokens, self.mean_embedding.to(tokens))
                # The weights are kept with it, as the address of one that is gone may become that of another.
                self._prototypes[original] = (state, weights, made)
            return self._prototypes[original][2]

    def mix_tokens(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Mixtures (U, D) of the original token embeddings that embeddings (U, D) are near; see `auralign.losses.mix_tokens`."""
        tokens = self.prototypes(original=True)
        return mix_tokens(embeddings.to(tokens.tokens.device), tokens)

    def hidden_states(self, embeddings: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Last hidden states (N, D) of one pack; see `run`."""
        return self.run(embeddings, positions)[LAST]

    @contextlib.contextmanager
    def packed(self, sizes: tuple[int, ...]) -> Iterator[None]:
        """Context manager: the pack that is run has sequences of these sizes, so that `run` need not wait for a GPU to count."""
        before, self._sizes = self._sizes, sizes
        try:
            yield
        finally:
            self._sizes = before

    def run(
        self, embeddings: torch.Tensor, positions: torch.Tensor, layers=()
    ) -> dict[int | float, torch.Tensor]:
        """Hidden states (N, D) of one pack by layer; see `auralign.models.llm.packs.run_pack`."""
        return run_pack(self, embeddings, positions, layers, sizes=self._sizes)

    def number_of(self, layer: int | float) -> int:
        """The number of a layer, from 0 (the input) to that of the last, given by number or depth.

        Raises ValueError if there is no such layer.
        """
        num_layers = self.config.num_hidden_layers
        number = round(layer * num_layers) if isinstance(layer, float) and 0 < layer < 1 else layer
        if not isinstance(number, int) or not -num_layers - 1 <= number <= num_layers:
            raise ValueError(
                f"layer {layer}: give a number up to {num_layers}, the layers of {self.name}, or a depth above 0.0 and below 1.0 "
                "(0 is the input, -1 the last layer)"
            )
        return number % (num_layers + 1)

    def lens(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits (M, V) that the head would read off hidden states (M, D) of a layer below the last: the logit lens
        (nostalgebraist, 2020)."""
        for name in FINAL_NORMS:
            if hasattr(self.decoder, name):
                return self.head(getattr(self.decoder, name)(hidden))
        raise ValueError(
            f"{type(self.model).__name__} names its last norm like none of {', '.join(FINAL_NORMS)}"
        )

    def head(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits (M, V) of hidden states (M, D)."""
        logits = self.model.get_output_embeddings()(hidden)
        for name in FACTORS:
            factor = getattr(self.config, name, None)
            logits = logits * factor if isinstance(factor, float) else logits
        logits = logits / getattr(self.config, DIVISOR, 1.0)
        cap = getattr(self.config, "final_logit_softcapping", None)
        return torch.tanh(logits / cap) * cap if cap else logits

    def generate(self, prompts: list[torch.Tensor], **options) -> list[Answer]:
        """Answers to prompts given as embeddings (U, D); options and errors as of `auralign.models.llm.generation.generate`."""
        return generate(self, prompts, **options)

    def room(self, num_positions: int) -> int:
        """How many tokens an answer may have after a prompt of `num_positions`.

        Raises ValueError if there is no room for one.
        """
        if num_positions >= self.max_positions:
            raise ValueError(
                f"prompt and speech take {num_positions} positions, the LLM {self.name} has {self.max_positions}; cut the "
                "audio or the prompt, or use a connector that makes fewer embeddings"
            )
        return self.max_positions - num_positions

    def _neutralise_generation_config(self) -> None:
        # Qwen's generation_config.json samples at 0.7 with a repetition penalty, which `generate` would apply.
        from transformers import GenerationConfig

        self.model.generation_config = GenerationConfig()


def find_stop_ids(model, tokenizer) -> tuple[int, ...]:
    """The token ids that end an answer, as generation_config.json, config.json and the tokenizer name them.

    GLM-4 ends its turns with ids that only generation_config.json names. An id that is merely the default of the
    configuration's class is left out if it is an ordinary token.
    """
    named = [tokenizer.eos_token_id]
    text = model.config.get_text_config(decoder=True)
    default = getattr(type(text)(), "eos_token_id", None)
    for config in (model.generation_config, text):
        ids = getattr(config, "eos_token_id", None)
        for token in ids if isinstance(ids, (list, tuple)) else [ids]:
            if token != default or token in tokenizer.added_tokens_decoder:
                named.append(token)
    return tuple(dict.fromkeys(token for token in named if token is not None))
