"""Text sources: checked lines, and JSONL."""

import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from auralign.data.rejected import Note
from auralign.data.sources.rows import Rows
from auralign.json_lines import RecordError, parse_object


def open_text(path: Path) -> TextIO:
    """Open a text file, gzipped or not, in UTF-8 with or without a byte order mark; line ends are not changed."""
    if path.name.endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return open(path, encoding="utf-8-sig", newline="")


def read_lines(file: TextIO, source: Path) -> Iterator[str]:
    """Yield the lines of a text file; raises RecordError, which names the line, if it is not UTF-8 or the file is truncated."""
    number = 0
    try:
        for number, line in enumerate(file, start=1):  # noqa: B007 (in the error)
            yield line
    except UnicodeDecodeError as error:
        raise RecordError(
            f"{source}:{_first_undecoded(source) or number + 1}: {NOT_UTF8} ({error.reason})"
        ) from error
    except (EOFError, OSError, zlib.error) as error:  # of gzip
        raise RecordError(f"{source}: cannot be read after line {number} ({error}); copy it again") from error


NOT_UTF8 = (
    "not UTF-8; convert the file first, as by `iconv -f latin1 -t utf-8`, with -f utf-16 for a file of Excel"
)


def _first_undecoded(source: Path) -> int | None:
    """The first line of a file that is no UTF-8; text is decoded in blocks, whose errors come lines before."""
    opened = gzip.open(source) if source.name.endswith(".gz") else open(source, "rb")
    with opened:
        for number, line in enumerate(opened, start=1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return None


def no_newline(path: Path) -> Note:
    """The note about a file whose last line has no newline."""
    return Note(f"from the last line of {path.name}, which has no newline (was the file cut?)")


def find_cut(path: Path) -> Iterator[Note]:
    """The note about a text file, not gzipped, if its last line has no newline."""
    if path.is_file() and not path.name.endswith(".gz") and path.stat().st_size:
        with open(path, "rb") as file:
            file.seek(-1, os.SEEK_END)
            if file.read(1) not in b"\r\n":
                yield no_newline(path)


def read_jsonl(source: Path) -> Rows:
    """Read one JSON object a line, such as NeMo's {"audio_filepath": "a.wav", "duration": 1.5, "text": "three five"}."""
    with open_text(source) as file:
        for number, line in enumerate(read_lines(file, source), start=1):
            if not line.strip():
                continue
            position = f"{source}:{number}"
            row = parse_object(
                line, position=position, wrong="no JSON object", repair="copy it again, or mend it"
            )
            yield position, row
