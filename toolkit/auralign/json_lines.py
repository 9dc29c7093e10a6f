"""One JSON object on one line, read strictly: what JSON leaves to chance is an error that names the place and the repair.

    >>> parse_object('{"id": "a", "seconds": 1.5}', position="train.jsonl:2")
    {'id': 'a', 'seconds': 1.5}
    >>> parse_object('{"id": "a", "id": "b"}', position="train.jsonl:2")
    Traceback (most recent call last):
    auralign.json_lines.RecordError: train.jsonl:2: the key 'id' is there twice; correct the line, or write the file again
    >>> unseal(seal('{"id": "a"}'))
    b'{"id": "a"}'

`json.loads` alone takes the last of two values of a key, and reads NaN, Infinity and 1e999, which are not JSON.
"""

import itertools
import json
import math
import re
import types
import typing
import zlib
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

MAX_SHOWN = 200  # characters of a value that an error shows
REPAIR = "correct the line, or write the file again"
CHECKSUM = "crc32"
_SEALED = re.compile(rb'(?:, )?"' + CHECKSUM.encode() + rb'": "([0-9a-f]{8})"\}\n?\Z')


class RecordError(ValueError):
    """A file of records that cannot be read: names the file, the line and the repair."""


def shorten(text: str, limit: int = MAX_SHOWN) -> str:
    """Text as an error shows it: the middle of a text longer than `limit` is left out, such as an answer that loops.

    >>> shorten("three"), shorten("one two " * 1000, 40)
    ('three', 'one two on ... o one two  (8000 letters)')
    """
    if len(text) <= limit:
        return text
    size = f" ({len(text)} letters)"
    room = max(0, limit - len(size) - len(" ... "))
    return f"{text[: room // 2]} ... {text[len(text) - (room + 1) // 2 :]}{size}"


class _Refused(ValueError):
    """What is wrong with a line, without its place."""


