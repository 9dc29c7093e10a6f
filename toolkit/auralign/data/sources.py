"""A corpus of your own, in whatever form it stands, as utterances: what `auralign prepare` reads.

    >>> import tempfile, pathlib
    >>> table = pathlib.Path(tempfile.mkdtemp()) / "clips.csv"
    >>> _ = table.write_text("path,sentence\\na.wav,three five\\n")
    >>> [(utterance.id, utterance.audio, utterance.text) for utterance in read_source(table)]
    [('a', 'a.wav', 'three five')]

A source is read row by row. Its columns are found by their usual names, or by a mapping; nothing in a source is ever run.

`auralign.data.ids` says which id a row without one gets.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from auralign.data.conditions import ORDER, Condition, is_empty, with_point
from auralign.data.ids import Ids, channel_of
from auralign.data.manifest import Item, Note
from auralign.files import write_atomically
from auralign.records import RecordError, Utterance, shorten

# The names under which a field of an utterance is looked for where no mapping is given.
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
SLOT = re.compile(r"\{([^{}]+)\}")  # the place of a column in what is put together of several
NO_HEADER = "; if the table has no header, name its columns: --names NAME,NAME"


@dataclass(frozen=True)
class Columns:
    """Which column of a source becomes what.

    Arguments
    ---------
    fields : dict of str to str
        Field of an utterance to column; others are found by their usual names. `a.b.0` reaches into nested columns, and
        `wavs/{id}.wav` is put together of them.
    labels : dict of str to str
        Label to column: what else is kept of a row, such as a translation.
    attributes : dict of str to str
        Attribute of the speaker or the speech to column, such as emotion; an empty cell is one that is not known.
    where : dict of str to str, or tuple of Condition
        Column to value, or conditions: only the rows that fit all of them are read.
    """

    fields: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)
    where: dict[str, str] | tuple[Condition, ...] = ()

    def __post_init__(self):
        if isinstance(self.where, dict):
            found = tuple(Condition(column, "=", (value,)) for column, value in self.where.items())
            object.__setattr__(self, "where", found)
        for name in self.fields:
            if name not in COLUMNS:
                raise ValueError(f"no field {name!r} of an utterance; fields are {', '.join(COLUMNS)}")


def read_source(
    source,
    *,
    form: str | None = None,
    split: str | None = None,
    config: str | None = None,
    separator: str | None = None,
    names: Sequence[str] | None = None,
    columns: Columns | None = None,
    audio_out=None,
) -> Iterator[Item]:
    """The utterances of a source; those whose length it does not tell have infinite `seconds`, up to the file's end.

    A row with the id and the audio of an earlier one is a Rejection; a Note tells of rows that `where` left out as they have no
    number to compare.

    Arguments
    ---------
    source : path
        File or folder; or a dataset of the hub, `hf://owner/name`, `hf://owner/name@revision`, or `owner/name` if there is no
        such path.
    form : str, optional
        Of `FORMS`; guessed from the path unless given.
    split, config : str, optional
        Of a Hugging Face dataset that has several; a config of one of the hub only.
    separator : str, optional
        Of a table, such as "|"; found by the header unless given.
    names : sequence of str, optional
        Of the columns of a table that has no header.
    columns : Columns, optional
    audio_out : path, optional
        Folder for audio that stands inside the source itself; written when its row is read.

    Raises FileNotFoundError where there is no source; RecordError, naming file and row, where a row cannot be read, and where
    two rows give one id to different audio; ValueError where a column is not found or could be several.
    """
    columns, hub = columns or Columns(), hub_name(source)
    source = Path(source)
    if hub is None and not source.exists():
        raise FileNotFoundError(
            f"no {source}; give a table, a manifest, the folder of a dataset, or one of the hub (hf://owner/name)"
        )
    form = form or ("hub" if hub else guess_form(source))
    if form not in FORMS:
        raise ValueError(f"form {form!r}: use {', '.join(FORMS)}")
    if (form == "hub") != (hub is not None):
        raise ValueError(f"{source}: the form hub is that of hf://owner/name, and of nothing else")
    if split is not None and form not in WITH_SPLITS:
        raise ValueError(f"{source}: {form} has no splits; choose rows by a column: --where split={split}")
    if config is not None and not hub:
        raise ValueError(f"{source}: only datasets of the hub have configs; leave out --config {config}")
    if (names or separator) and form not in TABLES:
        raise ValueError(f"{source}: {form} is no table; leave out --names and --separator")
    options: dict[str, Any] = {}
    if form in TABLES:
        options = {"separator": separator or find_separator(source, form, names, columns), "names": names}
    elif form in WITH_SPLITS:
        options = {"split": split, **({"config": config} if hub else {})}
    decimal_comma = options.get("separator") == ";"  # as spreadsheets write that separate by semicolons

    def rows() -> Iterator[tuple[str, dict]]:
        return FORMS[form](hub or source, **options)

    num_rows = num_read = num_channels = 0
    hint = NO_HEADER if form in TABLES else ""

    def read(row: dict, place: str) -> dict[str, Any]:
        return _read_values(row, find_columns(row, columns, place=place), place, decimal_comma)

    ids, left_out = Ids(rows, read), Counter()
    for number, (place, row) in enumerate(rows()):
        num_rows += 1
        fields = find_columns(row, columns, place=place, hint=hint)
        cells = [(condition, _get(row, condition.column, place)) for condition in columns.where]
        if not all(condition.fits(cell, place, decimal_comma=decimal_comma) for condition, cell in cells):
            left_out.update({item.column for item, cell in cells if item.sign in ORDER and is_empty(cell)})
            continue
        num_read += 1
        values = _read_values(row, fields, place, decimal_comma)
        labels = {name: _get(row, column, place) for name, column in columns.labels.items()}
        told = {name: _get(row, column, place) for name, column in columns.attributes.items()}
        known = {name: value for name, value in told.items() if value not in (None, "")}
        num_channels += bool(channel_of(values))
        utterance = _make_utterance(values, labels, known, ids.choose(values, source.stem, number))
        rejection = ids.find_twice(utterance, values, number, place)
        if rejection:
            yield rejection
            continue
        if isinstance(values["audio"], dict):
            utterance = replace(utterance, audio=_write_audio(values["audio"], number, audio_out, place))
        yield utterance
    if not num_read:
        wanted = " and ".join(map(str, columns.where))
        raise ValueError(f"{source}: holds no rows" + (f" in which {wanted}" if wanted and num_rows else ""))
    if num_channels:
        yield Note("name a channel, which is not read alone: all channels of a recording are", num_channels)
    for column, count in left_out.items():
        yield Note(f"rows left out that have no {column}, by which they were to be chosen", count)


def find_columns(row: dict, columns: Columns, *, place: str, hint: str = "") -> dict[str, str]:
    """Field to column of one row, from the mapping and the usual names; a field that is not there is left out.

    Raises ValueError, naming `place`, the columns there and the option that settles it.
    """
    found = dict(columns.fields)
    for name, usual in COLUMNS.items():
        if name in found:
            continue
        there = [column for column in usual if column in row]
        there = [
            column for column in there if isinstance(row[column], dict)
        ] or there  # the audio itself, beside its path
        if there and all(row[column] == row[there[0]] for column in there):
            found[name] = there[0]
        elif there or name in REQUIRED:
            problem = f"could be {' or '.join(there)}" if there else "was not found"
            raise ValueError(
                f"{place}: the column of the {name} {problem}; say which: --column {name}=NAME (columns are "
                f"{_list(row)}){hint}"
            )
    return found


def _list(names) -> str:
    return shorten(", ".join(map(str, names)))


def _get(row: dict, column: str, place: str) -> Any:
    if column in row:
        return row[column]
    if SLOT.search(column):
        return SLOT.sub(lambda slot: str(_get(row, slot[1], place)), column)
    value: Any = row
    for key in column.split("."):
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, (list, tuple)) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            raise RecordError(f"{place}: no column {column!r}; columns are {_list(row)}")
    return value


def _read_values(row: dict, fields: dict[str, str], place: str, decimal_comma: bool) -> dict[str, Any]:
    """Field to value: numbers as such, None where there is none; `audio` is a path, or a dict that holds the audio itself."""
    values = {name: _get(row, column, place) for name, column in fields.items()}
    for name in NUMBERS:
        cell = values.get(name)
        if decimal_comma and isinstance(cell, str):
            cell = with_point(cell)
        try:
            values[name] = float(cell) if cell not in (None, "") else None
        except (TypeError, ValueError) as error:
            raise RecordError(f"{place}: the {name} {shorten(repr(cell))} is no number") from error
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
            raise RecordError(f"{place}: the {name} is {type(values[name]).__name__}; expected text")
    if not values["audio"]:
        raise RecordError(f"{place}: names no audio")
    return values


def _make_utterance(values: dict, labels: dict, attributes: dict, identity: str) -> Utterance:
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


def _write_audio(value: dict, number: int, folder, place: str) -> str:
    """The path of audio that a Hugging Face dataset holds as {"bytes": ..., "path": ...}."""
    if folder is None:
        raise RecordError(f"{place}: holds audio itself, and no folder was given to write it to")
    path = Path(folder) / f"{number:08d}{Path(value.get('path') or '').suffix or '.audio'}"
    with write_atomically(path, "wb") as file:
        file.write(value["bytes"])
    return str(path.absolute())


def guess_form(source: Path) -> str:
    """The form of a source, by its name and what stands in it.

    Raises ValueError where it is none that is known.
    """
    if source.is_dir():
        if (source / "wav.scp").is_file():
            return "kaldi"
        if (source / "state.json").is_file() or (source / "dataset_dict.json").is_file():
            return "datasets"
        if any(source.rglob("*.parquet")):
            return "parquet"
        raise ValueError(
            f"{source}: neither a Kaldi data folder (wav.scp), nor a saved Hugging Face dataset (state.json), nor parquet "
            "files; give the table itself"
        )
    name = source.name.removesuffix(".gz")
    if name.endswith((".jsonl", ".json")):
        with _open(source) as file:
            first = next(_lines(file, source), "")
        return "lhotse" if '"supervisions"' in first or '"recording"' in first else "jsonl"
    for form in ("csv", "tsv", "parquet"):
        if name.endswith(f".{form}"):
            return form
    if name.endswith((".txt", ".psv")):
        with _open(source) as file:
            first = next(_lines(file, source), "")
        if any(separator in first for separator in SEPARATORS):
            return "csv"
    raise ValueError(f"{source}: cannot tell its form by its name; say --form {' or '.join(FORMS)}")


def _open(path: Path):
    if path.name.endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return open(path, encoding="utf-8-sig", newline="")


def read_jsonl(source: Path) -> Iterator[tuple[str, dict]]:
    """One JSON object a line, such as NeMo's {"audio_filepath": "a.wav", "duration": 1.5, "text": "three five"}."""
    with _open(source) as file:
        for number, line in enumerate(_lines(file, source), start=1):
            if not line.strip():
                continue
            place = f"{source}:{number}"
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise RecordError(
                    f"{place}: no JSON object ({error.msg}); was the file cut? copy it again"
                ) from error
            if not isinstance(row, dict):
                raise RecordError(f"{place}: expected a JSON object, found {type(row).__name__}")
            yield place, row


