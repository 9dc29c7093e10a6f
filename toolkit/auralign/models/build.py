"""Build the model that a recipe's YAML names."""

import torch

from auralign.layout import DEFAULT
from auralign.models.speech_llm import SpeechLLM
from auralign.render import Renderer
from auralign.stage import describe


def build_llm(hparams):
    """The frozen LLM on the recipe's device, and the renderer of its prompts."""
    llm = hparams.llm().to(hparams.device)
    system = DEFAULT if hparams.system_prompt == "default" else hparams.system_prompt
    return llm, Renderer(llm.tokenizer, system=system, template_options=hparams.template_options)


def build_model(hparams):
    """The SpeechLLM, its connector initialised by the recipe's seed, and the renderer of its prompts."""
    llm, renderer = build_llm(hparams)
    encoder = hparams.encoder().to(hparams.device)
    torch.manual_seed(hparams.seed)
    connector = hparams.connector(encoder.width, llm.width).to(hparams.device)
    return SpeechLLM(encoder, connector, llm), renderer


def describe_parts(hparams, model: SpeechLLM, renderer: Renderer) -> dict:
    """What a checkpoint records of the parts it was trained with, and must find again when it is used."""
    method = hparams.method
    parts = {
        "llm": model.llm.revision,
        "frame_hash": renderer.frame_hash,
        "encoder": model.encoder.fingerprint,
        "connector": describe(hparams.connector),
        "method": f"{method.name} {method.version}",
    }
    return {"llm_name": model.llm.name, "trained_with": parts}


def check_parts(description: dict, parts: dict, *, place) -> None:
    """Raise ValueError where a checkpoint's description names other parts than the recipe builds."""
    recorded = description["trained_with"]
    for name, value in parts["trained_with"].items():
        if recorded.get(name) != value:
            raise ValueError(
                f"{place}: trained with {name} {recorded.get(name)!r}, the recipe builds {value!r}; "
                "use the parts that it was trained with, or run stage 3 again"
            )
