"""Files are whole or absent."""

import os
import stat

import pytest

from auralign.files import (
    hash_path,
    hash_value,
    locked,
    make_folder_atomically,
    read_json,
    recall_path,
    remember_path,
    without_folders,
    write_atomically,
    write_json,
)


def test_exception_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("before")
    with pytest.raises(RuntimeError), write_atomically(path) as file:
        file.write("half")
        raise RuntimeError
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_exception_leaves_the_folder_that_was_there(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "old").write_text("")
    with pytest.raises(RuntimeError), make_folder_atomically(folder) as temporary:
        (temporary / "new").write_text("")
        raise RuntimeError
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "old"]


def test_folder_is_replaced_as_a_whole(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "old").write_text("")
    with make_folder_atomically(folder) as temporary:
        (temporary / "new").write_text("")
    assert [path.name for path in folder.iterdir()] == ["new"]


def test_leftover_of_a_killed_run_is_removed(tmp_path):
    (tmp_path / "model.tmp").mkdir()
    with make_folder_atomically(tmp_path / "model"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_hash_of_a_folder_sees_content_and_names(tmp_path):
    (tmp_path / "a").write_text("1")
    before = hash_path(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    renamed = hash_path(tmp_path)
    (tmp_path / "b").write_text("2")
    assert len({before, renamed, hash_path(tmp_path)}) == 3


def test_hash_of_a_large_file_is_remembered_until_it_changes(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("auralign.files.REMEMBER_ABOVE_BYTES", 1)
    path = tmp_path / "weights"
    path.write_bytes(b"abc")
    assert (
        hash_path(path)
        == hash_path(path)
        == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
    path.write_bytes(b"abcd")
    assert hash_path(path) == "88d4266fd4e6338d13b845fcf289579d209c897823b9217da3e161936f031589"


def test_order_of_keys_does_not_change_a_hash():
    assert hash_value({"a": 1, "b": 2}) == hash_value({"b": 2, "a": 1})


def test_broken_json_is_named(tmp_path):
    (tmp_path / "a.json").write_text("{\n")
    with pytest.raises(ValueError, match="a.json:2: not JSON"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize("text", ["[" * 100_000, "[1" + 5000 * "0" + "]", '"\\ud8'])
def test_json_that_python_cannot_hold_is_named(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match="a.json.*copy it again"):
        read_json(tmp_path / "a.json", repair="copy it again")


def test_json_comes_back(tmp_path):
    write_json(tmp_path / "a.json", {"é": [1.5, None]})
    assert read_json(tmp_path / "a.json") == {"é": [1.5, None]}


def test_what_a_library_wrote_for_its_owner_alone_is_readable_by_all_whom_the_umask_lets(tmp_path):
    before = os.umask(0o027)
    try:
        with make_folder_atomically(tmp_path / "model") as temporary:
            for name, mode in (("weights", 0o600), ("script", 0o700)):
                (temporary / name).touch()
                (temporary / name).chmod(mode)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "model").iterdir()}
    assert modes == {"weights": 0o640, "script": 0o740}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("python score.py --llm_folder /home/anna/models/llm", "python score.py --llm_folder llm"),
        (
            "`/scratch/a/b.jsonl`, and/or 3/4 of https://x.org/a/b",
            "`b.jsonl`, and/or 3/4 of https://x.org/a/b",
        ),
        ("../data/x and ./exp/y stay", "../data/x and ./exp/y stay"),
    ],
)
def test_a_text_tells_no_place_of_this_machine(text, told):
    assert without_folders(text) == told


def test_a_place_is_remembered_for_this_user(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "llm").mkdir()
    remember_path("0a", tmp_path / "llm")
    assert recall_path("0a") == tmp_path / "llm"
    (tmp_path / "llm").rmdir()
    assert recall_path("0a") is None
    assert recall_path("0b") is None


def test_a_lock_whose_file_was_deleted_is_taken_again(tmp_path, monkeypatch):
    import fcntl

    path, real, calls = tmp_path / "lock", fcntl.flock, []

    def flock(file, how):
        real(file, how)
        calls.append(how)
        if len(calls) == 1:  # the one before deletes the file that we have waited for
            path.unlink()

    monkeypatch.setattr(fcntl, "flock", flock)
    with locked(path):
        assert len(calls) == 2 and path.exists()