# Tabs and bars have no quotes around cells: a quote there is part of a text, as in Common Voice and LJSpeech.
SEPARATORS = {",": csv.QUOTE_MINIMAL, ";": csv.QUOTE_MINIMAL, "\t": csv.QUOTE_NONE, "|": csv.QUOTE_NONE}


def find_separator(source: Path, form: str, names: Sequence[str] | None, columns: Columns) -> str:
    """What separates the columns of a table, by its first line: that by which most columns are known by their names, or by which
    there are as many as `names`; if nothing tells, the comma of a CSV, or the tab of a TSV."""
    usual = {"csv": ",", "tsv": "\t"}[form]
    with _open(source) as file:
        first = next(_lines(file, source), "").rstrip("\r\n")
    known = {name for usual_names in COLUMNS.values() for name in usual_names}
    for given in (columns.fields, columns.labels, columns.attributes):
        known |= {name for column in given.values() for name in SLOT.findall(column) or [column]}
    known |= {condition.column for condition in columns.where}

    def rank(separator: str) -> tuple[int, int, bool]:
        try:
            cells = next(csv.reader([first], delimiter=separator, quoting=SEPARATORS[separator]), [])
        except csv.Error:
            cells = []
        if names:
            return int(len(cells) == len(names)), 0, separator == usual
        return len(known & {*cells}), len(cells), separator == usual

    return max(SEPARATORS, key=rank)


