"""Records survive the disk byte for byte, and a broken file says where."""

import numpy as np
import pytest

from auralign import record_index, records
from auralign.files import hash_path, write_json
from auralign.marks import mark_path
from auralign.records import (
    Choice,
    RecordError,
    Records,
    Target,
    TargetRequest,
    Utterance,
    header,
    shorten,
    to_line,
    write_records,
)

ODD_TEXTS = [
    "",
    "tab\there",
    "new\nline",
    "carriage\r",
    "nul\x00",
    "नमस्ते",
    "👩‍🔬",
    "\u202eabc",
    "e\u0301 é",
    '"quoted" \\ back',
    "<|im_end|>",
    "\u2028",
]


def utterances(texts):
    return [Utterance(id=f"u{n}", audio=f"{n}.flac", seconds=1.25, text=text) for n, text in enumerate(texts)]


def test_text_comes_back_byte_for_byte(tmp_path):
    write_records(tmp_path / "m.jsonl", utterances(ODD_TEXTS), kind=Utterance)
    assert [utterance.text for utterance in Records(tmp_path / "m.jsonl", Utterance)] == ODD_TEXTS


def test_a_line_holds_what_is_not_its_default():
    choice = Choice("repeat", None, {"span": 2})
    request = TargetRequest(key="k", utt_id="u", choice=choice, prompt_ids=(1, 2), decoding={})
    assert to_line(Utterance(id="u", audio="a", seconds=1.5, text="é\n", start=0, words=())) == (
        '{"id": "u", "audio": "a", "seconds": 1.5, "text": "é\\n", "words": []}\n'
    )
    assert to_line(request) == (
        '{"key": "k", "utt_id": "u", "choice": {"task": "repeat", "instruction": null, "options": {"span": 2}}, '
        '"prompt_ids": [1, 2], "decoding": {}}\n'
    )


def test_row_is_found_by_id_and_by_number(tmp_path):
    write_records(tmp_path / "m.jsonl", utterances(["a", "b", "c"]), kind=Utterance)
    records = Records(tmp_path / "m.jsonl", Utterance)
    assert records["u1"].text == records[1].text == "b"
    assert records.row("u2") == 2
    assert "u9" not in records


def test_unknown_id_is_named(tmp_path):
    write_records(tmp_path / "m.jsonl", utterances(["a"]), kind=Utterance)
    with pytest.raises(RecordError, match="no id 'u9'"):
        Records(tmp_path / "m.jsonl", Utterance)["u9"]


def test_nested_choice_comes_back(tmp_path):
    target = Target(
        key="k",
        utt_id="u",
        choice=Choice("repeat", "say {speech}", {"span": 2}),
        response="r",
        finish_reason="stop",
        method="sit",
        method_version="1",
        llm="tiny",
        llm_revision="r",
        frame_hash="f",
        prompt_hash="p",
        decoding={"temperature": 0.0},
        seed=1,
    )
    write_records(tmp_path / "t.jsonl", [target], kind=Target)
    assert Records(tmp_path / "t.jsonl", Target)[0] == target


def test_id_used_twice_is_refused_when_written(tmp_path):
    twice = utterances(["a"]) * 2
    with pytest.raises(RecordError, match="the id 'u0' is used twice, it would be on the lines 2 and 3"):
        write_records(tmp_path / "m.jsonl", twice, kind=Utterance)
    assert list(tmp_path.iterdir()) == []


def test_id_used_twice_is_refused_when_read(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text(header(Utterance) + to_line(utterances(["a"])[0]) * 2)
    with pytest.raises(RecordError, match="'u0' is used twice, on the lines 2 and 3"):
        Records(path, Utterance)


@pytest.mark.parametrize("cut", range(1, 60))
def test_file_cut_anywhere_in_its_last_line_is_refused(tmp_path, cut):
    path = tmp_path / "m.jsonl"
    path.write_text((header(Utterance) + "".join(map(to_line, utterances(["a", "b"]))))[:-cut])
    with pytest.raises(RecordError, match="m.jsonl:3: the last line is cut"):
        Records(path, Utterance)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "a", "audio": "a.flac", "seconds": 1}', "lacks text"),
        ('{"id": "a", "audio": "a.flac", "seconds": 1, "text": "", "txt": ""}', "unknown field txt"),
        ("[1]", "expected a JSON object, found list"),
        ("{", "not a JSON object"),
    ],
)
def test_broken_line_is_named(tmp_path, line, message):
    path = tmp_path / "m.jsonl"
    path.write_text(header(Utterance) + line + "\n")
    with pytest.raises(RecordError, match=f"m.jsonl:2: .*{message}"):
        Records(path, Utterance)


