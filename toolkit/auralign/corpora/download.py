"""Complete downloads: an interrupted one is resumed, and a file is checked before it gets its name.

    >>> import tempfile, pathlib, tarfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.txt").write_text("three five")
    >>> with tarfile.open(folder / "a.tar.gz", "w:gz") as archive:
    ...     archive.add(folder / "a.txt", "corpus/a.txt")
    >>> unpack(folder / "a.tar.gz", folder / "there", folder / "a.json")
    True
    >>> (folder / "there" / "corpus" / "a.txt").read_text()
    'three five'
    >>> unpack(folder / "a.tar.gz", folder / "there", folder / "a.json")  # is there already
    False

The known archives are in archives.py.
"""

import hashlib
import ipaddress
import os
import re
import socket
import sys
import tarfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from auralign import __version__
from auralign.files import hash_path, named, read_json, sync_folder, write_atomically, write_json
from auralign.progress import Progress

PART = ".part"
KINDS = (".tar.gz", ".tgz", ".zip")
CHUNK_BYTES = 2**20
TIMEOUT_S = 60.0  # seconds without a byte
MAX_BYTES = 2**37  # 128 GiB, if neither the caller nor the server says how large a file is
SURPLUS_BYTES = (
    2**24
)  # of a body that is read before it is given up, so that its size is told if it is a little too long
SUFFIX_OF_HASH = ".sha256"  # of the file beside a download whose hash nobody published
AGAIN = "run the same command again"
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class DownloadError(OSError):
    """A file could not be downloaded completely; the message names the URL and the repair."""


def download(
    url: str, path, *, num_bytes: int | None = None, sha256: str | None = None, md5: str | None = None
) -> Path:
    """Download `url` to `path`, continuing an interrupted download in `<path>.part`; returns the path.

    If the server cannot resume, the whole file is requested. A file that exists at `path` is checked, not downloaded again.

    Arguments
    ---------
    url : str
        http or https.
    path : str or Path
        The finished file; its folder is created if absent.
    num_bytes : int, optional
        Expected size in bytes; by default, the size that the server states.
    sha256, md5 : str, optional
        Expected hash in hexadecimal digits; a file with another hash is deleted. Without one, the hash is printed, and recorded
        in `<path>.sha256`, which the next download of this name must have.

    Raises DownloadError if the server does not answer or has no such file, the connection breaks, or size or hash differ;
    ValueError if another file exists at `path`.
    """
    path = Path(path)
    if path.exists():
        recorded = _recorded(path) if sha256 is None and md5 is None else sha256
        fault = _fault(path, num_bytes=num_bytes, sha256=recorded, md5=md5)
        if fault:
            raise ValueError(f"{path} is not {url}: {fault}; delete it and {AGAIN}")
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + PART)
    expected = _fill(part, url, num_bytes)
    size = part.stat().st_size
    if expected is None and size > MAX_BYTES:
        part.unlink()
        raise DownloadError(
            f"{url}: sends more than {MAX_BYTES} bytes; the download was deleted: look at the address"
        )
    if expected is not None and size < expected:
        raise DownloadError(f"{url}: cut off after {size} of {expected} bytes; {AGAIN} to go on from there")
    fault = _fault(part, num_bytes=expected, sha256=sha256, md5=md5)
    if fault:
        part.unlink()
        raise DownloadError(
            f"{url}: {fault}; the download was deleted: {AGAIN}; if it fails again, the file was changed by its "
            "publisher or on the way"
        )
    if sha256 is None and md5 is None:
        _record(part, path, url)
    part.replace(path)
    sync_folder(path.parent)
    return path


