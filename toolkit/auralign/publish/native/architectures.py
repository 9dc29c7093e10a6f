"""The speech LLMs as which a run can be exported, and what is in the way of it.

find_obstacles(ARCHITECTURES["voxtral"], recipe)      # ["encoder: its padding is 'true_length', ..."]; [] if nothing is
"""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass

from auralign.files import read_json
from auralign.hub import find_file
from auralign.layout import MAIN
from auralign.method import is_assisted
from auralign.text.characters import LinesError

STACK, ULTRAVOX = "StackAndProject", "UltravoxProjector"
CONNECTORS = "auralign.models.connectors"
WHOLE = (MAIN, 0.0, 1.0)  # the speech of the main branch, from begin to end


@dataclass(frozen=True)
class Architecture:
    """A speech LLM of other software.

    Arguments
    ---------
    name : str
        Its `model_type`.
    class_name : str
        Its class in transformers; "" if transformers has none.
    padding : str
        The padding of Whisper that it computes; see `auralign.models.encoders.whisper.WhisperEncoder`, as for pool.
    pool : int
    connector : str
        The class of `auralign.models.connectors` that its projector equals.
    options : dict
        Options that the connector must have, by name. Others are free.
    audio_token : str
        The token that speech replaces.
    mask : str, optional
        What its forward calls the mask of the features; None if it takes none.
    frozen_llm : bool
        True: it holds no weights of the LLM, so that the LLM must be as it was. Default False.
    stacks_intermediate : bool
        True: an embedding stacks as many frames as Whisper's `encoder_ffn_dim` is wide. Default False.
    """

    name: str
    class_name: str
    padding: str
    pool: int
    connector: str
    options: dict
    audio_token: str
    mask: str | None = None
    frozen_llm: bool = False
    stacks_intermediate: bool = False

    @property
    def title(self) -> str:
        """What error messages call it."""
        return self.class_name or "Ultravox"

    def yaml(self, stride: int) -> str:
        """The encoder and the connector of a run that can be exported, as lines of a YAML."""
        pool = f"    pool: {self.pool}\n" if self.pool > 1 else ""
        free = {"activation": "gelu"} if self.options.get("num_layers") == 2 else {}
        options = {"stride": stride, **self.options, **free}
        lines = "".join(f"    {name}: {value}\n" for name, value in options.items())
        return (
            f"encoder: !name:auralign.models.encoders.load_whisper\n    path: ...\n    padding: {self.padding}\n{pool}"
            f"connector: !name:{CONNECTORS}.{self.connector}\n{lines}"
        )


ARCHITECTURES = {
    one.name: one
    for one in (
        Architecture(
            "audioflamingo3", "AudioFlamingo3ForConditionalGeneration", "masked_window", 2, STACK,
            {"stride": 1, "num_layers": 2}, "<sound>", "input_features_mask",
        ),
        Architecture(
            "voxtral", "VoxtralForConditionalGeneration", "whole_window", 1, STACK,
            {"num_layers": 2, "bias": False}, "[AUDIO]", stacks_intermediate=True,
        ),
        Architecture(
            "qwen2_audio", "Qwen2AudioForConditionalGeneration", "masked_window", 2, STACK,
            {"stride": 1, "num_layers": 1, "bias": True}, "<|AUDIO|>", "feature_attention_mask",
        ),
        Architecture("ultravox", "", "true_length", 1, ULTRAVOX, {}, "<|audio|>", frozen_llm=True),
    )
}  # fmt: skip


