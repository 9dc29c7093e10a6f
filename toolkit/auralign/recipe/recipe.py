"""A recipe: the values by which stages 2 to 5 of a run work, read from a YAML and checked.

    >>> KEYS["lr"].kinds
    (<class 'float'>,)

Each field of `Recipe` is a key of the YAML. Its type, bounds and meaning make the check of the file, `--help`, and what a stage
compares to know whether it must run again. The file itself is read by `auralign.recipe.file`.
"""

import dataclasses
import inspect
import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auralign.constructor import Constructor, find_fault
from auralign.method import AlignmentMethod
from auralign.recipe.draws import ORDERS, SHUFFLED, Draws
from auralign.recipe.keys import FIXED, NOTED, SAME, STEPS, Key, RecipeError, key, suggest

ENGINES = {
    "transformers": "auralign.generate.engine.TransformersEngine",
    "vllm": "auralign.generate.vllm_engine.VLLMEngine",
    "server": "auralign.generate.server_engine.ServerEngine",
}
MAX_REJECTED_DATA, MAX_REJECTED_ANSWERS = 0.01, 0.25


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The values of one recipe. Build it with `Recipe.load`; `dataclasses.replace` gives one with other values.

    Fields that a YAML must name have no default. A Constructor is a class or function with arguments (`!name:` in the YAML),
    called when the part is built.
    """

    seed: int = key("all randomness of stages 2 to 4", FIXED, stages="generate", minimum=0)
    data_folder: str = key("what stage 1 wrote", SAME)
    train_folder: str | None = key(
        "train.jsonl and valid.jsonl, if they are not those of data_folder but what `auralign build` made of them",
        SAME,
        default=None,
    )
    output_folder: str = key("targets, checkpoints and hypotheses of this method", SAME)
    text_folder: str = key("hypotheses of the same LLM on text, shared by all methods", SAME)
    score_folder: str = key("the ledger", SAME)
    method: AlignmentMethod = key("the alignment method", FIXED, stages="generate")
    llm: Constructor = key("builds the frozen LLM", FIXED, stages="generate decode")
    encoder: Constructor = key("builds the frozen speech encoder", FIXED, stages="decode")
    connector: Constructor = key("builds the connector, given the widths of encoder and LLM", FIXED)
    recognizer: Constructor | None = key(
        "builds what reads transcripts off the encoder's frames, given their width: for the matched cascade",
        SAME,
        stages="decode",
        default=None,
    )
    system_prompt: str | None = key(
        "default: the template's own; null: none; else this text",
        FIXED,
        stages="generate decode",
        default="default",
    )
    template_options: dict = key(
        "arguments of the chat template", FIXED, stages="generate decode", default={}
    )
    max_new_tokens: int = key("length limit of targets", SAME, stages="generate", minimum=1)
    temperature: float = key("0 is greedy", SAME, stages="generate", default=0.0, minimum=0)
    grade: Constructor | None = key(
        "a function of the utterance and its target that returns what is known of the answer, such as "
        "auralign.generate.grades.from_file; methods that need grades read them",
        FIXED,
        stages="generate",
        default=None,
        is_new=True,
    )
    num_train_utts: int | None = key(
        "training utterances, drawn by a hash of their ids, that get targets and are trained on; null: all",
        SAME,
        stages="generate",
        default=None,
        minimum=1,
        is_new=True,
    )
    keep_cut_off: bool = key(
        "whether an answer cut off at max_new_tokens may be a target (without an end of turn)",
        SAME,
        stages="generate",
        default=True,
    )
    generate_batch_size: int = key("prompts decoded at once in stage 2", SAME, default=64, minimum=1)
    engine: Constructor = key(
        "what asks the LLM in stage 2: transformers, vllm or server",
        SAME,
        stages="generate",
        default=Constructor(ENGINES["transformers"]),
        is_new=True,
        words=ENGINES,
        uncounted=(
            "scheduler",
            "at_once",
            "url",
            "concurrency",
            "tries",
            "timeout_s",
            "pause_s",
            "key_variable",
        ),
    )
    trust_remote_code: bool = key(
        "run Python code that came with the LLM's folder, if its model needs it", SAME, default=False
    )
    exclude_overlap: list = key(
        "what a training clip of a recipe may not share with a validation or test clip: id, sentence, speaker",
        SAME,
        default=["id", "sentence"],
    )
    verify_audio: bool = key(
        "stage 1 of a recipe reads audio through, not only its headers", SAME, default=False
    )
    max_rejected: float | None = key(
        "share of rejected items above which a stage stops, if there are more than 3; null: 0.01, but 0.25 of the LLM's answers",
        SAME,
        default=None,
        minimum=0,
    )
    lora: Constructor | None = key(
        "builds a peft.LoraConfig: adapters beside the LLM's frozen weights, trained with the connector",
        FIXED,
        default=None,
    )
    lora_scope: str = key(
        "positions that LoRA adapts: all, or those of speech", FIXED, default="all", choices=("all", "speech")
    )
    train_llm: bool = key("train the LLM's own weights too; a copy of them stays", FIXED, default=False)
    branches: dict = key(
        "further encoders, each with its connector, by name: for methods with several", FIXED, default={}
    )
    heads: dict = key(
        "builds what a method's loss needs beside the LLM, given its width and outputs", FIXED, default={}
    )
    books: dict = key(
        "builds tokens that the LLM does not have, given its width, by the name that the method gives the book",
        FIXED,
        default={},
        is_new=True,
    )
    init_from: str | None = key(
        "output_folder of another run (its best checkpoint), a model folder or its hub id: training begins with its weights",
        FIXED,
        default=None,
    )
    frozen: list = key("parts that stay as init_from gave them, such as connector", FIXED, default=[])
    lr: float = key("peak learning rate", FIXED, minimum=0)
    num_steps: int = key("optimiser steps", STEPS, minimum=1)
    num_warmup_steps: int = key("steps of linear warm-up", FIXED, minimum=0)
    weight_decay: float = key(
        "weight decay of the optimizer, which must take one", FIXED, default=0.0, minimum=0
    )
    optimizer: Constructor = key(
        "builds the optimizer, given the parameters, lr and weight_decay",
        FIXED,
        default=Constructor("torch.optim.AdamW"),
        is_new=True,
    )
    lr_scheduler: Constructor = key(
        "builds the learning rate's schedule, given the optimizer and what it takes of num_warmup_steps and num_training_steps",
        FIXED,
        default=Constructor("transformers.get_cosine_schedule_with_warmup"),
        is_new=True,
    )
    max_grad_norm: float = key("gradient clipping", FIXED, default=1.0, minimum=0)
    tokens_per_step: int = key("LLM positions in one optimiser step", FIXED, minimum=1)
    tokens_per_pack: int = key("LLM positions in one packed forward", NOTED, minimum=1)
    keep: dict = key(
        "labels of training examples with their bounds, {snr: [15, null]}, or their one value; others are listed",
        FIXED,
        default={},
        is_new=True,
    )
    mixture: list = key(
        "shares of LLM positions in training: [{where: {task: repeat}, share: 0.7}, {share: 0.3}]",
        FIXED,
        default=[],
        is_new=True,
    )
    sampling: dict = key(
        "shares of LLM positions by the values of a label, tempered: {by: language, temperature: 2.0}",
        FIXED,
        default={},
        is_new=True,
    )
    order: str = key(
        "of training examples: shuffled in each epoch, or kept as in the manifest",
        FIXED,
        default=SHUFFLED,
        choices=ORDERS,
        is_new=True,
    )
    valid_every: int = key("steps between validations, each of which writes a checkpoint", NOTED, minimum=1)
    average_checkpoints: int = key(
        "1: the checkpoint with the lowest validation loss answers; more: the mean of so many last ones, which stage 3 keeps",
        SAME,
        stages="decode",
        default=1,
        minimum=1,
        is_new=True,
    )
    wandb: bool = key(
        "send the curves to Weights & Biases too (auralign[wandb]; WANDB_MODE=offline keeps them here)",
        SAME,
        default=False,
    )
    num_shown: int = key("answers that a validation prints into the log", SAME, default=3, minimum=0)
    feature_cache: str = key(
        "memory, disk or off: the store of the frozen encoder's frames",
        NOTED,
        choices=("memory", "disk", "off"),
        alike=("memory", "disk"),
    )
    max_cache_gigabytes: float = key("frames larger than this are not kept", NOTED, default=4.0, minimum=0)
    encode_batch_seconds: float = key("seconds of audio encoded at once", NOTED, default=100.0, minimum=1)
    num_workers: int = key(
        "threads that read audio ahead of the encoder; results do not depend on it",
        SAME,
        default=0,
        minimum=0,
    )
    decode_max_new_tokens: int = key("length limit of answers", SAME, stages="decode", minimum=1)
    decode_tokens_per_second: float | None = key(
        "a second length limit of answers, in tokens for each second of audio",
        SAME,
        stages="decode",
        default=None,
    )
    decode_num_beams: int = key(
        "1 is greedy; more is beam search", SAME, stages="decode", default=1, minimum=1
    )
    decode_stop_strings: list = key(
        "an answer ends before the first of them", SAME, stages="decode", default=[]
    )
    decode_batch_size: int = key("prompts decoded at once in stage 4", SAME, default=64, minimum=1)
    decode_engine: Constructor = key(
        "what asks the LLM in stage 4: transformers or vllm",
        SAME,
        stages="decode",
        default=Constructor(ENGINES["transformers"]),
        is_new=True,
        words={name: ENGINES[name] for name in ("transformers", "vllm")},
        uncounted=("scheduler", "at_once"),
    )
    batch_invariant: bool = key(
        "decode prompts one by one in stages 2 and 4, since in bf16 and fp16 an answer can depend on its batch mates",
        SAME,
        stages="generate decode",
        default=False,
        is_new=True,
    )
    precision: str = key(
        "fp32; bf16 or fp16: autocast, which the dtype of the LLM follows if the command line names it; auto: bf16 on a GPU and "
        "on a CPU that has instructions for it, else fp32",
        FIXED,
        default="fp32",
        choices=("fp32", "bf16", "fp16"),
    )
    device: str = key(
        "cpu, cuda:N, or cuda: under torchrun a GPU for each process; auto: cuda if there is a GPU, else cpu",
        NOTED,
        default="cpu",
    )
    shard_llm: bool = key(
        "under torchrun, share the layers of a frozen LLM out over the GPUs (FSDP2): for one that does not fit on one",
        SAME,
        default=False,
    )
    restart: bool = key(
        "if the folder holds a run of other values, keep it and begin a new one beside it (stages 2 and 3)",
        SAME,
        default=False,
    )
    own: Mapping[str, Any] = dataclasses.field(default_factory=dict, metadata={"meaning": ""})
    """Keys that the YAML adds for its own references, such as `encoder_folder`."""
    source: Any = dataclasses.field(default=None, repr=False, compare=False, metadata={"meaning": ""})
    """The `auralign.recipe.file.RecipeFile` that it was read from."""

    @property
    def max_rejected_data(self) -> float:
        """The share of rejected utterances and examples above which stages 1 and 3 stop."""
        return MAX_REJECTED_DATA if self.max_rejected is None else self.max_rejected

    @property
    def max_rejected_answers(self) -> float:
        """The share of rejected answers above which stage 2 stops; small LLMs often loop."""
        return MAX_REJECTED_ANSWERS if self.max_rejected is None else self.max_rejected

    @property
    def draws(self) -> Draws:
        """Which examples training draws. Raises ValueError if a key of theirs cannot be used."""
        return Draws(self.keep, self.mixture, self.sampling, self.order)

    @classmethod
    def load(cls, path, **overrides) -> "Recipe":
        """The recipe of a YAML, with other values for some keys. `auralign.RunFolder.open(FOLDER).recipe` is that of a run.

        Arguments
        ---------
        path : path
            Such as "hparams/sift.yaml".
        overrides
            Values by key; a path too. Keys within a key have dots: `**{"connector.stride": 4}`.
            `trust_config=True` lets a YAML that you have read construct anything.

        Raises RecipeError if the file or a value cannot be used.
        """
        from auralign.recipe.file import load_recipe

        return load_recipe(path, overrides)

    def settings(self, stage: str) -> dict[str, Any]:
        """The values that change the results of a stage ("generate", "train" or "decode"): by these it knows whether it must be
        run again."""
        return {
            name: about.counted(getattr(self, name))
            for name, about in KEYS.items()
            if (stage in about.stages.split() or (stage == "train" and about.change != SAME))
            and not (about.is_new and about.counted(getattr(self, name)) == about.default)
        }

    def check_names(self) -> None:
        """See that every class and function that the recipe names is there, as far as that is known without importing it.

        Raises RecipeError on one that is not.
        """
        for name, constructor in _constructors({name: getattr(self, name) for name in KEYS}):
            fault = find_fault(constructor.name)
            if fault:
                raise RecipeError(
                    f"{self._place}: {name}: {fault}, which the YAML names as {constructor.name}"
                )

    def check_constructors(self) -> None:
        """Import every class and function that the recipe names and try its arguments.

        Raises RecipeError on a name that does not exist or an argument that it does not take.
        """
        for name, constructor in _constructors({name: getattr(self, name) for name in KEYS}):
            try:
                inspect.signature(constructor)  # raises on an unknown argument
            except RecipeError as error:
                raise RecipeError(f"{self._place}: {error}") from error
            except (ValueError, TypeError, ImportError) as error:
                raise RecipeError(f"{self._place}: {name}: {_explain(constructor, error)}") from error

    @property
    def _place(self):
        return self.source.path if self.source else "recipe"


def _constructors(value, name: str = ""):
    """(dotted name, Constructor) of all those in a value, wherever they are in it."""
    if isinstance(value, Constructor):
        yield name, value
        yield from _constructors(value.args, name)
        value = value.keywords
    if isinstance(value, Mapping):
        for item, found in value.items():
            yield from _constructors(found, f"{name}.{item}" if name else str(item))
    elif isinstance(value, (list, tuple)):
        for number, found in enumerate(value):
            yield from _constructors(found, f"{name}[{number}]")


def _explain(constructor: Constructor, error: Exception) -> str:
    """What is wrong with a constructor, with a suggestion for a misspelt argument."""
    try:
        taken = inspect.signature(constructor.func).parameters
    except (ValueError, TypeError, ImportError):
        return str(error)
    unknown = [name for name in constructor.keywords if name not in taken]
    if not unknown:
        return f"{constructor.name}: {error}"
    return f"{constructor.name} takes no {unknown[0]!r}{suggest(unknown[0], taken)}"


def _kinds(annotation) -> tuple[type, ...]:
    if isinstance(annotation, types.UnionType):
        return tuple(kind for item in typing.get_args(annotation) for kind in _kinds(item))
    return (typing.get_origin(annotation) or annotation,)


KEYS = {
    item.name: Key(item.name, _kinds(item.type), **item.metadata)
    for item in dataclasses.fields(Recipe)
    if item.metadata["meaning"]
}
"""Every key of a YAML, by name."""


def print_help(doc: str) -> None:
    """Print what a stage's script does and the keys that its command line takes; then exit."""
    print(f"{doc.strip()}\n\nusage: {Path(sys.argv[0]).name} YAML [--KEY VALUE ...]".lstrip())
    print(
        "\nKeys of the YAML, each of which can be given on the command line (--lr 3e-4, --frozen '[connector]'):"
    )
    for name, about in KEYS.items():
        if about.is_scalar:
            default = "" if about.is_required else f" (default: {about.default})"
            print(f"  --{name:<26}{about.meaning}{default}")
        elif about.is_list:
            default = f" (default: {', '.join(about.default)})" if about.default else ""
            print(f"  --{name + ' LIST':<26}{about.meaning}{default}")
    print(
        "\nKeys with parts, which are given by the part (--connector.stride 4, --method.NAME VALUE, --llm.dtype float32):"
    )
    for name, about in KEYS.items():
        if not about.is_scalar and not about.is_list:
            print(f"  --{name + '.NAME':<26}{about.meaning}")
    print(
        "\n  --trust-config              let the YAML construct anything; auralign check-config YAML lists what"
    )
    sys.exit(0)
