"""Build the model that a recipe's YAML names."""

import inspect
from datetime import timedelta
from pathlib import Path

import torch

from auralign.data.frames import made_of
from auralign.files import partial_paths
from auralign.fingerprint import describe, hash_files, own_files, same
from auralign.layout import DEFAULT
from auralign.models.llm import ALL, Decoding, load_llm
from auralign.models.speech_llm import Branch, SpeechLLM
from auralign.records import Hypothesis, Target, read_about
from auralign.render import Renderer, tell_change, today
from auralign.versions import current_targets

MAX_DAYS = 730  # how far back the date of prompts that did not record it is looked for


def build_llm(hparams, *, prompts: dict | None = None):
    """The frozen LLM on the recipe's device, and the renderer of its prompts.

    `prompts` are those that something was made with (`Renderer.describe`); what the recipe has made so far unless given.
    """
    check_device(hparams.device)
    options: dict = {"trust_remote_code": True} if hparams.trust_remote_code else {}
    if getattr(hparams.llm, "func", hparams.llm) is load_llm:  # the probe tries it where it will run
        options["device"] = hparams.device
    llm = construct("llm", hparams.llm, **options).to(hparams.device)
    llm.batch_invariant = hparams.batch_invariant
    prompts = prompts or recorded_prompts(hparams)
    return llm, make_renderer(llm, hparams.system_prompt, hparams.template_options, prompts=prompts)


def recorded_prompts(hparams) -> dict:
    """What the recipe's targets, or else the answers from text that all its methods share, record of their prompts."""
    targets = current_targets(hparams.output_folder)
    places = [(targets / f"{split}.jsonl", Target) for split in ("train", "valid")]
    places.append((Path(hparams.text_folder) / "hypotheses" / "test.text.jsonl", Hypothesis))
    for path, kind in places:
        for file in (path, *partial_paths(path)):
            if file.is_file():
                about, first = read_about(file, kind)
                if about or kind is Target and first is not None:
                    return about or {"frame_hash": first.frame_hash}
    return {}


def prompts_of(description: dict) -> dict:
    """What a checkpoint's description, or a model folder's, records of its prompts."""
    parts = description.get("trained_with", description)
    return description.get("prompts") or {"frame_hash": parts["frame_hash"]}


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


def construct_encoder(key: str, constructor):
    """`construct` for a speech encoder. One of somebody's own is given `made_of`, the account of how it is made: an edited one
    gives other frames.

    Raises ValueError where it has no `fingerprint`.
    """
    encoder = construct(key, constructor)
    kind = type(encoder)
    fingerprint = getattr(encoder, "fingerprint", None)
    if not isinstance(fingerprint, str) or not fingerprint:
        raise ValueError(
            f"{key}: {kind.__module__}.{kind.__qualname__} has no fingerprint, so that its cached frames would be taken for "
            "those of another: at the end of its __init__ write self.fingerprint = hash_value([...]), of auralign.files, with "
            "all that its frames depend on: hash_path(path) of its weights, and its options"
        )
    files = own_files(getattr(constructor, "func", constructor)) | own_files(kind)
    if files:
        encoder.made_of = {"constructor": describe(constructor), "source": hash_files(files)}
    return encoder


def check_device(name: str) -> None:
    """Raise ValueError where torch has no such device."""
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device {name!r}: {str(error).splitlines()[0]}; use cpu"
            + "".join(f", cuda:{number}" for number in range(torch.cuda.device_count()))
        ) from error


def make_renderer(
    llm, system_prompt: str | None, template_options: dict, *, prompts: dict | None = None
) -> Renderer:
    """The renderer of an LLM's prompts; the system prompt "default" is the one that its template puts there itself.

    A template that prints the date prints that of `prompts`, which something was made with. Older files record their frame's
    hash alone: its date is then looked for.
    """
    prompts = prompts or {}
    system = DEFAULT if system_prompt == "default" else system_prompt
    renderer = Renderer(
        llm.tokenizer,
        system=system,
        template_options=template_options,
        stop_ids=llm.stop_ids,
        date=prompts.get("date"),
    )
    wanted = prompts.get("frame_hash", renderer.frame_hash)
    if "date" in prompts or renderer.frame_hash == wanted or renderer.date is None:
        return renderer
    earlier = (renderer.on(today() - timedelta(days=days)) for days in range(MAX_DAYS))
    return next((one for one in earlier if one.frame_hash == wanted), renderer)


def build_decoding(hparams) -> Decoding:
    """How stage 4 decodes."""
    return Decoding(
        max_new_tokens=hparams.decode_max_new_tokens,
        tokens_per_second=hparams.decode_tokens_per_second,
        num_beams=hparams.decode_num_beams,
        stop_strings=tuple(hparams.decode_stop_strings),
    )


BRANCH = ("encoder", "connector")
SOURCE_OF = "source of the encoder of "


