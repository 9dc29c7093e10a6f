"""Write a trained model as a speech LLM of transformers, and compare its logits with the model's own.

Weights are written as they are: those of the LLM and of the encoder in the type that the recipe loads them in, those of the
connector in fp32, and those that LoRA was merged into in fp32. The comparison is in fp32.

Axes: N positions of a prompt, V vocabulary, D width.
"""

import copy
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from auralign.layout import View, fill
from auralign.models.llm.packs import LAST
from auralign.publish.model_folder import account_of_slot, segments_of_slot
from auralign.publish.native.architectures import Architecture, refuse
from auralign.publish.native.processor import add_audio_token, write_processor

TOLERANCE = 1e-4  # of logits, if the largest is 1; relative to the largest if that is more
PROBED_SECONDS = (0.5, 2.3456, 11.1)
PROBED_PROMPT = "{speech}\nrepeat the words"
WHISPER_VALUES = (
    "num_mel_bins", "d_model", "encoder_layers", "encoder_attention_heads", "encoder_ffn_dim", "activation_function",
    "max_source_positions", "scale_embedding",
)  # fmt: skip
PROJECTOR = {  # by the number of linear layers: names of transformers, and of `StackAndProject.project`
    1: {"linear": "0"},
    2: {"linear_1": "0", "linear_2": "2"},
}


@dataclass(frozen=True)
class Probe:
    """A prompt with speech, and what the model makes of it.

    Arguments
    ---------
    waveform : np.ndarray (num_samples,)
    before, after : tuple of int
        Ids before and after the speech.
    num_embeddings : int
        Of the speech.
    logits : torch.Tensor (N, V)
    """

    waveform: np.ndarray
    before: tuple[int, ...]
    after: tuple[int, ...]
    num_embeddings: int
    logits: torch.Tensor


def write_native(folder: Path, architecture: Architecture, recipe, model, renderer) -> None:
    """Write a model as a class of transformers.

    Arguments
    ---------
    folder : Path
        An empty folder.
    architecture : Architecture
        With a class of transformers.
    recipe : Recipe
    model : SpeechLLM
        With its trained weights. They are changed: fp32 on the CPU, with LoRA merged.
    renderer : Renderer

    Raises ValueError if the run is not such a model, or if the class computes other logits.
    """
    import transformers

    refuse(architecture, recipe, model.llm, model.encoder.encoder.config.to_dict())
    slot = account_of_slot(recipe.method, "")
    dtypes = {
        name: next(part.parameters()).dtype for name, part in (("llm", model.llm), ("encoder", model.encoder))
    }
    model.eval().to("cpu", torch.float32)  # a GPU may compute in TF32
    probes = [_probe(model, renderer, slot, seconds) for seconds in PROBED_SECONDS]
    tokenizer, audio_token_id = add_audio_token(renderer.tokenizer, architecture.audio_token)
    tensors = _tensors(model, dtypes, num_tokens=audio_token_id + 1)
    native = _build(architecture, model, tensors, audio_token_id)
    native.generation_config = transformers.GenerationConfig(
        eos_token_id=list(renderer.stop_ids),
        pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else renderer.stop_ids[0],
        max_new_tokens=recipe.decode_max_new_tokens,
        num_beams=recipe.decode_num_beams,
        suppress_tokens=[audio_token_id],
    )
    native.save_pretrained(folder)
    native.config.dtype = dtypes["llm"]
    native.config.save_pretrained(folder)
    extractor = model.encoder.extractor
    problem = write_processor(folder, architecture, renderer, extractor, tokenizer, slot)
    if problem is not None:
        print(f"no AutoProcessor: {problem}; see README.md for the inputs of the class", file=sys.stderr)
    difference = _compare(folder, architecture, extractor, audio_token_id, probes)
    print(
        f"{architecture.class_name}: its logits differ from those of the run by at most {difference:.1e} (fp32)"
    )


def _build(architecture: Architecture, model, tensors: dict, audio_token_id: int):
    """The model of transformers, with these tensors and no copy of them."""
    import transformers

    native_class = getattr(transformers, architecture.class_name)
    text_config = copy.deepcopy(model.llm.decoder.config)
    text_config.tie_word_embeddings = False  # embeddings and head are written both
    text_config.vocab_size = len(tensors["lm_head."]["weight"])
    options = {
        "audio_token_index" if architecture.name == "qwen2_audio" else "audio_token_id": audio_token_id
    }
    project = model.connector.project
    if len(project) > 1:
        activation = {nn.ReLU: "relu", nn.GELU: "gelu", nn.SiLU: "silu"}[type(project[1])]
        options["projector_hidden_act"] = activation
    if architecture.name == "audioflamingo3":
        options["projector_bias"] = project[0].bias is not None
    config = native_class.config_class(
        audio_config=_audio_config(native_class, model.encoder.encoder.config),
        text_config=text_config,
        **options,
    )
    with torch.device("meta"):
        native = native_class(config)
    state, used = {}, set()
    for name in native.state_dict():
        for part, of_part in tensors.items():
            _, found, rest = name.partition(part)
            if found and rest in of_part:
                state[name] = of_part[rest]
                used.add((part, rest))
    absent = [name for name in native.state_dict() if name not in state]
    left = [part + name for part, of_part in tensors.items() for name in of_part if (part, name) not in used]
    if absent or left:
        raise ValueError(
            f"this run cannot be exported as {architecture.name}: {architecture.class_name} has "
            + (
                f"weights {absent[0]} that the run lacks"
                if absent
                else f"no place for the run's weights {left[0]}"
            )
        )
    native.load_state_dict(state, assign=True)
    return native


