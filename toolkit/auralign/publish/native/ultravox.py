"""Write a trained connector in the layout of Ultravox (https://github.com/fixie-ai/ultravox), which vLLM reads too.

`config.json` names the LLM and the encoder, `model.safetensors` holds the projector alone. Nothing of it was served yet: not run.
"""

import sys
from pathlib import Path

from safetensors.torch import save_file

from auralign.files import write_json
from auralign.hub import parse, reference_of
from auralign.publish.model_folder import account_of_slot
from auralign.publish.native.architectures import Architecture, refuse
from auralign.publish.native.processor import add_audio_token, write_processor


def write_ultravox(
    folder: Path, architecture: Architecture, recipe, model, renderer, ids: dict[str, str] | None = None
) -> None:
    """Write a model's connector as Ultravox's projector.

    Arguments
    ---------
    folder : Path
        An empty folder.
    architecture : Architecture
        Ultravox's.
    recipe : Recipe
    model : SpeechLLM
        With its trained weights.
    renderer : Renderer
    ids : dict of str to str, optional
        Under "llm" and "encoder" the hub ids to write; default: those by which the run has them.

    Raises ValueError if the run has other parts.
    """
    refuse(architecture, recipe, model.llm)
    connector, slot = model.connector, account_of_slot(recipe.method, "")
    tokenizer, audio_token_id = add_audio_token(renderer.tokenizer, architecture.audio_token)
    config = {
        "architectures": ["UltravoxModel"],
        "model_type": "ultravox",
        "audio_model_id": _id_of(recipe.encoder, "audio_model_id", (ids or {}).get("encoder")),
        "text_model_id": _id_of(recipe.llm, "text_model_id", (ids or {}).get("llm")),
        "audio_token_index": audio_token_id,
        "hidden_size": connector.linear_1.out_features,
        "ignore_index": -100,
        "norm_init": connector.norm_init,
        "num_projector_layers": 0,
        "projector_act": "swiglu",
        "projector_ln_mid": True,
        "stack_factor": connector.stride,
        "vocab_size": model.llm.config.vocab_size,
        "dtype": str(next(model.llm.parameters()).dtype).removeprefix("torch."),
    }
    write_json(folder / "config.json", config)
    weights = {f"multi_modal_projector.{name}": value for name, value in connector.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    problem = write_processor(folder, architecture, renderer, model.encoder.extractor, tokenizer, slot)
    print(f"no AutoProcessor: {problem}", file=sys.stderr)


def _id_of(constructor, field: str, given: str | None) -> str:
    """The hub id of a part, without a revision, which the classes do not read; or the name of its folder.

    A path would reveal something of this machine.
    """
    if given:
        return given.partition("@")[0]
    path = str(constructor.keywords["path"])
    reference = parse(path) or reference_of(path)
    if reference:
        return reference.id
    print(
        f"{field}: {Path(path).name} is the name of a local folder; write its hub id, or its path, into config.json",
        file=sys.stderr,
    )
    return Path(path).name
