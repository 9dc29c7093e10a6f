"""Load a model folder, and refuse parts that the model was not trained with."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError
from safetensors.torch import load_file

from auralign.hub import resolve
from auralign.models.build import BRANCH, check_device, make_renderer, prompts_of
from auralign.models.builds import RECORD, compare_bases
from auralign.models.encoders import SpeechEncoder
from auralign.models.llm import ALL, Decoding, lora_options
from auralign.models.speech_llm import Branch, SpeechLLM
from auralign.publish.agreement import agreement
from auralign.publish.model_folder import CONFIG, constructor_of, read_config
from auralign.publish.pretrained import PretrainedModel
from auralign.records import shorten
from auralign.render import describe_change, describe_conversation_change
from auralign.train.checkpoint import WEIGHTS

if TYPE_CHECKING:
    import torch


def load(
    folder,
    *,
    llm=None,
    encoder=None,
    connector=None,
    branches=None,
    device: "str | torch.device" = "cpu",
    trust_remote_code: bool = False,
) -> PretrainedModel:
    """Load a model folder.

    Arguments
    ---------
    folder : path
        Written by `auralign export`; or its id on the hub, `org/name` or `org/name@revision`, written by `auralign push`.
    llm, encoder : path, optional
        Their folders now, or their ids on the hub; default: those that the model folder names. Another LLM or encoder than the
        model was trained with is refused; another build of its weights is told on stderr (`auralign.models.builds`).
        An encoder that is not auralign's own is given as an object, a `SpeechEncoder`.
    connector : constructor, optional
        Needed for a connector that is not auralign's own; called with the widths of encoder and LLM.
    branches : dict of str to path or dict, optional
        Where the encoders of further branches are now, by name; or the encoders themselves, as for `encoder`. A branch whose
        connector is not auralign's own is given as in the YAML: {"voice": {"encoder": ..., "connector": ...}}, of which
        either may be left out.
    device : str or torch.device
        "cpu" (default) or "cuda:N".
    trust_remote_code : bool
        Run Python code that came with the LLM, if it needs it; default False. Nothing in the folder can set this.

    Returns PretrainedModel.

    Raises
    ------
    FileNotFoundError : the folder, the LLM or the encoder is absent, also on the hub.
    PermissionError : the hub does not give one of them to this user.
    ValueError : LLM, encoder or prompts are not those that the model was trained with, or the folder names a constructor that
        is not auralign's.
    """
    _check_given("the model folder", folder)
    if llm is not None:
        _check_given("llm", llm)
    if encoder is not None:
        _check_given("encoder", encoder, SpeechEncoder)
    folder = resolve(folder)
    config = read_config(folder)
    check_device(device)
    device = str(device)
    try:
        return _load(folder, config, llm, encoder, connector, branches, device, trust_remote_code)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{folder / CONFIG}: does not say what a model folder says ({type(error).__name__}: {error}); export the model "
            "again"
        ) from error


def _load(
    folder: Path, config: dict, llm, encoder, connector, branches, device: str, trust_remote_code: bool
) -> PretrainedModel:
    path = folder / CONFIG
    trust = {"trust_remote_code": True} if trust_remote_code else {}
    its_llm = constructor_of(config["llm"], path, path_now=llm, what="llm")(**trust, device=device)
    if not isinstance(encoder, SpeechEncoder):
        encoder = constructor_of(config["encoder"], path, path_now=encoder, what="encoder")()
    its_encoder = encoder.to(device)
    named = config.get("branches", {})
    unknown = sorted(set(branches or ()) - set(named))
    if unknown:
        raise ValueError(f"{path}: has no branch {unknown[0]!r}; it has {', '.join(named) or 'none'}")
    made_branches = {
        name: _load_branch(name, parts, path, (branches or {}).get(name), its_llm)
        for name, parts in named.items()
    }
    if config["lora"] is not None:
        from peft import LoraConfig

        its_llm.add_lora(LoraConfig(**lora_options(config["lora"])), scope=config.get("lora_scope", ALL))
    if config.get("train_llm"):
        its_llm.unfreeze()
    widths = its_encoder.width, its_llm.width
    made = _connect(connector or constructor_of(config["connector"], path), widths, "connector=...")
    books = {
        name: constructor_of(account, path, option=f"books: {name}")(its_llm.width)
        for name, account in config.get("books", {}).items()
    }
    model = SpeechLLM(its_encoder, made, its_llm, branches=made_branches, books=books).to(device)
    renderer = make_renderer(
        its_llm, config["system_prompt"], config["template_options"], prompts=prompts_of(config)
    )
    _check_trained_with(folder, config, model, renderer)
    given = [] if connector is None else ["connector=..."]
    given += [
        f"branches={{{name!r}: ...}}"
        for name, one in (branches or {}).items()
        if isinstance(one, dict) and one.get("connector")
    ]
    _load_weights(model, folder / WEIGHTS, device, given)
    return PretrainedModel(model.eval(), renderer, Decoding(**config["decoding"]), config)


def _check_trained_with(folder: Path, config: dict, model: SpeechLLM, renderer) -> None:
    """Raise ValueError if LLM, encoders or prompt frame are not those that the model was trained with, or builds near them."""
    trained_with = {"llm": config["llm"]["revision"], "encoder": config["encoder"]["fingerprint"]}
    for name, branch in config.get("branches", {}).items():
        trained_with[f"branch {name}"] = branch["encoder"]["fingerprint"]
    others = compare_bases(trained_with, model, folder / RECORD, what=folder)
    if renderer.frame_hash != config["frame_hash"]:
        change = describe_change(config.get("prompts"), renderer.describe())
        raise ValueError(
            f"{folder}: was trained with prompt frame {config['frame_hash']}, this is {renderer.frame_hash}{change}; give "
            "the LLM that it was trained with"
        )
    change = describe_conversation_change(config.get("prompts"), renderer.describe())
    if change:
        raise ValueError(
            f"{folder}: was trained with a chat template that writes several turns otherwise{change}; give the LLM that it was "
            "trained with"
        )
    if "llm" in others and config.get("questions"):
        found = agreement(config["questions"], model.llm, renderer)
        others["llm"]["agreement"] = found
        others["llm"]["told"] += f"; {found}"
        print(f"{folder}: {found}", file=sys.stderr)


def _check_given(name: str, given, *kinds: type) -> None:
    """Raise ValueError for what is neither a path, nor an id of the hub, nor an object of one of the kinds."""
    if not isinstance(given, (str, os.PathLike, *kinds)):
        wanted = ("a path", "an id of the hub", *(f"a {kind.__name__}" for kind in kinds))
        raise ValueError(
            f"{name} is {type(given).__name__} {shorten(repr(given))}; give {', '.join(wanted[:-1])}, or {wanted[-1]}"
        )


def _connect(make, widths: tuple[int, int], name: str):
    """A connector. Raises ValueError that names the argument by which it can be given, if its constructor cannot be called."""
    try:
        return make(*widths)
    except TypeError as error:
        raise ValueError(
            f"{name}: called with the widths of encoder and LLM, {widths}, it fails ({error}); give a class or function of both"
        ) from error


def _load_weights(model: SpeechLLM, path: Path, device: str, given: list[str]) -> None:
    try:
        model.parts.load_state_dict(load_file(path, device=device), strict=True)
    except (SafetensorError, RuntimeError) as error:
        told = " ".join(str(error).split())
        if given and not isinstance(error, SafetensorError):
            raise ValueError(
                f"{path}: not the weights of {' and '.join(given)}, which load() was given ({told})"
            ) from error
        raise ValueError(
            f"{path}: not the weights of the parts that {CONFIG} names, or not whole; export or copy the "
            f"folder again ({told})"
        ) from error


def _load_branch(name: str, parts: dict, path, given, llm) -> Branch:
    """The branch of a model folder; `given` is its entry in `branches` of `load`."""
    given = given if isinstance(given, dict) else {"encoder": given}
    unknown = [key for key in given if key not in BRANCH]
    if unknown:
        raise ValueError(
            f"branches={{{name!r}: ...}}: has {unknown[0]!r}; give {' and '.join(BRANCH)}, or one of them"
        )
    encoder, make_connector = (given.get(key) for key in BRANCH)
    if encoder is not None:
        _check_given(f"branches={{{name!r}: ...}}: its encoder", encoder, SpeechEncoder)
    if not isinstance(encoder, SpeechEncoder):
        option = f"branches={{{name!r}: PATH}}"
        encoder = constructor_of(parts["encoder"], path, path_now=encoder, what="encoder", option=option)()
    option = f"branches={{{name!r}: {{'connector': ...}}}}"
    make_connector = make_connector or constructor_of(parts["connector"], path, option=option)
    return Branch(encoder, _connect(make_connector, (encoder.width, llm.width), option))
