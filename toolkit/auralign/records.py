"""What the stages hand to each other: one JSON object a line, in files that name their kind and version.

    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "test.jsonl"
    >>> write_records(path, [Utterance(id="a", audio="a.flac", seconds=1.5, text="three five")], kind=Utterance)
    >>> manifest = Records(path, Utterance)
    >>> len(manifest), manifest["a"].text
    (1, 'three five')

The first line of a file is its header, `{"schema": "Utterance", "version": 1}`; every other line is one record. Text is
UTF-8 and byte-exact. `Records` keeps 24 bytes a row in memory (offset, hashed id, order), never the rows themselves.
One module, as a record, its line and the index of its file are one format.
"""

import dataclasses
import hashlib
import json
import os
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, Any

from auralign.files import PathLike, write_atomically
from auralign.json_lines import REPAIR, RecordError, check_types, parse_object, shorten, unseal
from auralign.marks import check_recorded, is_recorded

SCHEMA_VERSION = 1


RECORDING_LABELS = ("document_id", "issue_id")
"""Labels that name a longer recording: SLUE's documents and telephone calls."""


def lone_cluster(utt_id: str) -> str:
    """The cluster of an utterance of which neither speaker nor recording is known."""
    return f"utterance {utt_id}"


@dataclass(frozen=True)
class Utterance:
    """One stretch of speech and what was said in it. `audio` is relative to the manifest's folder; times in seconds.

    A *document* is text without audio of its own (`audio` "", `seconds` 0), of which `others` are heard. `others` are the ids of
    further utterances of the manifest: voiced spans of a document, earlier turns, relatives, negatives; `other` gives them.
    """

    id: str
    audio: str
    seconds: float
    text: str
    start: float = 0.0
    language: str = ""
    speaker: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)  # gender, age, emotion, ...
    words: tuple[tuple[str, float, float], ...] | None = (
        None  # (word, start, end); (): aligned in vain, None: never aligned
    )
    labels: Mapping[str, Any] = field(default_factory=dict)  # translation, entities, sentiment, ...
    audio_hash: str = ""  # of the samples (or its size), so that a manifest changes when its audio does
    others: tuple[str, ...] = ()
    # Set by `Records`, so that `other` can read; no part of the record, as fields that are not compared are never written.
    find_other: Callable[[str], "Utterance"] | None = field(default=None, compare=False, repr=False)

    @property
    def cluster(self) -> str:
        """What is resampled: the speaker; if unknown, the recording that it is cut from (RECORDING_LABELS), or itself."""
        recordings = (self.labels.get(label) for label in RECORDING_LABELS)
        return self.speaker or next((str(name) for name in recordings if name), lone_cluster(self.id))

    @property
    def is_document(self) -> bool:
        """Whether it is text without audio of its own."""
        return not self.audio

    def other(self, identity: str) -> "Utterance":
        """One of `others`, by its id. Raises RecordError if it is none of them, or cannot be read."""
        if identity not in self.others:
            known = shorten(", ".join(map(repr, self.others)), 200) or "none"
            raise RecordError(f"{identity!r} is not among the others of {self.id!r}, which are: {known}")
        if self.find_other is None:
            raise RecordError(
                f"{self.id!r} was not read from a manifest, so its other {identity!r} is unknown"
            )
        try:
            return self.find_other(identity)
        except RecordError as error:
            raise RecordError(f"{self.id!r} names {identity!r} among its others: {error}") from error


@dataclass(frozen=True)
class Choice:
    """What a method drew at random for one example: kept with the target, so that it is drawn exactly once.

    `instruction` is a template with one `{speech}` slot, or None if the LLM is asked nothing.
    """

    task: str = ""
    instruction: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TargetRequest:
    """One question to the LLM: the very token ids that it reads, and how it shall decode."""

    key: str
    utt_id: str
    choice: Choice
    prompt_ids: tuple[int, ...]
    decoding: Mapping[str, Any]


@dataclass(frozen=True)
class Target:
    """What the LLM answered, or the corpus's own answer, with its provenance.

    `finish_reason` is "stop" (the LLM ended its turn), "length" (cut off: no end of turn is ever taught after it),
    "given" (the text comes from the corpus; the LLM was not asked), or "none" (the method's loss reads no response).
    """

    key: str
    utt_id: str
    choice: Choice
    response: str
    finish_reason: str
    method: str
    method_version: str
    llm: str
    llm_revision: str
    frame_hash: str
    prompt_hash: str  # of the token ids that the LLM read
    decoding: Mapping[str, Any]
    seed: int
    response_ids: tuple[int, ...] | None = (
        None  # as the LLM wrote them, without its end of turn: what is taught
    )
    grades: Mapping[str, Any] = field(
        default_factory=dict
    )  # what is known of the answer, for the student's view


