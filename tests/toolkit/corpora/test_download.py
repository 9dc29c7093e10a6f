"""A download is whole under its name, or goes on where it was cut; an archive is unpacked once, and nowhere else."""

import gzip
import hashlib
import io
import ipaddress
import json
import re
import tarfile
import zipfile

import pytest

from auralign.corpora.download import DownloadError, _is_public, download, unpack
from file_server import serve

CONTENT = bytes(range(256)) * 8192  # 2 MiB
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def server():
    with serve({"/a.bin": CONTENT}) as server:
        yield server


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "a.bin"


def part(path):
    return path.with_name("a.bin.part")


def test_a_file_comes_whole(server, path):
    assert (
        download(f"{server.url}/a.bin", path, num_bytes=len(CONTENT), sha256=SHA256.upper(), md5=MD5) == path
    )
    assert path.read_bytes() == CONTENT
    assert [file.name for file in path.parent.iterdir()] == ["a.bin"]


def test_a_server_need_not_tell_the_size(server, path):
    server.tells_length = False
    assert download(f"{server.url}/a.bin", path).read_bytes() == CONTENT


def test_what_is_there_is_not_downloaded_again(server, path):
    download(f"{server.url}/a.bin", path)
    download(f"{server.url}/a.bin", path, sha256=SHA256)
    assert len(server.ranges) == 1


def test_what_is_there_and_is_another_file_is_kept_and_named(server, path):
    path.parent.mkdir()
    path.write_bytes(b"mine")
    with pytest.raises(ValueError, match="a.bin is not http.*4 bytes, 2097152 are expected; delete it"):
        download(f"{server.url}/a.bin", path, num_bytes=len(CONTENT))
    assert path.read_bytes() == b"mine" and server.ranges == []


def test_a_download_that_was_cut_goes_on_where_it_was_cut(server, path):
    server.cut_after = 1_500_000
    with pytest.raises(DownloadError, match=r"/a.bin: cut off after 1500000 of 2097152 bytes; run the same"):
        download(f"{server.url}/a.bin", path, sha256=SHA256)
    assert not path.exists() and part(path).stat().st_size == 1_500_000
    download(f"{server.url}/a.bin", path, sha256=SHA256)
    assert path.read_bytes() == CONTENT and not part(path).exists()
    assert server.ranges == [None, "bytes=1500000-"]


def test_without_a_size_from_the_server_the_expected_one_shows_the_cut(server, path):
    server.tells_length, server.cut_after = False, 7
    with pytest.raises(DownloadError, match="cut off after 7 of 2097152 bytes"):
        download(f"{server.url}/a.bin", path, num_bytes=len(CONTENT))


def test_a_server_that_ignores_ranges_sends_the_whole(server, path):
    server.knows_ranges = False
    path.parent.mkdir()
    part(path).write_bytes(CONTENT[:1000])
    assert download(f"{server.url}/a.bin", path, sha256=SHA256).read_bytes() == CONTENT
    assert server.ranges == ["bytes=1000-"]


def test_a_part_that_was_whole_only_gets_its_name(server, path):
    path.parent.mkdir()
    part(path).write_bytes(CONTENT)
    download(f"{server.url}/a.bin", path, num_bytes=len(CONTENT), md5=MD5)
    assert path.read_bytes() == CONTENT and server.ranges == []


@pytest.mark.parametrize("num_bytes", [None, len(CONTENT)])
def test_a_part_that_is_too_long_is_begun_anew(server, path, num_bytes):
    path.parent.mkdir()
    part(path).write_bytes(CONTENT + b"more")
    assert download(f"{server.url}/a.bin", path, num_bytes=num_bytes).read_bytes() == CONTENT


def test_another_size_than_expected_is_told_before_anything_is_downloaded(server, path):
    with pytest.raises(DownloadError, match="the server has a file of 2097152 bytes, 5 are expected"):
        download(f"{server.url}/a.bin", path, num_bytes=5)
    assert list(path.parent.iterdir()) == []


