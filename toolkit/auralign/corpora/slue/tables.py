"""The tables of a SLUE release and the values in their cells.

    >>> read_cell("nan"), read_number({"start_second": "1.5"}, "start_second")
    (None, 1.5)
    >>> read_tuples({"ner": "[['LAW', 86, 18]]"}, "ner", ("type", "start", "length"), (str, int, int))
    [('LAW', 86, 18)]

A row is a mapping from column to cell.
"""

import ast
import csv
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from auralign.corpora.slue.labels import entities_from_spans
from auralign.records import RecordError

UNTOLD = ("", "nan", "NaN")
MAX_LINES = 50  # that a row with line ends in a quoted cell may have


class Unusable(Exception):
    """A row of which no utterance can be made: reason and detail."""


def read_table(path: Path, needed: tuple[str, ...]) -> Iterator[tuple[str, dict | None]]:
    """Place and row, None for one that has not the columns of the header.

    Some tables quote cells as CSV does, in others a quote is a character of the text: a row is read in the way that gives
    it the columns of the header. `"two<TAB>tabs"` is one cell, `"open<TAB>he` are two.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise RecordError(
            f"{path}: not UTF-8 ({error.reason} at byte {error.start}); copy it again"
        ) from error
    lines = [line.removesuffix("\r") for line in lines]
    names = lines[0].split("\t")
    check_columns(names, needed, f"{path}:1")
    at = 1
    while at < len(lines):
        place = f"{path}:{at + 1}"
        cells, num_lines = _read_row(lines, at, len(names))
        if cells is not None:
            yield place, dict(zip(names, cells, strict=True))
        elif lines[at].strip():
            yield place, None
        at += num_lines


def check_columns(names: list[str], needed: tuple[str, ...], place: str) -> None:
    missing = [name for name in needed if name not in names]
    if missing:
        raise RecordError(
            f"{place}: no column {missing[0]!r}; columns are {', '.join(names) or 'none'}; give the table of the release "
            "itself (a blind one has no transcripts: take that with labels)"
        )


def _read_row(lines: list[str], at: int, num_columns: int) -> tuple[list[str] | None, int]:
    """Cells of the row that begins at a line, and how many lines it takes; None for a row that is broken."""
    row = _split(lines[at], num_columns)
    if row is not None or '"' not in lines[at]:
        return row, 1
    # A quoted cell may hold line ends; a line that is a row by itself belongs to no other.
    for end in range(at + 1, min(at + MAX_LINES, len(lines))):
        if _split(lines[end], num_columns) is not None:
            break
        row = _unquote("\n".join(lines[at : end + 1]))
        if row is not None and len(row) == num_columns:
            return row, end + 1 - at
    return None, 1


def _split(line: str, num_columns: int) -> list[str] | None:
    for cells in (_unquote(line), line.split("\t")):
        if cells is not None and len(cells) == num_columns:
            return cells
    return None


def _unquote(line: str) -> list[str] | None:
    try:
        rows = list(csv.reader([line], delimiter="\t", strict=True))
    except csv.Error:  # a quote that is not closed, or characters behind one
        return None
    return rows[0] if len(rows) == 1 else None


def identify(row: Mapping, column: str) -> str:
    value = row[column]
    if value is None or str(value).strip() in UNTOLD:
        raise Unusable("no id", f"the column {column!r} is empty")
    return str(value)


def read_text(value) -> str:
    """A cell of text; a missing text is "" (pandas writes NaN)."""
    return value if isinstance(value, str) and value not in UNTOLD else ""


def read_cell(value):
    """A cell, or None if it is empty."""
    untold = value is None or value in (*UNTOLD, "None") or (isinstance(value, float) and math.isnan(value))
    return None if untold else value


def read_number(row: Mapping, column: str) -> float:
    try:
        value = float(row[column])
    except (TypeError, ValueError) as error:
        raise broken(row, column) from error
    if not math.isfinite(value):
        raise broken(row, column)
    return value


def broken(row: Mapping, column: str, detail: str = "") -> Unusable:
    return Unusable("broken label", f"{column}: {detail or repr(row[column])[:80]}")


def read_literal(row: Mapping, column: str):
    """A cell that is a value itself, in parquet, or a Python literal; None if it is empty."""
    value = read_cell(row[column])
    if not isinstance(value, str):
        return value
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise broken(row, column) from error


def read_tuples(row: Mapping, column: str, names: tuple[str, ...], kinds: tuple) -> list[tuple]:
    """The items of a cell: [[a, b], ...], [{"name": a, ...}, ...] or {"name": [a, ...], ...}; none if the cell is empty."""
    value = read_literal(row, column)
    try:
        if isinstance(value, dict):
            items = list(zip(*(value[name] for name in names), strict=True))
        else:
            items = [
                tuple(item[name] for name in names) if isinstance(item, dict) else tuple(item)
                for item in value or ()
            ]
    except (KeyError, TypeError, ValueError) as error:
        raise broken(row, column) from error
    for item in items:
        if len(item) != len(names) or not all(map(isinstance, item, kinds)):
            raise broken(row, column, f"{item!r} is not {', '.join(names)}"[:120])
    return items


def label_entities(text: str, spans: list[tuple], column: str, tags: tuple[str, ...]) -> list[list[str]]:
    unknown = [tag for tag, _, _ in spans if tag not in tags]
    if unknown:
        raise Unusable("broken label", f"{column}: {unknown[0]!r} is none of the tags {', '.join(tags)}")
    try:
        return [list(entity) for entity in entities_from_spans(text, spans)]
    except ValueError as error:
        raise Unusable("broken label", f"{column}: {error}") from error