def read_table(
    source: Path, separator: str = ",", names: Sequence[str] | None = None
) -> Iterator[tuple[str, dict]]:
    """A header, unless there are `names`, then rows: path,sentence
    clips/a.mp3,"Fire, fox"

    Between tabs and bars quotes mean nothing: path<TAB>sentence
    a.mp3<TAB>He said "six
    """
    csv.field_size_limit(sys.maxsize)  # long-form transcripts are longer than the default
    if len(separator) != 1:
        raise ValueError(f"--separator {separator!r}: give one character, such as '|', or tab")
    quoting = SEPARATORS.get(separator, csv.QUOTE_MINIMAL)
    with _open(source) as file:
        rows = csv.DictReader(_lines(file, source), names, delimiter=separator, quoting=quoting, strict=True)
        try:
            header = list(rows.fieldnames or [])
            if len(set(header)) < len(header):
                raise RecordError(f"{source}:1: a column name is used twice: {_list(header)}{NO_HEADER}")
            for row in rows:
                place = f"{source}:{rows.line_num}"
                if None in row or None in row.values():
                    raise RecordError(
                        f"{place}: has not the {len(header)} columns of the header ({_list(header)}); was the file cut, or is a "
                        "separator not quoted?"
                    )
                yield place, row
        except csv.Error as error:
            raise RecordError(
                f"{source}: after line {rows.line_num}: {error}; is a quote not closed, or was the file cut?"
            ) from error


