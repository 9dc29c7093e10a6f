"""The ids of a source's rows: made for rows that have none, and checked for duplicates.

A row without an id gets the name of its audio file, without the ending. If the source has several segments of one file, each id
also has the channel and the times, in seconds: `meeting@10-18`, `call@ch1@0.5-2`. The ids depend on the whole source, but neither
on the order of its rows nor on which of them are read.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from auralign.data.rejected import Rejection
from auralign.records import RecordError, Utterance
from auralign.text.characters import compose

CHANNEL = re.compile(r"(?:ch(?:annel)?[ _-]?)?(\d{1,2}|[A-Za-z]|left|right)(?:\.0)?", re.IGNORECASE)


class Ids:
    """Gives ids to rows that have none, and finds ids that are used twice.

    At the first row without an id, the whole source is read once more for its file names and segments; 24 bytes a row are kept
    meanwhile.

    Arguments
    ---------
    rows : callable () -> iterator of (position, row)
        Reads the source from its beginning.
    read : callable (row, position) -> dict
        Returns the values of a row by field.
    """

    def __init__(self, rows: Callable[[], Iterator[tuple[str, dict]]], read: Callable[[dict, str], dict]):
        self.rows, self.read = rows, read
        self.scanned = False
        self.divided: set[int] = set()  # hashes of files with several segments
        self.shared: set[int] = set()  # hashes of names that several files share, apart from their ending
        self.found: dict[int, int] = {}  # hash of an id -> its index in the arrays below
        self.numbers, self.contents = array("Q"), [array("Q") for _ in range(3)]
        self.positions: list[str] = []  # of all rows; read when two rows have the same id

    def choose(self, values: dict, stem: str, number: int) -> str:
        """The id of a row: its own, or one composed of its file, channel and times."""
        if values.get("id") not in (None, ""):
            return str(values["id"])
        if not isinstance(values["audio"], dict):
            if not self.scanned:
                self._scan()
            path, name = Path(values["audio"]).as_posix(), _name(values["audio"])
            name = path if _hash(name) in self.shared else name
            return name + _stretch(values) if _hash(path) in self.divided else name
        # The row holds the audio itself: reading all rows once more to find shared names would take too long.
        name = _name(values["audio"].get("path") or f"{stem}-{number}")
        earlier = self.found.get(_hash(name))
        if earlier is None or self._contents(values)[0] == self.contents[0][earlier]:
            return name
        cut = values["start"] or values["seconds"] is not None
        return name + (
            _stretch(values) if cut and _hash(name + _stretch(values)) not in self.found else f"@{number}"
        )

    def find_twice(self, utterance: Utterance, values: dict, number: int, position: str) -> Rejection | None:
        """Remember a row; returns a Rejection if an earlier row has the same id and audio.

        Raises RecordError if an earlier row has the same id and other audio.
        """
        key = _hash(utterance.id)
        found = self._contents(values, utterance)
        earlier = self.found.setdefault(key, len(self.numbers))
        if earlier == len(self.numbers):
            self.numbers.append(number)
            for column, value in zip(self.contents, found, strict=True):
                column.append(value)
            return None
        self.positions = self.positions or [before for before, _ in self.rows()]
        first = self.positions[self.numbers[earlier]]
        same_clip, same_text, same_rest = (
            column[earlier] == value for column, value in zip(self.contents, found, strict=True)
        )
        if not same_clip:
            raise RecordError(
                f"{position}: the id {utterance.id!r} is used twice, first at {first}, and not of the same audio; ids must be "
                "unique: mend the table, or name a column of other ids (--column id=NAME)"
            )
        reason = "the same row twice"
        if not (same_text and same_rest):
            reason = f"the same audio twice, with {'other labels' if same_text else 'another text'}"
        return Rejection(utterance.id, reason, f"{position}: the row of {first} was kept")

    def _contents(self, values: dict, utterance: Utterance | None = None) -> tuple[int, ...]:
        """Hashes of a row: its clip and, if an utterance is given, its text and its other fields."""
        audio = values["audio"]
        name = (
            hashlib.sha256(audio["bytes"]).hexdigest() if isinstance(audio, dict) else Path(audio).as_posix()
        )
        clip = _hash(repr((name, _stretch(values))))
        if utterance is None:
            return (clip,)
        rest = (utterance.speaker, utterance.language, utterance.attributes, utterance.labels)
        return clip, _hash(compose(utterance.text)), _hash(compose(repr(rest)))

    def _scan(self) -> None:
        names, files, stretches = array("Q"), array("Q"), array("Q")
        for position, row in self.rows():
            try:
                values = self.read(row, position)
            except RecordError:  # raised again if the row is read; conditions may exclude it
                continue
            if values.get("id") in (None, "") and isinstance(values["audio"], str):
                names.append(_hash(_name(values["audio"])))
                files.append(_hash(Path(values["audio"]).as_posix()))
                stretches.append(_hash(_stretch(values)))
        self.scanned = True
        self.divided, self.shared = _find_several(files, stretches), _find_several(names, files)


def _find_several(hashed_keys: array[int], hashed_values: array[int]) -> set[int]:
    """The keys that have more than one distinct value."""
    if not hashed_keys:
        return set()
    keys, values = np.frombuffer(hashed_keys, np.uint64), np.frombuffer(hashed_values, np.uint64)
    order = np.lexsort((values, keys))
    keys, values = keys[order], values[order]
    several = (keys[1:] == keys[:-1]) & (values[1:] != values[:-1])
    return set(keys[1:][several].tolist())


def _hash(text: str) -> int:
    return int.from_bytes(
        hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little"
    )


def _name(audio: str) -> str:
    """A path without its ending."""
    return Path(audio).with_suffix("").as_posix()


def _stretch(values: dict) -> str:
    """The part of a file that a row covers: "@10-18", "@ch1@0.5-2"; "@0-" is the whole file.

    >>> _stretch({"start": 0.1, "seconds": 0.2})
    '@0.1-0.3'
    """

    def to_text(seconds: float) -> str:
        return f"{seconds:.6f}".rstrip("0").rstrip(".")

    channel, start = channel_of(values), values.get("start") or 0.0
    end = "" if values.get("seconds") is None else to_text(start + values["seconds"])
    return (f"@ch{channel}" if channel else "") + f"@{to_text(start)}-{end}"


def channel_of(values: dict) -> str:
    """Number or letter of a row's audio channel; "" if `channel` is empty or means something else, such as a video channel."""
    match = CHANNEL.fullmatch("" if values.get("channel") is None else str(values["channel"]).strip())
    return match[1] if match else ""
