"""What a manifest is made of, against counts by hand."""

import json

import pytest

from auralign.cli import run
from auralign.records import Utterance, write_records


@pytest.fixture
def manifest(tmp_path):
    def row(name, text, seconds=1800.0, **fields):
        return Utterance(name, fields.pop("audio", f"{name}.wav"), seconds, text, **fields)

    rows = [
        row("a", "One two.", speaker="ann", labels={"source": "radio", "year": 2010}, audio_hash="1"),
        row("b", "one two", speaker="ann", labels={"source": "radio", "year": 2020}, audio_hash="2"),
        row("c", "three", speaker="bob", labels={"source": "book", "year": 2010}, audio_hash="1"),
        row("d", "four", 0.0, audio="", labels={"source": "book"}),
    ]
    write_records(tmp_path / "train.jsonl", rows, kind=Utterance)
    write_records(tmp_path / "test.jsonl", [row("t", "Three!", speaker="ann")], kind=Utterance)
    (tmp_path / "train.rejected.jsonl").write_text(
        '{"id": "x", "reason": "silent", "detail": "a\u2028b"}\n{"id": "y", "reason": "silent"}\n',
        encoding="utf-8",
    )
    return tmp_path / "train.jsonl"


def counts(**values):
    found = {
        "utterances": 1, "documents": 0, "hours": 0.5, "speakers": 1, "repeated_text": 0, "repeated_audio": 0,
        "shared_with_tests": {},
    }  # fmt: skip
    return found | values


def test_rows_are_counted_by_label(manifest, capsys):
    test = str(manifest.with_name("test.jsonl"))
    assert run(["audit", "data", str(manifest), "--test", test, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["left_out"] == {"silent": 2}
    assert found["counts"] == {
        "all": {
            "all": counts(
                utterances=3, documents=1, hours=1.5, speakers=2, repeated_text=1, repeated_audio=1,
                shared_with_tests={"speaker": 2, "sentence": 1},
            )
        },
        "source": {
            "book": counts(documents=1, repeated_audio=1, shared_with_tests={"sentence": 1}),
            "radio": counts(utterances=2, hours=1.0, repeated_text=1, shared_with_tests={"speaker": 2}),
        },
        "year": {
            "2010": counts(
                utterances=2, hours=1.0, speakers=2, repeated_audio=1, shared_with_tests={"speaker": 1, "sentence": 1}
            ),
            "2020": counts(repeated_text=1, shared_with_tests={"speaker": 1}),
            "not known": counts(utterances=0, documents=1, hours=0.0, speakers=0),
        },
    }  # fmt: skip


def test_the_table_crosses_labels_and_says_that_overlap_is_not_known(manifest, capsys):
    run(["audit", "data", str(manifest), "--by", "source,year"])
    lines = capsys.readouterr().out.splitlines()
    assert any(
        line.split() == ["radio,", "2010", "1", "0", "0.50", "1", "0", "0", "-", "-", "-"] for line in lines
    )
    assert "Left out before: silent: 2" in lines
    assert lines[-1].startswith("No test set was given (--test)")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data", "{in}", "--by", "colour"], "--by colour: no utterance has it; there are .*source"),
        (["targets", "{in}"], "give one TARGETS, or audit data MANIFEST"),
        (["data", "nowhere.jsonl"], "no Utterance file at nowhere.jsonl"),
        (["data", "{in}", "--test", "{in}"], "is among the test manifests too"),
    ],
)
def test_bad_input_is_one_clear_error(manifest, arguments, message):
    with pytest.raises((ValueError, OSError), match=message):
        run(["audit", *(word.replace("{in}", str(manifest)) for word in arguments)])
