"""Read a recipe's YAML with overrides from the command line, and check every key against the schema.

    >>> SCHEMA["lr"].kinds
    (<class 'float'>,)

HyperPyYAML takes an unknown key inside a file without a word, and keeps `3e-4` as a string; both are caught here.
A YAML is code: it is loaded from the recipe's own folder, never from a checkpoint.
"""

import difflib
import io
import math
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from auralign.method import AlignmentMethod, check_options


class HparamsError(ValueError):
    """A YAML or an override that cannot be used: names the file, the key and the repair."""


# What a changed key does to a training that has begun (`auralign.train.resume`).
SAME = (
    "same"  # goes on, bit for bit: the weights do not depend on it, but by files, whose content is compared
)
NOTED = "noted"  # goes on, not bit for bit; the checkpoints keep a history of such changes
STEPS = "steps"  # num_steps: goes on with the rate of the new schedule, unless the run is beyond that step
FIXED = "fixed"  # stops: what is trained is kept, and the new run needs another output_folder, or --restart
CHANGES = (SAME, NOTED, STEPS, FIXED)


@dataclass(frozen=True)
class Key:
    """One key of the schema.

    Arguments
    ---------
    kinds : tuple of type
    meaning : str
        Printed by `--help`, and by errors.
    change : str
        One of `CHANGES`. All but `SAME` are inputs of stage 3.
    stages : str
        The other stages whose results the key changes.
    default
        Without one, every YAML must name the key.
    least : float, optional
        The smallest number allowed.
    words : tuple of str
        The only words allowed, if any are given.
    alike : tuple of str
        Words that make no difference to training among themselves.
    """

    kinds: tuple[type, ...]
    meaning: str
    change: str
    stages: str = ""
    default: Any = ...
    least: float | None = None
    words: tuple[str, ...] = ()
    alike: tuple[str, ...] = ()


# A `!name:` constructor loads to functools.partial, or without arguments to the class or function itself.
NAME = Callable

SCHEMA = {
    "seed": Key((int,), "all randomness of stages 2 to 4", FIXED, "generate", least=0),
    "data_folder": Key((str,), "what stage 1 wrote", SAME),
    "output_folder": Key((str,), "targets, checkpoints and hypotheses of this method", SAME),
    "text_folder": Key((str,), "hypotheses of the same LLM on text, shared by all methods", SAME),
    "score_folder": Key((str,), "the ledger", SAME),
    "method": Key((AlignmentMethod,), "the alignment method", FIXED, "generate"),
    "llm": Key((NAME,), "builds the frozen LLM", FIXED, "generate decode"),
    "encoder": Key((NAME,), "builds the frozen speech encoder", FIXED, "decode"),
    "connector": Key((NAME,), "builds the connector, given the widths of encoder and LLM", FIXED),
    "recognizer": Key(
        (NAME, type(None)),
        "builds, given the encoder's width, what reads transcripts off its frames: for the matched cascade",
        SAME,
        "decode",
        default=None,
    ),
    "system_prompt": Key(
        (str, type(None)),
        "default: the template's own; null: none; else this text",
        FIXED,
        "generate decode",
        default="default",
    ),
    "template_options": Key((dict,), "arguments of the chat template", FIXED, "generate decode", default={}),
    "max_new_tokens": Key((int,), "length limit of targets", SAME, "generate", least=1),
    "temperature": Key((float,), "0 is greedy", SAME, "generate", default=0.0, least=0),
    "keep_cut_off": Key(
        (bool,),
        "whether an answer cut off at max_new_tokens may be a target (without an end of turn)",
        SAME,
        "generate",
        default=True,
    ),
    "generate_batch_size": Key((int,), "prompts decoded at once in stage 2", SAME, default=64, least=1),
    "trust_remote_code": Key(
        (bool,),
        "run Python code that came with the LLM's folder, where its model needs it",
        SAME,
        default=False,
    ),
    "exclude_overlap": Key(
        (list,),
        "what a training clip of a recipe may not share with a validation or test clip: id, sentence, speaker",
        SAME,
        default=["id", "sentence"],
    ),
    "verify_audio": Key(
        (bool,), "stage 1 of a recipe reads audio through, not only its headers", SAME, default=False
    ),
    "max_rejected": Key(
        (float,),
        "share of rejected items above which a stage stops, if more than 3",
        SAME,
        default=0.01,
        least=0,
    ),
    "lora": Key(
        (NAME, type(None)),
        "builds a peft.LoraConfig: adapters beside the LLM's frozen weights, trained with the connector",
        FIXED,
        default=None,
    ),
    "lora_scope": Key(
        (str,),
        "positions that LoRA adapts: all, or those of speech",
        FIXED,
        default="all",
        words=("all", "speech"),
    ),
    "train_llm": Key((bool,), "train the LLM's own weights too; a copy of them stays", FIXED, default=False),
    "branches": Key(
        (dict,),
        "further encoders, each with its connector, by name: for methods with several",
        FIXED,
        default={},
    ),
    "heads": Key(
        (dict,),
        "builds what a method's loss needs beside the LLM, given its width and outputs",
        FIXED,
        default={},
    ),
    "init_from": Key(
        (str, type(None)),
        "output_folder of another run, or a model folder: training begins with its weights",
        FIXED,
        default=None,
    ),
    "frozen": Key((list,), "parts that stay as init_from gave them, such as connector", FIXED, default=[]),
    "lr": Key((float,), "peak learning rate", FIXED, least=0),
    "num_steps": Key((int,), "optimiser steps", STEPS, least=1),
    "num_warmup_steps": Key((int,), "linear warm-up; cosine decay to zero after it", FIXED, least=0),
    "weight_decay": Key((float,), "of AdamW", FIXED, default=0.0, least=0),
    "max_grad_norm": Key((float,), "gradient clipping", FIXED, default=1.0, least=0),
    "tokens_per_step": Key((int,), "LLM positions in one optimiser step", FIXED, least=1),
    "tokens_per_pack": Key((int,), "LLM positions in one packed forward", NOTED, least=1),
    "valid_every": Key(
        (int,), "steps between validations, each of which writes a checkpoint", NOTED, least=1
    ),
    "num_shown": Key((int,), "answers that a validation prints into the log", SAME, default=3, least=0),
    "feature_cache": Key(
        (str,),
        "memory, disk or off: where the frozen encoder's frames are kept",
        NOTED,
        words=("memory", "disk", "off"),
        alike=("memory", "disk"),
    ),
    "max_cache_gigabytes": Key((float,), "frames larger than this are not kept", NOTED, default=4.0, least=0),
    "encode_batch_seconds": Key((float,), "seconds of audio encoded at once", NOTED, default=100.0, least=1),
    "decode_max_new_tokens": Key((int,), "length limit of answers", SAME, "decode", least=1),
    "decode_tokens_per_second": Key(
        (float, type(None)),
        "a second limit: so many tokens for each second of audio",
        SAME,
        "decode",
        default=None,
    ),
    "decode_num_beams": Key((int,), "1 is greedy; more is beam search", SAME, "decode", default=1, least=1),
    "decode_stop_strings": Key(
        (list,), "an answer ends before the first of them", SAME, "decode", default=[]
    ),
    "decode_batch_size": Key((int,), "prompts decoded at once in stage 4", SAME, default=64, least=1),
    "batch_invariant": Key(
        (bool,),
        "decode prompts one by one in stages 2 and 4: in bf16 and fp16 an answer may else depend on its batch mates",
        SAME,
        "generate decode",
        default=False,
    ),
    "precision": Key(
        (str,), "fp32; bf16 or fp16 autocast on a GPU", FIXED, default="fp32", words=("fp32", "bf16", "fp16")
    ),
    "device": Key(
        (str,), "cpu, cuda:N, or cuda: under torchrun a GPU for each process", NOTED, default="cpu"
    ),
    "restart": Key(
        (bool,),
        "if the folder holds a run of other values, keep it and begin a new numbered version beside it (stages 2 and 3)",
        SAME,
        default=False,
    ),
}

