r"""The SLUE corpora as utterances (Shon et al., arXiv:2111.10367 and 2212.10525), from folders of the release or parquet.

    slue-voxpopuli/slue-voxpopuli_dev.tsv       id  raw_text  normalized_text  speaker_id  split  raw_ner  normalized_ner
    slue-voxpopuli/dev/<id>.ogg
    slue-voxceleb/slue-voxceleb_dev.tsv         id  normalized_text  speaker_id  split  sentiment  start_second  end_second
    slue-voxceleb/dev_raw/<id>.flac             or, once cut, dev/<id>.flac
    slue-hvb/slue-hvb_dev.tsv                   issue_id  utt_index  channel  start_ms  duration_ms  text  dialog_acts  split
    slue-hvb/dev/<issue_id>_<start_ms>_<end_ms>.wav
    slue-sqa5/slue-sqa5_dev.tsv                 question_id  normalized_question_text  document_id  answer_spans  ...
    slue-sqa5/dev/{question/<question_id>.wav,document/<document_id>.wav,word2time/<document_id>.txt}
    slue-ted_dev/slue-ted_dev.tsv               id  transcript  speaker  split  title  abstract
    slue-ted_dev/dev/<id>.flac

    voxpopuli/validation-00000-of-00001.parquet     of asapp/slue and asapp/slue-phase-2, with a folder for each corpus

Labels in a table are Python literals, `[['LAW', 86, 18]]`; in parquet they are columns, {"type": ["LAW"], "start": [86], ...}.
What stands there and is no utterance comes out too, as a Rejection or a Note: `write_manifest` takes them all.
"""

import ast
import csv
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from auralign.data.audio import AudioError, describe_audio
from auralign.data.rejected import Item, Note, Rejection
from auralign.data.slue_labels import COMBINED_TAGS, DIALOG_ACTS, RAW_TAGS, SENTIMENTS, entities_from_spans
from auralign.data.sources import read_parquet
from auralign.data.word_times import NoWordTimes, Timed, match_words, plain
from auralign.files import write_atomically
from auralign.records import RecordError, Utterance

# Rows of each split by the papers, None where their number is not known. Those of VoxCeleb count mixed sentiments too.
PUBLISHED = {
    "voxpopuli": {"fine-tune": 5_000, "dev": 1_753, "test": 1_842},
    "voxceleb": {"fine-tune": 5_777, "dev": 1_454, "test": 3_553},
    "hvb": {"fine-tune": 11_344, "dev": 1_690, "test": 6_121},
    "sqa5": {"fine-tune": 46_186, "dev": 1_939, "test": 2_382, "verified-test": 408},
    "ted": {"fine-tune": None, "dev": None, "test": None},
    "vp_nel": {"dev": None, "test": None},
}
PARQUET_SPLITS = {
    "fine-tune": "train",
    "dev": "validation",
    "test": "test",
    "verified-test": "verified_test",
}
MIXED = ("<mixed>", "Disagreement")  # sentiments on which the annotators did not agree
TOLERANCE_SECONDS = 0.05  # a clip may end so far behind its audio: both were rounded
ROUNDING = 1e-3  # seconds by which the bounds of an answer and of its words may differ
AUDIO = (".ogg", ".flac", ".wav")
UNTOLD = ("", "nan", "NaN")
BLIND = "without labels (the table is blind)"
MAX_LINES = 50  # that a row with line ends in a quoted cell may have