@dataclass(frozen=True)
class Question:
    """One item of an evaluation: what is asked about an utterance, and the answer expected.

    `group` is the row of the gap ledger that the item counts in ("seen tasks", "unseen tasks", ...); `instruction` is a
    template with one `{speech}` slot, or None if nothing is asked beside the speech itself. If `reference` is None, the right
    answer is what the original LLM answers to the reference text. `phrasing` numbers the wordings of a task, each asked
    of every utterance.
    """

    key: str
    utt_id: str
    group: str
    task: str
    instruction: str | None
    reference: str | None
    phrasing: int = 0


@dataclass(frozen=True)
class Hypothesis:
    """One answer. `input` says what the LLM was given: speech, shuffled (another utterance's speech), text (the
    reference transcript), normalised (that without case and punctuation), transcript (the encoder's own, in `transcript`),
    other_text (another utterance's text without case and punctuation) or text_trained (the reference transcript, read by the
    trained LLM)."""

    key: str
    utt_id: str
    input: str
    text: str
    finish_reason: str
    transcript: str | None = None
    other_build: str = (
        ""  # revisions of LLM and encoders whose weights are not those that the connector was trained with
    )


# What engines and APIs call it in their answers that the limit of length was met.
CUT_OFF_REASONS = frozenset("length max_tokens max_length max_new_tokens max_output_tokens truncated".split())


def is_cut_off(finish_reason: str | None) -> bool:
    """Whether an answer ended at a limit of length, so that no end of turn is taught after it.

    >>> [is_cut_off(reason) for reason in ("length", "MAX_TOKENS", "stop", None)]
    [True, True, False, False]
    """
    return (finish_reason or "").strip().lower() in CUT_OFF_REASONS


# Fields that hold one of some words: another one would be taken for one of them.
WORDS: dict[type, dict[str, tuple[str, ...]]] = {
    Target: {"finish_reason": ("stop", "length", "given", "none")}
}


def write_records(
    path: PathLike, records: Iterable[Any], *, kind: type, about: Mapping[str, Any] | None = None
) -> None:
    """Write records to `path` atomically, header first; `about` are facts about all of them, kept in the header.

    Raises RecordError on an id or key used twice.
    """
    seen: dict[bytes, int] = {}
    with write_atomically(path) as file:
        file.write(header(kind, about))
        for line, record in enumerate(records, start=2):
            identity = _identity(record)
            digest = hashlib.blake2b(identity.encode("utf-8", "surrogatepass"), digest_size=8).digest()
            first = seen.setdefault(digest, line)
            if first != line:
                raise RecordError(
                    f"{path}: the {_identity_field(kind)} {identity!r} is used twice, it would be on the lines {first} and "
                    f"{line}; ids must be unique"
                )
            file.write(to_line(record))


def header(kind: type, about: Mapping[str, Any] | None = None) -> str:
    """The first line of a file of `kind`."""
    facts = {"about": about} if about else {}
    return _encode({"schema": kind.__name__, "version": SCHEMA_VERSION, **facts}) + "\n"


def read_about(path: PathLike, kind: type) -> tuple[dict[str, Any], Any]:
    """What the header of a file of `kind` says about its records, and the first of them, or None if there is no record yet.

    The file may be one that grows. Raises RecordError if the header or the record cannot be read.
    """
    with open(path, "rb") as file:
        first, second = (unseal(file.readline()) for _ in range(2))
    if first is None or second is None:
        raise RecordError(f"{path}: is damaged, as its checksums say; run the stage that writes it again")
    about = check_header(first, kind, position=path) if first.endswith((b"\n", b"}")) else {}
    return about, from_line(second, kind, position=f"{path}:2") if second.endswith((b"\n", b"}")) else None


def check_header(line: bytes, kind: type, *, position: PathLike) -> dict[str, Any]:
    """What the header says about the records. Raises RecordError if a file's first line is not the header of a file of `kind`."""
    try:
        found = parse_object(line, position=f"{position}:1")
    except RecordError as error:
        raise RecordError(f"{error}; expected the header {header(kind).strip()}") from error
    if "schema" not in found:
        raise RecordError(f"{position}:1: expected the header {header(kind).strip()}")
    if found["schema"] != kind.__name__:
        raise RecordError(
            f"{position}:1: holds {found['schema']} records; {kind.__name__} records are needed here"
        )
    version, about = found.get("version"), found.get("about", {})
    if type(version) is not int or version != SCHEMA_VERSION:
        raise RecordError(f"{position}:1: schema version {version!r}; this auralign reads {SCHEMA_VERSION}")
    if not isinstance(about, dict):
        raise RecordError(
            f"{position}:1: about is {shorten(repr(about))}; expected an object; run the stage that writes the file again"
        )
    return about


