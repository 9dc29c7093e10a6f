"""Targets that were written elsewhere, as examples: rows of JSONL, CSV, TSV or parquet, such as

{"instruction": "Repeat: {speech}", "text": "three five", "target": "I heard three five."}
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from auralign.audit.examples import Example, Source
from auralign.data.sources.columns import Columns, get_cell, list_names
from auralign.data.sources.forms import FORMS, TABLES, WITH_SPLITS, guess_form
from auralign.data.sources.rows import Row
from auralign.data.sources.tables import find_separator
from auralign.generalisation.exposure import INSTRUCTION_COLUMNS
from auralign.layout import DEFAULT, SLOT, Response, System, Text, View, fill
from auralign.records import RecordError, Records, Utterance, is_cut_off, shorten

TRUNCATED = "<|truncated|>"  # after an answer that was cut off, in the data of AZeroS
FOREIGN_FORMS = ("jsonl", "csv", "tsv", "parquet")
# The usual names of the column of each field, tried if no mapping is given.
COLUMNS = {
    "id": ("id", "utt_id", "key"),
    "text": ("text", "transcript", "transcription", "sentence"),
    "target": ("target", "response", "answer", "completion", "output"),
    "instruction": INSTRUCTION_COLUMNS,
    "language": ("language", "lang", "locale"),
    "finish_reason": ("finish_reason", "stop_reason"),
}


def foreign_source(
    path: Path,
    *,
    form: str | None = None,
    columns: Mapping[str, str] | None = None,
    attributes: Mapping[str, str] | None = None,
    manifest: Path | None = None,
    system: System | str | None = DEFAULT,
    drawn: bool = False,
) -> Source:
    """Targets that were written elsewhere.

    Arguments
    ---------
    path : Path
    form : str, optional
        One of FOREIGN_FORMS; found from the file's name by default.
    columns : mapping of str to str, optional
        Field (a key of COLUMNS) -> column; `a.b.0` is a nested one. Default: the usual names.
    attributes : mapping of str to str, optional
        Attribute -> column; beside a column `attributes` that holds an object.
    manifest : Path, optional
        Utterances from which rows without a transcript take theirs, by id.
    system : DEFAULT, None or str
        The system prompt before each of them; default: that of the chat template.
    drawn : bool
        Whether they were drawn at a temperature; default False.

    Raises ValueError on an unknown field or form; RecordError, which names file and line, on a row that is no target.
    """
    columns, attributes = dict(columns or {}), dict(attributes or {})
    for name in columns:
        if name not in COLUMNS:
            raise ValueError(f"--column {name}: no field of a target; fields are {', '.join(COLUMNS)}")
    if form is None:
        try:
            form = guess_form(path)
        except ValueError as error:
            raise ValueError(
                f"{path}: cannot tell its form by its name; say --form {' or '.join(FOREIGN_FORMS)}"
            ) from error
    if form not in FOREIGN_FORMS:
        raise ValueError(f"{path}: the form {form!r} holds no targets; give {', '.join(FOREIGN_FORMS)}")
    options: dict[str, Any] = {"split": None} if form in WITH_SPLITS else {}
    if form in TABLES:
        options = {"separator": find_separator(path, form, None, Columns())}
    utterances = Records(manifest, Utterance) if manifest else None
    source = Source(path, lambda: iter(()))

    def iterate() -> Iterator[Example]:
        for position, row in FORMS[form](path, **options):
            values = _read_row(row, position, columns)
            if not values["text"] and utterances is not None and values["id"] in utterances:
                found = utterances[values["id"]]
                values["text"], known = found.text, dict(found.attributes)
            else:
                known = {}
            if not isinstance(values["text"], str):
                where = f"nor has {manifest} its id {values['id']!r}" if manifest else "--manifest FILE"
                raise RecordError(
                    f"{position}: no transcript in {list_names(row)}; give its column, --column text=NAME, or the utterances by "
                    f"id, {where}"
                )
            if not values["text"].strip():
                source.notes[EMPTY_TRANSCRIPT] += 1
            given = row.get("attributes")
            known |= given if isinstance(given, dict) else {}
            known |= {name: get_cell(row, column, position) for name, column in attributes.items()}
            instruction = _template(values["instruction"], position, source.notes)
            target = values["target"]
            is_marked = target.rstrip().endswith(TRUNCATED)
            if is_marked:
                target = target.rstrip().removesuffix(TRUNCATED)
            finished = not is_marked and not is_cut_off(values["finish_reason"])
            response = Response(target, finished=finished)

            def read(text: str, instruction: str | None = instruction, response: Response = response) -> View:
                return View((*fill(instruction, Text(text)), response), system=system)

            yield Example(
                place=position,
                utt_id=values["id"],
                text=values["text"],
                instruction=instruction,
                response=target,
                finished=finished,
                read=read,
                attributes={name: value for name, value in known.items() if value not in (None, "")},
                drawn=drawn,
            )

    source.iterate = iterate
    return source


EMPTY_TRANSCRIPT = (
    "transcripts are empty, and are read as speech in which nothing was said; if the text is elsewhere, give it by --column "
    "text=NAME or --manifest FILE"
)


def _read_row(row: Row, position: str, columns: Mapping[str, str]) -> dict[str, Any]:
    """Field -> text, "" for an empty cell; `text` is None if the row has no transcript."""
    values: dict[str, Any] = {}
    for name, usual in COLUMNS.items():
        if name in columns:
            value = get_cell(row, columns[name], position)
        else:
            there = [column for column in usual if column in row]
            if any(row[column] != row[there[0]] for column in there):
                raise RecordError(
                    f"{position}: the {name} could be {' or '.join(there)}; say which: --column {name}=NAME"
                )
            if not there and name == "target":
                nested = next((key for key, cell in row.items() if isinstance(cell, (list, dict))), None)
                hint = f" (a nested one is {nested}.0.content or the like)" if nested else ""
                raise RecordError(
                    f"{position}: no target in the columns {list_names(row)}; say which: --column target=NAME{hint}"
                )
            value = row[there[0]] if there else None
        if name == "id" and isinstance(value, int):
            value = str(value)
        if value is not None and not isinstance(value, str):
            raise RecordError(f"{position}: the {name} is {type(value).__name__}; expected text")
        values[name] = value if value is not None or name == "text" else ""
    return values


def _template(instruction: str, position: str, notes: Counter[str]) -> str | None:
    """An instruction with one slot; None if there is none."""
    if not instruction.strip():
        return None
    if instruction.count(SLOT) > 1:
        raise RecordError(
            f"{position}: the instruction {shorten(repr(instruction))} has several {SLOT}; the speech replaces exactly one"
        )
    if SLOT in instruction:
        return instruction
    notes[f"instructions without {SLOT} were put before the transcript, on a line of their own"] += 1
    return f"{instruction}\n{SLOT}"