def test_more_than_expected_is_not_kept(server, path):
    server.tells_length = False
    with pytest.raises(DownloadError, match="it has 2097152 bytes, 5 are expected; the download was deleted"):
        download(f"{server.url}/a.bin", path, num_bytes=5)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("name", ["sha256", "md5"])
def test_what_has_another_hash_is_not_kept(server, path, name):
    with pytest.raises(DownloadError, match=f"/a.bin: its {name} is [0-9a-f]+, 00 is expected"):
        download(f"{server.url}/a.bin", path, **{name: "00"})
    assert list(path.parent.iterdir()) == []


def test_a_file_that_the_server_has_not_is_told_with_its_address(server, path):
    with pytest.raises(
        DownloadError, match=rf"{server.url}/b.bin: the server says 404 .*; check the address"
    ):
        download(f"{server.url}/b.bin", path)
    assert not path.exists()


def test_a_server_that_is_not_there_is_told_with_its_address(path):
    with serve({}) as gone:
        url = f"{gone.url}/a.bin"
    with pytest.raises(DownloadError, match=rf"{url}: no answer \(.*refused.*\); check the connection"):
        download(url, path)


def test_a_message_is_one_line(server, path):
    with pytest.raises(DownloadError) as caught:
        download(f"{server.url}/b.bin", path)
    assert "\n" not in str(caught.value)


# Archives