def _record(part: Path, path: Path, url: str) -> None:
    """Print the hash of a download whose hash nobody published, and keep it beside it, in the form of sha256sum.

    Raises DownloadError if another download of this name had another hash.
    """
    with open(part, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    record, before = path.with_name(path.name + SUFFIX_OF_HASH), _recorded(path)
    if before not in (None, found):
        part.unlink()
        raise DownloadError(
            f"{url}: its sha256 is {found}, an earlier download had {before} ({record}); the download was deleted: if its "
            "publisher changed the file, delete the record"
        )
    print(f"{path.name}: sha256 {found}, kept in {record.name}", file=sys.stderr)
    with write_atomically(record) as file:
        file.write(f"{found}  {path.name}\n")


def _recorded(path: Path) -> str | None:
    """The hash of an earlier download of this name; None if none was recorded."""
    record = path.with_name(path.name + SUFFIX_OF_HASH)
    return (
        " ".join(record.read_text(encoding="utf-8", errors="replace").split()[:1])
        if record.exists()
        else None
    )


def _fault(path: Path, *, num_bytes: int | None, sha256: str | None, md5: str | None) -> str:
    """How a file differs from the expected size and hashes; "" if it does not."""
    size = path.stat().st_size
    if num_bytes is not None and size != num_bytes:
        return f"it has {size} bytes, {num_bytes} are expected"
    for name, expected in (("sha256", sha256), ("md5", md5)):
        if expected is None:
            continue
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, name).hexdigest()
        if found != expected.lower():
            return f"its {name} is {found}, {expected.lower()} is expected"
    return ""


def _fill(part: Path, url: str, num_bytes: int | None) -> int | None:
    """Append the missing bytes to a partial file; returns its expected size, None if unknown."""
    start = part.stat().st_size if part.exists() else 0
    if num_bytes is not None and start == num_bytes:
        return num_bytes
    if num_bytes is not None and start > num_bytes:
        start = 0
    response, start = _open(url, start)
    with response:
        total = _total_bytes(response, start)
        if None not in (total, num_bytes) and total != num_bytes:
            raise DownloadError(
                f"{url}: the server has a file of {total} bytes, {num_bytes} are expected; it was changed, or the address "
                "leads to something else: look at it in a browser"
            )
        with (
            open(part, "ab" if start else "wb") as file,
            Progress(f"download {part.stem}", unit="B", total=total, initial=start, leave=False) as progress,
        ):
            most = next(size for size in (num_bytes, total, MAX_BYTES) if size is not None)
            for chunk in _read(response, url, file):
                with named(part):
                    file.write(chunk)
                progress.update(len(chunk))
                if file.tell() > most + SURPLUS_BYTES:  # a body without an end; the size shows the fault
                    break
            file.flush()
            os.fsync(file.fileno())
    return num_bytes if total is None else total


def _open(url: str, start: int):
    """The server's response, and the offset of its first byte: 0 if the server does not resume."""
    headers = {"User-Agent": f"auralign/{__version__}"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        if urlsplit(url).scheme not in ("http", "https"):
            raise DownloadError(f"{url}: is neither http nor https; give such an address")
        opener = urllib.request.build_opener(_PublicRedirects)
        response = opener.open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S)
    except DownloadError:
        raise
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416 and start:  # no bytes after ours: the partial file is complete or too long
                return _open(url, 0)
            raise DownloadError(
                f"{url}: the server says {error.code} {error.reason}; check the address in a browser, and give a mirror if "
                "the file has moved"
            ) from error
    except (OSError, HTTPException, ValueError) as error:  # ValueError: an address that is none
        raise DownloadError(
            f"{url}: no answer ({getattr(error, 'reason', error)}); check the connection and {AGAIN} to go on"
        ) from error
    if response.status != 206 or not start:
        return response, 0
    begin = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    if not begin or int(begin[1]) != start:
        response.close()
        return _open(url, 0)
    return response, start


