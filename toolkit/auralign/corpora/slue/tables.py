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

EMPTY = ("", "nan", "NaN")
MAX_LINES = 50  # of a row with line ends in a quoted cell


class Unusable(Exception):
    """A row that cannot become an utterance: reason and detail."""


def read_table(path: Path, needed: tuple[str, ...]) -> Iterator[tuple[str, dict | None]]:
    """Yield (position, row); the row is None if it does not have the columns of the header.

    Some tables quote cells as CSV does; in others a quote is a character of the text. Each row is read in the way that gives as
    many cells as the header: `"two<TAB>tabs"` is one cell, `"open<TAB>he` are two.

    Raises RecordError if the table is not UTF-8 or lacks a needed column.
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
        position = f"{path}:{at + 1}"
        cells, num_lines = _read_row(lines, at, len(names))
        if cells is not None:
            yield position, dict(zip(names, cells, strict=True))
        elif lines[at].strip():
            yield position, None
        at += num_lines


def check_columns(names: list[str], needed: tuple[str, ...], position: str) -> None:
    missing = [name for name in needed if name not in names]
    if missing:
        raise RecordError(
            f"{position}: no column {missing[0]!r}; columns are {', '.join(names) or 'none'}; give the table of the release "
            "itself (a blind one has no transcripts: take that with labels)"
        )


def _read_row(lines: list[str], at: int, num_columns: int) -> tuple[list[str] | None, int]:
    """The cells of the row that begins at line `at` (None if it is broken), and its number of lines."""
    row = _split(lines[at], num_columns)
    if row is not None or '"' not in lines[at]:
        return row, 1
    # A quoted cell may hold line ends; a line that is a row by itself is not part of another row.
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
    except csv.Error:  # a quote that is not closed, or characters after it
        return None
    return rows[0] if len(rows) == 1 else None


def identify(row: Mapping, column: str) -> str:
    value = row[column]
    if value is None or str(value).strip() in EMPTY:
        raise Unusable("no id", f"the column {column!r} is empty")
    return str(value)


def read_text(value) -> str:
    """The text of a cell; "" if it is missing (pandas writes NaN)."""
    return value if isinstance(value, str) and value not in EMPTY else ""


def read_cell(value):
    """A cell, or None if it is empty."""
    is_empty = value is None or value in (*EMPTY, "None") or (isinstance(value, float) and math.isnan(value))
    return None if is_empty else value


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
    """The value of a cell: as it is in parquet, or parsed from a Python literal; None if the cell is empty."""
    value = read_cell(row[column])
    if not isinstance(value, str):
        return value
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise broken(row, column) from error


def read_tuples(row: Mapping, column: str, names: tuple[str, ...], kinds: tuple) -> list[tuple]:
    """The items of a cell: [[a, b], ...], [{"name": a, ...}, ...] or {"name": [a, ...], ...}; [] if the cell is empty."""
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
        raise Unusable("broken label", f"{column}: {unknown[0]!r} is not one of the tags {', '.join(tags)}")
    try:
        return [list(entity) for entity in entities_from_spans(text, spans)]
    except ValueError as error:
        raise Unusable("broken label", f"{column}: {error}") from error