def make_tar(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
            else:
                member.type, member.linkname = tarfile.SYMTYPE, content
                archive.addfile(member)
    return path


def make_zip(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.fixture(params=[("a.tar.gz", make_tar), ("a.tgz", make_tar), ("a.zip", make_zip)], ids=lambda p: p[0])
def kind(request, tmp_path):
    """Makes an archive of members; where it is unpacked, and its marker."""
    name, make = request.param
    return lambda members: (make(tmp_path / name, members), tmp_path / "there", tmp_path / "marker.json")


def test_an_archive_is_unpacked_and_its_marker_tells_of_it(kind):
    archive, folder, marker = kind({"corpus/a.txt": b"three", "corpus/b/c.txt": b"five"})
    assert unpack(archive, folder, marker) is True
    assert (folder / "corpus" / "a.txt").read_text() == "three"
    assert (folder / "corpus" / "b" / "c.txt").read_text() == "five"
    content = archive.read_bytes()
    assert json.loads(marker.read_text()) == {
        "name": archive.name,
        "num_bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def test_an_archive_is_unpacked_once(kind):
    archive, folder, marker = kind({"a.txt": b"three"})
    unpack(archive, folder, marker)
    (folder / "a.txt").write_text("mine")
    assert unpack(archive, folder, marker) is False
    assert (folder / "a.txt").read_text() == "mine"


def test_another_archive_of_the_name_is_unpacked(kind):
    unpack(*kind({"a.txt": b"three"}))
    archive, folder, marker = kind({"a.txt": b"seven"})
    assert unpack(archive, folder, marker) is True
    assert (folder / "a.txt").read_text() == "seven"


@pytest.mark.parametrize("name", ["../evil.txt", "corpus/../../evil.txt"])
def test_nothing_is_written_outside(kind, name):
    archive, folder, marker = kind({"a.txt": b"three", name: b"evil"})
    with pytest.raises(ValueError, match="would write outside .*; do not trust it"):
        unpack(archive, folder, marker)
    assert not marker.exists() and not list(folder.parent.rglob("evil.txt"))


def test_no_link_leads_outside(tmp_path):
    archive = make_tar(tmp_path / "a.tar.gz", {"link": "/etc"})
    with pytest.raises(ValueError, match="would write outside"):
        unpack(archive, tmp_path / "there", tmp_path / "marker.json")


def test_an_archive_that_was_cut_leaves_no_marker(tmp_path):
    archive = make_tar(tmp_path / "a.tar.gz", {"a.bin": CONTENT, "b.bin": CONTENT})
    archive.write_bytes(archive.read_bytes()[:-100])
    with pytest.raises(ValueError, match="a.tar.gz is broken .*; delete it and download it again"):
        unpack(archive, tmp_path / "there", tmp_path / "marker.json")
    assert not (tmp_path / "marker.json").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.tar.gz", b"<html>"), ("a.zip", b"<html>"), ("a.tar.gz", gzip.compress(b"no tar", mtime=0))],
)
def test_what_is_no_archive_is_broken(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match="is broken"):
        unpack(tmp_path / name, tmp_path / "there", tmp_path / "marker.json")


def test_an_archive_of_another_kind_is_refused(tmp_path):
    (tmp_path / "a.rar").write_bytes(b"")
    with pytest.raises(ValueError, match="a.rar: only .tar.gz, .tgz, .zip can be unpacked"):
        unpack(tmp_path / "a.rar", tmp_path / "there", tmp_path / "marker.json")


def test_a_hash_that_nobody_published_is_recorded_and_demanded(server, path, capsys):
    download(f"{server.url}/a.bin", path)
    assert path.with_name("a.bin.sha256").read_text() == f"{SHA256}  a.bin\n"
    assert f"a.bin: sha256 {SHA256}" in capsys.readouterr().err
    path.unlink()
    server.files["/a.bin"] = CONTENT[:-1] + b"x"
    with pytest.raises(DownloadError, match=f"an earlier download had {SHA256}"):
        download(f"{server.url}/a.bin", path)
    assert not path.exists() and not part(path).exists()
    path.write_bytes(CONTENT[:-1] + b"y")
    with pytest.raises(ValueError, match="its sha256 is"):
        download(f"{server.url}/a.bin", path)


def test_a_body_without_an_end_is_not_kept(server, path, monkeypatch):
    from auralign.corpora import download as module

    server.tells_length = False
    monkeypatch.setattr(module, "MAX_BYTES", 1_000_000)
    monkeypatch.setattr(module, "SURPLUS_BYTES", 1000)
    monkeypatch.setattr(module, "CHUNK_BYTES", 1000)
    with pytest.raises(DownloadError, match="sends more than 1000000 bytes"):
        download(f"{server.url}/a.bin", path)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/a",
        "http://10.0.0.1/a",
        "http://[::1]/a",
        "http://localhost/a",
        "file:///etc/passwd",
        "ftp://127.0.0.1/a",
        "http://224.0.0.1/a",
        "http://[fec0::1]/a",
        "http://[2002:a9fe:a9fe::]/a",
        "http://[64:ff9b::a9fe:a9fe]/a",
        "http://[::ffff:10.0.0.1]/a",
    ],
)
def test_a_redirect_into_this_network_is_not_followed(server, path, address):
    server.redirects["/b.bin"] = address
    with pytest.raises(DownloadError, match="is not followed|is not allowed"):
        download(f"{server.url}/b.bin", path)
    assert not path.exists()


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888", "64:ff9b::808:808", "2002:808:808::"])
def test_an_address_of_the_internet_is_public(address):
    assert _is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/a", "a.bin", "", "http://[::1/a"])
def test_what_is_no_address_of_the_web_is_named(path, url):
    with pytest.raises(DownloadError, match=f"^{re.escape(url)}: "):
        download(url, path)


def test_a_redirect_to_what_is_no_address_is_named(server, path):
    server.redirects["/b.bin"] = "http://[::1/a"
    with pytest.raises(DownloadError, match="/b.bin: no answer"):
        download(f"{server.url}/b.bin", path)


def test_a_record_of_a_hash_that_is_no_text_is_named(server, path):
    path.parent.mkdir()
    path.with_name("a.bin.sha256").write_bytes(b"\xff\xfe")
    with pytest.raises(DownloadError, match=r"an earlier download had .*a\.bin\.sha256"):
        download(f"{server.url}/a.bin", path)


def test_a_redirect_on_the_same_host_is_followed(server, path):
    server.redirects["/b.bin"] = f"{server.url}/a.bin"
    assert download(f"{server.url}/b.bin", path, sha256=SHA256).read_bytes() == CONTENT
