"""Values of a method's options, checked by the types of its dataclass before they are used.

YAML reads 5e-4, without a point, as text, and one string in the place of a list would be iterated character by character.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from auralign.records import shorten


def check_options(method: Any, options: Mapping[str, Any]) -> None:
    """Raise ValueError if the value of an option is not of the type that its field has.

    Arguments
    ---------
    method : AlignmentMethod, or its class
        If it is no dataclass, nothing is checked.
    options : dict of str
        Values by name; others than the method's options are passed over.
    """
    if not dataclasses.is_dataclass(method):
        return
    for option in dataclasses.fields(method):
        if option.name not in options or options[option.name] is option.default:
            continue
        value, words = options[option.name], _WORDS.get(_written(option.type))
        where = f"method {method.name!r}: {option.name}: {shorten(repr(value))}"
        if words and not words.takes(value):
            raise ValueError(f"{where} is not {words.said}; {words.repair}")
        if "tuple[str" not in str(option.type):
            continue
        for found in value.values() if isinstance(value, Mapping) else (value,):
            if isinstance(found, str):
                raise ValueError(
                    f"method {method.name!r}: {option.name}: {found!r} is one string; give a list: [{found!r}]"
                )


class _Words(NamedTuple):
    """What a plain type takes, in words."""

    takes: Callable[[Any], bool]
    said: str
    repair: str


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_WORDS = {
    "float": _Words(_is_number, "a finite number", "write 0.0005 or 5.0e-4"),
    "int": _Words(_is_whole, "a whole number", "write 2"),
    "bool": _Words(lambda value: isinstance(value, bool), "true or false", "write true or false"),
    "str": _Words(lambda value: isinstance(value, str), "text", "put it in quotes"),
}


def _written(annotation: Any) -> str:
    """A plain type as it is written: annotations may be strings."""
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
