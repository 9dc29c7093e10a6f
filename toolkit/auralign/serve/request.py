"""A request for a chat completion: what OpenAI's clients send, read and checked.

    >>> body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "temperature": 0.5}
    >>> request = ChatRequest.parse(body)
    >>> request.turns, request.options
    ([Turn(text='Hello', audio=None, role='user')], {'temperature': 0.5})

What the server cannot do is refused, and never ignored: another number of answers than one, tools, an unknown field.
"""

from dataclasses import dataclass, field
from typing import Any

from auralign.records import shorten
from auralign.serve.checks import (
    RequestError,
    is_bool,
    is_filled,
    is_int,
    is_number,
    is_str,
    read_field,
    show,
)
from auralign.serve.messages import Turn, read_messages

MAX_STOPS = 4  # as in OpenAI's API
# Fields that have no effect on the answer of one local model.
WITHOUT_EFFECT = (
    "metadata",
    "parallel_tool_calls",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "user",
)
# Fields that are accepted with these values alone: those that ask for what the server does anyway.
NEUTRAL: dict[str, tuple] = {
    "audio": (),
    "frequency_penalty": (0,),
    "function_call": ("none",),
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"],),
    "n": (1,),
    "presence_penalty": (0,),
    "response_format": ({"type": "text"},),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
}
READ = (
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "model",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "temperature",
    "top_p",
)


@dataclass(frozen=True)
class ChatRequest:
    """What a client asks.

    Arguments
    ---------
    model : str
    turns : list of Turn
        From user to user, alternating with the assistant.
    system : str, optional
        The system prompt; default None, the model's own.
    options : dict
        Those of `max_new_tokens`, `temperature`, `top_p`, `seed` and `stop_strings` that the client gives.
    stream : bool
        Whether the answer is sent as it is decoded.
    include_usage : bool
        Whether a stream ends with the numbers of tokens.
    """

    model: str
    turns: list[Turn]
    system: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    stream: bool = False
    include_usage: bool = False

    @classmethod
    def parse(cls, body: Any) -> "ChatRequest":
        """Read the JSON value of a request's body. Raises RequestError if it asks for something that the server cannot do."""
        if not isinstance(body, dict):
            raise RequestError(f"the body is {show(body)}; send a JSON object with model and messages")
        _check_fields(body)
        given = {name: value for name, value in body.items() if value is not None}
        for name in ("model", "messages"):
            if name not in given:
                raise RequestError(f"{name} is missing", param=name)
        system, turns = read_messages(given["messages"])
        stream = read_field(given, "stream", is_bool, "true or false") or False
        return cls(
            model=read_field(given, "model", is_str, "the id of a model, a string"),
            turns=turns,
            system=system,
            options=_read_options(given),
            stream=stream,
            include_usage=_read_stream_options(given, stream),
        )


def _check_fields(body: dict) -> None:
    """Raise RequestError if the body has a field that is unknown, or that asks for what the server cannot do."""
    for name, value in body.items():
        if name in READ or name in WITHOUT_EFFECT or value is None:
            continue
        if name not in NEUTRAL:
            raise RequestError(
                f"the field {shorten(repr(name))} is unknown to this server; leave it out",
                param=str(name),
                code="unknown_parameter",
            )
        accepted = NEUTRAL[name]
        if not any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in accepted):
            instead = f"; it takes {' or '.join(map(repr, accepted))}" if accepted else ""
            raise RequestError(
                f"{name} {show(value)} is not supported by this server{instead}: leave it out",
                param=name,
                code="unsupported_value",
            )


def _read_options(given: dict) -> dict[str, Any]:
    found = {
        "max_new_tokens": _read_max_tokens(given),
        "temperature": read_field(
            given, "temperature", lambda value: is_number(value, 0, 2), "a number from 0 to 2"
        ),
        "top_p": read_field(
            given, "top_p", lambda value: is_number(value, 0, 1) and value > 0, "a number above 0, at most 1"
        ),
        "seed": read_field(
            given, "seed", lambda value: is_int(value) and abs(value) < 2**63, "an integer of 64 bits"
        ),
        "stop_strings": _read_stop(given),
    }
    if found["top_p"] == 1:  # all tokens, as without it
        found["top_p"] = None
    return {name: value for name, value in found.items() if value is not None}


def _read_max_tokens(given: dict) -> int | None:
    names = [name for name in ("max_completion_tokens", "max_tokens") if name in given]
    values = [
        read_field(given, name, lambda value: is_int(value) and value >= 1, "an integer, at least 1")
        for name in names
    ]
    if len(set(values)) > 1:
        raise RequestError(
            f"max_completion_tokens {values[0]} and max_tokens {values[1]} differ; give one", param=names[0]
        )
    return values[0] if values else None


def _read_stop(given: dict) -> tuple[str, ...] | None:
    def fits(value: Any) -> bool:
        strings = [value] if isinstance(value, str) else value
        return isinstance(strings, list) and len(strings) <= MAX_STOPS and all(map(is_filled, strings))

    stop = read_field(
        given, "stop", fits, f"a string, or a list of at most {MAX_STOPS} strings, none of them empty"
    )
    return None if not stop else (stop,) if isinstance(stop, str) else tuple(stop)


def _read_stream_options(given: dict, stream: bool) -> bool:
    def fits(value: Any) -> bool:
        return (
            isinstance(value, dict)
            and set(value) <= {"include_usage", "include_obfuscation"}
            and all(map(is_bool, value.values()))
        )

    options = read_field(given, "stream_options", fits, 'an object such as {"include_usage": true}')
    if options is not None and not stream:
        raise RequestError(
            "stream_options is given without stream: true; leave it out", param="stream_options"
        )
    return bool((options or {}).get("include_usage", False))