def to_line(record: Any) -> str:
    """One record as one line of JSON; fields that hold their default are left out.

    Raises ValueError on a number that is not finite.
    """
    values = {}
    kind: Any = type(record)
    for name, default in _defaults(kind):
        value = getattr(record, name)
        if value == default:
            continue
        values[name] = dataclasses.asdict(value) if isinstance(value, Choice) else value
    return _encode(values) + "\n"


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


@cache
def _defaults(kind: type) -> list[tuple[str, Any]]:
    """Each field of `kind` with its default, or with MISSING, which nothing equals. Looked up once, not for every record."""
    return [
        (
            item.name,
            item.default if item.default_factory is dataclasses.MISSING else item.default_factory(),
        )
        for item in _written(kind)
    ]


def _written(kind: type) -> list[dataclasses.Field]:
    """The fields of `kind` that a line holds."""
    return [item for item in dataclasses.fields(kind) if item.compare]


@cache
def _fields(kind: type) -> tuple[frozenset[str], frozenset[str]]:
    """The names of all fields of `kind`, and of those without a default."""
    required = {name for name, default in _defaults(kind) if default is dataclasses.MISSING}
    return frozenset(item.name for item in _written(kind)), frozenset(required)


def from_line(line: bytes | str, kind: type, *, position: str = "") -> Any:
    """The record that `to_line` wrote.

    Raises RecordError, naming `position`, on a line that is not strictly JSON, on missing or unknown fields, and on values of
    other types than the fields have.
    """
    values = _values(line, kind, position)
    if "choice" in values:
        values["choice"] = Choice(**values["choice"])
    for name in _lists(kind):
        items = values.get(name)
        if items is not None:
            is_flat = list not in set(map(type, items))  # ids, of which a target has hundreds
            values[name] = tuple(
                items if is_flat else (tuple(item) if isinstance(item, list) else item for item in items)
            )
    return kind(**values)


def _values(line: bytes | str, kind: type, position: str) -> dict[str, Any]:
    """What `from_line` makes a record of, checked; the errors are its own."""
    values = parse_object(line, position=position)
    known, required = _fields(kind)
    if not required <= values.keys() <= known:
        unknown, missing = sorted(values.keys() - known), sorted(required - values.keys())
        raise RecordError(
            f"{position}: not a {kind.__name__}: "
            + "; ".join(
                text
                for text in (
                    missing and f"lacks {', '.join(missing)}",
                    unknown and f"unknown field {', '.join(unknown)}",
                )
                if text
            )
        )
    check_types(values, kind, position=position)
    if "choice" in values:
        _check_choice(values["choice"], position)
    for name, words in WORDS.get(kind, {}).items():
        if values[name] not in words:
            raise RecordError(
                f"{position}: {name} is {shorten(values[name])!r}; expected one of {', '.join(words)}; {REPAIR}"
            )
    return values


@cache
def _lists(kind: type) -> tuple[str, ...]:
    """The fields of `kind` that hold tuples, which JSON has as lists."""
    return tuple(item.name for item in _written(kind) if "tuple" in str(item.type))


def _check_choice(values: dict[str, Any], position: str) -> None:
    unknown = sorted(values.keys() - _fields(Choice)[0])
    if unknown:
        raise RecordError(f"{position}: choice has the unknown field {', '.join(unknown)}; run stage 2 again")
    check_types(values, Choice, position=position, within="choice.")


