"""The rows of each SLUE corpus as utterances, made from a row (column -> cell), its id and its source.

`CORPORA` lists the columns that each corpus needs and the functions that read them.
"""

import math
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auralign.corpora.slue.labels import COMBINED_TAGS, DIALOG_ACTS, RAW_TAGS, SENTIMENTS
from auralign.corpora.slue.tables import (
    Unusable,
    broken,
    identify,
    label_entities,
    read_cell,
    read_literal,
    read_number,
    read_text,
    read_tuples,
)
from auralign.data.audio import describe_audio
from auralign.data.word_times import NoWordTimes, Timed, match_words
from auralign.records import Utterance
from auralign.text.words import plain

MIXED = ("<mixed>", "Disagreement")  # sentiments on which the annotators did not agree
TOLERANCE_SECONDS = 0.05  # a clip may end this much after its audio, as both were rounded
ROUNDING = 1e-3  # seconds by which the bounds of an answer and of its words may differ
BLIND = "without labels (the table is blind)"


def _read_voxpopuli(row: Mapping, identity: str, source) -> Utterance:
    text = read_text(row["normalized_text"])
    labels: dict[str, Any] = {}
    if raw := read_text(row.get("raw_text")):
        labels["raw_text"] = raw
    if "normalized_ner" in row:
        spans = read_tuples(row, "normalized_ner", ("type", "start", "length"), (str, int, int))
        labels["entities"] = label_entities(text, spans, "normalized_ner", RAW_TAGS)
    path, _ = source.audio(row, "audio", identity)
    return _make_utterance(row, identity, os.path.abspath(path), text, labels)


def _read_voxceleb(row: Mapping, identity: str, source) -> Utterance:
    labels = {}
    if "sentiment" in row:
        sentiment = read_cell(row["sentiment"])
        if sentiment not in SENTIMENTS:
            reason = "no single sentiment" if sentiment in MIXED else "unknown sentiment"
            raise Unusable(reason, f"{sentiment!r}; known are {', '.join(SENTIMENTS)}")
        labels["sentiment"] = sentiment
    start, end = read_number(row, "start_second"), read_number(row, "end_second")
    path, uncut = source.audio(row, "audio", identity)
    seconds, _, _ = describe_audio(path)
    # Parquet may hold whole files or clips: audio that is as long as its clip, and ends before the clip's end, is the clip.
    is_clip = abs(seconds - (end - start)) <= TOLERANCE_SECONDS < end - seconds
    if not uncut or (is_clip and source.is_parquet):
        start, end = 0.0, seconds
    if end > seconds + TOLERANCE_SECONDS:
        raise Unusable("ends behind its audio", f"at {end:g} s; {path} is {seconds:.2f} s long")
    clip = {"start": start, "seconds": min(end, seconds) - start}
    return _make_utterance(
        row, identity, os.path.abspath(path), read_text(row["normalized_text"]), labels, **clip
    )


def _read_hvb(row: Mapping, identity: str, source) -> Utterance:
    labels: dict[str, Any] = {}
    if "dialog_acts" in row:
        acts = read_literal(row, "dialog_acts")
        if not isinstance(acts, (list, tuple)) or not all(isinstance(act, str) for act in acts):
            raise broken(row, "dialog_acts")
        unknown = [act for act in acts if act not in DIALOG_ACTS]
        if unknown:
            raise Unusable("unknown dialog act", f"{unknown[0]!r}; known are {', '.join(DIALOG_ACTS)}")
        labels["dialog_acts"] = list(acts)
    labels["issue_id"] = str(row["issue_id"])
    role = read_cell(row.get("role"))
    path, _ = source.audio(row, "audio", identity)
    return _make_utterance(
        row,
        identity,
        os.path.abspath(path),
        read_text(row["text"]),
        labels,
        attributes={"role": role} if role else {},
    )


def _identify_hvb(row: Mapping) -> str:
    """The name of the clip: the call, then start and end in milliseconds."""
    start = round(read_number(row, "start_ms"))
    return f"{identify(row, 'issue_id')}_{start}_{start + round(read_number(row, 'duration_ms'))}"


def _read_sqa5(row: Mapping, identity: str, source) -> Utterance:
    document, text = str(row["document_id"]), read_text(row["normalized_document_text"])
    labels: dict[str, Any] = {"question": read_text(row["normalized_question_text"]), "document_id": document}
    answers = None
    if "answer_spans" in row:
        names = ("answer", "start_second", "end_second")
        answers = read_tuples(row, "answer_spans", names, (str, (int, float), (int, float)))
        for answer, start, end in answers:
            if not 0 <= start <= end < math.inf:
                raise broken(row, "answer_spans", f"{answer!r} from {start:g} to {end:g} s")
        labels["answer_spans"] = [[start, end] for _, start, end in answers]
    path, _ = source.audio(row, "document_audio", document)
    try:
        question, _ = source.audio(row, "question_audio", identity)
        labels["question_audio"] = source.relative(question)
    except Unusable:
        source.notes["without audio of the question"] += 1
    try:
        timed = _read_word2time(row, source, document)
        words = _match(text, timed, path, source.notes)
    except NoWordTimes as error:
        source.notes[f"without word times ({error.reason})"] += 1
        timed, words = None, ()
    if answers is not None:
        labels["answers"] = [
            _words_between(timed or [], start, end) or answer for answer, start, end in answers
        ]
    return _make_utterance(
        {"speaker_id": row.get("document_speaker_id")},
        identity,
        os.path.abspath(path),
        text,
        labels,
        words=words,
    )