def _lines(file, source: Path) -> Iterator[str]:
    """The lines of a text file; RecordError names the line that is not UTF-8."""
    number = 0
    try:
        for number, line in enumerate(file, start=1):  # noqa: B007 (told in the error)
            yield line
    except UnicodeDecodeError as error:
        raise RecordError(
            f"{source}: not UTF-8 after line {number} ({error.reason}); convert it first"
        ) from error
    except (EOFError, OSError) as error:  # of gzip
        raise RecordError(f"{source}: cannot be read after line {number} ({error}); copy it again") from error


def read_kaldi(source: Path) -> Iterator[tuple[str, dict]]:
    """A Kaldi data folder: wav.scp and text, and where they are there segments, utt2spk and utt2lang.

    wav.scp:  recording-1 /corpus/a.flac
    segments: utterance-1 recording-1 0.50 2.75, and perhaps a channel
    text:     utterance-1 THREE FIVE
    """
    recordings = _read_pairs(source / "wav.scp")
    for recording, (place, path) in recordings.items():
        if path.rstrip().endswith("|"):
            raise RecordError(
                f"{place}: the audio of {recording} comes from a command, and auralign runs none from data; write it to "
                "files first"
            )
    texts, optional = _read_pairs(source / "text"), {}
    for name, column in (("utt2spk", "speaker"), ("utt2lang", "language")):
        if (source / name).is_file():
            optional[column] = _read_pairs(source / name)
    segments = _read_pairs(source / "segments") if (source / "segments").is_file() else None
    strangers = [utt_id for utt_id in texts if utt_id not in (segments or recordings)]
    if strangers:
        raise RecordError(
            f"{texts[strangers[0]][0]}: {strangers[0]} has text but no audio, as have {len(strangers) - 1} others; mend the "
            "folder (Kaldi: utils/fix_data_dir.sh)"
        )
    for utt_id in segments or recordings:
        place, rest = (segments or recordings)[utt_id]
        row = {"id": utt_id, "audio": rest, "text": texts[utt_id][1] if utt_id in texts else ""}
        if segments is not None:
            parts = rest.split()
            if len(parts) not in (3, 4) or parts[0] not in recordings:
                raise RecordError(
                    f"{place}: expected: {utt_id} RECORDING START END, with a recording of wav.scp"
                )
            row["audio"] = recordings[parts[0]][1]
            try:
                row["start"], end = float(parts[1]), float(parts[2])
            except ValueError as error:
                raise RecordError(f"{place}: start and end must be seconds; found {rest!r}") from error
            row["seconds"] = end - row["start"]
            if len(parts) == 4:
                row["channel"] = parts[3]
        row |= {column: pairs[utt_id][1] for column, pairs in optional.items() if utt_id in pairs}
        yield place, {**row, **{column: row.get(column, "") for column in optional}}


