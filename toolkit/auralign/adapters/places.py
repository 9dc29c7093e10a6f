"""Which adapter a folder or an address needs; nothing heavy is imported before one is opened.

>>> is_address("http://127.0.0.1:8000/v1"), is_address("models/qwen2_audio")
(True, False)
"""

import json
from pathlib import Path
from typing import Any

from auralign.adapters.other_model import OtherModel

MODEL_TYPES = ("qwen2_audio", "voxtral", "audioflamingo3", "ultravox")
CONFIG = "config.json"


def is_address(model: str) -> bool:
    """Whether the name of a model is the address of an endpoint."""
    return model.startswith(("http://", "https://"))


def type_of(folder: Any) -> str | None:
    """The `model_type` of a folder of transformers; None for any other place."""
    try:
        config = json.loads((Path(folder) / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    found = config.get("model_type") if isinstance(config, dict) else None
    return found if isinstance(found, str) else None


def open_folder(
    folder: Any,
    *,
    name: str | None = None,
    device: str = "cpu",
    max_new_tokens: int | None = None,
    trust_remote_code: bool = False,
) -> OtherModel:
    """The speech LLM of transformers in a folder.

    Arguments
    ---------
    folder : path
        With a `config.json` whose `model_type` is one of MODEL_TYPES.
    name : str, optional
        For tables; default: that of the folder.
    device : str
    max_new_tokens : int, optional
        The length limit of an answer; default 128.
    trust_remote_code : bool
        Run Python code that came with the folder; an Ultravox needs it.

    Raises ValueError if the folder cannot be loaded.
    """
    from auralign.adapters.speech_class import SpeechClass

    return SpeechClass(
        Path(folder),
        name=name,
        device=device,
        max_new_tokens=max_new_tokens,
        trust_remote_code=trust_remote_code,
    )


def open_endpoint(
    address: str,
    *,
    name: str | None = None,
    max_new_tokens: int | None = None,
    trust_remote_code: bool = False,
) -> OtherModel:
    """The model behind an endpoint with OpenAI's interface that reads `input_audio`.

    Arguments
    ---------
    address : str
        Up to the version, such as "http://127.0.0.1:8000/v1". OPENAI_API_KEY is sent if it is set.
    name : str, optional
        The id of the model; default: the one that the endpoint lists, if it lists one.
    max_new_tokens : int, optional
        The length limit of an answer; default 128.
    trust_remote_code : bool
        Refused: no code of an endpoint is run.

    Raises ValueError if the endpoint lists no model or several, ConnectionError if it cannot be reached.
    """
    from auralign.adapters.endpoint import Endpoint

    if trust_remote_code:
        raise ValueError(
            f"trust_remote_code: {address} is an endpoint, whose code runs elsewhere; leave it out"
        )
    return Endpoint(address, name=name, max_new_tokens=max_new_tokens)
