"""Tables: CSV, TSV, and text with other separators."""

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from auralign.data.sources.columns import COLUMNS, SLOT, Columns, list_names
from auralign.data.sources.rows import Rows
from auralign.data.sources.text_files import open_text, read_lines
from auralign.records import RecordError

NO_HEADER = "; if the table has no header, name its columns: --names NAME,NAME"
# Cells between tabs and bars are not quoted: a quote there is part of the text, as in Common Voice and LJSpeech.
SEPARATORS: dict[str, Literal[0, 3]] = {
    ",": csv.QUOTE_MINIMAL,
    ";": csv.QUOTE_MINIMAL,
    "\t": csv.QUOTE_NONE,
    "|": csv.QUOTE_NONE,
}


def find_separator(source: Path, form: str, names: Sequence[str] | None, columns: Columns) -> str:
    """Detect a table's column separator from its first line.

    It is the one that gives most columns with known names, or as many columns as there are `names`; in case of a tie, the comma
    of a CSV or the tab of a TSV.
    """
    usual = {"csv": ",", "tsv": "\t"}[form]
    with open_text(source) as file:
        first = next(read_lines(file, source), "").rstrip("\r\n")
    known = {name for usual_names in COLUMNS.values() for name in usual_names}
    for given in (columns.fields, columns.labels, columns.attributes):
        known |= {name for column in given.values() for name in SLOT.findall(column) or [column]}
    known |= {condition.column for condition in columns.conditions}

    def rank(separator: str) -> tuple[int, int, bool]:
        try:
            cells = next(csv.reader([first], delimiter=separator, quoting=SEPARATORS[separator]), [])
        except csv.Error:
            cells = []
        if names:
            return int(len(cells) == len(names)), 0, separator == usual
        return len(known & {*cells}), len(cells), separator == usual

    return max(SEPARATORS, key=rank)


def read_table(source: Path, separator: str = ",", names: Sequence[str] | None = None) -> Rows:
    """Read a table: a header (none if `names` are given), then rows.

    path,sentence
    clips/a.mp3,"Fire, fox"

    In tables with tabs or bars, quotes are plain characters:

    path<TAB>sentence
    a.mp3<TAB>He said "six
    """
    csv.field_size_limit(sys.maxsize)  # long-form transcripts exceed the default
    if len(separator) != 1:
        raise ValueError(f"--separator {separator!r}: give one character, such as '|', or tab")
    quoting: Literal[0, 3] = SEPARATORS.get(separator, csv.QUOTE_MINIMAL)
    with open_text(source) as file:
        rows = csv.DictReader(
            read_lines(file, source), names, delimiter=separator, quoting=quoting, strict=True
        )
        try:
            header = list(rows.fieldnames or [])
            if len(set(header)) < len(header):
                raise RecordError(f"{source}:1: a column name is used twice: {list_names(header)}{NO_HEADER}")
            for row in rows:
                position = f"{source}:{rows.line_num}"
                if None in row or None in row.values():
                    raise RecordError(
                        f"{position}: has not the {len(header)} columns of the header ({list_names(header)}); was the file cut, "
                        "or is a separator not quoted?"
                    )
                yield position, row
        except csv.Error as error:
            raise RecordError(
                f"{source}: after line {rows.line_num}: {error}; is a quote not closed, or was the file cut?"
            ) from error