def _read_pairs(path: Path) -> dict[str, tuple[str, str]]:
    """Key to (place, rest of the line)."""
    if not path.is_file():
        raise FileNotFoundError(f"no {path}; a Kaldi data folder needs it")
    found: dict[str, tuple[str, str]] = {}
    with _open(path) as file:
        for number, line in enumerate(_lines(file, path), start=1):
            place = f"{path}:{number}"
            if line[0].isspace():
                raise RecordError(f"{place}: begins with no id")
            key, *rest = line.split(None, 1)  # by a space or a tab
            if key in found:
                raise RecordError(
                    f"{place}: the id {key!r} is used twice, first at {found[key][0]}; ids must be unique"
                )
            found[key] = (place, rest[0].strip() if rest else "")
    return found


def read_lhotse(source: Path) -> Iterator[tuple[str, dict]]:
    """The supervisions of a lhotse manifest of cuts; what is nested stays reachable, as `custom.texts.0`."""
    lhotse = _import("lhotse", "lhotse")
    for cut in _cuts(lhotse, source):
        place = f"{source}: cut {cut.id}"
        if not isinstance(cut, lhotse.MonoCut):
            raise RecordError(
                f"{place} is a {type(cut).__name__}; give cuts of one recording and channel (MonoCut)"
            )
        sources = cut.recording.sources if cut.recording else []
        if len(sources) != 1 or sources[0].type != "file" or cut.recording.num_channels != 1:
            raise RecordError(
                f"{place}: its recording is not one file of one channel; save it as such first (cuts.save_audios(...))"
            )
        if cut.recording.transforms:
            raise RecordError(
                f"{place}: its audio is changed on reading; save it as it is heard (cuts.save_audios(...))"
            )
        if not cut.supervisions:  # listed among the rejected, as without text
            yield (
                place,
                {
                    "id": cut.id,
                    "audio": sources[0].source,
                    "text": "",
                    "start": cut.start,
                    "seconds": cut.duration,
                },
            )
        for supervision in cut.supervisions:
            yield (
                place,
                {
                    "id": supervision.id,
                    "audio": sources[0].source,
                    "text": supervision.text or "",
                    "start": cut.start + supervision.start,
                    "seconds": supervision.duration,
                    "speaker": supervision.speaker,
                    "language": supervision.language,
                    "custom": supervision.custom or {},
                },
            )


def _cuts(lhotse, source: Path):
    try:
        yield from lhotse.CutSet.from_file(str(source))
    except (
        KeyError,
        TypeError,
        AttributeError,
        AssertionError,
    ) as error:  # lhotse's own words on a file of another kind
        raise RecordError(
            f"{source}: no manifest of lhotse's cuts ({type(error).__name__}: {error})"
        ) from error


def read_parquet(source: Path, split: str | None, *, batch_size: int = 64) -> Iterator[tuple[str, dict]]:
    """A parquet file, or a folder of them; with a split, those whose name begins with it."""
    parquet = _import("pyarrow.parquet", "datasets")
    paths = [source] if source.is_file() else sorted(source.rglob("*.parquet"))
    splits = {path: _split_of(path) for path in paths}
    if split is not None:
        paths = [path for path in paths if splits[path] == split]
    if not paths or len({splits[path] for path in paths}) > 1:
        raise ValueError(
            f"{source}: has the splits {', '.join(sorted(set(splits.values())))}; choose: --split NAME"
        )
    for path in paths:
        number = 0
        try:
            for batch in parquet.ParquetFile(path).iter_batches(batch_size=batch_size):
                for row in batch.to_pylist():
                    yield f"{path}: row {number}", row
                    number += 1
        except (OSError, _import("pyarrow", "datasets").ArrowException) as error:
            raise RecordError(
                f"{path}: cannot be read after {number} rows ({error}); copy it again"
            ) from error


def _split_of(path: Path) -> str:
    """As the hub names them: train-00000-of-00002.parquet, or train/0000.parquet."""
    name = path.stem.split("-")[0]
    return path.parent.name if name.isdigit() else name


