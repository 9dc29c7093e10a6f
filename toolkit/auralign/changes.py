"""A changed input as text: the parts that differ, with the old and the new value.

>>> show_change("connector", {"call": "Stack", "with": {"stride": 8}}, {"call": "Stack", "with": {"stride": 4}})
'connector.stride 8 -> 4'
"""

import json
import re

from auralign.fingerprint import fill_added, paths_of, same

LONGEST_VALUE = 60  # characters


def show_change(key: str, before, now) -> str:
    """The parts of two accounts of an input (`auralign.fingerprint.describe`) that differ."""
    return ", ".join(
        f"{name} {show_value(was)} -> {show_value(is_now)}" for name, was, is_now in _parts(key, before, now)
    )


def show_value(value) -> str:
    """A value in a line of text: of the hash of a content, the first 8 digits; a long value is cut."""
    if isinstance(value, str) and re.fullmatch(r"[0-9a-f]{16,}", value):
        return value[:8]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


def _are_of_paths(before, now: dict) -> bool:
    """Whether the hashes that were recorded, and those of a constructor's present account, are each that of one of its paths."""
    hashes = now.get("content")
    is_call = isinstance(before, list) and isinstance(hashes, list) and "with" in now
    return is_call and len(before) == len(hashes) == len(paths_of(now))


def _parts(name: str, before, now):
    """(name, before, now) for each part in which two values differ."""
    if isinstance(before, dict) and isinstance(now, dict):
        before, now = fill_added(before, now)
        for key in sorted({*before, *now}):
            if key == "content" and _are_of_paths(before.get(key), now):
                for path, was, is_now in zip(paths_of(now), before[key], now[key], strict=True):
                    if was != is_now:
                        yield f"{name}.{key} ({path})", was, is_now
            elif key in before and not same({key: before[key]}, {key: now.get(key)}):
                absent = "absent" if key == "content" else None  # of a file or folder that is there no more
                yield from _parts(
                    name if key == "with" else f"{name}.{key}", before[key], now.get(key, absent)
                )
            elif key not in before and not same({}, {key: now[key]}):
                yield from _parts(name if key == "with" else f"{name}.{key}", None, now[key])
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for number, (was, is_now) in enumerate(zip(before, now, strict=True)):
            if not same(was, is_now):
                yield from _parts(f"{name}[{number}]", was, is_now)
    else:
        yield name, before, now