def find_architecture(name: str) -> Architecture:
    """The architecture of a name. Raises ValueError if there is none."""
    if name not in ARCHITECTURES:
        raise ValueError(f"cannot export as {name!r}: use {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]


def refuse(architecture: Architecture, recipe, llm=None, whisper: dict | None = None) -> None:
    """Raise ValueError if a run cannot be exported, with everything that is in the way and the YAML of a run that can.

    Arguments as of `find_obstacles`.
    """
    whisper = _whisper(recipe) if whisper is None else whisper
    found = find_obstacles(architecture, recipe, llm, whisper)
    if found:
        stride = architecture.options.get("stride") or _stacked(whisper) or 4
        raise LinesError(
            f"this run cannot be exported as {architecture.name}:\n"
            + "".join(f"- {one}\n" for one in found)
            + f"A run whose YAML has these parts, and whose LLM fits, can be:\n{architecture.yaml(stride)}"
        )


def find_obstacles(architecture: Architecture, recipe, llm=None, whisper: dict | None = None) -> list[str]:
    """What is in the way of exporting a run; empty if nothing is.

    Arguments
    ---------
    architecture : Architecture
    recipe : Recipe
    llm : LLM, optional
        The recipe's; default: it is not examined.
    whisper : dict, optional
        The values of its encoder's config; default those of config.json in the encoder's folder, if they are there.

    Returns list of str, each with the key of the YAML, its value and the repair.
    """
    whisper = _whisper(recipe) if whisper is None else whisper
    found = [*_in_slot(architecture, recipe), *_of_encoder(architecture, recipe, whisper)]
    found += _of_connector(architecture, recipe, llm, whisper)
    if architecture.frozen_llm and (recipe.lora is not None or recipe.train_llm):
        found.append(
            f"{'lora' if recipe.lora is not None else 'train_llm'}: {architecture.title}'s folder names the LLM and holds no "
            "weights of it; train the connector alone"
        )
    elif recipe.lora is not None and recipe.lora_scope != "all":
        found.append(
            f"lora_scope: {recipe.lora_scope} leaves text to the unadapted LLM, {architecture.title} has one set of weights "
            "for all positions; use lora_scope: all"
        )
    if llm is not None and not architecture.frozen_llm:
        found += _of_llm(architecture, llm)
    return found


def _in_slot(architecture: Architecture, recipe) -> Iterator[str]:
    """What speech is beside the speech of the one encoder."""
    from auralign.publish.model_folder import account_of_slot

    if recipe.branches:
        yield (
            f"branches: {', '.join(recipe.branches)} beside the main one, {architecture.title} has one encoder; leave out "
            "branches"
        )
    if recipe.books:
        yield (
            f"books: {', '.join(recipe.books)}, whose tokens {architecture.title} does not have; export a model folder, or leave "
            "out books"
        )
    if is_assisted(recipe.method):
        yield (
            f"method: {recipe.method.name} gives the LLM a transcript beside the speech, {architecture.title} has no recognizer; "
            "use a method, or its option, that gives it speech alone"
        )
    speech = [
        (branch, *span) for kind, branch, *span in account_of_slot(recipe.method, "") if kind == "speech"
    ]
    if [tuple(one) for one in speech] != [WHOLE]:
        yield (
            f"method: {recipe.method.name} puts speech at {len(speech)} places {speech}, {architecture.title} puts the whole "
            "of it at one; use a method, or its option, that does"
        )


def _of_encoder(architecture: Architecture, recipe, whisper: dict) -> Iterator[str]:
    options = _encoder_options(recipe)
    kind = whisper.get("model_type", "whisper")
    if options is None or kind != "whisper":
        what = _name(recipe.encoder) if options is None else f"a model of type {kind}"
        yield f"encoder: {what}, {architecture.title} has a Whisper; use auralign.models.encoders.load_whisper"
        return
    for name in ("padding", "pool"):
        wanted = getattr(architecture, name)
        if options[name] != wanted:
            yield f"encoder: its {name} is {options[name]!r}, {architecture.title} computes {name}: {wanted}"
    if options["layers"] not in (None, [-1], (-1,)):
        yield f"encoder: its layers are {options['layers']}, {architecture.title} reads the output alone; leave out layers"
    if options["chunk_seconds"] not in (None, 30):
        yield (
            f"encoder: its chunk_seconds is {options['chunk_seconds']}, {architecture.title} takes 30 s at once; use 30, or "
            "leave out chunk_seconds"
        )


def _of_connector(architecture: Architecture, recipe, llm, whisper: dict) -> Iterator[str]:
    import auralign.models.connectors

    wanted = getattr(auralign.models.connectors, architecture.connector)
    if getattr(recipe.connector, "func", recipe.connector) is not wanted:
        yield f"connector: {_name(recipe.connector)}, {architecture.title} has what {architecture.connector} computes"
        return
    options = _bound(recipe.connector, wanted, 0, 0)
    for name, value in architecture.options.items():
        if options[name] != value:
            yield f"connector: its {name} is {options[name]}, {architecture.title} has {name}: {value}"
    if architecture.connector != STACK:
        return
    if llm is not None and options["hidden_width"] not in (None, llm.width):
        yield (
            f"connector: its hidden_width is {options['hidden_width']}, {architecture.title} has the LLM's width, {llm.width}; "
            "leave out hidden_width"
        )
    if architecture.stacks_intermediate and whisper.get("model_type") == "whisper":
        stacked, num_frames = _stacked(whisper), whisper.get("max_source_positions", 1500)
        if options["stride"] != stacked:
            yield (
                f"connector: its stride is {options['stride']}, {architecture.title} stacks encoder_ffn_dim / d_model = "
                f"{whisper['encoder_ffn_dim']} / {whisper['d_model']} frames; use "
                + (f"stride: {stacked}" if stacked else "a Whisper with a whole number of them")
            )
        elif num_frames % stacked:
            yield f"connector: {num_frames} frames are no multiple of its stride {stacked}; use another Whisper"


def _of_llm(architecture: Architecture, llm) -> Iterator[str]:
    from transformers import MODEL_MAPPING

    from auralign.models.llm.llm import DIVISOR, FACTORS

    model, decoder, kind = llm.model, llm.decoder, type(llm.model).__name__
    if type(decoder).__module__.startswith("transformers_modules"):
        yield f"llm: {kind} is Python code that came with the LLM; use an LLM of a class of transformers"
        return
    if MODEL_MAPPING.get(type(decoder.config), None) is not type(decoder):
        yield (
            f"llm: transformers builds no {type(decoder).__name__} from a {type(decoder.config).__name__}, as "
            f"{architecture.title} does; use an LLM of text alone"
        )
    head = model.get_output_embeddings()
    if getattr(getattr(head, "base_layer", head), "bias", None) is not None:
        yield f"llm: the head of {kind} has a bias, that of {architecture.title} has none; use an LLM without one"
    scales = {
        name: getattr(llm.config, name, None) for name in (*FACTORS, DIVISOR, "final_logit_softcapping")
    }
    for name, value in scales.items():
        if value is not None and (value != 1 or name == "final_logit_softcapping"):
            yield (
                f"llm: {kind} changes its logits by {name} {value}, {architecture.title} does not; use an LLM such as Llama or "
                "Qwen2"
            )


def _encoder_options(recipe) -> dict | None:
    """The options of a recipe's Whisper encoder; None if it is built by something else."""
    from auralign.models.encoders import load_encoder, load_whisper

    func = getattr(recipe.encoder, "func", recipe.encoder)
    if func not in (load_encoder, load_whisper):
        return None
    try:
        return _bound(recipe.encoder, load_whisper)
    except TypeError:  # options of another kind of encoder
        return None


def _whisper(recipe) -> dict:
    """The config.json of a recipe's encoder, in its folder or in the hub's cache; empty if it is not there."""
    options = _encoder_options(recipe)
    file = find_file(options["path"], "config.json") if options else None
    return read_json(file) if file else {}


def _stacked(config: dict) -> int:
    """Frames of Whisper that fit into `encoder_ffn_dim`; 0 if it is no multiple of a frame, or the config is not known."""
    stacked, left = divmod(config.get("encoder_ffn_dim", 0), config.get("d_model", 1))
    return 0 if left else stacked


def _bound(constructor, func, *args) -> dict:
    """All arguments of a call of a YAML's constructor, by name."""
    given = {**getattr(constructor, "keywords", {})}
    call = inspect.signature(func).bind(*args, *getattr(constructor, "args", ()), **given)
    call.apply_defaults()
    return call.arguments


def _name(constructor) -> str:
    func = getattr(constructor, "func", constructor)
    return f"{func.__module__}.{func.__qualname__}"