def read_datasets(source: Path, split: str | None) -> Iterator[tuple[str, dict]]:
    """What Hugging Face's `Dataset.save_to_disk` wrote."""
    datasets = _import("datasets", "datasets")
    found = datasets.load_from_disk(str(source))
    if isinstance(found, dict):
        if split not in found:
            raise ValueError(f"{source}: has the splits {', '.join(found)}; choose: --split NAME")
        found = found[split]
    elif split is not None:
        raise ValueError(f"{source}: is one dataset, without splits; leave out --split {split}")
    yield from _rows_of(found, source)


def _rows_of(found, source) -> Iterator[tuple[str, dict]]:
    """The rows of a loaded dataset, with audio as it is stored."""
    datasets = _import("datasets", "datasets")
    for name, feature in found.features.items():
        if isinstance(feature, datasets.Audio):
            found = found.cast_column(name, datasets.Audio(decode=False))
    for number, row in enumerate(found):
        yield f"{source}: row {number}", row


HUB = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(@[\w./-]+)?")  # owner/name, owner/name@revision
FILE_ENDINGS = (".jsonl", ".json", ".csv", ".tsv", ".txt", ".psv", ".parquet", ".gz")


def hub_name(source) -> str | None:
    """What a source that is a dataset of the Hugging Face hub is called there; None if it is a path.

    Raises ValueError if it begins as one of the hub and has no such name.

    >>> hub_name("hf://datasets/google/fleurs"), hub_name("google/fleurs@main"), hub_name("data/clips.csv")
    ('google/fleurs', 'google/fleurs@main', None)
    """
    text = os.fspath(source)
    if text.startswith("hf:/"):  # pathlib makes one stroke of two
        name = text.removeprefix("hf:").lstrip("/").removeprefix("datasets/").rstrip("/")
        if not HUB.fullmatch(name):
            raise ValueError(f"{text}: give a dataset of the hub as hf://owner/name")
        return name
    is_path = os.path.exists(text) or os.path.isdir(os.path.dirname(text)) or text.endswith(FILE_ENDINGS)
    return None if is_path or not HUB.fullmatch(text) else text


def read_hub(source: str, split: str | None, config: str | None) -> Iterator[tuple[str, dict]]:
    """A dataset of the Hugging Face hub, or what the cache has of it if HF_HUB_OFFLINE is set; no code of it is run."""
    datasets = _import("datasets", "datasets")
    name, _, revision = source.partition("@")
    options = {"revision": revision} if revision else {}
    offline = datasets.config.HF_HUB_OFFLINE
    try:
        if split is None and not offline:  # so that not all of them are downloaded
            splits = datasets.get_dataset_split_names(name, config, **options)
            split = splits[0] if len(splits) == 1 else None
            found = None if split is None else datasets.load_dataset(name, config, split=split, **options)
        else:
            found = datasets.load_dataset(name, config, split=split, **options)
            splits = list(found) if split is None else []
            found = found[splits[0]] if len(splits) == 1 else found
    except Exception as error:  # of many kinds: no network, no such dataset, config or split
        what = shorten(" ".join(f"{type(error).__name__}: {error}".split()), 400)
        repair = "check the name, --config, --split and the network"
        if offline:
            repair = "HF_HUB_OFFLINE is set, so that only the cache is read: load the dataset once without it"
        raise ValueError(
            f"hf://{source}: cannot be loaded ({what}); {repair}; or give a folder that save_to_disk wrote"
        ) from error
    if len(splits) > 1:
        raise ValueError(f"hf://{source}: has the splits {', '.join(splits)}; choose: --split NAME")
    yield from _rows_of(found, f"hf://{source}")


def _import(name: str, extra: str):
    """A module of an extra; ValueError says how to get it."""
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ValueError(f"this source needs {extra}: pip install 'auralign[{extra}]'") from error


HERE = ("kaldi", "lhotse", "hub")  # forms whose relative paths start in the folder where the user stands
TABLES = ("csv", "tsv")
WITH_SPLITS = ("parquet", "datasets", "hub")
FORMS: dict[str, Callable[..., Iterator[tuple[str, dict]]]] = {
    "jsonl": read_jsonl,
    "csv": read_table,
    "tsv": read_table,
    "kaldi": read_kaldi,
    "lhotse": read_lhotse,
    "parquet": read_parquet,
    "datasets": read_datasets,
    "hub": read_hub,
}
