"""Write the trained weights of a recipe as a model folder."""

import contextlib
import dataclasses
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from safetensors.torch import save_file

from auralign import __version__
from auralign.bases import find_source
from auralign.files import locked, make_folder_atomically
from auralign.fingerprint import describe
from auralign.hub import has_form_of_id
from auralign.method import is_assisted
from auralign.models.build import build_decoding, build_model, check_parts, describe_parts, prompts_of
from auralign.models.builds import RECORD, write_record
from auralign.models.folder import torch_dtype
from auralign.models.llm import lora_options
from auralign.publish.agreement import ask_questions
from auralign.publish.card import make_card
from auralign.publish.examples import Example, write_examples
from auralign.publish.model_folder import (
    CARD,
    SCHEMA,
    TRANSCRIPT,
    account_of_part,
    account_of_slot,
    write_config,
)
from auralign.publish.native.architectures import find_architecture, refuse
from auralign.publish.native.usage import usage_of
from auralign.run_folder import RunFolder
from auralign.train.checkpoint import WEIGHTS, Checkpoints


def export(
    recipe,
    folder,
    *,
    report=None,
    architecture: str | None = None,
    ids: dict[str, str] | None = None,
    dtype: str | None = None,
    examples: Sequence[Example] = (),
) -> None:
    """Write a recipe's best checkpoint, or the mean of the last ones (`average_checkpoints`).

    Arguments
    ---------
    recipe : Recipe
    folder : path
        Must not exist yet.
    report : path, optional
        Report of stage 5, whose ledger and pictures go into the folder; default none.
    architecture : str, optional
        A name in `auralign.publish.native.architectures.ARCHITECTURES`, such as "voxtral"; default: a model folder of auralign.
    ids : dict of str to str, optional
        Under "llm" and "encoder" the hub ids by which others find these models, `org/name` or `org/name@revision`; default:
        where they are here.
    dtype : str, optional
        In which the trained weights of a model folder of auralign are stored, such as "float16"; default: as they were trained.
        They are loaded as float32.
    examples : sequence of Example
        Answers to publish with their recordings, which a model folder of auralign holds in `examples`; default none.

    Raises
    ------
    FileExistsError : the folder exists.
    FileNotFoundError : stage 3 was not run.
    ValueError : the recipe builds other parts than the checkpoint was trained with, or parts that the architecture does not
        have, or averages more checkpoints than are kept; an id is none; or a weight is too large for the dtype.
    """
    for what, name in (ids or {}).items():
        if not has_form_of_id(name):
            raise ValueError(f"{what} {name!r}: give an id of the hub, org/name or org/name@revision")
    if architecture is not None and examples:
        raise ValueError(f"--examples with --as {architecture}: no other software shows them; leave it out")
    if dtype is not None:
        torch_dtype(dtype)
        if architecture is not None:
            raise ValueError(
                f"--dtype {dtype} with --as {architecture}: such a folder has the weights in the type of the run; leave it out"
            )
    native = None if architecture is None else find_architecture(architecture)
    if native is not None:
        recipe.check_constructors()
        refuse(native, recipe)
    _refuse_to_replace(folder)
    run = RunFolder(recipe)
    recipe = run.recipe  # names models of the hub by their commits
    chosen = Checkpoints(run.checkpoints).chosen(recipe.average_checkpoints)
    model, renderer = build_model(recipe, prompts=prompts_of(chosen.description))
    built = describe_parts(recipe, model, renderer)
    check_parts(chosen.description, built, checkpoint=chosen.folder, model=model, exact="an export")
    config = _describe(recipe, folder, chosen, model, renderer)
    config["questions"] = ask_questions(model.llm, renderer)
    for what, name in (ids or {}).items():
        config[what] |= {"name": name, "with": {**config[what]["with"], "path": name}}
        config[what].pop("places", None)
    for_the_loss = tuple(f"{name}_head." for name in model.heads)
    weights = {name: value for name, value in chosen.weights().items() if not name.startswith(for_the_loss)}
    with _alone(folder), make_folder_atomically(folder) as temporary:
        if native is None:
            save_file(_stored(weights, dtype), temporary / WEIGHTS)
            write_record(model, temporary / RECORD)
            if examples:
                write_examples(temporary, examples)
        else:
            chosen.load_weights(model)
            _write_as(native, temporary, recipe, model, renderer, ids)
        card = make_card(
            recipe,
            config,
            report,
            usage=None if native is None else usage_of(native, temporary),
            native=native,
            num_examples=len(examples),
        )
        (temporary / CARD).write_text(card, encoding="utf-8")
        for picture in Path(report).parent.glob("*.png") if report else ():  # that the report shows
            shutil.copy(picture, temporary)
        if native is None:
            write_config(temporary, config)


