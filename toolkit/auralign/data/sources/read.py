"""Read a source of any form: its rows as utterances."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from auralign.data.conditions import ORDER, is_empty
from auralign.data.ids import Ids, channel_of
from auralign.data.rejected import Item, Note
from auralign.data.sources.columns import Columns, find_columns, get_cell, read_values
from auralign.data.sources.forms import FORMS, TABLES, WITH_SPLITS, guess_form
from auralign.data.sources.hugging_face import hub_name, write_audio
from auralign.data.sources.rows import Row, Rows
from auralign.data.sources.tables import NO_HEADER, find_separator
from auralign.data.sources.text_files import find_cut
from auralign.files import PathLike
from auralign.records import Utterance


def read_source(
    source: PathLike,
    *,
    form: str | None = None,
    split: str | None = None,
    config: str | None = None,
    separator: str | None = None,
    names: Sequence[str] | None = None,
    columns: Columns | None = None,
    audio_out: PathLike | None = None,
) -> Iterator[Item]:
    """Yield the utterances of a source. If the source has no length, `seconds` is infinite: up to the end of the file.

    A row with the id and audio of an earlier row becomes a Rejection. A Note counts the rows that a condition excluded because
    they hold no number to compare.

    Arguments
    ---------
    source : path
        File or folder; or a dataset of the hub, `hf://owner/name`, `hf://owner/name@revision`, or `owner/name` if there is no
        such path.
    form : str, optional
        One of `FORMS`; detected from the path by default.
    split, config : str, optional
        Split and configuration of a Hugging Face dataset that has several; only datasets of the hub have configurations.
    separator : str, optional
        Column separator of a table, such as "|"; detected from the header by default.
    names : sequence of str, optional
        Column names of a table without a header.
    columns : Columns, optional
        Mapping of columns to fields, if their names are not the usual ones.
    audio_out : path, optional
        Folder for audio that the source itself holds; a file is written when its row is read.

    Raises FileNotFoundError if the source does not exist; RecordError, which names file and row, if a row cannot be read or two
    rows give one id to different audio; ValueError if a column is not found or several could be meant.
    """
    columns, hub, path = columns or Columns(), hub_name(source), Path(source)
    if hub is None and not path.exists():
        raise FileNotFoundError(
            f"no {path}; give a table, a manifest, the folder of a dataset, or one of the hub (hf://owner/name)"
        )
    form = form or ("hub" if hub else guess_form(path))
    _check_options(path, form, hub=hub, split=split, config=config, separator=separator, names=names)
    options: dict[str, Any] = {}
    if form in TABLES:
        options = {"separator": separator or find_separator(path, form, names, columns), "names": names}
    elif form in WITH_SPLITS:
        options = {"split": split, **({"config": config} if hub else {})}
    rows = partial(FORMS[form], hub or path, **options)
    yield from _read_rows(
        path,
        rows,
        columns,
        audio_out,
        decimal_comma=options.get("separator")
        == ";",  # spreadsheets that write decimal commas separate by semicolons
        hint=NO_HEADER if form in TABLES else "",
    )
    texts = {
        "kaldi": [path / name for name in ("text", "wav.scp", "segments", "utt2spk", "utt2lang")]
    }  # a cut line of JSON is an error
    for text in [path] if form in TABLES else texts.get(form, []):
        yield from find_cut(text)


def _check_options(
    source: Path,
    form: str,
    *,
    hub: str | None,
    split: str | None,
    config: str | None,
    separator: str | None,
    names: Sequence[str] | None,
) -> None:
    """Raise ValueError on an unknown form, or on an option that the form does not have."""
    if form not in FORMS:
        raise ValueError(f"form {form!r}: use {', '.join(FORMS)}")
    if (form == "hub") != (hub is not None):
        raise ValueError(f"{source}: the form hub is only for hf://owner/name")
    if split is not None and form not in WITH_SPLITS:
        raise ValueError(f"{source}: {form} has no splits; choose rows by a column: --where split={split}")
    if config is not None and not hub:
        raise ValueError(f"{source}: only datasets of the hub have configs; leave out --config {config}")
    if (names or separator) and form not in TABLES:
        raise ValueError(f"{source}: {form} is not a table; leave out --names and --separator")


def _read_rows(
    source: Path,
    rows: Callable[[], Rows],
    columns: Columns,
    audio_out: PathLike | None,
    *,
    decimal_comma: bool,
    hint: str,
) -> Iterator[Item]:
    """The rows that meet the conditions, as utterances; `hint` is appended to the error for a missing column."""

    def read(row: Row, position: str) -> dict[str, Any]:
        return read_values(
            row, find_columns(row, columns, position=position, hint=hint), position, decimal_comma
        )

    num_rows = num_read = num_channels = 0
    conditions = columns.conditions
    left_out: Counter[str] = Counter()
    ids = Ids(rows, read)
    for number, (position, row) in enumerate(rows()):
        num_rows += 1
        fields = find_columns(row, columns, position=position, hint=hint)
        cells = [(condition, get_cell(row, condition.column, position)) for condition in conditions]
        if not all(condition.fits(cell, position, decimal_comma=decimal_comma) for condition, cell in cells):
            left_out.update({item.column for item, cell in cells if item.sign in ORDER and is_empty(cell)})
            continue
        num_read += 1
        values = read_values(row, fields, position, decimal_comma)
        num_channels += bool(channel_of(values))
        labels = {name: get_cell(row, column, position) for name, column in columns.labels.items()}
        cells_of_attributes = {
            name: get_cell(row, column, position) for name, column in columns.attributes.items()
        }
        attributes = {name: cell for name, cell in cells_of_attributes.items() if cell not in (None, "")}
        utterance = _make_utterance(values, labels, attributes, ids.choose(values, source.stem, number))
        rejection = ids.find_twice(utterance, values, number, position)
        if rejection:
            yield rejection
            continue
        if isinstance(values["audio"], dict):
            utterance = replace(utterance, audio=write_audio(values["audio"], number, audio_out, position))
        yield utterance
    if not num_read:
        wanted = " and ".join(map(str, conditions))
        raise ValueError(f"{source}: holds no rows" + (f" in which {wanted}" if wanted and num_rows else ""))
    if num_channels:
        yield Note("name a channel, but all channels of a recording are read", num_channels)
    for column, count in left_out.items():
        yield Note(f"rows left out, as a condition compares their {column}, which is empty", count)


def _make_utterance(
    values: dict[str, Any], labels: dict[str, Any], attributes: dict[str, Any], identity: str
) -> Utterance:
    return Utterance(
        id=identity,
        audio="" if isinstance(values["audio"], dict) else values["audio"],
        seconds=math.inf if values["seconds"] is None else values["seconds"],
        text=values["text"] or "",
        start=values["start"] or 0.0,
        language=values.get("language") or "",
        speaker=values.get("speaker") or "",
        attributes=attributes,
        labels=labels,
    )