def build_model(hparams, *, prompts: dict | None = None):
    """The SpeechLLM, what is trained in it initialised by the recipe's seed, and the renderer of its prompts (see `build_llm`).

    Raises ValueError where `branches`, `heads` or `frozen` do not fit.
    """
    llm, renderer = build_llm(hparams, prompts=prompts)
    encoder = construct_encoder("encoder", hparams.encoder).to(hparams.device)
    torch.manual_seed(hparams.seed)
    connector = construct("connector", hparams.connector, encoder.width, llm.width).to(hparams.device)
    if hparams.lora is not None:
        llm.add_lora(construct("lora", hparams.lora), scope=hparams.lora_scope)
    if hparams.train_llm:
        if hparams.lora is not None:
            raise ValueError(
                "train_llm and lora: the LLM's own weights are trained, or adapters beside them; leave one out"
            )
        llm.unfreeze()
    if hparams.lora is None and hparams.lora_scope != ALL:
        raise ValueError(
            f"lora_scope {hparams.lora_scope}: there is no lora; name its config, or leave lora_scope out"
        )
    branches = {name: _build_branch(name, parts, llm) for name, parts in hparams.branches.items()}
    heads = {
        name: construct(f"heads: {name}", hparams.heads.get(name, torch.nn.Linear), llm.width, num_outputs)
        for name, num_outputs in hparams.method.needs.heads.items()
    }
    unused = [name for name in hparams.heads if name not in heads]
    if unused:
        raise ValueError(
            f"heads: the method {hparams.method.name!r} has no use for {unused[0]!r}; it needs {', '.join(heads) or 'none'}"
        )
    model = SpeechLLM(encoder, connector, llm, branches=branches, heads=heads, frozen=hparams.frozen)
    needs, name = hparams.method.needs, hparams.method.name
    if needs.num_tokens and not getattr(connector, "counts_tokens", False):
        raise ValueError(
            f"the method {name!r} needs a connector that makes as many embeddings as told; {type(connector).__name__} "
            "counts none: use ContinuousIntegrateAndFire or CountedQFormer of auralign.models.connectors"
        )
    if not len(model.trained_parts):
        raise ValueError(
            f"frozen: {', '.join(model.frozen)} are all parts of this model; nothing is left to train"
        )
    if model.frozen and hparams.init_from is None:
        raise ValueError(
            f"frozen: {model.frozen[0]} would stay as it was drawn at random; name its run: init_from"
        )
    return model.to(hparams.device), renderer


def _build_branch(name: str, parts, llm) -> Branch:
    if not isinstance(parts, dict) or set(parts) != set(BRANCH):
        raise ValueError(f"branches: {name}: give it an encoder and a connector, each a !name: constructor")
    encoder = construct_encoder(f"branches: {name}: encoder", parts["encoder"])
    return Branch(
        encoder, construct(f"branches: {name}: connector", parts["connector"], encoder.width, llm.width)
    )


def build_recognizer(hparams, encoder):
    """What reads the encoder's own transcripts off its frames, on the recipe's device, or None where it names nothing.

    One that takes `width` or `chunk_seconds` is told the encoder's: frames do not say where chunks were joined.
    """
    if not hparams.recognizer:
        return None
    made = getattr(hparams.recognizer, "func", hparams.recognizer)
    taken = inspect.signature(made).parameters
    options = {name: getattr(encoder, name) for name in ("width", "chunk_seconds") if name in taken}
    recognizer = construct("recognizer", hparams.recognizer, **options)
    return recognizer.to(hparams.device) if isinstance(recognizer, torch.nn.Module) else recognizer


def own_encoder(recognizer):
    """The encoder whose frames a recognizer reads, where that is not the recipe's: None for most."""
    return getattr(recognizer, "encoder", None)


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
    # What few recipes have: absent from the accounts of those that have not.
    for name, branch in model.branches.items():
        parts[f"branch {name}"] = [branch.encoder.fingerprint, describe(hparams.branches[name]["connector"])]
    for name, encoder in model.encoders.items():
        if made_of(encoder):
            parts[f"{SOURCE_OF}{name}"] = made_of(encoder)["source"]
    if hparams.lora is not None:
        parts["lora_scope"] = hparams.lora_scope
    if hparams.train_llm:
        parts["train_llm"] = True
    if model.frozen:
        parts["frozen"] = list(model.frozen)
    return {"llm_name": model.llm.name, "trained_with": parts, "prompts": renderer.describe()}


def check_parts(description: dict, parts: dict, *, place) -> None:
    """Raise ValueError where a checkpoint's description names other parts than the recipe builds."""
    recorded, built = description["trained_with"], parts["trained_with"]
    for name in {**recorded, **built}:
        if name.startswith(SOURCE_OF) and name not in recorded:
            continue  # of an earlier auralign
        if not same(recorded.get(name), built.get(name)):
            change = (
                tell_change(description.get("prompts"), parts.get("prompts")) if name == "frame_hash" else ""
            )
            raise ValueError(
                f"{place}: trained with {name} {recorded.get(name)!r}, the recipe builds {built.get(name)!r}{change}; "
                "use the parts that it was trained with, or train anew: in another output_folder, or with --restart"
            )