def _audio_config(native_class, whisper):
    """The config of the class's encoder with the values of a WhisperConfig."""
    config = native_class.config_class().audio_config
    for name in WHISPER_VALUES:
        setattr(config, name, getattr(whisper, name))
    return config


def _tensors(model, dtypes: dict, *, num_tokens: int) -> dict[str, dict[str, torch.Tensor]]:
    """The tensors of a model by part and name, as transformers names the parts; LoRA is merged, and rows for `num_tokens` tokens
    are added to embeddings and head."""
    llm = model.llm
    head, embeddings = llm.model.get_output_embeddings(), llm.model.get_input_embeddings()
    head_layer = getattr(head, "base_layer", head)
    if (
        head_layer.weight is getattr(embeddings, "base_layer", embeddings).weight
    ):  # else merging would change both
        head_layer.weight = nn.Parameter(head_layer.weight.detach().clone(), requires_grad=False)
    llm.merge_lora()
    language, input_name = {}, None
    for name, tensor in llm.decoder.state_dict().items():
        if ".lora_" in name:
            continue
        is_merged = ".base_layer." in name
        name = name.replace(".base_layer.", ".")
        if tensor.data_ptr() == llm.model.get_input_embeddings().weight.data_ptr():
            input_name = name
        language[name] = tensor if is_merged or not tensor.is_floating_point() else tensor.to(dtypes["llm"])
    head_dtype = torch.float32 if head_layer is not head else dtypes["llm"]
    language[input_name] = _with_rows(language[input_name], num_tokens)
    project, names = model.connector.project, PROJECTOR[1 if len(model.connector.project) == 1 else 2]
    return {
        "audio_tower.": {
            name: tensor.to(dtypes["encoder"]) for name, tensor in model.encoder.encoder.state_dict().items()
        },
        "language_model.": language,
        "lm_head.": {"weight": _with_rows(head_layer.weight.detach().to(head_dtype), num_tokens)},
        "multi_modal_projector.": {
            f"{theirs}.{name}": tensor.detach()
            for theirs, ours in names.items()
            for name, tensor in project.get_submodule(ours).named_parameters()
        },
    }


def _with_rows(weight: torch.Tensor, num_tokens: int) -> torch.Tensor:
    """A weight (V, D) with rows for at least `num_tokens` tokens. New rows are the mean: no new token is the likeliest."""
    missing = num_tokens - len(weight)
    if missing <= 0:
        return weight
    return torch.cat([weight, weight.float().mean(0, keepdim=True).to(weight.dtype).expand(missing, -1)])


@torch.no_grad()
def _probe(model, renderer, slot: list, seconds: float) -> Probe:
    """A prompt with noise of a duration, and the model's own logits."""
    rate = model.encoder.sample_rate
    waveform = (
        np.random.default_rng(round(seconds * 1000)).normal(0, 0.1, round(seconds * rate)).astype(np.float32)
    )
    prompt = renderer.render(View(fill(PROBED_PROMPT, *segments_of_slot(slot, ""))))
    (speech,), _ = model.listen([prompt], model.encode([waveform]))
    pack = model.pack([prompt], [speech])
    with model.llm.adapting(pack.is_speech[None]):
        logits = model.llm.head(model.llm.run(pack.embeddings, pack.positions)[LAST])
    ids = pack.ids.tolist()
    first, num = ids.index(-1), len(speech[0])
    return Probe(waveform, tuple(ids[:first]), tuple(ids[first + num :]), num, logits.cpu())


@torch.no_grad()
def _compare(
    folder: Path, architecture: Architecture, extractor, audio_token_id: int, probes: list[Probe]
) -> float:
    """The largest difference between the logits of the exported model and those of the run.

    Raises ValueError if it exceeds the tolerance.
    """
    import transformers

    native = getattr(transformers, architecture.class_name).from_pretrained(
        folder, dtype=torch.float32, local_files_only=True
    )
    native.eval()
    largest = 0.0
    for probe in probes:
        ids = torch.tensor([[*probe.before, *[audio_token_id] * probe.num_embeddings, *probe.after]])
        features = extractor(
            [probe.waveform],
            sampling_rate=extractor.sampling_rate,
            return_tensors="pt",
            return_attention_mask=True,
        )
        masks = {architecture.mask: features.attention_mask} if architecture.mask else {}
        found = native(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            input_features=features.input_features,
            use_cache=False,
            **masks,
        ).logits[0, :, : probe.logits.shape[1]]
        difference = (found - probe.logits).abs().max().item()
        allowed = TOLERANCE * max(1.0, probe.logits.abs().max().item())
        if not difference <= allowed:
            raise ValueError(
                f"this run cannot be exported as {architecture.name}: {architecture.class_name} computes logits that differ by "
                f"{difference:.1e} from those of the run, allowed are {allowed:.1e}; please report the LLM and the encoder"
            )
        largest = max(largest, difference)
    return largest
