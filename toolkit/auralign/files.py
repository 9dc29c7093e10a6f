"""Files that are either whole or absent, and content hashes of files and folders.

>>> import tempfile, pathlib
>>> folder = pathlib.Path(tempfile.mkdtemp())
>>> with write_atomically(folder / "a.txt") as file:
...     _ = file.write("whole or absent")
>>> (folder / "a.txt").read_text()
'whole or absent'
>>> sorted(path.name for path in folder.iterdir())
['a.txt']
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shlex
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

PathLike = str | os.PathLike[str]

TEMPORARY = ".tmp"
# Hashing 15 GB of LLM weights takes a minute; above this size the hash is remembered between runs.
REMEMBER_ABOVE_BYTES = 64 * 2**20


@contextlib.contextmanager
def write_atomically(path: PathLike, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a temporary file beside `path`; on success flush it to disk and rename it to `path`.

    After an exception, or a kill at any moment, `path` is what it was before.

    Arguments
    ---------
    path : str or Path
        Where the finished file goes; its folder is made if absent.
    mode : str
        "w" (UTF-8 text, newlines untouched) or "wb".
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path)
    try:
        with named(path), _open(temporary, mode) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


def _open(path: Path, mode: str) -> IO[Any]:
    return open(path, mode) if "b" in mode else open(path, mode, encoding="utf-8", newline="")


@contextlib.contextmanager
def named(path: PathLike) -> Iterator[None]:
    """Give an OSError that names no file the name `path`, as when a disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


@contextlib.contextmanager
def make_folder_atomically(path: PathLike) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; on success rename it to `path`, replacing what was there."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path)
    shutil.rmtree(temporary, ignore_errors=True)  # of a killed run
    temporary.mkdir()
    try:
        yield temporary
        make_readable(temporary)
        for file in filter(Path.is_file, temporary.rglob("*")):
            with open(file, "rb") as handle:
                os.fsync(handle.fileno())
        if path.exists():  # a folder cannot be renamed over another
            shutil.rmtree(path)
        os.replace(temporary, path)
        sync_folder(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def make_readable(folder: PathLike) -> None:
    """Give the files of a folder the rights that the umask leaves: safetensors writes its own for the owner alone."""
    umask = os.umask(0)
    os.umask(umask)
    for file in filter(Path.is_file, Path(folder).rglob("*")):
        mode = stat.S_IMODE(file.stat().st_mode)
        if mode | 0o666 & ~umask != mode:
            file.chmod(mode | 0o666 & ~umask)


def temporary_path(path: PathLike) -> Path:
    """Where a file or folder grows until it is renamed to `path`.

    Always the same name, so that a run after a kill writes over what the killed one left. Two writers of one path are kept
    apart by the lock of their stage.
    """
    return Path(path).with_name(f"{Path(path).name}{TEMPORARY}")


def partial_path(path: PathLike, tag: str = "") -> Path:
    """File beside `path` for half-done work, which a later run continues; `tag` keeps work of different inputs apart.

    >>> partial_path("targets/train.jsonl", "1f0c").name
    'train.partial-1f0c.jsonl'
    """
    return Path(path).with_suffix(f".partial{tag and '-'}{tag}.jsonl")


def partial_paths(path: PathLike) -> list[Path]:
    """The files with half-done work that are beside `path`, under any tag."""
    stem = re.escape(partial_path(path).name.removesuffix(".jsonl"))
    return sorted(
        found
        for found in Path(path).parent.glob("*.jsonl")
        if re.fullmatch(rf"{stem}(-\w+)?\.jsonl", found.name)
    )


@contextlib.contextmanager
def locked(path: PathLike) -> Iterator[None]:
    """Wait for, then hold, the lock file `path`; the kernel drops it with the process, so a kill leaves no stale lock."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    while True:
        with open(path, "a", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if is_at(path, file):
                yield
                return


def is_at(path: PathLike, file: IO[Any]) -> bool:
    """Whether an open file is still the one at `path`: the lock of a file that was deleted keeps nobody out."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    return False


def sync_folder(folder: PathLike) -> None:
    """Make renames inside `folder` survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: PathLike, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    with write_atomically(path) as file:
        json.dump(value, file, indent=2, ensure_ascii=False, sort_keys=True)
        file.write("\n")


def read_json(path: PathLike, *, repair: str = "delete the file and run the stage again") -> Any:
    """Read a JSON file; a broken one raises ValueError that names it and the repair."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}:{error.lineno}: not JSON ({error.msg}); {repair}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not JSON ({error.reason}); {repair}") from error
    except (RecursionError, ValueError) as error:  # nested too deeply, or a number of thousands of digits
        raise ValueError(f"{path}: not read as JSON ({error}); {repair}") from error


