"""A frozen causal LLM from a Hugging Face folder: embed, run, predict, generate.

With LoRA (`add_lora`) its weights stay frozen and adapters beside them are trained; after `unfreeze` the weights themselves
are. `plain` is the LLM as it came, without either.

Axes: B batch, N positions of a pack, U text positions, M chosen positions, D width, V vocabulary.
"""

import contextlib
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import nn

from auralign.files import hash_path
from auralign.models.encoder import LOADERS
from auralign.models.folder import (
    check_complete,
    check_finite,
    check_sound,
    loading,
    read_object,
    torch_dtype,
)
from auralign.models.probe import Sharing, probe

# What configs call the length of the context; families without one have no limit.
CONTEXTS = ("max_position_embeddings", "max_seq_len", "seq_length", "context_length")
# Between the head and the logits: config fields that multiply them, and one that divides them.
FACTORS, DIVISOR = ("logit_scale", "lm_head_multiplier"), "logits_scaling"
INPUT, LAST = 0, -1  # layers: what is put into the LLM, and what the head reads
SCOPES = ALL, SPEECH = ("all", "speech")  # positions that LoRA adapts
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
LORA_FIELDS = (
    "r", "lora_alpha", "lora_dropout", "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern",
    "rank_pattern", "alpha_pattern", "use_rslora", "use_dora", "fan_in_fan_out", "bias", "lora_bias",
)  # fmt: skip
LORA_STARTS = (True, False, "gaussian", "orthogonal")  # others, such as pissa, write to the frozen weights
LORA_NOTES = (
    "task_type",
    "inference_mode",
    "peft_type",
    "peft_version",
    "base_model_name_or_path",
    "init_lora_weights",
)


@dataclass(frozen=True)
class Answer:
    """Token ids of one answer without its end of turn, and why it ended: "stop" or "length"."""

    ids: tuple[int, ...]
    finish_reason: str


