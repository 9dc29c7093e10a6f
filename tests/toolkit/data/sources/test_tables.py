"""Tables are read whatever separates their columns; a broken line is named."""

import gzip

import pytest

from auralign.data.conditions import Condition
from auralign.data.rejected import Note
from auralign.data.sources import Columns, read_source
from auralign.records import RecordError
from source_forms import read, write


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.jsonl", '{"audio": "a.wav", "text": "x", "text": "y"}\n', r"t.jsonl:1: the key 'text' is there twice"),
        ("t.jsonl", '{"audio": "a.wav", "text": "x", "duration": NaN}\n', r"t.jsonl:1: the value NaN is no number"),
        ("t.jsonl", '{"audio": "a.wav", "text": "x"}\n{"audio": "b', r"t.jsonl:2: no JSON object .*was the file cut"),
        ("t.jsonl", "[1]\n", r"t.jsonl:1: expected a JSON object, found list"),
        ("t.jsonl", '{"audio": "a.wav", "text": 5}\n', r"t.jsonl:1: the text is int; expected text"),
        ("t.jsonl", '{"audio": "a.wav", "text": "x", "duration": "long"}\n', r"t.jsonl:1: the seconds 'long' is not a number"),
        ("t.jsonl", '{"audio": "", "text": "x"}\n', r"t.jsonl:1: names no audio"),
        ("t.csv", "path,sentence\na.wav,one\nb.wav\n", r"t.csv:3: .*the 2 columns of the header"),
        ("t.csv", "path,sentence\na.wav,one, two\n", r"t.csv:2: .*the 2 columns .*separator not quoted"),
        ("t.csv", 'path,sentence\na.wav,"one\n', r"t.csv: after line 1: unexpected end of data; is a quote"),
        ("t.csv", "path,path\na.wav,b\n", r"t.csv:1: a column name is used twice"),
        ("t.csv", "clip,said\na.wav,one\n", r"t.csv:2: the column of the audio was not found; .*--column audio=NAME"),
        ("t.csv", "path,file,text\na.wav,b.wav,one\n", r"the audio could be path or file"),
        ("t.csv", "path,text\n", r"t.csv: holds no rows"),
        ("t.csv", "", r"t.csv: holds no rows"),
        ("t.txt", "x", r"cannot tell its form by its name; say --form"),
    ],
)  # fmt: skip
def test_a_broken_table_is_named(tmp_path, name, text, message):
    with pytest.raises(ValueError, match=message):
        list(read_source(write(tmp_path / name, text)))


def test_a_table_that_is_not_utf8_is_named(tmp_path):
    (tmp_path / "t.csv").write_bytes("path,text\na.wav,ok\nb.wav,fünf\n".encode("latin-1"))
    with pytest.raises(RecordError, match=r"t.csv:3: not UTF-8; .*iconv"):
        list(read_source(tmp_path / "t.csv"))


@pytest.mark.parametrize(
    ("separator", "ending"), [(s, e) for s in ",;|\t" for e in ("csv", "tsv", "txt", "csv.gz")]
)
def test_the_separator_of_a_table_is_found(tmp_path, separator, ending):
    rows = [["path", "sentence", "note"], ["a.wav", "three five", "x"], ["b.wav", "nine", "y"]]
    text = "".join(separator.join(row) + "\n" for row in rows)
    path = tmp_path / f"t.{ending}"
    path.write_bytes(gzip.compress(text.encode()) if ending.endswith("gz") else text.encode())
    assert [(u.id, u.text) for u in read_source(path)] == [("a", "three five"), ("b", "nine")]


def test_a_separator_within_the_header_does_not_mislead(tmp_path):
    found = read(tmp_path / "t.csv", "path,sentence,a|b|c|d\na.wav,three | five,x\n")
    assert found[0].text == "three | five"


def test_ljspeech_has_no_header_and_its_audio_is_named_after_the_id(tmp_path):
    text = 'LJ001-0001|He said "two|he said "two\nLJ001-0002|in 1455|in fourteen fifty-five\n'
    columns = Columns({"audio": "wavs/{id}.wav"})
    found = read(tmp_path / "metadata.csv", text, names=["id", "raw", "text"], columns=columns)
    assert [(u.id, u.audio, u.text) for u in found] == [
        ("LJ001-0001", "wavs/LJ001-0001.wav", 'he said "two'),
        ("LJ001-0002", "wavs/LJ001-0002.wav", "in fourteen fifty-five"),
    ]


def test_a_table_of_semicolons_has_decimal_commas(tmp_path):
    text = 'path;start;duration;text\na.wav;0,5;1,25;"drei; fünf"\nb.wav;1;2.5;1,5\n'
    where = (Condition.parse("duration<2"),)
    found = read(tmp_path / "t.csv", text)
    assert [(u.start, u.seconds, u.text) for u in found] == [(0.5, 1.25, "drei; fünf"), (1.0, 2.5, "1,5")]
    assert [u.id for u in read(tmp_path / "u.csv", text, columns=Columns(where=where))] == ["a"]


def test_a_decimal_comma_between_commas_is_no_number(tmp_path):
    with pytest.raises(RecordError, match=r"t.csv:2: the seconds '1,25' is not a number"):
        read(tmp_path / "t.csv", 'path,duration,text\na.wav,"1,25",x\n')


def test_the_separator_may_be_given(tmp_path):
    assert read(tmp_path / "t.csv", "path~text\na.wav~one\n", separator="~")[0].text == "one"


def test_a_long_row_is_shortened_in_the_error(tmp_path):
    with pytest.raises(ValueError, match=r"t.csv:2: the column of the audio was not found") as caught:
        read(tmp_path / "t.csv", f"a.wav|{'three ' * 1000}\nb.wav|two\n")
    assert len(str(caught.value)) < 500 + len(str(tmp_path))


@pytest.mark.parametrize(("end", "num_told"), [("", 1), ("\n", 0), ("\r\n", 0)])
def test_a_last_line_without_its_newline_is_reported_and_kept(tmp_path, end, num_told):
    path = tmp_path / "clips.csv"
    path.write_bytes(f"path,sentence\r\na.wav,one\r\nb.wav,three fo{end}".encode())
    items = list(read_source(path))
    notes = [item.text for item in items if isinstance(item, Note)]
    assert len(items) - len(notes) == 2
    assert notes == ["from the last line of clips.csv, which has no newline (was the file cut?)"] * num_told


@pytest.mark.parametrize("damage", [lambda data: data[:-12], lambda data: data[:10] + b"\x07" + data[11:]])
def test_a_damaged_gzip_is_named(tmp_path, damage):
    path = tmp_path / "clips.csv.gz"
    path.write_bytes(damage(gzip.compress(b"path,sentence\n" + b"a.wav,one\n" * 100)))
    with pytest.raises(RecordError, match=r"clips.csv.gz: cannot be read after line \d+ .*copy it again"):
        list(read_source(path))
