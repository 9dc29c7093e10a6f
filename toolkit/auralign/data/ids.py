"""The ids of a source's rows: made where there are none, and found where two rows have the same.

A row without an id gets the name of its audio file, without the ending. If the source has several stretches of one file, each id
also has the channel and the times, in seconds: `meeting@10-18`, `call@ch1@0.5-2`. The ids depend on the whole source, not on the
order of its rows, nor on which of them are read.
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
    """Gives ids to the rows that have none, and finds those that are used twice.

    A source in which a row has no id is read once more, before that row, for what it has of each file: 24 bytes a row are kept
    while it lasts.

    Arguments
    ---------
    rows : callable () -> iterator of (place, row)
        Reads the source from its beginning.
    read : callable (row, place) -> dict
        The values of a row, field by field.
    """

    def __init__(self, rows: Callable[[], Iterator[tuple[str, dict]]], read: Callable[[dict, str], dict]):
        self.rows, self.read = rows, read
        self.scanned = False
        self.divided: set[int] = set()  # files of which there are several stretches, hashed
        self.shared: set[int] = set()  # names that several files have but for their ending, hashed
        self.found: dict[int, int] = {}  # hashed id to its place in the following
        self.numbers, self.contents = array("Q"), [array("Q") for _ in range(3)]
        self.places: list[str] = []  # of all rows, once two have the same id

    def choose(self, values: dict, stem: str, number: int) -> str:
        """The id of a row: its own, or one made of its file, channel and times."""
        if values.get("id") not in (None, ""):
            return str(values["id"])
        if not isinstance(values["audio"], dict):
            if not self.scanned:
                self._scan()
            path, name = Path(values["audio"]).as_posix(), _name(values["audio"])
            name = path if _hash(name) in self.shared else name
            return name + _stretch(values) if _hash(path) in self.divided else name
        # The audio itself: reading all of it once more, to see which names are used twice, would take too long.
        name = _name(values["audio"].get("path") or f"{stem}-{number}")
        earlier = self.found.get(_hash(name))
        if earlier is None or self._contents(values)[0] == self.contents[0][earlier]:
            return name
        cut = values["start"] or values["seconds"] is not None
        return name + (
            _stretch(values) if cut and _hash(name + _stretch(values)) not in self.found else f"@{number}"
        )

    def find_twice(self, utterance: Utterance, values: dict, number: int, place: str) -> Rejection | None:
        """Remember a row; a Rejection if an earlier one has its id and its audio.

        Raises RecordError if an earlier one has its id and other audio.
        """
        key = _hash(utterance.id)
        found = self._contents(values, utterance)
        earlier = self.found.setdefault(key, len(self.numbers))
        if earlier == len(self.numbers):
            self.numbers.append(number)
            for column, value in zip(self.contents, found, strict=True):
                column.append(value)
            return None
        self.places = self.places or [before for before, _ in self.rows()]
        first = self.places[self.numbers[earlier]]
        same_clip, same_text, same_rest = (
            column[earlier] == value for column, value in zip(self.contents, found, strict=True)
        )
        if not same_clip:
            raise RecordError(
                f"{place}: the id {utterance.id!r} is used twice, first at {first}, and not of the same audio; ids must be "
                "unique: mend the table, or name a column of other ids (--column id=NAME)"
            )
        reason = "the same row twice"
        if not (same_text and same_rest):
            reason = f"the same audio twice, with {'other labels' if same_text else 'another text'}"
        return Rejection(utterance.id, reason, f"{place}: the row of {first} was kept")

    def _contents(self, values: dict, utterance: Utterance | None = None) -> tuple[int, ...]:
        """Hashes of a row: its clip, and with an utterance its text and all else."""
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
        for place, row in self.rows():
            try:
                values = self.read(row, place)
            except RecordError:  # said when the row is read; it may be one that is not
                continue
            if values.get("id") in (None, "") and isinstance(values["audio"], str):
                names.append(_hash(_name(values["audio"])))
                files.append(_hash(Path(values["audio"]).as_posix()))
                stretches.append(_hash(_stretch(values)))
        self.scanned = True
        self.divided, self.shared = _find_several(files, stretches), _find_several(names, files)


def _find_several(hashed_keys: array[int], hashed_values: array[int]) -> set[int]:
    """The keys that have more than one value."""
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
    """Which part of a file a row is about: "@10-18", "@ch1@0.5-2"; "@0-" is all of it.

    >>> _stretch({"start": 0.1, "seconds": 0.2})
    '@0.1-0.3'
    """

    def tell(seconds: float) -> str:
        return f"{seconds:.6f}".rstrip("0").rstrip(".")

    channel, start = channel_of(values), values.get("start") or 0.0
    end = "" if values.get("seconds") is None else tell(start + values["seconds"])
    return (f"@ch{channel}" if channel else "") + f"@{tell(start)}-{end}"


def channel_of(values: dict) -> str:
    """Number or letter of a channel of a recording; "" if there is none, or it is something else, such as whose video it is."""
    match = CHANNEL.fullmatch("" if values.get("channel") is None else str(values["channel"]).strip())
    return match[1] if match else ""
