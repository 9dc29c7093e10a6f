"""Rows of a source are chosen by conditions on their columns."""

import json

import pytest

from auralign.data.conditions import Condition
from auralign.data.rejected import Note
from auralign.data.sources import Columns, read_source
from source_forms import read, write


def test_rows_are_chosen_by_a_value(tmp_path):
    source = write(tmp_path / "t.csv", "path,sentence,split\na.wav,one,train\nb.wav,two,test\n")
    assert [u.text for u in read_source(source, columns=Columns(where={"split": "test"}))] == ["two"]


def test_no_row_with_the_value_is_said(tmp_path):
    source = write(tmp_path / "t.csv", "path,text,split\na.wav,one,train\n")
    with pytest.raises(ValueError, match="holds no rows in which split = dev"):
        list(read_source(source, columns=Columns(where={"split": "dev"})))


@pytest.mark.parametrize(
    ("condition", "chosen"),
    [
        ("split=train", "ab"),
        ("split == train", "ab"),
        ("split!=train", "cd"),
        ("split in dev, test", "cd"),
        ("split in (dev)", "c"),
        ("length<10", "ab"),
        ("length<=10", "abc"),
        ("length > 9.5", "cd"),
        ("length>=1e1", "cd"),
        ("length=10", "c"),
        ("length=10.0", "c"),
        ("length!=10", "abd"),
        ("length in 9,10.00", "bc"),
        ("speaker=7", "b"),  # 007 is a name
        ("speaker=007", "a"),
        ("name=gr\u00f6\u00dfe", "a"),
        ("note=a=b", "a"),
        ("note=x<y", "b"),
        ("note!=a=b", "bcd"),
    ],
)
def test_rows_are_chosen_by_conditions(tmp_path, condition, chosen):
    rows = "a,x,train,1.5,007,gro\u0308\u00dfe,a=b\nb,x,train,9,7,n,x<y\nc,x,dev,10,8,n,\nd,x,test,100,9,n,\n"
    columns = Columns(where=(Condition.parse(condition),))
    found = read(tmp_path / "t.csv", "path,text,split,length,speaker,name,note\n" + rows, columns=columns)
    assert "".join(utterance.id for utterance in found) == chosen


def test_several_conditions_must_all_fit(tmp_path):
    where = tuple(map(Condition.parse, ("seconds>=1", "seconds<3")))
    rows = "".join(json.dumps({"path": f"{n}.wav", "text": "x", "seconds": n}) + "\n" for n in range(5))
    assert [u.id for u in read(tmp_path / "t.jsonl", rows, columns=Columns(where=where))] == ["1", "2"]


def test_rows_without_the_number_that_is_compared_are_counted(tmp_path):
    rows = '{"path": "a.wav", "text": "x", "snr": null}\n{"path": "b.wav", "text": "x", "snr": 20}\n'
    columns = Columns(where=(Condition.parse("snr>10"),))
    utterance, note = read(tmp_path / "t.jsonl", rows, columns=columns)
    assert (utterance.id, note) == (
        "b",
        Note("rows left out, as a condition compares their snr, which is empty", 1),
    )


@pytest.mark.parametrize("condition", ["valid=true", "valid=True", "valid!=false"])
def test_true_is_true(tmp_path, condition):
    rows = '{"path": "a.wav", "text": "x", "valid": true}\n{"path": "b.wav", "text": "x", "valid": false}\n'
    found = read(tmp_path / "t.jsonl", rows, columns=Columns(where=(Condition.parse(condition),)))
    assert [u.id for u in found] == ["a"]


@pytest.mark.parametrize(
    "condition",
    [
        "",
        "split",
        "=train",
        "split in",
        "split in ,",
        "in a,b",
        "length<",
        "split=>3",
        "length<many",
    ],
)
def test_what_is_no_condition_is_refused(condition):
    with pytest.raises(ValueError, match="is not a condition|is not a number"):
        Condition.parse(condition)


@pytest.mark.parametrize(("condition", "fits"), [("a=", [True, True, False]), ("a !=", [False, False, True])])
def test_an_empty_cell_can_be_asked_for(condition, fits):
    assert [Condition.parse(condition).fits(cell, "t:1") for cell in (None, "", "x")] == fits
