"""The table of archives is in order, and `fetch` downloads and unpacks what it names."""

import hashlib
import io
import re
import tarfile

import pytest

from auralign.corpora import archives
from auralign.corpora.archives import ARCHIVES, Archive, fetch, is_half_unpacked
from auralign.corpora.covost import PUBLISHED as COVOST_LANGUAGES
from auralign.corpora.download import DownloadError
from auralign.corpora.librispeech import PUBLISHED as LIBRISPEECH_SUBSETS
from file_server import serve

FROM_ENGLISH = "de tr fa sv-SE mn zh-CN cy ca sl et id ar ta lv ja".split()


def test_the_subsets_of_librispeech_are_there():
    for name in [*LIBRISPEECH_SUBSETS, "train-clean-5", "dev-clean-2"]:
        assert re.fullmatch(rf"https://www.openslr.org/resources/(12|31)/{name}.tar.gz", ARCHIVES[name].url)


def test_all_pairs_of_covost_are_there():
    pairs = [f"en_{target}" for target in FROM_ENGLISH]
    pairs += [f"{source}_en" for source in COVOST_LANGUAGES if source != "en"]
    assert {f"covost_v2.{pair}" for pair in pairs} == {name for name in ARCHIVES if name.startswith("covost")}
    assert len(pairs) == 36
    for pair in pairs:
        assert ARCHIVES[f"covost_v2.{pair}"].file_name == f"covost_v2.{pair}.tsv.tar.gz"


def test_hashes_have_their_length_and_belong_to_one_archive():
    known = [digits for archive in ARCHIVES.values() for digits in (archive.sha256, archive.md5) if digits]
    assert len(known) == len(set(known)) == 45  # all but SLUE's two
    assert all(re.fullmatch("[0-9a-f]{64}", archive.sha256 or "0" * 64) for archive in ARCHIVES.values())
    assert all(re.fullmatch("[0-9a-f]{32}", archive.md5 or "0" * 32) for archive in ARCHIVES.values())


def test_the_sizes_are_those_that_the_page_of_librispeech_tells():
    """https://www.openslr.org/12 and /31 print them in millions and milliards, further digits left out."""
    told = {"dev-clean": 337e6, "dev-other": 314e6, "test-clean": 346e6, "test-other": 328e6}
    told |= {"train-clean-5": 332e6, "dev-clean-2": 126e6, "train-clean-100": 6.3e9}
    told |= {"train-clean-360": 23e9, "train-other-500": 30e9}
    for name, size in told.items():
        assert size <= ARCHIVES[name].num_bytes < size * 1.021


def tar(name, text):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text))
    return file.getvalue()


ONE, TWO = tar("LibriSpeech/one/a.txt", b"three"), tar("LibriSpeech/two/a.txt", b"five")


@pytest.fixture
def server(monkeypatch):
    """Of two archives of one corpus, which stand in the table instead of the real ones."""
    with serve({"/12/one.tar.gz": ONE, "/12/two.tar.gz": TWO, "/near/one.tar.gz": ONE}) as server:
        folder = f"{server.url}/12"
        table = {
            "one": Archive(f"{folder}/one.tar.gz", "free", len(ONE), sha256=hashlib.sha256(ONE).hexdigest()),
            "two": Archive(f"{folder}/two.tar.gz", "free", md5=hashlib.md5(TWO).hexdigest()),
        }
        monkeypatch.setattr(archives, "ARCHIVES", table)
        yield server


def test_archives_are_fetched_by_name(server, tmp_path):
    assert fetch(["one", "two"], tmp_path / "data") == tmp_path / "data"
    assert (tmp_path / "data" / "LibriSpeech" / "one" / "a.txt").read_text() == "three"
    assert (tmp_path / "data" / "LibriSpeech" / "two" / "a.txt").read_text() == "five"


def test_a_licence_is_printed_once(server, tmp_path, capsys):
    fetch(["one", "two"], tmp_path)
    assert capsys.readouterr().out == "free\n"


def test_what_was_fetched_is_left_alone_even_without_its_archive(server, tmp_path, capsys):
    fetch(["one", "two"], tmp_path)
    (tmp_path / "one.tar.gz").unlink()
    (tmp_path / "two.tar.gz").unlink()
    capsys.readouterr()
    fetch(["one", "two"], tmp_path)
    assert len(server.ranges) == 2 and capsys.readouterr().out == ""


def test_an_archive_that_was_downloaded_and_not_unpacked_is_unpacked(server, tmp_path):
    (tmp_path / "one.tar.gz").write_bytes(ONE)
    fetch(["one"], tmp_path)
    assert (tmp_path / "LibriSpeech" / "one" / "a.txt").is_file() and server.ranges == []


def test_an_archive_whose_unpacking_was_cut_is_half_unpacked_until_it_is_fetched_again(server, tmp_path):
    assert not is_half_unpacked("one", tmp_path)
    (tmp_path / "one.tar.gz").write_bytes(ONE)
    (tmp_path / "LibriSpeech" / "one").mkdir(parents=True)
    assert is_half_unpacked("one", tmp_path)
    fetch(["one"], tmp_path)
    assert not is_half_unpacked("one", tmp_path)


def test_a_name_twice_is_fetched_once(server, tmp_path):
    fetch(["one", "one"], tmp_path)
    assert len(server.ranges) == 1


def test_a_mirror_holds_the_same_files_in_another_folder(server, tmp_path):
    del server.files["/12/one.tar.gz"]
    fetch(["one"], tmp_path, mirror=f"{server.url}/near/")
    assert (tmp_path / "LibriSpeech" / "one" / "a.txt").is_file()


def test_what_a_mirror_holds_is_checked_too(server, tmp_path):
    server.files["/near/one.tar.gz"] = ONE[:-1] + b"!"
    with pytest.raises(DownloadError, match="its sha256 is"):
        fetch(["one"], tmp_path, mirror=f"{server.url}/near")
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_none_is_told_before_anything_is_downloaded(tmp_path):
    with pytest.raises(
        ValueError, match="no archive 'dev-clean-3'. Did you mean 'dev-clean-2'[?] There are: train-"
    ):
        fetch(["dev-clean", "dev-clean-3"], tmp_path)
    assert list(tmp_path.iterdir()) == []