def _refuse_to_replace(folder) -> None:
    if Path(folder).exists():
        raise FileExistsError(f"{folder} is there already; give another name, or remove it")


@contextlib.contextmanager
def _alone(folder) -> Iterator[None]:
    """Context manager: wait for another export into this folder, which is then refused. Raises FileExistsError."""
    lock = Path(folder).with_name(f".{Path(folder).name}.lock")
    with locked(lock):
        try:
            _refuse_to_replace(folder)
            yield
        finally:
            lock.unlink()


def _stored(weights: dict, dtype: str | None) -> dict:
    """The weights in a dtype. Raises ValueError if one is too large for it."""
    if dtype is None:
        return weights
    stored = {name: value.to(torch_dtype(dtype)) for name, value in weights.items()}
    for name, value in stored.items():
        if not value.isfinite().all():
            raise ValueError(f"the weight {name} is too large for {dtype}; export it in float32 or bfloat16")
    return stored


def _write_as(native, folder: Path, recipe, model, renderer, ids) -> None:
    if native.class_name:
        from auralign.publish.native.convert import write_native

        write_native(folder, native, recipe, model, renderer)
    else:
        from auralign.publish.native.ultravox import write_ultravox

        write_ultravox(folder, native, recipe, model, renderer, ids)


def _describe(recipe, folder, chosen, model, renderer) -> dict:
    """The content of `auralign.json`."""
    config = {
        "schema": SCHEMA,
        "auralign": __version__,
        "method": f"{recipe.method.name} {recipe.method.version}",
        "paper": recipe.method.paper,
        "llm": {
            **account_of_part(describe(recipe.llm), folder),
            "name": model.llm.name,
            "revision": model.llm.revision,
            **_source_of(model.llm),
        },
        **_describe_branch(recipe.encoder, recipe.connector, model.encoder, folder),
        "branches": {
            name: _describe_branch(parts["encoder"], parts["connector"], model.encoders[name], folder)
            for name, parts in recipe.branches.items()
        },
        "lora": None if recipe.lora is None else lora_options(recipe.lora().to_dict()),
        "lora_scope": recipe.lora_scope,
        "train_llm": recipe.train_llm,
        **({"books": _describe_books(recipe, folder)} if recipe.books else {}),
        "slot": account_of_slot(recipe.method, ""),
        "sample_rate": model.encoder.sample_rate,
        "system_prompt": recipe.system_prompt,
        "template_options": recipe.template_options,
        "frame_hash": renderer.frame_hash,
        "prompts": renderer.describe(),
        "decoding": dataclasses.asdict(build_decoding(recipe)),
        "step": chosen.step,
        "valid_loss": chosen.valid_loss,
        **({"averaged_steps": list(chosen.averaged_steps)} if chosen.averaged_steps else {}),
        "history": chosen.description.get("history", []),
    }
    if is_assisted(recipe.method):
        config["assisted_slot"] = account_of_slot(recipe.method, TRANSCRIPT)
    return config


def _describe_books(recipe, folder) -> dict:
    return {name: account_of_part(describe(made), folder) for name, made in recipe.books.items()}


def _source_of(part) -> dict:
    """Where the weights of an LLM or encoder are from; empty for one of the user's own."""
    base = getattr(part, "base", None)
    return {} if base is None else {"source": find_source(base.folder)}


def _describe_branch(encoder, connector, built, folder) -> dict:
    """Constructors of an encoder and its connector; `built` is the encoder itself."""
    return {
        "encoder": {
            **account_of_part(describe(encoder), folder),
            "fingerprint": built.fingerprint,
            **_source_of(built),
        },
        "connector": account_of_part(describe(connector), folder),
    }
