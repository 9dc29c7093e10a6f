"""The columns of a source that become fields of an utterance, and the values in them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from auralign.data.conditions import Condition, with_point
from auralign.data.sources.rows import Row
from auralign.records import RecordError, shorten

# The usual names of the column of each field, tried if no mapping is given.
COLUMNS = {
    "id": ("id", "utt_id", "ID"),
    "audio": ("audio", "audio_filepath", "audio_path", "path", "wav", "file", "file_name"),
    "text": ("text", "sentence", "transcript", "transcription", "normalized_text", "wrd"),
    "seconds": ("seconds", "duration"),
    "start": ("start", "offset"),
    "end": ("end",),  # instead of seconds
    "channel": ("channel",),
    "speaker": ("speaker", "speaker_id", "spk_id", "client_id"),
    "language": ("language", "lang", "locale"),
}
REQUIRED = ("audio", "text")
NUMBERS = ("seconds", "start", "end")
SLOT = re.compile(r"\{([^{}]+)\}")  # the name of a column in a composed value


@dataclass(frozen=True)
class Columns:
    """How the columns of a source map to utterances.

    Arguments
    ---------
    fields : dict of str to str
        Field of an utterance -> column; other fields are found by their usual names. `a.b.0` reads a nested column, and in
        `wavs/{id}.wav` the value of the column `id` replaces `{id}`.
    labels : dict of str to str
        Label -> column: further columns to keep, such as a translation.
    attributes : dict of str to str
        Attribute of the speaker or the speech, such as emotion, -> column; an empty cell means unknown.
    where : dict of str to str, or tuple of Condition
        Column -> value, or conditions: only rows that meet all of them are read.
    """

    fields: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)
    where: dict[str, str] | tuple[Condition, ...] = ()

    def __post_init__(self) -> None:
        for name in self.fields:
            if name not in COLUMNS:
                raise ValueError(f"no field {name!r} of an utterance; fields are {', '.join(COLUMNS)}")

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """`where`, as conditions."""
        if isinstance(self.where, dict):
            return tuple(Condition(column, "=", (value,)) for column, value in self.where.items())
        return self.where


def find_columns(row: Row, columns: Columns, *, position: str, hint: str = "") -> dict[str, str]:
    """Field -> column of one row, from the mapping and the usual names; absent fields are left out.

    Raises ValueError if a required column is missing or several could be meant; it names `position`, the columns and the option.
    """
    found = dict(columns.fields)
    for name, usual in COLUMNS.items():
        if name in found:
            continue
        there = [column for column in usual if column in row]
        inside = [column for column in there if isinstance(row[column], dict)]
        there = inside or there  # prefer the audio itself to its path
        if there and all(row[column] == row[there[0]] for column in there):
            found[name] = there[0]
        elif there or name in REQUIRED:
            problem = f"could be {' or '.join(there)}" if there else "was not found"
            raise ValueError(
                f"{position}: the column of the {name} {problem}; say which: --column {name}=NAME (columns are "
                f"{list_names(row)}){hint}"
            )
    return found


def get_cell(row: Row, column: str, position: str) -> Any:
    """The value of a plain, nested or composed column; raises RecordError, which names `position`, if the row lacks it."""
    if column in row:
        return row[column]
    if SLOT.search(column):
        return SLOT.sub(lambda slot: str(get_cell(row, slot[1], position)), column)
    value: Any = row
    for key in column.split("."):
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, (list, tuple)) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            raise RecordError(f"{position}: no column {column!r}; columns are {list_names(row)}")
    return value


def read_values(row: Row, fields: dict[str, str], position: str, decimal_comma: bool) -> dict[str, Any]:
    """Field -> value: numbers as float, None if the cell is empty; `audio` is a path or a dict that holds the audio itself."""
    values = {name: get_cell(row, column, position) for name, column in fields.items()}
    for name in NUMBERS:
        cell = values.get(name)
        if decimal_comma and isinstance(cell, str):
            cell = with_point(cell)
        try:
            values[name] = float(cell) if cell not in (None, "") else None
        except (TypeError, ValueError) as error:
            raise RecordError(f"{position}: the {name} {shorten(repr(cell))} is no number") from error
    if values["seconds"] is None and values["end"] is not None:
        values["seconds"] = values["end"] - (values["start"] or 0.0)
    inside = values["audio"] if isinstance(values["audio"], dict) else None
    if inside and inside.get("bytes") is None:
        values["audio"], inside = inside.get("path") or "", None
    for name in ("audio", "text", "speaker", "language"):
        if name == "audio" and inside:
            continue
        if not isinstance(values.get(name, ""), (str, type(None))):
            values[name] = str(values[name]) if name == "speaker" else values[name]
        if not isinstance(values.get(name, ""), (str, type(None))):
            raise RecordError(f"{position}: the {name} is {type(values[name]).__name__}; expected text")
    if not values["audio"]:
        raise RecordError(f"{position}: names no audio")
    return values


def list_names(names: Iterable[Any]) -> str:
    """Column names, shortened for an error message."""
    return shorten(", ".join(map(str, names)))
