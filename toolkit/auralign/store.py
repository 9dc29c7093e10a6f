"""A file of records that grows batch by batch, so that a kill loses at most the batch in flight, and a damaged byte its row.

>>> import tempfile, pathlib
>>> from auralign.records import Hypothesis
>>> path = pathlib.Path(tempfile.mkdtemp()) / "partial.jsonl"
>>> with Store(path, Hypothesis) as store:
...     store.append([Hypothesis("q1", "a", "speech", "five", "stop")])
>>> Store(path, Hypothesis).read("q1").text                # a later run finds it
'five'
"""

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from auralign.files import named, write_atomically
from auralign.json_lines import is_sealed, seal, unseal
from auralign.records import RecordError, check_header, from_line, header, to_line


def teacher_path(targets, needs) -> Path:
    """The file beside `train.jsonl`: `train.teacher_32_2.npy` holds the teacher's 32 largest logits, at temperature 2."""
    return Path(targets).with_suffix(f".teacher_{needs.top_k}_{needs.temperature:g}.npy")


class Store:
    """Records with a `key`, on disk in the order in which they were made, each line with a checksum.

    Opening repairs what a kill left: a torn last line is cut off. Rows whose checksum is wrong are removed, and counted on
    stderr: their keys are not in `keys`, so that the stage makes them again. `about` goes into the header of a new file. Files of
    an earlier auralign have no checksums; their rows are read as they are.

    Arguments
    ---------
    path : path
    kind : type
        The class of the records.
    about : mapping, optional
        Facts about all records; default: none.

    Raises RecordError if the file holds records of another kind.
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
            self._file.write(self._header())
        return self

    def __exit__(self, *_) -> None:
        with named(self.path):
            self._file.close()

    def append(self, records: Iterable[Any]) -> None:
        """Add records and flush them to the disk."""
        with named(self.path):
            for record in records:
                self._offsets[record.key] = self._file.tell()
                self._file.write(seal(to_line(record)))
            self._file.flush()
            os.fsync(self._file.fileno())

    def read(self, key: str) -> Any:
        """One record by its key. Raises RecordError if it was damaged since the file was opened."""
        with open(self.path, "rb") as file:
            file.seek(self._offsets[key])
            line = unseal(file.readline())
        if line is None:
            raise RecordError(
                f"{self.path}: the row of {key} was damaged; run the same command again, which makes it again"
            )
        return from_line(line, self.kind, position=str(self.path))

    def _header(self) -> bytes:
        return seal(header(self.kind, self.about))

    def _repair(self) -> None:
        """Find the rows that are sound; remove the others, if there are any."""
        if not self.path.exists():
            return
        end, sound, num_damaged = 0, [], 0
        with open(self.path, "rb+") as file:
            is_sound, has_checksums = self._check_header(file.readline(), file.readline())
            file.seek(0)
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    break
                if number > 1:
                    key = self._check_row(line, has_checksums, position=f"{self.path}:{number}")
                    if key is None:
                        num_damaged += 1
                    else:
                        sound.append((key, end, len(line)))
                end += len(line)
            file.truncate(end)
            if not end:
                return
            num_damaged += (
                not is_sound
            )  # a header is made again too, and the row that its lost newline joined to it
            if num_damaged:
                sound = self._write_again(file, sound)
        self._offsets = {key: start for key, start, _ in sound}
        if num_damaged:
            rows = "1 row is" if num_damaged == 1 else f"{num_damaged} rows are"
            print(f"{self.path}: {rows} damaged, and made again", file=sys.stderr)

    def _check_header(self, line: bytes, second: bytes) -> tuple[bool, bool]:
        """Whether the header is sound, and whether all rows of the file have checksums.

        Raises RecordError if it is that of another kind, or if an earlier auralign wrote it and it cannot be read.
        """
        whole = unseal(line)
        if not line.endswith(b"\n"):
            return True, True  # the file was cut in it: nothing is kept
        if whole is None:
            return False, True
        try:
            check_header(whole, self.kind, position=self.path)
        except RecordError as error:
            if is_sealed(second) and not is_sealed(line):
                return False, True
            raise RecordError(f"{error}; delete the file and run the stage again") from error
        return True, is_sealed(line)

    def _check_row(self, line: bytes, has_checksums: bool, *, position: str) -> str | None:
        """The key of a row, or None if it is damaged. Raises RecordError if a row with a right checksum is no record."""
        whole = unseal(line)
        if whole is None or (has_checksums and not is_sealed(line)):
            return None
        try:
            return from_line(whole, self.kind, position=position).key
        except RecordError:
            if is_sealed(line):
                raise
            return None

    def _write_again(self, file: IO[bytes], rows: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
        """Write the header and some rows (key, start, length) of the file in its place; returns them with their new starts."""
        moved = []
        with write_atomically(self.path, "wb") as new:
            new.write(self._header())
            for key, start, length in rows:
                file.seek(start)
                line = unseal(file.read(length))
                moved.append((key, new.tell(), length))
                new.write(seal((line or b"").decode("utf-8")))
        return moved
