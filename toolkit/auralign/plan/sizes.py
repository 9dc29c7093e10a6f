"""The sizes of a recipe's models, from their configs: built on torch's device "meta", where a weight takes no memory.

A part that is made by a function of the user's own is built as training builds it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from auralign.hub import failures, parse, resolve
from auralign.layout import MAIN
from auralign.models.build import construct, construct_encoder
from auralign.models.encoders import SpeechEncoder, load_encoder
from auralign.models.encoders.wav2vec2 import Wav2Vec2Encoder, load_wav2vec2
from auralign.models.encoders.whisper import WeightsOfEncoder, WhisperEncoder, load_whisper
from auralign.models.llm import load_llm
from auralign.models.llm.lora import Adapters

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class LLMSizes:
    """Of an LLM.

    Arguments
    ---------
    parameters : int
    bytes_per_value : int
        Of a weight: 4 in float32, 2 in bfloat16 and float16.
    layers, width, inner, query, vocabulary : int
        Number of layers; widths of the residual stream, of the inner layer of the MLP, and of all queries; number of logits.
    adapted : int
        Sum of the input widths of all modules that LoRA adapts.
    """

    parameters: int
    bytes_per_value: int
    layers: int
    width: int
    inner: int
    query: int
    vocabulary: int
    adapted: int = 0


@dataclass(frozen=True)
class Sizes:
    """Of a recipe's models.

    Arguments
    ---------
    llm : LLMSizes
    encoders, connectors : dict of str to torch.nn.Module
        By branch, without values.
    encoder_bytes : int
        Of the weights of all encoders.
    trained : dict of str to int
        Parameters of each trained part.
    """

    llm: LLMSizes
    encoders: dict[str, Any]
    connectors: dict[str, Any]
    encoder_bytes: int
    trained: dict[str, int]


def measure(recipe) -> Sizes:
    """The sizes of a recipe's models.

    Raises ValueError if the config of a model is not on this machine and cannot be fetched.
    """
    llm, adapters = _measure_llm(recipe)
    parts = {MAIN: {"encoder": recipe.encoder, "connector": recipe.connector}, **recipe.branches}
    encoders = {name: _encoder(of_branch["encoder"]) for name, of_branch in parts.items()}
    with torch.device("meta"):
        connectors = {
            name: construct("connector", of_branch["connector"], encoders[name].width, llm.width)
            for name, of_branch in parts.items()
        }
        heads = {
            name: construct(f"heads: {name}", recipe.heads.get(name, nn.Linear), llm.width, num_outputs)
            for name, num_outputs in recipe.method.needs.heads.items()
        }
        books = {name: construct(f"books: {name}", made, llm.width) for name, made in recipe.books.items()}
    trained = {
        "connector" if name == MAIN else f"{name}_connector": _count(connector)
        for name, connector in connectors.items()
    }
    trained |= {f"{name}_head": _count(head) for name, head in heads.items()}
    trained |= {f"{name}_book": _count(book) for name, book in books.items()}
    trained |= {"lora": adapters} if adapters else {}
    trained |= {"llm": llm.parameters} if recipe.train_llm else {}
    weights = [weight for encoder in encoders.values() for weight in encoder.parameters()]
    return Sizes(
        llm,
        encoders,
        connectors,
        sum(weight.numel() * weight.element_size() for weight in weights),
        {name: number for name, number in trained.items() if name not in recipe.frozen},
    )


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _measure_llm(recipe) -> tuple[LLMSizes, int]:
    """The sizes of the LLM, and the number of parameters of its adapters."""
    from transformers import AutoConfig, AutoModelForCausalLM

    bound = _arguments(recipe.llm, load_llm)
    if bound is None:
        model = construct("llm", recipe.llm).model
        bytes_per_value = next(model.parameters()).element_size()
    else:
        trust = {"trust_remote_code": recipe.trust_remote_code}
        config = AutoConfig.from_pretrained(_folder(bound["path"]), local_files_only=True, **trust)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, **trust)
        bytes_per_value = BYTES[bound.get("dtype", "float32")]
    parameters, adapters, adapted = _count(model), 0, 0
    if recipe.lora is not None:
        made = Adapters(model, construct("lora", recipe.lora), name="the LLM")
        adapters = _count(made.modules)
        adapted = sum(layer.in_features for _, layer in made._layers() if hasattr(layer, "in_features"))
    config = model.config.get_text_config(decoder=True)
    heads = config.num_attention_heads
    width_of_head = getattr(config, "head_dim", None) or config.hidden_size // heads
    inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    return (
        LLMSizes(
            parameters=parameters,
            bytes_per_value=bytes_per_value,
            layers=config.num_hidden_layers,
            width=config.hidden_size,
            inner=max(inner) if isinstance(inner, (list, tuple)) else inner,
            query=heads * width_of_head,
            vocabulary=config.vocab_size,
            adapted=adapted,
        ),
        adapters,
    )


def _encoder(constructor) -> Any:
    """An encoder without the values of its weights."""
    bound = _arguments(constructor, load_whisper, load_wav2vec2, load_encoder)
    if bound is None:
        return construct_encoder("encoder", constructor)
    from transformers import AutoConfig, AutoModel, Wav2Vec2FeatureExtractor, WhisperFeatureExtractor

    folder = _folder(bound.pop("path"))
    kind = {"local_files_only": True}
    config = AutoConfig.from_pretrained(folder, **kind)
    dtype = getattr(torch, bound.pop("dtype", "float32"))
    encoder: SpeechEncoder
    if config.model_type == "whisper":
        with torch.device("meta"):
            inner = WeightsOfEncoder(config).to(dtype)
        encoder = WhisperEncoder(inner, WhisperFeatureExtractor.from_pretrained(folder, **kind), **bound)
    else:
        with torch.device("meta"):
            model = AutoModel.from_config(config).to(dtype)
        encoder = Wav2Vec2Encoder(model, Wav2Vec2FeatureExtractor.from_pretrained(folder, **kind), **bound)
    return encoder


def _arguments(constructor, *loaders: Callable) -> dict | None:
    """The arguments of a Constructor of one of auralign's loaders; None if it calls something else."""
    if getattr(constructor, "func", constructor) not in loaders:
        return None
    given = dict(constructor.keywords)
    if constructor.args:
        given["path"] = constructor.args[0]
    return given


def _folder(name: str) -> Path:
    """A folder with the config of a model; of one on the hub that is not on this machine, the small files alone are fetched."""
    reference = parse(name)
    if reference is None:
        return resolve(name)
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(reference.id, revision=reference.revision, allow_patterns=["*config.json"])
        )
    except failures() as error:
        raise ValueError(
            f"{name}: its config is not on this machine, and the hub does not answer; give a folder, or fetch it: "
            f"{reference.download_line}"
        ) from error