# Keys that came later: at their default they are no change, so that what was finished before stays so.
LATER = ("batch_invariant",)

HELP = ("--help", "-h")
BOOLEANS = ("true", "false")


def settings(hparams: SimpleNamespace, stage: str) -> dict[str, Any]:
    """The values that change the results of a stage: by these it knows whether it must be run again."""
    return {
        name: getattr(hparams, name)
        for name, key in SCHEMA.items()
        if (stage in key.stages.split() or (stage == "train" and key.change != SAME))
        and not (name in LATER and getattr(hparams, name) == key.default)
    }


def parse_arguments(argv: list[str]) -> tuple[list[str], dict[str, str]]:
    """Split `a.yaml b.yaml --lr 3e-4 --num-steps=10` into paths and overrides; dashes in names are underscores, and a key that
    is true or false may be given without a value.

    What asks for help is left out.

    Raises HparamsError on an option without a value.
    """
    paths, overrides, rest = [], {}, list(argv)
    while rest:
        word = rest.pop(0)
        if word in HELP:  # for whoever asked
            continue
        if not word.startswith("--"):
            paths.append(word)
            continue
        name, equals, value = word[2:].partition("=")
        name = name.replace("-", "_")
        if not equals and _is_flag(name) and (not rest or rest[0].lower() not in BOOLEANS):
            value = "true"  # `--restart` alone
        elif not equals:
            if not rest or rest[0].startswith("--"):
                raise HparamsError(f"the option {word} needs a value: {word} VALUE")
            value = rest.pop(0)
        overrides[name] = value
    return paths, overrides


def _is_flag(name: str) -> bool:
    return name in SCHEMA and SCHEMA[name].kinds == (bool,)


