"""Load a causal LLM and its tokenizer of a Hugging Face folder or hub id, and refuse what cannot be used."""

from pathlib import Path

from auralign.files import hash_path
from auralign.hub import name_of, resolve
from auralign.models.folder import (
    check_complete,
    check_finite,
    check_sound,
    loading,
    read_object,
    torch_dtype,
)
from auralign.models.identity import llm_base
from auralign.models.llm.llm import LLM, find_stop_ids


def load_llm(
    path,
    *,
    dtype: str = "float32",
    device: str = "cpu",
    trust_remote_code: bool = False,
    attention: str | None = None,
) -> LLM:
    """Load the LLM and its tokenizer.

    Arguments
    ---------
    path : str or Path
        A Hugging Face folder, or an id of the hub (see `auralign.hub.resolve`).
    dtype : str
        "float32" (default), "bfloat16" or "float16".
    device : str
        "cpu" (default) or "cuda:N".
    trust_remote_code : bool
        Run Python code that came with the folder, if its model needs it; default False. Read that code first.
    attention : str, optional
        The implementation of attention, as transformers' `attn_implementation` names it; "eager" is the one that returns the
        attention weights, which `auralign probe` reads. Default None: transformers chooses the fastest one.

    Returns LLM, frozen.

    Raises
    ------
    FileNotFoundError : the folder or its weights are absent, or the hub has no such model.
    PermissionError : the hub does not give the model to this user.
    ValueError : the dtype is unknown; the model needs code of its own without `trust_remote_code`, is not a causal LLM or
        cannot be given speech; or files are truncated, hold values that are not finite, or belong to another LLM.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = resolve(path)
    if not (path / "config.json").is_file():
        raise FileNotFoundError(
            f"no LLM at {path}: expected a Hugging Face folder with config.json, weights and tokenizer, or an id of the hub "
            "(org/name, or org/name@revision)"
        )
    where = {"local_files_only": True, "trust_remote_code": trust_remote_code}
    weights = {"dtype": torch_dtype(dtype), "output_loading_info": True}
    if attention is not None:
        weights["attn_implementation"] = attention
    _check_causal(path)
    check_sound(path)
    try:
        with loading(path):
            tokenizer = AutoTokenizer.from_pretrained(path, **where)
            model, info = AutoModelForCausalLM.from_pretrained(path, **weights, **where)
    except ValueError as error:
        if trust_remote_code or "trust_remote_code" not in str(error.__cause__):
            raise
        raise ValueError(
            f"{path}: this LLM needs Python code that came with it; read that code, then allow it: --trust_remote_code true "
            "(of auralign ask: --trust-remote-code)"
        ) from error
    check_complete(path, info["missing_keys"], what="weights")
    model = model.to(device)
    check_finite(path, model)
    _check_tokenizer(path, tokenizer, model.get_input_embeddings().num_embeddings)
    base = llm_base(
        path, model, tokenizer, find_stop_ids(model, tokenizer), earlier=lambda folder: hash_path(folder)[:16]
    )
    try:
        return LLM(model, tokenizer, name=name_of(path), revision=base.revision, base=base)
    except ValueError as error:  # of the probe
        raise ValueError(f"{path}: {error}") from error


def _check_causal(path) -> None:
    from auralign.models.encoders import LOADERS

    config = read_object(Path(path) / "config.json")
    kind, names = config.get("model_type"), config.get("architectures") or ["a model"]
    if kind in LOADERS or config.get("is_encoder_decoder"):
        what = "a speech encoder (encoder: in the YAML)" if kind in LOADERS else "an encoder-decoder model"
        raise ValueError(
            f"{path} holds {names[0]}, {what}, not a causal LLM; give one such as Llama or Qwen as the LLM"
        )


def _check_tokenizer(path, tokenizer, num_embeddings: int) -> None:
    """Raise ValueError if the tokenizer's own tokens, without added ones, or those of its template have no embeddings."""
    problem = None
    if tokenizer.vocab_size > num_embeddings:
        problem = f"has {tokenizer.vocab_size} tokens"
    elif tokenizer.chat_template:
        from jinja2 import TemplateError

        try:
            chat = [{"role": "user", "content": "x"}]
            text = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        except (TemplateError, TypeError, ValueError, KeyError):
            return  # the renderer says what is wrong with a template
        beyond = [
            token
            for token in tokenizer(text, add_special_tokens=False)["input_ids"]
            if token >= num_embeddings
        ]
        if beyond:
            problem = f"gives {tokenizer.convert_ids_to_tokens(beyond[0])!r}, which its chat template uses, the id {beyond[0]}"
    if problem:
        raise ValueError(
            f"{path}: the tokenizer {problem}, the LLM has {num_embeddings} embeddings; use the tokenizer that belongs to these "
            "weights, or a model whose embeddings were resized for the added tokens"
        )
