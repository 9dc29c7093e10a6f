"""What builders read: the utterances of a manifest, or the documents of a text file."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from auralign.marks import check_taken
from auralign.records import Records, Utterance


def open_rows(path: Path) -> "ManifestRows | TextRows":
    """The rows of a manifest, or of a text file (.txt) with one document on each line."""
    return TextRows(path) if path.suffix == ".txt" else ManifestRows(path)


class ManifestRows:
    """The utterances of a manifest, with absolute paths."""

    def __init__(self, path: Path):
        self._records = Records(path, Utterance)
        self._folder = path.parent.absolute()
        if not len(self._records):
            raise ValueError(f"{path}: holds no utterance; give a manifest that does")

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Utterance]:
        for utterance in self._records:
            audio = str(self._folder / utterance.audio) if utterance.audio else ""
            yield replace(utterance, audio=audio)


class TextRows:
    """The lines of a text file as documents, without those that hold only white space.

    The file stays open, so that all is read of one content, should another file get its name. Raises ChangedOutputError if it is
    not that which the stage has taken as its input.
    """

    def __init__(self, path: Path):
        self.path = path
        if path.is_dir():
            raise ValueError(
                f"--manifest {path}: is a folder; give a manifest, or a file with one document on each line"
            )
        self._file = open(path, "rb")  # noqa: SIM115 (closed with the object)
        digest = hashlib.sha256()
        for block in self._blocks():
            digest.update(block)
        check_taken(path, digest.hexdigest)
        self._count = sum(1 for _ in self)
        if not self._count:
            raise ValueError(f"{path}: holds no text; give a file with one document on each line")

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Utterance]:
        for number, line in enumerate(self._lines(), start=1):
            try:
                text = line.decode("utf-8").removeprefix("\ufeff" if number == 1 else "").strip()
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"{self.path}:{number}: not UTF-8 ({error.reason}); convert the file to UTF-8"
                ) from error
            if text:
                yield Utterance(id=f"{self.path.stem}-{number:07d}", audio="", seconds=0.0, text=text)

    def _lines(self) -> Iterator[bytes]:
        rest = b""
        for block in self._blocks():
            *lines, rest = (rest + block).split(b"\n")
            yield from lines
        yield rest

    def _blocks(self) -> Iterator[bytes]:
        position = 0
        while block := os.pread(self._file.fileno(), 2**20, position):  # moves no file position
            position += len(block)
            yield block