def parse_object(
    line: bytes | str, *, position: str, wrong: str = "not a JSON object", repair: str = REPAIR
) -> dict[str, Any]:
    """The JSON object of a line.

    Arguments
    ---------
    line : bytes or str
    position : str
        File and line, such as "data/train.jsonl:2", for the error.
    wrong, repair : str
        What the error says of a line that does not parse, and what it advises.

    Raises RecordError on bytes that are not UTF-8, on what is no JSON object, on a key that is there twice, and on a number
    that JSON cannot represent.
    """
    try:
        text = line.decode("utf-8") if isinstance(line, bytes) else line
        values = _DECODER.decode(text)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(values, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError as error:
        raise RecordError(f"{position}: not UTF-8 ({error.reason}); {repair}") from error
    except UnicodeEncodeError as error:
        raise RecordError(
            f"{position}: holds half of a surrogate pair, which is no character; {repair}"
        ) from error
    except json.JSONDecodeError as error:
        raise RecordError(f"{position}: {wrong} ({error.msg}); was the file cut? {repair}") from error
    except RecursionError as error:
        raise RecordError(f"{position}: {wrong} (nested too deeply); {repair}") from error
    except ValueError as error:  # _Refused, and a whole number of thousands of digits
        raise RecordError(f"{position}: {error}; {repair}") from error
    if not isinstance(values, dict):
        raise RecordError(f"{position}: expected a JSON object, found {type(values).__name__}; {repair}")
    return values


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _Refused(f"the key {shorten(twice)!r} is there twice")
    return values


def _refuse_constant(text: str) -> float:
    raise _Refused(f"the value {text} is no number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise _Refused(f"the value {shorten(text)} is larger than any number")
    return value


_DECODER = json.JSONDecoder(
    object_pairs_hook=_each_key_once, parse_constant=_refuse_constant, parse_float=_finite
)
LARGEST = 10**300  # a whole number of this size or more is too large for a float


class _Type(NamedTuple):
    """The values that a field takes: their types, in words too, and those of the items of a list."""

    kinds: frozenset[type]
    words: str
    items: "_Type | None" = None
    rows: frozenset[tuple[type, ...]] = frozenset()  # the types of a list of fixed length

    def takes(self, value: Any) -> bool:
        """Whether the field takes a value."""
        kind = type(value)
        if kind not in self.kinds:
            return False
        if kind is list and self.items is not None:
            kinds = set(map(type, value))
            return kinds <= self.items.kinds and (list not in kinds or all(map(self.items.takes, value)))
        if kind is list and self.rows:
            return tuple(map(type, value)) in self.rows
        return kind is not int or float not in self.kinds or abs(value) < LARGEST


_PLAIN: dict[Any, tuple[set[type], str]] = {
    str: ({str}, "text"),
    bool: ({bool}, "true or false"),
    int: ({int}, "a whole number"),
    float: ({int, float}, "a number"),
    types.NoneType: ({types.NoneType}, "null"),
    Any: ({str, bool, int, float, list, dict, types.NoneType}, "any value"),
}
_NAMES = {str: "text", bool: "a truth value", int: "a whole number", float: "a number", list: "a list"}


def _type_of(hint: Any) -> _Type:
    """The JSON values that the annotation of a record's field stands for."""
    if hint in _PLAIN:
        return _Type(frozenset(_PLAIN[hint][0]), _PLAIN[hint][1])
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        parts = [_type_of(part) for part in arguments]
        listed = next((part for part in parts if list in part.kinds), _Type(frozenset(), ""))
        kinds = frozenset[type]().union(*(part.kinds for part in parts))
        return _Type(kinds, " or ".join(part.words for part in parts), listed.items, listed.rows)
    if origin is tuple and arguments[1:] == (...,):
        items = _type_of(arguments[0])
        return _Type(frozenset({list}), f"a list, each item of which is {items.words}", items)
    if origin is tuple:
        row = list(map(_type_of, arguments))
        rows = frozenset(itertools.product(*(part.kinds for part in row)))
        return _Type(frozenset({list}), f"a list of {', '.join(part.words for part in row)}", None, rows)
    if hint is tuple:
        return _Type(frozenset({list}), "a list")
    return _Type(frozenset({dict}), "an object")  # a mapping, or another record


@cache
def _types_of(kind: type) -> dict[str, _Type]:
    return {name: _type_of(hint) for name, hint in typing.get_type_hints(kind).items()}


def check_types(values: Mapping[str, Any], kind: type, *, position: str, within: str = "") -> None:
    """Raise RecordError if a value is not of the type of its field.

    Arguments
    ---------
    values : mapping
        What `parse_object` gave; each key is a field of `kind`.
    kind : type
        A dataclass, whose annotations say what its fields take.
    position : str
        File and line, for the error.
    within : str
        What is put before the names of the keys in the error, such as "choice."; default: nothing.
    """
    known = _types_of(kind)
    for name, value in values.items():
        expected = known[name]
        if expected.takes(value):
            continue
        if isinstance(value, list) and expected.items is not None and list in expected.kinds:
            number, value = next(pair for pair in enumerate(value) if not expected.items.takes(pair[1]))
            name, expected = f"{name}[{number}]", expected.items
        shown = shorten(json.dumps(value, ensure_ascii=False))
        found = "" if value is None else f", which is {_NAMES.get(type(value), 'an object')}"
        raise RecordError(
            f"{position}: {within}{name} is {shown}{found}; expected {expected.words}; {REPAIR}"
        )


def seal(line: str) -> bytes:
    """A line of JSON, with or without its newline, with the checksum of its bytes as the last value of the object."""
    body = line.removesuffix("\n").encode("utf-8")
    comma = b"" if body == b"{}" else b", "
    return b'%s%s"%s": "%08x"}\n' % (body[:-1], comma, CHECKSUM.encode(), zlib.crc32(body))


def unseal(line: bytes) -> bytes | None:
    """The line that `seal` was given, without its newline; a line without a checksum as it is; None if it was damaged."""
    found = _SEALED.search(line)
    if found is None:
        return line
    body = line[: found.start()] + b"}"
    return body if f"{zlib.crc32(body):08x}".encode() == found[1] else None


def is_sealed(line: bytes) -> bool:
    """Whether a line ends in a checksum, right or wrong."""
    return _SEALED.search(line) is not None