def load_hparams(path, overrides: dict[str, str] | None = None) -> SimpleNamespace:
    """The recipe's values, checked and with defaults filled in; `!name:` constructors are not called.

    Raises HparamsError on an unknown key or override (with a suggestion), a missing or mistyped value, and broken YAML.
    """
    from hyperpyyaml import load_hyperpyyaml  # 0.1 s that `auralign --help` does not spend

    text = _read(path)
    keys = set(re.findall(r"^([A-Za-z_]\w*):", text, flags=re.MULTILINE))
    if not keys:
        raise HparamsError(f"{path}: holds no keys; give a YAML such as hparams/sift.yaml")
    typed = {name: _coerce(name, value, keys, path) for name, value in (overrides or {}).items()}
    try:
        # HyperPyYAML adds an override that the file lacks only when told; the schema's optional keys are such.
        values = load_hyperpyyaml(io.StringIO(text), {k: v for k, v in typed.items() if k in keys})
    except (
        Exception
    ) as error:  # PyYAML, HyperPyYAML and whatever a constructor raises: one line with the file's name
        raise HparamsError(f"{path}: {' '.join(str(error).split())}") from error
    values.update({name: value for name, value in typed.items() if name not in keys})
    referenced = set(re.findall(r"<(\w+)", text))
    for name in values:
        if (
            name not in SCHEMA and name not in referenced
        ):  # a key of the recipe's own must be of use to another value
            raise HparamsError(f"{path}: unknown key {name!r}{_suggest(name, SCHEMA)}")
    for name, key in SCHEMA.items():
        if name not in values:
            if key.default is ...:
                raise HparamsError(f"{path}: lacks {name!r} ({key.meaning})")
            values[name] = key.default
        values[name] = _check(name, values[name], path)
    return SimpleNamespace(**values)


def _read(path) -> str:
    if not Path(path).is_file():
        raise HparamsError(f"no YAML at {path}; give the path of a file such as hparams/sift.yaml")
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise HparamsError(
            f"{path}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from error


def _coerce(name: str, text: str, keys: set[str], path) -> Any:
    """An override, as the type that the schema gives its key."""
    if name not in keys and name not in SCHEMA:
        raise HparamsError(f"{path}: no key {name!r} to override{_suggest(name, keys | set(SCHEMA))}")
    kinds = SCHEMA[name].kinds if name in SCHEMA else (str,)
    convert: Callable[[str], Any] = next((kind for kind in (int, float) if kind in kinds), str)
    if str not in kinds and bool not in kinds and convert is str:
        raise HparamsError(f"{path}: {name!r} cannot be given on the command line; edit the YAML")
    if type(None) in kinds and text in ("null", "none"):
        return None
    if bool in kinds and text.lower() in BOOLEANS:
        return text.lower() == "true"
    try:
        if bool in kinds:
            raise ValueError
        return convert(text)
    except ValueError as error:
        raise HparamsError(f"{path}: --{name} {text}: expected {_names(kinds)}") from error


def _check(name: str, value: Any, path) -> Any:
    kinds = SCHEMA[name].kinds
    if float in kinds and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if float in kinds and isinstance(value, str):  # YAML 1.1 reads 3e-4, without a point, as a string
        try:
            value = float(value)
        except ValueError as error:
            raise HparamsError(f"{path}: {name}: {value!r} is no number") from error
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise HparamsError(
            f"{path}: {name}: {value!r} is {type(value).__name__}; expected {_names(kinds)} ({SCHEMA[name].meaning})"
        )
    if isinstance(value, AlignmentMethod):
        try:
            check_options(value)
        except ValueError as error:
            raise HparamsError(f"{path}: {error}") from error
    least, words = SCHEMA[name].least, SCHEMA[name].words
    if least is not None and value is not None and not least <= value < math.inf:
        raise HparamsError(
            f"{path}: {name}: {value} must be a number of at least {least} ({SCHEMA[name].meaning})"
        )
    if words and value not in words:
        raise HparamsError(f"{path}: {name}: {value!r}: use {' or '.join(words)}")
    return value


def _names(kinds) -> str:
    names = {
        NAME: "a !name: constructor",
        type(None): "null",
        AlignmentMethod: "a method (!apply:auralign.plugins.load_method)",
    }
    return " or ".join(names.get(kind, kind.__name__) for kind in kinds)


def _suggest(name: str, known) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(sorted(known))}"


def load_recipe(argv: list[str]) -> SimpleNamespace:
    """The values of the one YAML that a stage's command line names, with its overrides; `--help` lists the keys and exits.

    Raises HparamsError where it names none, or several.
    """
    if {*HELP} & {*argv}:
        print(
            "usage: SCRIPT.py YAML [--KEY VALUE ...]\n\nKeys of the YAML that can be given on the command line:"
        )
        for name, key in SCHEMA.items():
            if not {NAME, AlignmentMethod, dict, list} & set(key.kinds):
                default = "" if key.default is ... else f" (default: {key.default})"
                print(f"  --{name:<26}{key.meaning}{default}")
        print("\nKeys that stand in the YAML alone:")
        for name, key in SCHEMA.items():
            if {NAME, AlignmentMethod, dict, list} & set(key.kinds):
                print(f"  {name:<28}{key.meaning}")
        sys.exit(0)
    paths, overrides = parse_arguments(argv)
    if len(paths) != 1:
        raise HparamsError(
            f"expected one YAML, found {len(paths)} ({', '.join(paths) or 'none'}); "
            "for example: python train.py hparams/sift.yaml --lr 3e-4"
        )
    return load_hparams(paths[0], overrides)