def read_slue(
    folder, corpus: str, split: str, *, audio_folder=None
) -> Iterator[Utterance | Rejection | Note]:
    """The utterances of a split, in the order of its table.

    ========== ======================== =======================================================================
    corpus     text                     labels
    ========== ======================== =======================================================================
    voxpopuli  normalized_text          raw_text; entities: [[tag, phrase], ...], raw tags
    voxceleb   normalized_text          sentiment
    hvb        text                     dialog_acts: [act, ...]; issue_id
    sqa5       normalized_document_text question, question_audio, document_id, answer_spans: [[start, end], ...],
                                        answers: [phrase, ...]; one utterance a question, with its document's audio
    ted        transcript               title, abstract
    vp_nel     text                     entity_spans: [[tag, start, end], ...]; entities: [[tag, phrase], ...]; released as
                                        parquet, and read from a table of its columns (slue-vp_nel_dev.tsv) too
    ========== ======================== =======================================================================

    Times are in seconds; words of sqa5 and vp_nel have theirs. A table without a label's column ("blind") gives utterances
    without that label, and a Note. Speakers that are None or NaN are "".

    Rejected are: a row that has not the columns of the header, by quotes or without ("broken row"), without an id, with an id
    used before, without its file, with a label that cannot be read ("broken label"; the detail names the cell), with another
    sentiment ("no single sentiment", "unknown sentiment") or act ("unknown dialog act"), and a clip that "ends behind its
    audio" by more than 0.05 s; less is clipped. Utterances without text are left to `write_manifest`, which rejects them.

    Arguments
    ---------
    folder : path
        The corpus' own, or the one that holds it; `audio`, and the label `question_audio`, are relative to it.
    corpus : str
        Of PUBLISHED.
    split : str
        fine-tune (also called train), dev or test; sqa5 also has verified-test, vp_nel no fine-tune.
    audio_folder : path, optional
        Of parquet, which holds the audio itself: where that is written, once, to <corpus>/<split>/<id>.

    Raises ValueError on another corpus or split, or where parquet needs an audio_folder; FileNotFoundError where the folder
    holds neither form; RecordError, naming the place, on a table that cannot be read.
    """
    folder = Path(folder)
    if corpus not in PUBLISHED:
        raise ValueError(f"corpus {corpus!r}: SLUE has {', '.join(PUBLISHED)}")
    split = "fine-tune" if split == "train" else split
    if split not in PUBLISHED[corpus]:
        hint = "; it is for evaluation alone: train on voxpopuli" if corpus == "vp_nel" else ""
        raise ValueError(f"split {split!r}: {corpus} has {', '.join(PUBLISHED[corpus])}{hint}")
    source = _find_parquet(folder, corpus, split, audio_folder) or _find_table(folder, corpus, split)
    return _make_items(source, CORPORA[corpus])


class _Unusable(Exception):
    """A row of which no utterance can be made: reason and detail."""


@dataclass
class _Source:
    """Where a split's rows and audio stand, and what is worth telling of them."""

    folder: Path  # what `audio` is relative to
    place: Path
    split: str
    notes: Counter = field(default_factory=Counter)


