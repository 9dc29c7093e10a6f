"""Build the model that a recipe's YAML names."""

import inspect

import torch

from auralign.layout import DEFAULT
from auralign.models.llm import Decoding
from auralign.models.speech_llm import SpeechLLM
from auralign.render import Renderer
from auralign.stage import describe


def build_llm(hparams):
    """The frozen LLM on the recipe's device, and the renderer of its prompts."""
    check_device(hparams.device)
    trust = {"trust_remote_code": True} if hparams.trust_remote_code else {}
    llm = construct("llm", hparams.llm, **trust).to(hparams.device)
    return llm, make_renderer(llm, hparams.system_prompt, hparams.template_options)


def construct(key: str, constructor, *args, **options):
    """Call a YAML's `!name:` constructor; ValueError on arguments that it does not take."""
    try:
        inspect.signature(constructor).bind(*args, **options)
    except (
        TypeError,
        ValueError,
    ) as error:  # ValueError: of a partial with an argument that its function has not
        made = getattr(constructor, "func", constructor)
        raise ValueError(
            f"{key}: {made.__module__}.{made.__qualname__} does not take what the YAML gives it: "
            f"{getattr(constructor, 'keywords', {})} ({error}); it takes {inspect.signature(made)}"
        ) from error
    try:
        return constructor(*args, **options)
    except TypeError as error:  # a word for a number
        raise ValueError(
            f"{key}: cannot be made with what the YAML gives it, {getattr(constructor, 'keywords', {})} ({error})"
        ) from error


def check_device(name: str) -> None:
    """Raise ValueError where torch has no such device."""
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device {name!r}: {str(error).splitlines()[0]}; use cpu"
            + "".join(f", cuda:{number}" for number in range(torch.cuda.device_count()))
        ) from error


def make_renderer(llm, system_prompt: str | None, template_options: dict) -> Renderer:
    """The renderer of an LLM's prompts; the system prompt "default" is the one that its template puts there itself."""
    system = DEFAULT if system_prompt == "default" else system_prompt
    return Renderer(llm.tokenizer, system=system, template_options=template_options)


def build_decoding(hparams) -> Decoding:
    """How stage 4 decodes."""
    return Decoding(
        max_new_tokens=hparams.decode_max_new_tokens,
        tokens_per_second=hparams.decode_tokens_per_second,
        num_beams=hparams.decode_num_beams,
        stop_strings=tuple(hparams.decode_stop_strings),
    )


def build_model(hparams):
    """The SpeechLLM, connector and LoRA initialised by the recipe's seed, and the renderer of its prompts."""
    llm, renderer = build_llm(hparams)
    encoder = construct("encoder", hparams.encoder).to(hparams.device)
    torch.manual_seed(hparams.seed)
    connector = construct("connector", hparams.connector, encoder.width, llm.width).to(hparams.device)
    if hparams.lora is not None:
        llm.add_lora(construct("lora", hparams.lora))
    return SpeechLLM(encoder, connector, llm), renderer


def build_recognizer(hparams, encoder):
    """What reads the encoder's own transcripts off its frames, or None where the recipe names nothing."""
    return construct("recognizer", hparams.recognizer, width=encoder.width) if hparams.recognizer else None


def describe_parts(hparams, model: SpeechLLM, renderer: Renderer) -> dict:
    """What a checkpoint records of the parts it was trained with, and must find again when it is used."""
    method = hparams.method
    parts = {
        "llm": model.llm.revision,
        "frame_hash": renderer.frame_hash,
        "encoder": model.encoder.fingerprint,
        "connector": describe(hparams.connector),
        "lora": describe(hparams.lora),
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
