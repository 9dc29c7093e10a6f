"""Columns become fields, labels and attributes by their usual names or by a mapping."""

import json
import math

import pytest

from auralign.data.sources import Columns, read_source
from source_forms import write


def test_columns_may_have_any_name(tmp_path):
    source = write(tmp_path / "t.csv", "clip,said,who\nx/y.mp3,hello,7\n")
    columns = Columns({"audio": "clip", "text": "said", "speaker": "who"})
    (utterance,) = read_source(source, columns=columns)
    assert (utterance.id, utterance.audio, utterance.text, utterance.speaker) == (
        "x/y",
        "x/y.mp3",
        "hello",
        "7",
    )


def test_nested_columns_are_reached_by_dots(tmp_path):
    source = write(tmp_path / "t.jsonl", '{"audio": "a.wav", "custom": {"texts": ["One.", "ONE"]}}\n')
    (utterance,) = read_source(source, columns=Columns({"text": "custom.texts.1"}))
    assert utterance.text == "ONE"


def test_nemos_names_are_known(tmp_path):
    source = write(
        tmp_path / "t.json", '{"audio_filepath": "a.wav", "duration": 1.5, "offset": 0.25, "text": "one"}\n'
    )
    (utterance,) = read_source(source)
    assert (utterance.id, utterance.start, utterance.seconds) == ("a", 0.25, 1.5)


def test_an_unknown_field_is_refused():
    with pytest.raises(ValueError, match="no field 'txt' of an utterance; fields are id, audio, text"):
        Columns({"txt": "sentence"})


def test_each_row_has_its_own_columns(tmp_path):
    rows = [
        {"audio": "a.wav", "text": "x"},
        {"audio": "b.wav", "text": "y", "start": 1, "seconds": 2, "speaker": "s"},
    ]
    source = write(tmp_path / "t.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    first, second = read_source(source)
    assert (first.start, first.seconds, first.speaker) == (0.0, math.inf, "")
    assert (second.start, second.seconds, second.speaker) == (1.0, 2.0, "s")


def test_columns_that_begin_to_differ_are_asked_about(tmp_path):
    source = write(tmp_path / "t.csv", "path,text,sentence\na.wav,one,one\nb.wav,two,Two.\n")
    with pytest.raises(ValueError, match=r"t.csv:3: the column of the text could be text or sentence"):
        list(read_source(source))


def test_attributes_are_kept_where_they_are_known(tmp_path):
    rows = "id,audio,text,mood\nu1,a.wav,one,happy\nu2,b.wav,two,\n"
    columns = Columns(attributes={"emotion": "mood"})
    found = read_source(write(tmp_path / "t.csv", rows), columns=columns)
    assert [utterance.attributes for utterance in found] == [{"emotion": "happy"}, {}]
