"""A file of records that grows batch by batch, so that a kill loses at most the batch in flight.

>>> import tempfile, pathlib
>>> from auralign.records import Hypothesis
>>> path = pathlib.Path(tempfile.mkdtemp()) / "partial.jsonl"
>>> with Store(path, Hypothesis) as store:
...     store.append([Hypothesis("q1", "a", "speech", "five", "stop")])
>>> Store(path, Hypothesis).read("q1").text                # a later run finds it
'five'
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from auralign.files import named
from auralign.records import RecordError, check_header, from_line, header, to_line


def teacher_path(targets, needs) -> Path:
    """The file beside `train.jsonl`: `train.teacher_32_2.npy` holds the teacher's 32 largest logits, at temperature 2."""
    return Path(targets).with_suffix(f".teacher_{needs.top_k}_{needs.temperature:g}.npy")


class Store:
    """Records with a `key`, on disk in the order in which they were made.

    Opening repairs what a kill left: a torn last line is cut off. `keys` holds what is already there. `about` goes into the
    header of a new file.
    """

    def __init__(self, path, kind: type, *, about: Mapping | None = None):
        self.path = Path(path)
        self.kind, self.about = kind, about
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._offsets: dict[str, int] = {}
        self._repair()

    @property
    def keys(self):
        """Keys of the records that are on disk."""
        return self._offsets.keys()

    def __enter__(self) -> "Store":
        self._file = open(self.path, "ab")
        if not self._file.tell():
            self._file.write(header(self.kind, self.about).encode("utf-8"))
        return self

    def __exit__(self, *_) -> None:
        with named(self.path):
            self._file.close()

    def append(self, records: Iterable[Any]) -> None:
        """Add records and flush them to the disk."""
        with named(self.path):
            for record in records:
                self._offsets[record.key] = self._file.tell()
                self._file.write(to_line(record).encode("utf-8"))
            self._file.flush()
            os.fsync(self._file.fileno())

    def read(self, key: str) -> Any:
        """One record by its key."""
        with open(self.path, "rb") as file:
            file.seek(self._offsets[key])
            return from_line(file.readline(), self.kind, position=str(self.path))

    def _repair(self) -> None:
        if not self.path.exists():
            return
        end = 0
        with open(self.path, "rb+") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    break
                if number > 1:
                    record = from_line(line, self.kind, position=f"{self.path}:{number}")
                    self._offsets[record.key] = end
                else:
                    try:
                        check_header(line, self.kind, position=self.path)
                    except RecordError as error:
                        raise RecordError(f"{error}; delete the file and run the stage again") from error
                end += len(line)
            file.truncate(end)
