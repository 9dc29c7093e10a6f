"""Checksums of cached frames, one an utterance: an entry that changed on disk is found, and computed again.

    >>> import tempfile, pathlib
    >>> path, lengths = pathlib.Path(tempfile.mkdtemp()) / "train.npy", np.array([2, 1])
    >>> np.save(path, np.zeros((3, 4), dtype=np.float32))
    >>> write_sums(path, lengths)
    >>> array = np.load(path, mmap_mode="r+")
    >>> array[2, 0] = 1.0
    >>> find_damaged(path, lengths)
    [1]

The sums of `train.npy` are in `train.crc32`: a CRC-32 of each entry, and one of these.
"""

import zlib
from pathlib import Path

import numpy as np

from auralign.files import write_atomically
from auralign.progress import track


def sums_path(path: Path) -> Path:
    """The file with the sums of a cache."""
    return path.with_suffix(".crc32")


def write_sums(path: Path, lengths: np.ndarray) -> None:
    """Write the sums of a cache; `lengths` (num_utterances,) are the frames of each entry."""
    sums = _sums_of(np.load(path, mmap_mode="r"), lengths).tobytes()
    with write_atomically(sums_path(path), "wb") as file:
        file.write(sums + _sum_of(sums))


def is_whole(path: Path, shape: tuple[int, int], kinds: tuple[np.dtype, ...]) -> bool:
    """Whether a cache is an array of this shape, and of one of these types, that can be mapped: not cut, and with a sound
    header. An earlier auralign kept the frames of every encoder in fp32."""
    try:
        array = np.load(path, mmap_mode="r")
        return array.shape == shape and array.dtype in kinds and bool(array.flags.c_contiguous)
    except Exception:  # numpy raises errors of many kinds for a damaged header, or opens another kind of file
        return False


def find_damaged(path: Path, lengths: np.ndarray) -> list[int]:
    """Rows of the entries that do not have their sums: all, if the sums themselves are damaged.

    An earlier auralign wrote no sums: then the entries that are not finite.
    """
    array = np.load(path, mmap_mode="r")
    if not sums_path(path).exists():
        return [row for row, entry in _entries(path, array, lengths) if not np.isfinite(entry).all()]
    recorded = sums_path(path).read_bytes()
    sums, own = recorded[:-4], recorded[-4:]
    if own != _sum_of(sums) or len(sums) != 4 * len(lengths):
        return np.flatnonzero(lengths).tolist()
    expected = np.frombuffer(sums, dtype="<u4")
    return np.flatnonzero(_sums_of(array, lengths, path) != expected).tolist()


def _entries(path: Path, array: np.ndarray, lengths: np.ndarray):
    ends = np.cumsum(lengths)
    for row in track(range(len(lengths)), f"check {path.name}", unit="utterance"):
        yield row, array[ends[row] - lengths[row] : ends[row]]


def _sums_of(array: np.ndarray, lengths: np.ndarray, path: Path = Path("frames")) -> np.ndarray:
    sums = [zlib.crc32(np.ascontiguousarray(entry)) for _, entry in _entries(path, array, lengths)]
    return np.array(sums, dtype="<u4")


def _sum_of(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(4, "little")