@dataclass
class _Table(_Source):
    """A folder of the release; `place` is its table."""

    def rows(self, needed: tuple[str, ...]) -> Iterator[tuple[str, dict | None]]:
        return _read_table(self.place, needed)

    def audio(self, row: Mapping, column: str, name: str) -> tuple[Path, bool]:
        """The file of a row, and whether it is still to be cut."""
        kind = column.removesuffix("audio").removesuffix("_")
        root = self.place.parent
        for place in (root / f"{self.split}_raw", root / self.split):
            for ending in AUDIO:
                path = place / kind / f"{name}{ending}"
                if path.is_file():
                    return path, place.name != self.split
        raise _Unusable("no such file", str(root / self.split / kind / f"{name}[{' '.join(AUDIO)}]"))

    def relative(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


@dataclass
class _Parquet(_Source):
    """Parquet with the audio in it; `place` is the folder of the corpus."""

    audio_folder: Path = Path()

    def rows(self, needed: tuple[str, ...]) -> Iterator[tuple[str, dict | None]]:
        # A talk of an hour is 30 MB: few at a time.
        for place, row in read_parquet(self.place, PARQUET_SPLITS[self.split], batch_size=8):
            _check_columns(list(row), needed, place)
            yield place, row

    def audio(self, row: Mapping, column: str, name: str) -> tuple[Path, bool]:
        value = row.get(column)
        if not isinstance(value, dict) or value.get("bytes") is None:
            raise _Unusable("no such file", f"the column {column!r} holds no audio")
        kind = column.removesuffix("audio").removesuffix("_")
        ending = Path(value.get("path") or "").suffix or ".audio"
        path = self.audio_folder / kind / (_file_name(name) + ending)
        if not (path.is_file() and path.stat().st_size == len(value["bytes"])):
            with write_atomically(path, "wb") as file:
                file.write(value["bytes"])
        return path, True

    def relative(self, path: Path) -> str:
        # Of real folders: with a link on the way, ".." leads elsewhere.
        return (
            Path(os.path.relpath(os.path.realpath(path.parent), os.path.realpath(self.folder))) / path.name
        ).as_posix()


def _file_name(name: str) -> str:
    """An id as the name of a file: what no file may be named is written as in a URL."""
    return "".join(f"%{ord(letter):02X}" if letter in "/%\0" else letter for letter in name)


def _find_parquet(folder: Path, corpus: str, split: str, audio_folder) -> _Parquet | None:
    wanted = PARQUET_SPLITS[split]
    for place in (folder / corpus, folder):
        if any(place.glob(f"{wanted}-*.parquet")) or any(place.glob(f"{wanted}/*.parquet")):
            if audio_folder is None:
                raise ValueError(
                    f"{place}: parquet holds audio itself; give the folder to write it to (audio_folder)"
                )
            return _Parquet(folder, place, split, audio_folder=Path(audio_folder) / corpus / split)
    return None


def _find_table(folder: Path, corpus: str, split: str) -> _Table:
    name = f"slue-{corpus}"
    table = f"{name}_{split}"
    for ending in ("", "_blind"):
        for place in ("", name, table, f"{table}_blind"):
            path = folder / place / f"{table}{ending}.tsv"
            if path.is_file():
                return _Table(folder, path, split)
    raise FileNotFoundError(
        f"no {table}.tsv in {folder} or its {name}, and no {corpus}/{PARQUET_SPLITS[split]}-*.parquet; give the folder of the "
        "release, or of a copy of asapp/slue or asapp/slue-phase-2"
    )


def _make_items(source: _Table | _Parquet, corpus: "_Corpus") -> Iterator[Item]:
    seen = set()
    for place, row in source.rows(corpus.needed):
        if row is None:
            yield Rejection(place, "broken row", "its columns are not those of the header")
            continue
        identity = place
        try:
            identity = corpus.identify(row)
            if identity in seen:
                raise _Unusable("id used twice", place)
            seen.add(identity)
            utterance = corpus.make(row, identity, source)
        except _Unusable as error:
            yield Rejection(identity, *error.args)
            continue
        except AudioError as error:
            yield Rejection(identity, "bad audio", str(error))
            continue
        if any(column not in row for column in corpus.labels):
            source.notes[BLIND] += 1
        yield utterance
    yield from (Note(text, count) for text, count in source.notes.items() if count)


# The corpora. Each takes a row (column to cell), its id and its source.


def _read_voxpopuli(row: Mapping, identity: str, source) -> Utterance:
    text = _text(row["normalized_text"])
    labels: dict[str, Any] = {}
    if raw := _text(row.get("raw_text")):
        labels["raw_text"] = raw
    if "normalized_ner" in row:
        spans = _tuples(row, "normalized_ner", ("type", "start", "length"), (str, int, int))
        labels["entities"] = _entities(text, spans, "normalized_ner", RAW_TAGS)
    path, _ = source.audio(row, "audio", identity)
    return _make_utterance(row, identity, source.relative(path), text, labels)


def _read_voxceleb(row: Mapping, identity: str, source) -> Utterance:
    labels = {}
    if "sentiment" in row:
        sentiment = _told(row["sentiment"])
        if sentiment not in SENTIMENTS:
            reason = "no single sentiment" if sentiment in MIXED else "unknown sentiment"
            raise _Unusable(reason, f"{sentiment!r}; known are {', '.join(SENTIMENTS)}")
        labels["sentiment"] = sentiment
    start, end = _number(row, "start_second"), _number(row, "end_second")
    path, uncut = source.audio(row, "audio", identity)
    seconds, _, _ = describe_audio(path)
    # Parquet does not tell whether it holds whole files: one that is as long as its clip, and ends before it, is the clip.
    is_clip = abs(seconds - (end - start)) <= TOLERANCE_SECONDS < end - seconds
    if not uncut or (is_clip and isinstance(source, _Parquet)):
        start, end = 0.0, seconds
    if end > seconds + TOLERANCE_SECONDS:
        raise _Unusable("ends behind its audio", f"at {end:g} s; {path} is {seconds:.2f} s long")
    clip = {"start": start, "seconds": min(end, seconds) - start}
    return _make_utterance(
        row, identity, source.relative(path), _text(row["normalized_text"]), labels, **clip
    )


def _read_hvb(row: Mapping, identity: str, source) -> Utterance:
    labels: dict[str, Any] = {}
    if "dialog_acts" in row:
        acts = _literal(row, "dialog_acts")
        if not isinstance(acts, (list, tuple)) or not all(isinstance(act, str) for act in acts):
            raise _broken(row, "dialog_acts")
        unknown = [act for act in acts if act not in DIALOG_ACTS]
        if unknown:
            raise _Unusable("unknown dialog act", f"{unknown[0]!r}; known are {', '.join(DIALOG_ACTS)}")
        labels["dialog_acts"] = list(acts)
    labels["issue_id"] = str(row["issue_id"])
    role = _told(row.get("role"))
    path, _ = source.audio(row, "audio", identity)
    return _make_utterance(
        row,
        identity,
        source.relative(path),
        _text(row["text"]),
        labels,
        attributes={"role": role} if role else {},
    )


def _identify_hvb(row: Mapping) -> str:
    """The name of its clip: where each begins and ends, in milliseconds."""
    start = round(_number(row, "start_ms"))
    return f"{_identify(row, 'issue_id')}_{start}_{start + round(_number(row, 'duration_ms'))}"


def _read_sqa5(row: Mapping, identity: str, source) -> Utterance:
    document, text = str(row["document_id"]), _text(row["normalized_document_text"])
    labels: dict[str, Any] = {"question": _text(row["normalized_question_text"]), "document_id": document}
    answers = None
    if "answer_spans" in row:
        names = ("answer", "start_second", "end_second")
        answers = _tuples(row, "answer_spans", names, (str, (int, float), (int, float)))
        for answer, start, end in answers:
            if not 0 <= start <= end < math.inf:
                raise _broken(row, "answer_spans", f"{answer!r} from {start:g} to {end:g} s")
        labels["answer_spans"] = [[start, end] for _, start, end in answers]
    path, _ = source.audio(row, "document_audio", document)
    try:
        question, _ = source.audio(row, "question_audio", identity)
        labels["question_audio"] = source.relative(question)
    except _Unusable:
        source.notes["without audio of the question"] += 1
    try:
        timed = _read_word2time(row, source, document)
        words = _match(text, timed, path, source.notes)
    except NoWordTimes as error:
        source.notes[f"without word times ({error.reason})"] += 1
        timed, words = None, ()
    if answers is not None:
        labels["answers"] = [_heard(timed or [], start, end) or answer for answer, start, end in answers]
    return _make_utterance(
        {"speaker_id": row.get("document_speaker_id")},
        identity,
        source.relative(path),
        text,
        labels,
        words=words,
    )


def _read_word2time(row: Mapping, source, document: str) -> Timed | None:
    """Words of a document and their times, without those that have none; None where there is no such file.

    Raises NoWordTimes where it is broken. A line is a word, as it is written and as it is said, and its times:
    In<TAB>in<TAB>0.04<TAB>0.17
    ,
    """
    if isinstance(source, _Parquet):
        names = ("word", "normalized_word", "start_second", "end_second")
        if row.get("word2time") is None:
            return None
        found = _tuples(
            row, "word2time", names, ((str, type(None)), (str, type(None)), (int, float), (int, float))
        )
        return [
            (norm or word or "", start, end) for word, norm, start, end in found if start >= 0
        ]  # -1: untimed
    path = source.place.parent / source.split / "word2time" / f"{document}.txt"
    if not path.is_file():
        return None
    timed = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").split("\n"), start=1):
        cells = line.split("\t")
        if len(cells) == 1:
            continue
        try:
            word, norm, start, end = cells
            timed.append((norm or word, float(start), float(end)))
        except ValueError as error:
            raise NoWordTimes("broken word2time", f"{path}:{number}") from error
    return timed


def _heard(timed: Timed, start: float, end: float) -> str:
    """The words from `start` to `end`."""
    return " ".join(
        word
        for word, begins, ends in timed
        if plain(word) and begins >= start - ROUNDING and ends <= end + ROUNDING
    )


def _read_ted(row: Mapping, identity: str, source) -> Utterance:
    labels = {name: _text(row[name]) for name in ("title", "abstract") if name in row}
    path, _ = source.audio(row, "audio", identity)
    speaker = {"speaker_id": row.get("speaker", row.get("speaker_id"))}
    return _make_utterance(speaker, identity, source.relative(path), _text(row["transcript"]), labels)


def _read_vp_nel(row: Mapping, identity: str, source) -> Utterance:
    text, labels = _text(row["text"]), {}
    if row.get("ne_timestamps") is None:  # an utterance without entities has an empty list
        source.notes[BLIND] += "ne_timestamps" in row
    else:
        names = ("ne_label", "start_char_idx", "char_offset", "start_sec", "end_sec")
        found = _tuples(row, "ne_timestamps", names, (str, int, int, (int, float), (int, float)))
        for tag, _, _, start, end in found:
            if not 0 <= start <= end < math.inf:
                raise _broken(row, "ne_timestamps", f"{tag} from {start:g} to {end:g} s")
        labels["entity_spans"] = [[tag, start, end] for tag, _, _, start, end in found]
        spans = [span[:3] for span in found]
        labels["entities"] = _entities(text, spans, "ne_timestamps", (*RAW_TAGS, *COMBINED_TAGS))
    timed = None
    if _literal(row, "word_timestamps") is not None:
        kinds = (str, (int, float), (int, float))
        timed = _tuples(row, "word_timestamps", ("word", "start_sec", "end_sec"), kinds)
    path, _ = source.audio(row, "audio", identity)
    words = _match(text, timed, path, source.notes)
    return _make_utterance(row, identity, source.relative(path), text, labels, words=words)


def _match(text: str, timed: Timed | None, path: Path, notes: Counter):
    """Word times of a text: None where none are told, () and a note where they are not sound."""
    if timed is None:
        return None
    try:
        return match_words(text, timed, seconds=describe_audio(path)[0])
    except NoWordTimes as error:
        notes[f"without word times ({error.reason})"] += 1
        return ()


def _make_utterance(row: Mapping, identity: str, audio: str, text: str, labels: dict, **values) -> Utterance:
    return Utterance(
        **{"seconds": math.inf, **values},
        id=identity,
        audio=audio,
        text=text,
        language="en",
        speaker=str(_told(row.get("speaker_id")) or ""),
        labels=labels,
    )


# Cells


def _identify(row: Mapping, column: str) -> str:
    value = row[column]
    if value is None or str(value).strip() in UNTOLD:
        raise _Unusable("no id", f"the column {column!r} is empty")
    return str(value)


def _text(value) -> str:
    """A cell of text; a text that was not told is "" (NaN as pandas writes it)."""
    return value if isinstance(value, str) and value not in UNTOLD else ""


def _told(value):
    """A cell, or None where it tells nothing."""
    untold = value is None or value in (*UNTOLD, "None") or (isinstance(value, float) and math.isnan(value))
    return None if untold else value


def _number(row: Mapping, column: str) -> float:
    try:
        value = float(row[column])
    except (TypeError, ValueError) as error:
        raise _broken(row, column) from error
    if not math.isfinite(value):
        raise _broken(row, column)
    return value


def _broken(row: Mapping, column: str, detail: str = "") -> _Unusable:
    return _Unusable("broken label", f"{column}: {detail or repr(row[column])[:80]}")


def _literal(row: Mapping, column: str):
    """A cell that is a value itself, in parquet, or a Python literal; None where it tells nothing."""
    value = _told(row[column])
    if not isinstance(value, str):
        return value
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise _broken(row, column) from error


def _tuples(row: Mapping, column: str, names: tuple[str, ...], kinds: tuple) -> list[tuple]:
    """The items of a cell: [[a, b], ...], [{"name": a, ...}, ...] or {"name": [a, ...], ...}; none where it tells nothing."""
    value = _literal(row, column)
    try:
        if isinstance(value, dict):
            items = list(zip(*(value[name] for name in names), strict=True))
        else:
            items = [
                tuple(item[name] for name in names) if isinstance(item, dict) else tuple(item)
                for item in value or ()
            ]
    except (KeyError, TypeError, ValueError) as error:
        raise _broken(row, column) from error
    for item in items:
        if len(item) != len(names) or not all(map(isinstance, item, kinds)):
            raise _broken(row, column, f"{item!r} is not {', '.join(names)}"[:120])
    return items


def _entities(text: str, spans: list[tuple], column: str, tags: tuple[str, ...]) -> list[list[str]]:
    unknown = [tag for tag, _, _ in spans if tag not in tags]
    if unknown:
        raise _Unusable("broken label", f"{column}: {unknown[0]!r} is none of the tags {', '.join(tags)}")
    try:
        return [list(entity) for entity in entities_from_spans(text, spans)]
    except ValueError as error:
        raise _Unusable("broken label", f"{column}: {error}") from error


@dataclass(frozen=True)
class _Corpus:
    """How the rows of a corpus are read: columns that must be there, those that a blind table lacks, and by what."""

    needed: tuple[str, ...]
    labels: tuple[str, ...]
    identify: Callable[[Mapping], str]
    make: Callable[[Mapping, str, Any], Utterance]


def _by(column: str) -> Callable[[Mapping], str]:
    return lambda row: _identify(row, column)


CORPORA = {
    "voxpopuli": _Corpus(("id", "normalized_text"), ("normalized_ner",), _by("id"), _read_voxpopuli),
    "voxceleb": _Corpus(
        ("id", "normalized_text", "start_second", "end_second"), ("sentiment",), _by("id"), _read_voxceleb
    ),
    "hvb": _Corpus(
        ("issue_id", "start_ms", "duration_ms", "text"), ("dialog_acts",), _identify_hvb, _read_hvb
    ),
    "sqa5": _Corpus(
        ("question_id", "normalized_question_text", "document_id", "normalized_document_text"),
        ("answer_spans",),
        _by("question_id"),
        _read_sqa5,
    ),
    "ted": _Corpus(("id", "transcript"), ("title", "abstract"), _by("id"), _read_ted),
    "vp_nel": _Corpus(("id", "text", "word_timestamps"), ("ne_timestamps",), _by("id"), _read_vp_nel),
}


# Tables


def _read_table(path: Path, needed: tuple[str, ...]) -> Iterator[tuple[str, dict | None]]:
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
    _check_columns(names, needed, f"{path}:1")
    at = 1
    while at < len(lines):
        place = f"{path}:{at + 1}"
        cells, num_lines = _read_row(lines, at, len(names))
        if cells is not None:
            yield place, dict(zip(names, cells, strict=True))
        elif lines[at].strip():
            yield place, None
        at += num_lines


def _check_columns(names: list[str], needed: tuple[str, ...], place: str) -> None:
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
