"""Audio in tar files, read by offset: `shards/000.tar?a.flac` is the member `a.flac` of `shards/000.tar`.

    >>> import io, tempfile
    >>> tar = Path(tempfile.mkdtemp()) / "000.tar"
    >>> with tarfile.open(tar, "w") as file:
    ...     info = tarfile.TarInfo("a.flac")
    ...     info.size = 4
    ...     file.addfile(info, io.BytesIO(b"fLaC"))
    >>> found = locate(f"{tar}?a.flac")
    >>> found.inside, found.read()
    ('a.flac@512+4', b'fLaC')

Stage 1 looks a member up once and writes its place behind its name, `?a.flac@512+4`: 4 bytes from byte 512 on. Later stages read
these bytes alone, and the header before them, which shows that they are still the member's. Members of a compressed tar file have
no such places.
"""

import contextlib
import itertools
import os
import re
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from auralign.data.containers import AudioError
from auralign.files import PathLike

SIGN = ".tar?"
PLACE = re.compile(r"(.+)@([0-9]{1,18})\+([0-9]{1,18})", re.DOTALL)
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Member:
    """A regular file in a tar file: `size` bytes from the byte `start` on."""

    tar: str
    name: str
    start: int
    size: int

    @property
    def inside(self) -> str:
        """What follows the `?`."""
        return f"{self.name}@{self.start}+{self.size}"

    def read(self) -> bytes:
        """All its bytes; raises AudioError if the tar file was cut."""
        with open(self.tar, "rb") as file:
            file.seek(self.start)
            content = file.read(self.size)
        if len(content) < self.size:
            raise AudioError(f"{self}: the tar file was cut: {len(content)} of {self.size} bytes are there")
        return content

    def __str__(self) -> str:
        return f"{self.tar}?{self.name}"


def split(path: PathLike) -> tuple[str, str]:
    """The tar file, and what follows the `?`; of a path that names no member of a tar file the path, and "".

    A file whose own name has this form is read as before.
    """
    path = os.fspath(path)
    at = path.find(SIGN)
    while at >= 0:
        tar = path[: at + len(SIGN) - 1]
        if os.path.isfile(tar) and not os.path.isfile(path):
            return tar, path[at + len(SIGN) :]
        at = path.find(SIGN, at + 1)
    return path, ""


def name_of(path: PathLike) -> str:
    """The path of a file, or the name of a member without its place: what ends in `.flac` and so on."""
    file, inside = split(path)
    place = PLACE.fullmatch(inside)
    return place[1] if place else inside or file


def size_of(path: PathLike) -> int:
    """Bytes of a file or of a member; raises OSError or AudioError if there is none."""
    tar, inside = split(path)
    if inside:
        return locate(path).size
    found = os.stat(tar)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(None, "not a file")
    return found.st_size


def locate(path: PathLike) -> Member:
    """The member that a path names, with or without its place.

    Raises AudioError if the tar file has no such member, or several, or was changed since its place was found.
    """
    tar, inside = split(path)
    place = PLACE.fullmatch(inside)
    if place:
        member = Member(tar, place[1], int(place[2]), int(place[3]))
        if _is_at_its_place(member):
            return member
    status = os.stat(tar)
    found = _index(tar, status.st_size, status.st_mtime_ns).get(_plain(inside), [])
    if len(found) == 1:
        return found[0]
    if found:
        raise AudioError(f"{tar}?{inside}: the tar file has {len(found)} files of this name; make it anew")
    if place:
        raise AudioError(
            f"{tar}?{place[1]}: is not at byte {place[2]} of the tar file, which was changed; run stage 1 again"
        )
    raise AudioError(f"{tar}?{inside}: the tar file has no file of this name")


def members(tar: PathLike) -> Iterator[Member]:
    """The regular files of a tar file, in order.

    Raises AudioError if it is compressed, cut or damaged, or has another thing than files and folders.
    """
    tar = os.fspath(tar)
    try:
        with tarfile.open(tar, "r:", tarinfo=_Header) as archive:
            for info in archive:
                if info.isdir():
                    continue
                if not info.isreg() or info.issparse():
                    raise AudioError(
                        f"{tar}?{info.name}: is a link or another special file; make the tar file of files"
                    )
                yield Member(tar, info.name, info.offset_data, info.size)
            end = archive.offset  # tarfile takes a damaged header for the end
        with open(tar, "rb") as file:
            file.seek(end)
            if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
                raise AudioError(f"{tar}: is damaged at byte {end}; copy it again")
    except tarfile.TarError as error:
        raise AudioError(
            f"{tar}: cannot be read as a tar file ({error}); if it is compressed, unpack it: members are read by offset"
        ) from error


@contextlib.contextmanager
def on_disk(path: PathLike) -> Iterator[PathLike]:
    """Context manager: the path itself, or for a member one of a file in memory that holds its bytes.

    An AudioError about that file is raised about the member. Raises AudioError if there is no regular file: a pipe has no end.
    """
    if not split(path)[1]:
        try:
            is_file = stat.S_ISREG(os.stat(path).st_mode)
        except (OSError, ValueError) as error:  # ValueError: a name that no file can have
            reason = getattr(error, "strerror", error)
            raise AudioError(f"{path}: cannot be read as audio ({reason})") from error
        if not is_file:
            raise AudioError(f"{path}: is no regular file; write its audio to one")
        yield path
        return
    member = locate(path)
    descriptor = os.memfd_create("auralign")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(member.read())
        os.utime(
            descriptor, ns=(0, next(_numbers))
        )  # what was found in a file is remembered by its name, size and time
        place = f"/proc/self/fd/{descriptor}"
        try:
            yield place
        except AudioError as error:
            raise AudioError(str(error).replace(place, str(member))) from error
    finally:
        os.close(descriptor)


class _Header(tarfile.TarInfo):
    """A header whose size is not negative: before CPython 3.13.6 such a one is read for ever (CVE-2025-8194)."""

    def _block(self, count: int) -> int:
        if count < 0:
            raise tarfile.InvalidHeaderError("negative size")  # type: ignore[attr-defined]
        return super()._block(count)  # type: ignore[misc]


@lru_cache(maxsize=16)
def _index(tar: str, size: int, changed: int) -> dict[str, list[Member]]:
    found: dict[str, list[Member]] = {}
    for member in members(tar):
        found.setdefault(_plain(member.name), []).append(member)
    return found


def _is_at_its_place(member: Member) -> bool:
    """Whether the header of a file of this size is before the member's place, and of this name if the header has room for it."""
    with open(member.tar, "rb") as file:
        file.seek(max(0, member.start - tarfile.BLOCKSIZE))
        try:
            info = tarfile.TarInfo.frombuf(file.read(tarfile.BLOCKSIZE), tarfile.ENCODING, "surrogateescape")
        except tarfile.TarError:
            return False
    is_short = member.name.isascii() and len(member.name) < tarfile.LENGTH_NAME
    return (
        info.isreg()
        and info.size == member.size
        and not (is_short and _plain(info.name) != _plain(member.name))
    )


def _plain(name: str) -> str:
    """A member's name as pathlib writes it."""
    return Path(name).as_posix()