def _read_word2time(row: Mapping, source, document: str) -> Timed | None:
    """The timed words of a document; None if there is no such file. Raises NoWordTimes if the file is broken.

    A line holds a word as written and as spoken, and its start and end:
    In<TAB>in<TAB>0.04<TAB>0.17
    ,
    """
    if source.is_parquet:
        names = ("word", "normalized_word", "start_second", "end_second")
        if row.get("word2time") is None:
            return None
        found = read_tuples(
            row, "word2time", names, ((str, type(None)), (str, type(None)), (int, float), (int, float))
        )
        return [
            (norm or word or "", start, end) for word, norm, start, end in found if start >= 0
        ]  # -1: untimed
    path = source.path.parent / source.split / "word2time" / f"{document}.txt"
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


def _words_between(timed: Timed, start: float, end: float) -> str:
    """The words from `start` to `end`."""
    return " ".join(
        word
        for word, begins, ends in timed
        if plain(word) and begins >= start - ROUNDING and ends <= end + ROUNDING
    )


def _read_ted(row: Mapping, identity: str, source) -> Utterance:
    labels = {name: read_text(row[name]) for name in ("title", "abstract") if name in row}
    path, _ = source.audio(row, "audio", identity)
    speaker = {"speaker_id": row.get("speaker", row.get("speaker_id"))}
    return _make_utterance(speaker, identity, os.path.abspath(path), read_text(row["transcript"]), labels)


def _read_vp_nel(row: Mapping, identity: str, source) -> Utterance:
    text, labels = read_text(row["text"]), {}
    if row.get("ne_timestamps") is None:  # an utterance without entities has an empty list
        source.notes[BLIND] += "ne_timestamps" in row
    else:
        names = ("ne_label", "start_char_idx", "char_offset", "start_sec", "end_sec")
        found = read_tuples(row, "ne_timestamps", names, (str, int, int, (int, float), (int, float)))
        for tag, _, _, start, end in found:
            if not 0 <= start <= end < math.inf:
                raise broken(row, "ne_timestamps", f"{tag} from {start:g} to {end:g} s")
        labels["entity_spans"] = [[tag, start, end] for tag, _, _, start, end in found]
        spans = [span[:3] for span in found]
        labels["entities"] = label_entities(text, spans, "ne_timestamps", (*RAW_TAGS, *COMBINED_TAGS))
    timed = None
    if read_literal(row, "word_timestamps") is not None:
        kinds = (str, (int, float), (int, float))
        timed = read_tuples(row, "word_timestamps", ("word", "start_sec", "end_sec"), kinds)
    path, _ = source.audio(row, "audio", identity)
    words = _match(text, timed, path, source.notes)
    return _make_utterance(row, identity, os.path.abspath(path), text, labels, words=words)


def _match(text: str, timed: Timed | None, path: Path, notes: Counter):
    """Word times of a text: None if the table has none; () and a note if they do not match."""
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
        speaker=str(read_cell(row.get("speaker_id")) or ""),
        labels=labels,
    )


@dataclass(frozen=True)
class Corpus:
    """How the rows of a corpus are read: required columns, columns that a blind table lacks, and the functions."""

    needed: tuple[str, ...]
    labels: tuple[str, ...]
    identify: Callable[[Mapping], str]
    make: Callable[[Mapping, str, Any], Utterance]


def _by(column: str) -> Callable[[Mapping], str]:
    return lambda row: identify(row, column)


CORPORA = {
    "voxpopuli": Corpus(("id", "normalized_text"), ("normalized_ner",), _by("id"), _read_voxpopuli),
    "voxceleb": Corpus(
        ("id", "normalized_text", "start_second", "end_second"), ("sentiment",), _by("id"), _read_voxceleb
    ),
    "hvb": Corpus(
        ("issue_id", "start_ms", "duration_ms", "text"), ("dialog_acts",), _identify_hvb, _read_hvb
    ),
    "sqa5": Corpus(
        ("question_id", "normalized_question_text", "document_id", "normalized_document_text"),
        ("answer_spans",),
        _by("question_id"),
        _read_sqa5,
    ),
    "ted": Corpus(("id", "transcript"), ("title", "abstract"), _by("id"), _read_ted),
    "vp_nel": Corpus(("id", "text", "word_timestamps"), ("ne_timestamps",), _by("id"), _read_vp_nel),
}