class _PublicRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https, but not to a private, link-local or loopback address of another host."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        asked, leads_to = (urlsplit(address) for address in (req.full_url, newurl))
        if leads_to.scheme not in ("http", "https"):
            raise DownloadError(
                f"{req.full_url}: leads to {newurl}, which is neither http nor https; it is not followed"
            )
        if leads_to.hostname != asked.hostname and _is_private(leads_to.hostname or ""):
            raise DownloadError(
                f"{req.full_url}: leads to {newurl}, an address within this network; it is not followed. If it is yours, give it "
                "as the address"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _is_private(host: str) -> bool:
    """Whether any address of a host is not one of the public internet."""
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
    except OSError:  # no such host: the request says so
        return False
    return not all(_is_public(ipaddress.ip_address(address.partition("%")[0])) for address in found)


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether an address is one of the public internet, and so is the older address that it carries, if it carries one."""
    if isinstance(address, ipaddress.IPv6Address):
        carried = address.ipv4_mapped or address.sixtofour
        if address in NAT64:
            carried = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if carried is not None or address.is_site_local:
            return carried is not None and _is_public(carried)
    return address.is_global and not address.is_multicast


def _total_bytes(response, start: int) -> int | None:
    """The size of the whole file, if the server states it."""
    length = response.headers.get("Content-Length", "")
    return start + int(length) if length.isdecimal() else None


def _read(response, url: str, file) -> Iterator[bytes]:
    while True:
        try:
            chunk = response.read(CHUNK_BYTES)
        except (OSError, HTTPException) as error:
            raise DownloadError(
                f"{url}: the connection broke after {file.tell()} bytes ({error or type(error).__name__}); {AGAIN} to go on "
                "from there"
            ) from error
        if not chunk:
            return
        yield chunk


def unpack(archive, folder, marker) -> bool:
    """Unpack a .tar.gz, .tgz or .zip into `folder`, unless `marker` already describes this archive.

    The marker is written last, so that an interrupted run unpacks everything again. No file or link may lead out of the folder.

    Arguments
    ---------
    archive, folder : str or Path
    marker : str or Path
        JSON file with the archive's `name`, `num_bytes` and `sha256`.

    Returns bool: whether the archive was unpacked now.

    Raises ValueError if the archive is broken, of another kind, or would write outside the folder.
    """
    archive, folder, marker = Path(archive), Path(folder), Path(marker)
    if not archive.name.endswith(KINDS):
        raise ValueError(f"{archive}: only {', '.join(KINDS)} can be unpacked; unpack it by hand")
    described = {"name": archive.name, "num_bytes": archive.stat().st_size, "sha256": hash_path(archive)}
    if marker.exists() and read_json(marker) == described:
        return False
    marker.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    extract = _extract_zip if archive.suffix == ".zip" else _extract_tar
    try:
        with Progress(f"unpack {archive.name}", unit="file", leave=False) as progress:
            for _ in extract(archive, folder):
                progress.update()
    except (tarfile.FilterError, _Outside) as error:
        raise ValueError(
            f"{archive} would write outside {folder} ({error}); do not trust it: download it again from its publisher"
        ) from error
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ValueError(f"{archive} is broken ({error}); delete it and download it again") from error
    except OSError as error:
        if error.errno is not None:  # from the system, such as a full disk
            raise
        raise ValueError(f"{archive} is broken ({error}); delete it and download it again") from error
    write_json(marker, described)
    return True


class _Outside(Exception):
    """A member whose name leads out of the folder."""


def _extract_tar(archive: Path, folder: Path) -> Iterator[None]:
    if not hasattr(tarfile, "data_filter"):
        raise ValueError("this Python cannot unpack safely (PEP 706); use 3.11.4 or later")
    with tarfile.open(archive, "r:gz") as file:
        for member in file:
            file.extract(member, folder, filter="data")
            yield


def _extract_zip(archive: Path, folder: Path) -> Iterator[None]:
    with zipfile.ZipFile(archive) as file:
        for member in file.infolist():
            name = PurePosixPath(member.filename.replace("\\", "/"))
            # zipfile would silently write it elsewhere within the folder.
            if name.is_absolute() or ".." in name.parts:
                raise _Outside(member.filename)
            file.extract(member, folder)
            yield