def hash_value(value: Any) -> str:
    """SHA-256, in 64 hexadecimal digits, of a JSON-able value; key order does not matter."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def hash_path(path: PathLike) -> str:
    """SHA-256 of the content of a file, or of a folder's files with their relative names.

    Raises FileNotFoundError if there is nothing at `path`.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(
            file for file in path.rglob("*") if file.is_file() and not file.name.endswith(TEMPORARY)
        )
        return hash_value({str(file.relative_to(path)): _hash_file(file) for file in files})
    return _hash_file(path)


def _hash_file(path: Path) -> str:
    return remembered(path, "", lambda: _digest(path))


def _digest(path: Path) -> str:
    size = path.stat().st_size
    if size < REMEMBER_ABOVE_BYTES:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    from auralign.progress import read_blocks  # here, as few files are that large

    sha256 = hashlib.sha256()
    with open(path, "rb") as file:
        for block in read_blocks(file, f"hash {path.name}", size=size):
            sha256.update(block)
    return sha256.hexdigest()


def remembered(path: Path, kind: str, compute: Callable[[], str]) -> str:
    """A text that `compute` makes of the content of a file, kept for this user if the file is large.

    Arguments
    ---------
    path : Path
        The file. If its size or its time of change differs, the text is computed again.
    kind : str
        What is computed, if it is not the hash of the file.
    compute : callable
    """
    status = path.stat()
    if status.st_size < REMEMBER_ABOVE_BYTES:
        return compute()
    key = hash_value([str(path.resolve()), status.st_size, status.st_mtime_ns, *([kind] if kind else [])])
    kept = _cache_folder("hashes") / key
    if kept.exists():
        return kept.read_text(encoding="utf-8").strip()
    text = compute()
    with (
        contextlib.suppress(OSError),
        write_atomically(kept) as file,
    ):  # a read-only home only costs time
        file.write(text)
    return text


def _cache_folder(kind: str) -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "auralign" / kind


def remember(kind: str, key: str, text: str) -> None:
    """Remember a text of a kind by its key, a hash, for this user on this machine; a read-only home forgets it."""
    with contextlib.suppress(OSError), write_atomically(_cache_folder(kind) / key) as file:
        file.write(text)


def recall(kind: str, key: str) -> str | None:
    """The text that `remember` kept; None if there is none."""
    with contextlib.suppress(OSError):
        return (_cache_folder(kind) / key).read_text(encoding="utf-8")
    return None


def remember_path(digest: str, path: PathLike) -> None:
    """Remember the path of a file or folder by the hash of its content, for this user on this machine."""
    remember("places", digest, os.path.abspath(path))


def recall_path(digest: str) -> Path | None:
    """The path that was last remembered for this hash of content; None if nothing is there any more."""
    found = recall("places", digest)
    return Path(found) if found and Path(found).exists() else None


def without_folders(text: str) -> str:
    """A text to publish: each absolute path is shortened to its last name.

    >>> without_folders("made of /home/anna/models/llm, see https://example.org/a/b")
    'made of llm, see https://example.org/a/b'
    """
    segment = r"[^\s/'\"`|,;()<>]+"
    return re.sub(rf"(?<![\w.~/:-])/(?:{segment}/)+({segment})", r"\1", text)


def without_folders_in_command(words: list[str]) -> str:
    """A command line to publish: each absolute path is shortened to its last name.

    >>> without_folders_in_command(["score.py", "--llm_folder", "/home/anna/my models/llm", "--data=/corpora/x"])
    'score.py --llm_folder llm --data=x'
    """
    shown = []
    for word in words:
        name, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
        shown.append(f"{name}{equals}{Path(value).name if os.path.isabs(value) else value}")
    return shlex.join(shown)


def write_array(
    path: PathLike, shape: tuple[int, ...], dtype: "np.typing.DTypeLike", fill: Callable[["np.ndarray"], None]
) -> None:
    """Write an array to a .npy file atomically, mapped: `fill` is given it empty, so that it need not fit into memory."""
    import numpy as np

    temporary = temporary_path(Path(path))
    with named(path):
        array = np.lib.format.open_memmap(temporary, mode="w+", dtype=dtype, shape=shape)
        with open(
            temporary, "rb+"
        ) as file:  # on a full disk a mapped file kills the process when it is written to
            os.posix_fallocate(file.fileno(), 0, os.path.getsize(temporary))
    fill(array)
    array.flush()
    os.replace(temporary, path)


def write_rows(path: PathLike, parts: Iterable[Any], dtype: Any) -> int:
    """Write arrays (n,) end to end as one array of a .npy file, atomically; returns its number of rows.

    For arrays whose number of rows is known only when the last part was made. One part is in memory at a time.
    """
    import numpy as np

    about = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False}
    num_rows = 0
    with write_atomically(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {**about, "shape": (0,)})
        for part in parts:
            file.write(np.ascontiguousarray(part, dtype).tobytes())
            num_rows += len(part)
        file.seek(0)  # numpy's headers leave room for the largest number of rows
        np.lib.format.write_array_header_1_0(file, {**about, "shape": (num_rows,)})
    return num_rows
