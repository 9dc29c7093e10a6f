"""Where the rows of a large file of records lie, kept beside it, so that it is parsed and checked once and not at every start.

    index = read_index(path, "Utterance", opened)       # None: there is none, or not of this content
    write_index(path, "Utterance", digest, index)

`.<name>.index.npz` says what the file itself says: it may be deleted at any time, is made again when the content is another one,
and is not written where nothing can be written. To parse and check a target and its utterance takes 37 us.
"""

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import IO, NamedTuple
from zipfile import BadZipFile

import numpy as np

from auralign import __version__
from auralign.files import write_atomically

KEPT_FROM = 10_000  # rows; fewer are read in a fifth of a second
FORMAT = 1
DAMAGED = (OSError, ValueError, KeyError, EOFError, BadZipFile, RuntimeError)
"""What `np.load` raises on an .npz that is cut or has wrong bytes; RuntimeError if one says that it is encrypted."""


class Index(NamedTuple):
    """The rows of a file: 24 bytes each.

    Arguments
    ---------
    offsets : numpy.ndarray
        (num_rows + 1,) of int64: the byte where each row begins, and where the last one ends.
    order : numpy.ndarray
        (num_rows,) of int64: the rows in the order of the hashes of their ids.
    hashes : numpy.ndarray
        (num_rows,) of uint64: these hashes, ascending.
    """

    offsets: np.ndarray
    order: np.ndarray
    hashes: np.ndarray


def index_path(path: Path) -> Path:
    """The file beside `train.jsonl`: `.train.jsonl.index.npz`."""
    return path.with_name(f".{path.name}.index.npz")


def read_index(path: Path, kind: str, opened: IO[bytes]) -> tuple[Index, str] | None:
    """The index kept for the content of an open file, which is read to its end, and its SHA-256; None if there is none."""
    try:
        with open(index_path(path), "rb") as file, np.load(file, allow_pickle=False) as found:
            facts = json.loads(str(found["facts"]))
            index = Index(*(found[name] for name in Index._fields))
    except DAMAGED:
        return None
    if not _is_whole(index, os.fstat(opened.fileno()).st_size):
        return None
    digest = hashlib.file_digest(opened, "sha256").hexdigest()  # type: ignore[arg-type]  # any file
    return (index, digest) if facts == _facts(kind, digest) else None


def write_index(path: Path, kind: str, digest: str, index: Index) -> None:
    """Keep the index of a file whose content has this SHA-256, if it is large and its folder takes it."""
    if len(index.order) >= KEPT_FROM:
        with contextlib.suppress(OSError), write_atomically(index_path(path), "wb") as file:
            np.savez(file, facts=np.array(json.dumps(_facts(kind, digest))), **index._asdict())


def _is_whole(index: Index, num_bytes: int) -> bool:
    """Whether the arrays can be those of a file of so many bytes, whoever has written them."""
    num_rows = len(index.order)
    shapes = [(array.shape, array.dtype) for array in index]
    return (
        shapes == [((num_rows + 1,), np.int64), ((num_rows,), np.int64), ((num_rows,), np.uint64)]
        and index.offsets[0] > 0
        and index.offsets[-1] == num_bytes
        and bool(np.all(np.diff(index.offsets) > 0))
        and bool(np.all(np.bincount(index.order.clip(-1, num_rows) + 1, minlength=num_rows + 2)[1:-1] == 1))
    )


def _facts(kind: str, digest: str) -> dict:
    return {"format": FORMAT, "auralign": __version__, "kind": kind, "digest": digest}