@dataclass(frozen=True)
class Decoding:
    """How answers are decoded.

    Arguments
    ---------
    max_new_tokens : int
        Length limit of an answer.
    tokens_per_second : float, optional
        A second limit: so many tokens for each second of the audio, rounded up.
    num_beams : int
        1 is greedy; more is beam search.
    stop_strings : sequence of str
        An answer ends before the first of them.
    """

    max_new_tokens: int
    tokens_per_second: float | None = None
    num_beams: int = 1
    stop_strings: tuple[str, ...] = ()

    def __post_init__(self):
        for name, value in vars(self).items():
            if isinstance(value, (int, float)) and not 0 < value < math.inf:
                raise ValueError(f"{name} {value}: give a number above 0")
        strings = self.stop_strings
        if isinstance(strings, str) or not all(isinstance(string, str) and string for string in strings):
            shown = strings if isinstance(strings, str) else list(strings)
            raise ValueError(f"stop_strings {shown!r}: give a list of strings that are not empty")
        object.__setattr__(self, "stop_strings", tuple(strings))

    def limit(self, seconds: float | None) -> int:
        """Length limit of an answer about an utterance of so many seconds, whatever the LLM is given of it: speech, its
        text, another's speech. None: of no utterance."""
        if self.tokens_per_second is None or seconds is None:
            return self.max_new_tokens
        return min(self.max_new_tokens, max(1, math.ceil(self.tokens_per_second * seconds)))


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
        self._lora: list[nn.ModuleDict] = []  # in lists: they are registered in the model already
        self._trained: list[nn.ParameterDict] = []
        self._original: dict[str, torch.Tensor] = {}
        self._adapted: torch.Tensor | None = None
        self.stop_ids = find_stop_ids(model, tokenizer)
        self.batch_invariant = False  # in bf16 and fp16: decode prompts one by one
        self._sharing: dict[str, Sharing] = {}  # by kind of device: kernels differ
        self._neutralise_generation_config()
        for note in self.sharing.notes():
            print(f"{self.name} ({type(model).__name__}): {note}, which takes longer", file=sys.stderr)

    def train(self, mode: bool = True) -> "LLM":
        """Frozen is frozen: stays in eval mode."""
        return super().train(False)

    def add_lora(self, config, *, scope: str = ALL) -> None:
        """Put LoRA adapters beside the frozen weights (arXiv:2106.09685), by peft.

        Arguments
        ---------
        config : peft.LoraConfig
        scope : str
            Of `SCOPES`: all positions, or those of speech alone, so that text is read as by the plain LLM (Partial LoRA,
            arXiv:2401.16420, as in BLSP-KD, arXiv:2405.19041).

        Raises ValueError where it names no module of this LLM, would change the frozen weights or train more than
        adapters, or has options beyond `LORA_FIELDS`, or ones that the scope cannot be combined with.
        """
        from peft import inject_adapter_in_model

        lora_options(config.to_dict())
        if self._lora:
            raise ValueError("lora: this LLM has adapters already; load it again to give it others")
        # By peft itself: transformers' own functions for adapters refuse versions of peft that are not out yet.
        inject_adapter_in_model(config, self.model)
        parts = {
            name.replace(".", "/"): nn.ModuleDict(
                {kind: child for kind, child in layer.named_children() if kind != "base_layer" and len(child)}
            )
            for name, layer in self._adapted_layers()
        }
        self._lora = [nn.ModuleDict(parts).float()]  # fp32 also beside a bf16 LLM: its steps are small
        adapters = set(map(id, self._lora[0].parameters()))
        others = [
            name for name, p in self.model.named_parameters() if p.requires_grad and id(p) not in adapters
        ]
        if others:
            raise ValueError(f"lora: would train {others[0]} itself; leave out bias and modules_to_save")
        if scope == SPEECH:
            self._limit_to_speech(config)
        self.eval()  # adapters come in training mode

    def _adapted_layers(self) -> list[tuple[str, nn.Module]]:
        """The layers of peft that stand for those of the LLM, each with its adapters, by name."""
        from peft.tuners.tuners_utils import BaseTunerLayer

        return [
            (name, layer) for name, layer in self.model.named_modules() if isinstance(layer, BaseTunerLayer)
        ]

    def _limit_to_speech(self, config) -> None:
        from peft.tuners.lora.layer import ParamWrapper

        if any(isinstance(layer, ParamWrapper) for _, layer in self._adapted_layers()):
            raise ValueError(
                "lora_scope speech: not on experts, whose weights are one tensor; name other modules in target_modules"
            )
        if config.use_dora or any("lora_embedding" in name for name, _ in self.model.named_parameters()):
            raise ValueError(
                "lora_scope speech: not with use_dora, nor on embeddings, which speech does not pass"
            )

        def drop_text(module, inputs, output):
            return output if self._adapted is None else output.masked_fill(~self._adapted_now(output), 0.0)

        for name, module in self.model.named_modules():
            if name.rpartition(".")[0].endswith("lora_B"):
                module.register_forward_hook(drop_text)
        self._adapted = torch.zeros(1, 1, dtype=torch.bool)

    def _adapted_now(self, output: torch.Tensor) -> torch.Tensor:
        """Which positions of (B, N, D) are adapted, (B, N, 1) or (1, 1, 1)."""
        if output.dim() != 3:
            raise ValueError(
                f"lora_scope speech: a module of {self.name} takes positions apart; leave it out of target_modules"
            )
        mask = self._adapted.to(output.device)
        if output.shape[1] != mask.shape[1]:  # of tokens that the LLM itself wrote: text
            return mask.new_zeros(1, 1, 1)
        return mask.repeat_interleave(len(output) // len(mask), 0).unsqueeze(-1)  # by beams

    @contextlib.contextmanager
    def adapting(self, heard: torch.Tensor) -> Iterator[None]:
        """Inside, LoRA whose scope is speech adapts the positions (B, N) that are `heard`."""
        if self._adapted is None:
            yield
            return
        before, self._adapted = self._adapted, heard
        try:
            yield
        finally:
            self._adapted = before

    def unfreeze(self) -> None:
        """Train the LLM's own weights. A copy of them stays, for `plain`.

        Raises ValueError where they are not fp32: small steps would be lost.
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
        """The LLM's own weights, by name, where they are trained."""
        return self._trained[0] if self._trained else None

    @property
    def lora(self) -> nn.ModuleDict | None:
        """The adapters, by module of the LLM; None without."""
        return self._lora[0] if self._lora else None

    @contextlib.contextmanager
    def plain(self) -> Iterator[None]:
        """Inside, the LLM answers as it came, bit for bit: without adapters, with the weights that it was loaded with."""
        parameters = self.trained or {}
        trained = {name: parameter.data for name, parameter in parameters.items()}
        learn = [
            (parameter, parameter.requires_grad) for part in self._lora for parameter in part.parameters()
        ]
        for name, parameter in parameters.items():
            parameter.data = self._original[name].to(parameter.device)
        layers = (
            [layer for _, layer in self._adapted_layers() if not layer.disable_adapters] if self._lora else []
        )
        for layer in layers:
            layer.enable_adapters(False)
        try:
            yield
        finally:
            for layer in layers:
                layer.enable_adapters(True)
            for parameter, learns in learn:  # peft lets all of them learn again
                parameter.requires_grad_(learns)
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
        """What is below its head."""
        base = self.model.base_model
        return (
            base if base is not self.model else self.model.model
        )  # Llama 4 gives it another name than it says

    @property
    def max_positions(self) -> float:
        """The longest sequence that it was made for, in positions; infinite where its family has no such limit."""
        return next((getattr(self.config, name) for name in CONTEXTS if hasattr(self.config, name)), math.inf)

    @property
    def rope_edges(self) -> list[int]:
        """Lengths beyond which a sequence is rotated by other factors (LongRoPE, arXiv:2402.13753), in a shared forward all
        sequences by those of the longest. (Dynamic factors change beyond `max_positions`, which no sequence is.)"""
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
        """Which sequences may share a forward here; tried at the first use on a kind of device."""
        kind = self.device.type
        if kind not in self._sharing:
            with self.plain():
                self._sharing[kind] = probe(self.model, self.decoder, self.head)
        return self._sharing[kind]

    @property
    def device(self) -> torch.device:
        return self.model.device

    def embed(self, ids) -> torch.Tensor:
        """Embeddings (U, D) of token ids.

        Raises ValueError on one beyond them, as of a token that was added to the tokenizer alone.
        """
        embeddings = self.model.get_input_embeddings()
        largest = -1 if isinstance(ids, torch.Tensor) else max(ids, default=-1)
        if largest >= embeddings.num_embeddings:
            raise ValueError(
                f"the token {self.tokenizer.convert_ids_to_tokens(largest)!r} has id {largest}, the LLM {self.name} has "
                f"{embeddings.num_embeddings} embeddings; leave it out of the text, or resize the embeddings"
            )
        return embeddings(torch.as_tensor(ids, dtype=torch.long, device=self.device))

    @cached_property
    def mean_embedding(self) -> torch.Tensor:
        """The mean (D,) of its token embeddings, as it came: they share a large part, which says nothing of a token."""
        with self.plain():
            return self.model.get_input_embeddings().weight.detach().float().mean(0)

    def hidden_states(self, embeddings: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Last hidden states (N, D) of one pack; see `run`."""
        return self.run(embeddings, positions)[LAST]

    def run(
        self, embeddings: torch.Tensor, positions: torch.Tensor, layers=()
    ) -> dict[int | float, torch.Tensor]:
        """Hidden states (N, D) of one pack by layer: 0, what was put in; the last, which the head reads; those of `layers`,
        by number or by depth between 0.0 and 1.0.

        Embeddings (N, D), positions (N,) restarting at each sequence. No mask and no cache: restarted positions keep the
        sequences apart only then (an all-ones mask, or the default cache, leaks across them without an error). Sequences that
        would change each other all the same (see `sharing`, `rope_edges`) are run in forwards of their own.
        """
        if self.sharing.packed and not self.rope_edges:
            return self._run_packed(embeddings, positions, layers)
        starts = (positions == 0).nonzero().flatten().tolist()
        sizes = [end - start for start, end in zip(starts, [*starts[1:], len(positions)], strict=True)]
        groups = self._run_together(sizes)
        if self.sharing.packed and len(groups) == 1:
            return self._run_packed(embeddings, positions, layers)
        heard = (
            None if self._adapted is None or self._adapted.shape[1] != len(positions) else self._adapted[0]
        )
        parts: dict[int | float, list] = {layer: [None] * len(sizes) for layer in (*layers, INPUT, LAST)}
        for rows in groups:
            places = [
                torch.arange(starts[row], starts[row] + sizes[row], device=positions.device) for row in rows
            ]
            run = self._run_packed if self.sharing.packed else self._run_padded
            chosen = torch.cat(places)
            with self.adapting(heard[chosen][None]) if heard is not None else contextlib.nullcontext():
                found = run(embeddings[chosen], positions[chosen], layers)
            for layer, states in found.items():
                for row, part in zip(rows, states.split([sizes[row] for row in rows]), strict=True):
                    parts[layer][row] = part
        return {**{layer: torch.cat(of_layer) for layer, of_layer in parts.items()}, INPUT: embeddings}

    def _run_together(self, sizes: list[int]) -> list[list[int]]:
        """Sequences of these sizes, by number, in groups that share a forward."""
        groups: dict[tuple, list[int]] = {}
        for row, size in enumerate(sizes):
            groups.setdefault(tuple(size > edge for edge in self.rope_edges), []).append(row)
        if self.sharing.packed:
            return list(groups.values())
        if not self.sharing.padded:
            return [[row] for row in range(len(sizes))]
        batches: list[list[int]] = []
        for rows in groups.values():
            for place, row in enumerate(sorted(rows, key=lambda row: (-sizes[row], row))):
                if place == 0 or (len(batches[-1]) + 1) * sizes[batches[-1][0]] > sum(
                    sizes
                ):  # no more than the pack
                    batches.append([])
                batches[-1].append(row)
        return batches

    def _run_packed(self, embeddings, positions, layers) -> dict[int | float, torch.Tensor]:
        output = self.decoder(
            inputs_embeds=embeddings[None],
            position_ids=positions[None],
            use_cache=False,
            output_hidden_states=bool(layers),
        )
        found = {layer: output.hidden_states[self.number_of(layer)][0] for layer in layers}
        return {**found, INPUT: embeddings, LAST: output.last_hidden_state[0]}

    def _run_padded(self, embeddings, positions, layers) -> dict[int | float, torch.Tensor]:
        """`_run_packed` by a batch (B, U, D) of the sequences with padding at the right, and positions of the LLM's own."""
        starts = (positions == 0).nonzero().flatten().tolist()
        sizes = [end - start for start, end in zip(starts, [*starts[1:], len(positions)], strict=True)]
        padded = nn.utils.rnn.pad_sequence(embeddings.split(sizes), batch_first=True)
        within = (
            torch.arange(padded.shape[1], device=positions.device)
            < torch.tensor(sizes, device=positions.device)[:, None]
        )
        heard = self._adapted
        if heard is not None and heard.shape[1] == len(positions):
            heard = nn.utils.rnn.pad_sequence(heard[0].split(sizes), batch_first=True)
        with self.adapting(heard):
            output = self.decoder(
                inputs_embeds=padded,
                attention_mask=None if within.all() else within.long(),
                use_cache=False,
                output_hidden_states=bool(layers),
            )
        found = {layer: output.hidden_states[self.number_of(layer)][within] for layer in layers}
        return {**found, INPUT: embeddings, LAST: output.last_hidden_state[within]}

    def number_of(self, layer: int | float) -> int:
        """The number of a layer, from 0, the input, to that of the last, by number or depth.

        Raises ValueError where there is no such layer.
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

    @torch.no_grad()
    def generate(
        self,
        prompts: list[torch.Tensor],
        *,
        decoding: Decoding,
        stop_ids,
        heard: list[torch.Tensor] | None = None,
        seconds: list[float | None] | None = None,
        temperature: float = 0.0,
        seeds: list[int] | None = None,
        streamer=None,
    ) -> list[Answer]:
        """Answers to prompts given as embeddings (U, D), decoded together with left padding and a key-value cache.

        `heard` (U,) of each prompt says which of its positions are speech. `seconds` of audio in each prompt set its length
        limit where the decoding says so; the LLM's context always does.
        With a temperature, each answer is sampled with noise that is a function of its own seed and the position alone, so
        that neither batch mates nor order change it. That holds in fp32: in bf16 and fp16 a batch of another shape rounds
        otherwise, and where two tokens are about as likely the answer is another one, unless `batch_invariant` is set.

        Raises ValueError on a prompt that leaves no room for an answer.
        """
        from transformers import GenerationConfig, LogitsProcessorList

        seconds = seconds or [None] * len(prompts)
        limits = [
            min(decoding.limit(length), self.room(len(prompt)))
            for prompt, length in zip(prompts, seconds, strict=True)
        ]
        groups = self._decoded_together([len(prompt) for prompt in prompts], max(limits, default=0))
        if len(groups) > 1:
            answers: dict[int, Answer] = {}
            for rows in groups:
                found = self.generate(
                    [prompts[row] for row in rows],
                    decoding=decoding,
                    stop_ids=stop_ids,
                    heard=heard and [heard[row] for row in rows],
                    seconds=[seconds[row] for row in rows],
                    temperature=temperature,
                    seeds=seeds and [seeds[row] for row in rows],
                )
                answers.update(zip(rows, found, strict=True))
            return [answers[row] for row in range(len(prompts))]
        longest = max(len(prompt) for prompt in prompts)
        embeddings = torch.stack(
            [nn.functional.pad(prompt, (0, 0, longest - len(prompt), 0)) for prompt in prompts]
        )
        mask = torch.stack([torch.arange(longest) >= longest - len(prompt) for prompt in prompts]).to(
            self.device
        )
        searches = decoding.num_beams > 1
        config = GenerationConfig(
            max_new_tokens=max(limits) + searches,  # beams are ended by LengthLimits, one token later
            do_sample=False,
            num_beams=decoding.num_beams,
            eos_token_id=list(stop_ids),
            pad_token_id=stop_ids[0],
            stop_strings=list(decoding.stop_strings) or None,
        )
        processors = LogitsProcessorList()
        if temperature > 0:
            processors.append(GumbelNoise(temperature, seeds))
        if searches:
            processors.append(LengthLimits(limits, decoding.num_beams, stop_ids[0]))
        speech = torch.zeros_like(mask)
        for row, places in enumerate(heard or ()):
            speech[row, longest - len(places) :] = places
        with self.adapting(speech):
            output = self.model.generate(
                inputs_embeds=embeddings,
                attention_mask=mask.long(),
                generation_config=config,
                logits_processor=processors,
                streamer=streamer,
                tokenizer=self.tokenizer if decoding.stop_strings else None,
            )
        answers = [_cut(row[:limit], stop_ids) for row, limit in zip(output.tolist(), limits, strict=True)]
        return [
            replace(answer, finish_reason="stop")
            if any(string in self.tokenizer.decode(answer.ids) for string in decoding.stop_strings)
            else answer
            for answer in answers
        ]

    def _decoded_together(self, lengths: list[int], limit: int) -> list[list[int]]:
        """Prompts of these lengths, by number, in groups that are decoded together for up to `limit` tokens."""
        groups: dict[tuple, list[int]] = {}
        for row, length in enumerate(lengths):
            # A row that its batch mates would carry on beyond the context, or beyond an edge, is decoded apart.
            crosses = any(length <= edge < length + limit for edge in (*self.rope_edges, self.max_positions))
            key: tuple = ("alone", row)
            if not crosses and self.sharing.equal and not self.batch_invariant:
                kind = None if self.sharing.left else length
                key = (kind, *(length > edge for edge in self.rope_edges))
            groups.setdefault(key, []).append(row)
        return list(groups.values())

    def room(self, num_positions: int) -> int:
        """How many tokens an answer may have after a prompt of so many positions.

        Raises ValueError where there is room for none.
        """
        if num_positions >= self.max_positions:
            raise ValueError(
                f"prompt and speech take {num_positions} positions, the LLM {self.name} has {self.max_positions}; cut the "
                "audio or the prompt, or use a connector that makes fewer embeddings"
            )
        return self.max_positions - num_positions

    def _neutralise_generation_config(self) -> None:
        # Qwen's generation_config.json samples at 0.7 with a repetition penalty, and would do so behind our back.
        from transformers import GenerationConfig

        self.model.generation_config = GenerationConfig()


def find_stop_ids(model, tokenizer) -> tuple[int, ...]:
    """The ids that end an answer, as generation_config.json, config.json and the tokenizer name them.

    GLM-4 ends its turns with ids that generation_config.json alone names. An id that is only the default of the configuration's
    class is none where it is an ordinary token.
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


def lora_options(values: dict) -> dict:
    """The fields of a peft.LoraConfig that shape its adapters, as JSON: all that a model folder may name.

    Raises ValueError on others that are not at their default: by them peft would change frozen weights, import modules or
    read files.
    """
    from peft import LoraConfig

    usual = LoraConfig().to_dict()
    others = [
        name
        for name, value in values.items()
        if name not in (*LORA_FIELDS, *LORA_NOTES) and value != usual.get(name)
    ]
    start = values.get("init_lora_weights", True)
    if others or start not in LORA_STARTS:
        raise ValueError(
            f"lora: auralign does not take {', '.join(others) or f'init_lora_weights {start!r}'}; it takes "
            f"{', '.join(LORA_FIELDS)}, and init_lora_weights of {', '.join(map(repr, LORA_STARTS))}"
        )
    chosen = {name: values[name] for name in LORA_FIELDS if name in values}
    return {name: sorted(value) if isinstance(value, set) else value for name, value in chosen.items()}


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


class LengthLimits:
    """Ends each beam at its answer's own limit, as if the answer had been searched alone."""

    def __init__(self, limits: list[int], num_beams: int, stop_id: int):
        self.limits = torch.tensor(limits).repeat_interleave(num_beams)
        self.stop_id, self.position = stop_id, 0

    def __call__(self, input_ids, scores):
        """Scores (B * num_beams, V) in which a beam at its limit can only stop, at no cost."""
        ended = (self.limits <= self.position).to(scores.device)
        scores = scores.masked_fill(ended[:, None], -math.inf)
        scores[ended, self.stop_id] = 0.0
        self.position += 1
        return scores


def _cut(row: list[int], stop_ids) -> Answer:
    for place, token in enumerate(row):
        if token in stop_ids:
            return Answer(tuple(row[:place]), "stop")
    return Answer(tuple(row), "length")


def load_llm(path, *, dtype: str = "float32", device: str = "cpu", trust_remote_code: bool = False) -> LLM:
    """The LLM and tokenizer of a local Hugging Face folder.

    Arguments
    ---------
    path : str or Path
    dtype : str
        "float32", "bfloat16" or "float16".
    device : str
        "cpu" or "cuda:N".
    trust_remote_code : bool
        Run Python code that came with the folder, where its model needs it. Read that code first.

    Raises FileNotFoundError where the folder or its weights are absent; ValueError on an unknown dtype, on a model that needs
    code of its own without `trust_remote_code`, on one that is no causal LLM or cannot be given speech, and on files that are
    not whole, not finite or of another LLM.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if not (Path(path) / "config.json").is_file():
        raise FileNotFoundError(
            f"no LLM at {path}: expected a Hugging Face folder with config.json, weights and tokenizer"
        )
    where = {"local_files_only": True, "trust_remote_code": trust_remote_code}
    weights = {"dtype": torch_dtype(dtype), "output_loading_info": True}
    _check_causal(path)
    check_sound(path)
    try:
        with loading(path):
            tokenizer = AutoTokenizer.from_pretrained(path, **where)
            model, info = AutoModelForCausalLM.from_pretrained(path, **weights, **where)
    except ValueError as error:
        if trust_remote_code or "trust_remote_code" not in str(error.__cause__):
            raise
        raise ValueError(
            f"{path}: this LLM needs Python code that came with it; read that code, then allow it: --trust_remote_code true "
            "(of auralign ask: --trust-remote-code)"
        ) from error
    check_complete(path, info["missing_keys"], what="weights")
    model = model.to(device)
    check_finite(path, model)
    _check_tokenizer(path, tokenizer, model.get_input_embeddings().num_embeddings)
    try:
        return LLM(model, tokenizer, name=Path(path).name, revision=hash_path(path)[:16])
    except ValueError as error:  # of the probe
        raise ValueError(f"{path}: {error}") from error


def _check_causal(path) -> None:
    config = read_object(Path(path) / "config.json")
    kind, names = config.get("model_type"), config.get("architectures") or ["a model"]
    if kind in LOADERS or config.get("is_encoder_decoder"):
        what = "a speech encoder (encoder: in the YAML)" if kind in LOADERS else "an encoder-decoder model"
        raise ValueError(
            f"{path} holds {names[0]}, {what}, not a causal LLM; give one such as Llama or Qwen as the LLM"
        )


def _check_tokenizer(path, tokenizer, num_embeddings: int) -> None:
    """Raise ValueError where a tokenizer's own tokens, added ones aside, or those of its template have no embeddings."""
    problem = None
    if tokenizer.vocab_size > num_embeddings:
        problem = f"has {tokenizer.vocab_size} tokens"
    elif tokenizer.chat_template:
        from jinja2 import TemplateError

        try:
            chat = [{"role": "user", "content": "x"}]
            text = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        except (
            TemplateError,
            TypeError,
            ValueError,
            KeyError,
        ):  # the renderer says what is wrong with a template
            return
        beyond = [
            token
            for token in tokenizer(text, add_special_tokens=False)["input_ids"]
            if token >= num_embeddings
        ]
        if beyond:
            problem = f"gives {tokenizer.convert_ids_to_tokens(beyond[0])!r}, which its chat template uses, the id {beyond[0]}"
    if problem:
        raise ValueError(
            f"{path}: the tokenizer {problem}, the LLM has {num_embeddings} embeddings; use the tokenizer that belongs to these "
            "weights, or a model whose embeddings were resized for the added tokens"
        )
