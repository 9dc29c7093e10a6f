"""The stage around a builder: its account, what it refuses, and a run that was killed."""

import json
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest
import soundfile

from auralign.builders import build
from auralign.cli import run
from auralign.data.rejected import Note, Rejection, TooManyRejectedError
from auralign.marks import ChangedOutputError
from auralign.records import Records, Utterance, write_records


class Killed(BaseException):
    """What SIGKILL does to a process, as far as its files are concerned."""


@dataclass
class Shout:
    """Writes texts in capitals, leaves out the row "bad", and is killed after some steps."""

    steps_until_killed: int = 1000
    made: int = 0
    name = "shout"

    def describe(self):
        return {"letters": "capital"}

    def steps(self, rows, folder):
        for utterance in rows:
            yield utterance.id, partial(self.shout, utterance)

    def shout(self, utterance):
        if self.made == self.steps_until_killed:
            raise Killed
        self.made += 1
        if utterance.id == "bad":
            return [Rejection("bad", "of bad name", "it is called so")]
        return [replace(utterance, text=utterance.text.upper()), Note("shouted")]


@pytest.fixture
def manifest(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    soundfile.write(folder / "a.wav", np.zeros(1600), 16_000)
    rows = [
        Utterance(id=name, audio="a.wav", seconds=0.1, text="one two") for name in ("u1", "bad", "u2", "u3")
    ]
    write_records(folder / "train.jsonl", rows, kind=Utterance)
    return folder / "train.jsonl"


def test_rows_are_kept_left_out_and_counted(tmp_path, manifest):
    output = tmp_path / "out" / "train.jsonl"
    summary = build(Shout(), manifest, output, max_rejected=0.5)
    assert [(row.id, row.text, row.audio) for row in Records(output, Utterance)] == [
        (name, "ONE TWO", "../in/a.wav") for name in ("u1", "u2", "u3")
    ]
    listed = json.loads((output.parent / "train.rejected.jsonl").read_text())
    assert listed == {"id": "bad", "reason": "of bad name", "detail": "it is called so"}
    assert json.loads((output.parent / "train.built.json").read_text()) == {
        "builder": "shout",
        "options": {"letters": "capital"},
        "read": 4,
        "kept": 3,
        "seconds": 0.3,
        "left out": {"of bad name": 1},
        "notes": {"shouted": 3},
    }
    assert "1 of 4 rejected (of bad name: 1); 3 shouted" in str(summary)


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(tmp_path, manifest, monkeypatch):
    monkeypatch.setattr("auralign.builders.builder.KEPT_EVERY", 0.0)
    whole, torn = tmp_path / "whole" / "train.jsonl", tmp_path / "torn" / "train.jsonl"
    build(Shout(), manifest, whole, max_rejected=0.5)
    with pytest.raises(Killed):
        build(Shout(steps_until_killed=2), manifest, torn, max_rejected=0.5)
    again = Shout()
    build(again, manifest, torn, max_rejected=0.5)
    assert again.made == 2  # of four steps, two were kept
    for name in ("train.jsonl", "train.rejected.jsonl", "train.built.json"):
        assert (whole.parent / name).read_bytes() == (torn.parent / name).read_bytes()
    assert sorted(path.name for path in torn.parent.iterdir()) == sorted(
        path.name for path in whole.parent.iterdir()
    )


def test_a_complete_manifest_is_not_made_again(tmp_path, manifest, capsys):
    output = tmp_path / "out" / "train.jsonl"
    build(Shout(), manifest, output, max_rejected=0.5)
    assert build(Shout(steps_until_killed=0), manifest, output, max_rejected=0.5) is None
    assert "already complete" in capsys.readouterr().out


def test_a_row_that_names_a_row_left_out_is_left_out_too(tmp_path):
    named = {"a": ("b",), "b": ("bad",), "c": (), "bad": ()}
    rows = [Utterance(name, "", 0.0, "one", others=others) for name, others in named.items()]
    write_records(tmp_path / "in.jsonl", rows, kind=Utterance)
    build(Shout(), tmp_path / "in.jsonl", tmp_path / "folder", max_rejected=0.8)
    assert [row.id for row in Records(tmp_path / "folder" / "in.jsonl", Utterance)] == ["c"]
    lines = (tmp_path / "folder" / "in.rejected.jsonl").read_text().splitlines()
    listed = {item["id"]: item["detail"] for item in map(json.loads, lines)}
    assert listed == {"a": "b", "b": "bad", "bad": "it is called so"}


def test_too_many_left_out_writes_nothing(tmp_path, manifest):
    with pytest.raises(TooManyRejectedError, match=r"1 of 4 rejected.*--max-rejected"):
        build(Shout(), manifest, tmp_path / "out" / "train.jsonl", max_rejected=0)
    assert not (tmp_path / "out" / "train.jsonl").exists()


def test_a_text_file_that_changes_before_it_is_read_is_refused(tmp_path, monkeypatch):
    texts = tmp_path / "books.txt"
    texts.write_text("One.\n")
    monkeypatch.setattr(Shout, "describe", lambda self: {"file": texts.write_text("Two.\n")})
    with pytest.raises(ChangedOutputError, match="was changed while this stage was at work"):
        build(Shout(), texts, tmp_path / "out.jsonl")


@pytest.mark.parametrize(("end", "num_told"), [("", 1), ("\n", 0)])
def test_a_text_file_that_may_be_cut_is_reported(tmp_path, end, num_told):
    (tmp_path / "books.txt").write_text(f"One.\nAnd then th{end}")
    summary = build(Shout(), tmp_path / "books.txt", tmp_path / "out.jsonl")
    told = "from the last line of books.txt, which has no newline (was the file cut?)"
    assert summary.notes[told] == num_told


def test_a_text_file_is_a_corpus_of_documents(tmp_path):
    texts = tmp_path / "books.txt"
    texts.write_text("First one.\n\n  Second one. \n", encoding="utf-8")
    build(Shout(), texts, tmp_path / "out.jsonl")
    assert [(row.id, row.audio, row.text) for row in Records(tmp_path / "out.jsonl", Utterance)] == [
        ("books-0000001", "", "FIRST ONE."),
        ("books-0000003", "", "SECOND ONE."),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["measure", "--manifest", "nowhere.jsonl", "--output", "out.jsonl"], "no nowhere.jsonl"),
        (
            ["measure", "--manifest", "{in}", "--output", "out.txt"],
            "--output out.txt: a manifest's name ends with .jsonl",
        ),
        (["measure", "--manifest", "{in}", "--output", "{in}"], "is what the builder reads"),
        (
            ["measure", "--manifest", "{in}", "--output", "out.jsonl", "--label", "x=json"],
            "expected module:function",
        ),
        (
            ["measure", "--manifest", "{in}", "--output", "out.jsonl", "--label", "x=json:nope"],
            "json has no 'nope'",
        ),
        (
            ["measure", "--manifest", "{in}", "--output", "out.jsonl", "--label", "x=nope_:f"],
            "no module 'nope_'",
        ),
        (
            ["chunk", "--manifest", "{in}", "--output", "out.jsonl", "--max-seconds", "0.1"],
            "--max-seconds 0.1",
        ),
        (["relate", "--manifest", "{in}", "--output", "out.jsonl", "--size", "1"], "--size 1"),
        (
            ["relate", "--manifest", "{in}", "--output", "out.jsonl", "--by", "topic"],
            "--by topic: no two rows share",
        ),
        (["negate", "--manifest", "{in}", "--output", "out.jsonl"], "has 1 different texts"),
        (["voice", "--manifest", "{in}", "--output", "out.jsonl", "--share", "2"], "--share 2"),
        (
            ["voice", "--manifest", "{in}", "--output", "out.jsonl", "--engine", "json:loads"],
            "--engine json:loads: cannot be made: TypeError",
        ),
        (
            ["voice", "--manifest", "{in}", "--output", "out.jsonl", "--engine", "parrot"],
            "--engine parrot: no such",
        ),
    ],
)
def test_bad_input_is_one_clear_error(tmp_path, manifest, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ValueError, OSError), match=message.replace("(", r"\(")):
        run(["build", *(word.replace("{in}", str(manifest)) for word in arguments)])
    assert not (tmp_path / "out.jsonl").exists()