@pytest.mark.parametrize(
    ("first", "message"),
    [
        ('{"schema": "Target", "version": 1}', "holds Target records; Utterance records are needed"),
        ('{"schema": "Utterance", "version": 7}', "schema version 7"),
        ('{"id": "a"}', "expected the header"),
        ("", "expected the header"),
    ],
)
def test_file_of_another_kind_is_refused(tmp_path, first, message):
    path = tmp_path / "m.jsonl"
    path.write_text(first + "\n")
    with pytest.raises(RecordError, match=message):
        Records(path, Utterance)


def test_absent_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no Utterance file at"):
        Records(tmp_path / "m.jsonl", Utterance)


def test_index_takes_24_bytes_a_row(tmp_path):
    write_records(tmp_path / "m.jsonl", utterances(["text"] * 1000), kind=Utterance)
    records = Records(tmp_path / "m.jsonl", Utterance)
    arrays = (records._offsets, records._hashes, records._order)
    assert sum(array.nbytes for array in arrays) == 24 * 1000 + 8


def test_word_times_come_back(tmp_path):
    words = (("a", 0.0, 0.5), ("b", 0.5, 1.25))
    found = [
        Utterance(id=f"u{n}", audio="a", seconds=2.0, text="a b", words=w)
        for n, w in enumerate((words, (), None))
    ]
    write_records(tmp_path / "m.jsonl", found, kind=Utterance)
    assert list(Records(tmp_path / "m.jsonl", Utterance)) == found


@pytest.mark.parametrize(("num_letters", "shown"), [(200, 200), (201, 200), (100_000, 200)])
def test_a_long_value_is_shortened_in_messages(num_letters, shown):
    text = shorten("x" * num_letters)
    assert len(text) == shown
    assert text.endswith(f"({num_letters} letters)") == (num_letters > 200)


# --- the index that is kept beside a large file


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A manifest whose stage has recorded it, after it was opened once, and the numbers of lines that were parsed since."""
    monkeypatch.setattr(record_index, "KEPT_FROM", 2)
    path, parsed, parse = tmp_path / "train.jsonl", [], records.parse_object
    write_records(path, [named(name) for name in "bca"], kind=Utterance)
    mark = {"inputs": {}, "outputs": {"0": hash_path(path)}, "names": [path.name]}
    write_json(mark_path(tmp_path, "prepare", "done"), mark)
    Records(path, Utterance)
    monkeypatch.setattr(
        records, "parse_object", lambda line, position: parsed.append(1) or parse(line, position=position)
    )
    return path, parsed


def named(name):
    return Utterance(id=name, audio=f"{name}.flac", seconds=1.0, text="three")


def test_a_file_with_an_index_is_not_parsed_again(kept):
    path, parsed = kept
    found = Records(path, Utterance)
    assert not parsed
    assert (len(found), found.digest) == (3, hash_path(path))
    assert [one.id for one in found] == list("bca")
    assert found.row("a") == 2 and "d" not in found


def test_another_content_is_parsed_and_has_an_index_of_its_own(kept):
    path, parsed = kept
    mark_path(path.parent, "prepare", "done").unlink()
    write_records(path, [named("bb"), named("a")], kind=Utterance)
    assert [one.id for one in Records(path, Utterance)] == ["bb", "a"]
    assert len(parsed) == 3 + 2  # header and rows for the index, and rows when they are asked for


@pytest.mark.parametrize("damage", [lambda data: data[:-40], lambda data: data[:300] + b"?" + data[301:]])
def test_a_damaged_index_is_not_believed(kept, damage):
    path, parsed = kept
    beside = record_index.index_path(path)
    beside.write_bytes(damage(beside.read_bytes()))
    assert [one.id for one in Records(path, Utterance)] == list("bca")
    assert len(parsed) == 4 + 3


@pytest.mark.parametrize(
    "field, values", [("offsets", [45, 90, 135, 10**9]), ("order", [0, 0, 2]), ("order", [[0, 1, 2]])]
)
def test_an_index_that_points_elsewhere_is_not_believed(kept, field, values):
    path, _ = kept
    beside = record_index.index_path(path)
    with np.load(beside) as found:
        arrays = {**found, field: np.array(values, np.int64)}
    np.savez(beside, **arrays)
    assert [one.id for one in Records(path, Utterance)] == list("bca")


def test_an_id_that_is_used_twice_is_found_whatever_is_kept(kept):
    path, _ = kept
    mark_path(path.parent, "prepare", "done").unlink()
    path.write_text(path.read_text() + to_line(named("a")))
    with pytest.raises(RecordError, match="'a' is used twice"):
        Records(path, Utterance)


def test_nothing_is_kept_of_what_no_stage_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(record_index, "KEPT_FROM", 2)
    path = tmp_path / "train.jsonl"
    write_records(path, [named("a"), named("b")], kind=Utterance)
    Records(path, Utterance)
    assert not record_index.index_path(path).exists()