def read_rows(path: PathLike, kind: type) -> Iterator[Any]:
    """The records of a file in order, each parsed once: for whoever needs no index.

    Raises RecordError as `Records` does, but not on ids used twice, and on other content than was recorded at the end.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for number, line in enumerate(_lines(file, kind, path), start=1):
            digest.update(line)
            if number > 1:
                yield from_line(line, kind, position=f"{path}:{number}")
    check_recorded(path, digest.hexdigest())


def _lines(file: IO[bytes], kind: type, path: PathLike) -> Iterator[bytes]:
    """The lines of a file, the header first. Raises RecordError on a wrong header, and on a last line without its newline."""
    first = file.readline()
    check_header(first, kind, position=path)
    yield first
    for number, line in enumerate(file, start=2):
        if not line.endswith(b"\n"):
            raise RecordError(
                f"{path}:{number}: the last line is cut; run the stage that writes this file again"
            )
        yield line


class Records:
    """A file of records, read row by row through an index of byte offsets.

    Iterating, `records[number]` and `records[id]` parse rows when asked. Raises RecordError on a file of another kind or
    version, on a last line without its newline (a cut file), on ids used twice, and on a file that is not as the stage wrote it.
    All rows are parsed for that, unless an index is kept of this content (`auralign.record_index`).
    `digest` is the SHA-256 of the file as it was read.
    """

    def __init__(self, path: PathLike, kind: type) -> None:
        self.path = Path(path)
        self.kind = kind
        if not self.path.is_file():
            raise FileNotFoundError(f"no {kind.__name__} file at {self.path}; run the stage that writes it")
        # Imported here, as numpy takes 0.1 s, which a stage without records does not spend.
        from auralign.record_index import read_index

        with open(self.path, "rb") as file:
            found = read_index(self.path, kind.__name__, file)
            # Of this file, should another get its name. Read with pread, which moves no file position: forked workers and threads
            # may share the descriptor.
            self._descriptor = os.dup(file.fileno())
            if found is not None:
                index, self.digest = found
                self._offsets, self._order, self._hashes = index
            else:
                file.seek(0)
                self._read(file)
        check_recorded(self.path, self.digest)
        if found is None:
            self._check_unique()
            if is_recorded(self.path, self.digest):
                self.keep_index()

    def keep_index(self) -> None:
        """Keep beside a file of many rows where they lie, so that no later start parses it; see `auralign.record_index`."""
        from auralign.record_index import Index, write_index

        index = Index(self._offsets, self._order, self._hashes)
        write_index(self.path, self.kind.__name__, self.digest, index)

    def _read(self, file: IO[bytes]) -> None:
        """Parse and check every row, and note where it lies; records are made when they are asked for."""
        import numpy as np

        offsets, identities = array("q"), array("Q")  # 8 bytes a row each
        digest, offset = hashlib.sha256(), 0
        for number, line in enumerate(_lines(file, self.kind, self.path), start=1):
            digest.update(line)
            if number > 1:
                values = _values(line, self.kind, f"{self.path}:{number}")
                offsets.append(offset)
                identities.append(_hash_identity(_identity_in(values, self.kind)))
            offset += len(line)
        self.digest = digest.hexdigest()
        offsets.append(offset)
        self._offsets = np.array(offsets, dtype=np.int64)
        hashes = np.array(identities, dtype=np.uint64)
        self._order = np.argsort(hashes, kind="stable").astype(np.int64)
        self._hashes = hashes[self._order]

    def _check_unique(self) -> None:
        import numpy as np

        twice = np.flatnonzero(self._hashes[1:] == self._hashes[:-1])
        if len(twice):
            before, after = (int(self._order[twice[0] + step]) for step in (0, 1))
            raise RecordError(
                f"{self.path}: the {_identity_field(self.kind)} {_identity(self[before])!r} is used twice, on the lines "
                f"{before + 2} and {after + 2}; ids must be unique"
            )

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)

    def __len__(self) -> int:
        return len(self._hashes)

    def __iter__(self) -> Iterator[Any]:
        return (self[number] for number in range(len(self)))

    def __contains__(self, identity: str) -> bool:
        return self._find(identity) is not None

    def __getitem__(self, which: int | str) -> Any:
        if isinstance(which, str):
            return self.find(which)[1]
        if not 0 <= which < len(self):
            raise IndexError(f"{self.path}: no row {which} of {len(self)}")
        start, end = int(self._offsets[which]), int(self._offsets[which + 1])
        line = os.pread(self._descriptor, end - start, start)
        record = from_line(line, self.kind, position=f"{self.path}:{which + 2}")
        if isinstance(record, Utterance) and record.others:
            # A function, which a deep copy of the record shares, and not a method, whose file it would copy.
            record = dataclasses.replace(record, find_other=lambda identity: self.find(identity)[1])
        return record

    def find(self, identity: str) -> tuple[int, Any]:
        """The row number of an id and its record, which is parsed once; RecordError if no record has it."""
        found = self._find(identity)
        if found is None:
            raise RecordError(
                f"{self.path}: no {_identity_field(self.kind)} {identity!r}; run the stage that wrote it again"
            )
        return found

    def row(self, identity: str) -> int:
        """The row number of an id; RecordError if no record has it."""
        return self.find(identity)[0]

    def _find(self, identity: str) -> tuple[int, Any] | None:
        wanted = self._hashes.dtype.type(_hash_identity(identity))
        index = int(self._hashes.searchsorted(wanted))
        if index < len(self._hashes) and self._hashes[index] == wanted:
            number = int(self._order[index])
            record = self[number]
            if _identity(record) == identity:
                return number, record
        return None


def _identity_field(kind: type) -> str:
    return "id" if kind is Utterance else "key"


def _identity(record: Any) -> str:
    return _identity_in(vars(record), type(record))


def _identity_in(values: Mapping[str, Any], kind: type) -> str:
    if kind is Hypothesis:
        return f"{values['input']}:{values['key']}"
    return values[_identity_field(kind)]


def _hash_identity(identity: str) -> int:
    digest = hashlib.blake2b(identity.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