def test_the_command_writes_a_manifest(tmp_path, manifest, capsys):
    assert run(["build", "measure", "--manifest", str(manifest), "--output", str(tmp_path / "m.jsonl")]) == 0
    assert "build measure: 4 utterances, 0.4 s" in capsys.readouterr().out


def test_the_mark_that_begins_a_text_file_is_no_letter_of_it(tmp_path):
    (tmp_path / "books.txt").write_bytes(b"\xef\xbb\xbfFirst one.\r\nSecond one.\r\n")
    build(Shout(), tmp_path / "books.txt", tmp_path / "out.jsonl")
    assert [row.text for row in Records(tmp_path / "out.jsonl", Utterance)] == ["FIRST ONE.", "SECOND ONE."]


def test_what_holds_no_documents_is_named(tmp_path):
    (tmp_path / "folder.txt").mkdir()
    (tmp_path / "blank.txt").write_text(" \n\n")
    (tmp_path / "latin.txt").write_bytes("one\ncaf\xe9\n".encode("latin-1"))
    write_records(tmp_path / "none.jsonl", [], kind=Utterance)
    for name, said in (
        ("folder.txt", "folder.txt: is a folder"),
        ("blank.txt", "blank.txt: holds no text"),
        ("latin.txt", "latin.txt:2: not UTF-8"),
        ("none.jsonl", "none.jsonl: holds no utterance"),
    ):
        with pytest.raises(ValueError, match=said):
            build(Shout(), tmp_path / name, tmp_path / "out.jsonl")


def test_what_a_test_set_holds_is_left_out_with_whoever_names_it(tmp_path):
    """A document of which a test sentence is spoken, a relative of a test row, and what names these."""
    rows = [
        Utterance("span", "a.wav", 1.0, "three five"),
        Utterance("free", "a.wav", 1.0, "nine"),
        Utterance("document", "", 0.0, "he said three five", others=("free", "span")),
        Utterance("names", "", 0.0, "more", others=("document",)),
        Utterance("kept", "", 0.0, "nine again", others=("free",)),
    ]
    write_records(tmp_path / "in.jsonl", rows, kind=Utterance)
    write_records(tmp_path / "test.jsonl", [Utterance("t", "a.wav", 1.0, "Three, FIVE!")], kind=Utterance)
    output = tmp_path / "out.jsonl"
    build(Shout(), tmp_path / "in.jsonl", output, max_rejected=0.5, exclude=[tmp_path / "test.jsonl"])
    assert [row.id for row in Records(output, Utterance)] == ["free", "kept"]
    listed = map(json.loads, (tmp_path / "out.rejected.jsonl").read_text().splitlines())
    assert {item["id"]: item["reason"] for item in listed} == {
        "span": "sentence of a test clip",
        "document": "names a row of a test set",
        "names": "names a row of a test set",
    }
    assert (
        build(
            Shout(steps_until_killed=0),
            tmp_path / "in.jsonl",
            output,
            max_rejected=0.5,
            exclude=[tmp_path / "test.jsonl"],
        )
        is None
    )
