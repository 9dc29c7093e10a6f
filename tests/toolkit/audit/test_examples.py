"""Targets of stage 2 and foreign ones become the same examples."""

import pytest

from auralign.audit.examples import draw, is_foreign, own_source
from auralign.audit.foreign import foreign_source
from auralign.layout import Response, Text, View
from auralign.records import Choice, RecordError, Target, Utterance, write_records

ROW = {"instruction": "repeat {speech}", "text": "three", "target": "I heard three"}


def only(source):
    (found,) = source.iterate()
    return found


@pytest.mark.parametrize(
    ("fields", "response"),
    [
        ({"finish_reason": "MAX_TOKENS"}, ROW["target"]),
        ({"stop_reason": "max_tokens"}, ROW["target"]),
        ({"target": "I heard<|truncated|>"}, "I heard"),
    ],
)
def test_a_foreign_target_that_was_cut_off_ends_no_turn(write_rows, fields, response):
    found = only(foreign_source(write_rows([{**ROW, **fields}])))
    assert (found.response, found.finished) == (response, False)


def test_a_foreign_row_is_an_example(write_rows):
    found = only(foreign_source(write_rows([ROW])))
    assert (found.text, found.asked, found.response, found.finished) == (
        "three",
        "repeat {speech}",
        "I heard three",
        True,
    )
    assert found.read("five") == View((Text("repeat "), Text("five"), Response("I heard three")))


@pytest.mark.parametrize("instruction", [None, "", " "])
def test_without_an_instruction_nothing_is_asked(write_rows, instruction):
    found = only(foreign_source(write_rows([{**ROW, "instruction": instruction}])))
    assert (found.instruction, found.asked) == (None, "")
    assert found.read("five").segments[0] == Text("five")


def test_an_instruction_without_a_slot_is_put_before_and_noted(write_rows):
    source = foreign_source(write_rows([{**ROW, "instruction": "Repeat."}]))
    assert only(source).instruction == "Repeat.\n{speech}"
    assert list(source.notes.values()) == [1]


def test_columns_can_be_named_and_nested(write_rows):
    row = {"said": "three", "messages": [{"content": "repeat {speech}"}, {"content": "I heard three"}]}
    columns = {"text": "said", "instruction": "messages.0.content", "target": "messages.1.content"}
    found = only(foreign_source(write_rows([row]), columns=columns))
    assert (found.text, found.instruction, found.response) == ("three", "repeat {speech}", "I heard three")


def test_a_table_is_read_too(tmp_path):
    path = tmp_path / "targets.csv"
    path.write_text('text,target,finish_reason\nthree,"I heard, three",length\n')
    found = only(foreign_source(path))
    assert (found.response, found.finished) == ("I heard, three", False)


def test_parquet_is_read_too(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "targets.parquet"
    parquet.write_table(pyarrow.table({"sentence": ["three"], "output": ["I heard three"]}), path)
    found = only(foreign_source(path))
    assert (found.text, found.response) == ("three", "I heard three")


def test_a_file_of_no_form_names_those_of_targets(write_rows):
    with pytest.raises(ValueError, match="say --form jsonl or csv or tsv or parquet$"):
        foreign_source(write_rows([ROW], "targets.log"))


def test_transcripts_and_attributes_come_from_a_manifest(write_rows, tmp_path):
    manifest = tmp_path / "train.jsonl"
    said = Utterance(id="u1", audio="a", seconds=1.0, text="three", attributes={"emotion": "sad"})
    write_records(manifest, [said], kind=Utterance)
    rows = write_rows([{"id": "u1", "target": "I hear you", "voice": "low"}])
    found = only(foreign_source(rows, manifest=manifest, attributes={"pitch": "voice"}))
    assert (found.text, dict(found.attributes)) == ("three", {"emotion": "sad", "pitch": "low"})


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "three"}, r"jsonl:1: no target in the columns text; .*--column target=NAME"),
        ({"target": "three"}, "jsonl:1: no transcript .*--column text=NAME"),
        ({**ROW, "answer": "no"}, "jsonl:1: the target could be target or answer; .*--column target=NAME"),
        ({**ROW, "target": 3}, "jsonl:1: the target is int; expected text"),
        ({**ROW, "text": ["three"]}, "jsonl:1: the text is list; expected text"),
        ({**ROW, "instruction": "{speech} or {speech}"}, "jsonl:1: .*has several {speech}"),
    ],
)
def test_a_row_that_is_no_target_is_named(write_rows, row, message):
    with pytest.raises(RecordError, match=message):
        list(foreign_source(write_rows([row])).iterate())


def test_an_unknown_field_is_named(write_rows):
    with pytest.raises(ValueError, match="--column txt: .*fields are id, text, target"):
        foreign_source(write_rows([ROW]), columns={"txt": "a"})


def target(**changes):
    values = {
        "key": "k1",
        "utt_id": "u1",
        "choice": Choice(task="none", options={"view": "s"}),
        "response": "okay three",
        "finish_reason": "stop",
        "method": "sift",
        "method_version": "1",
        "llm": "llm",
        "llm_revision": "r",
        "frame_hash": "f",
        "prompt_hash": "p",
        "decoding": {},
        "seed": 1,
    }
    return Target(**{**values, **changes})


@pytest.fixture
def own(tmp_path):
    """A function that writes one target and its utterance, and returns both paths."""

    def write(**changes):
        said = Utterance(id="u1", audio="a", seconds=1.0, text="three", attributes={"emotion": "sad"})
        paths = tmp_path / "own.jsonl", tmp_path / "train.jsonl"
        write_records(paths[0], [target(**changes)], kind=Target)
        write_records(paths[1], [said], kind=Utterance)
        return paths

    return write


def test_targets_of_stage_2_are_laid_out_by_their_method(own):
    found = only(own_source(*own()))
    assert (found.asked, found.finished, dict(found.attributes)) == ("", True, {"emotion": "sad"})
    view = found.read("five")
    assert view.system is None  # as SIFT's students have none
    assert view.segments[0] == Text("five", tag="speech")


def test_a_method_that_is_not_installed_is_noted(own):
    source = own_source(*own(method="gone", choice=Choice(instruction="repeat {speech}")))
    assert only(source).read("five").segments[:2] == (Text("repeat "), Text("five"))
    assert any("gone" in note for note in source.notes)


def test_a_target_that_was_cut_off_is_not_finished(own):
    found = only(own_source(*own(finish_reason="length")))
    assert not found.finished
    assert not found.read("three").response.finished


def test_an_utterance_that_is_not_in_the_manifest_is_named(own):
    with pytest.raises(RecordError, match="k1 is about 'gone', which is not in .*--manifest FILE"):
        list(own_source(*own(utt_id="gone")).iterate())


def test_files_of_stage_2_are_told_from_foreign_ones(own, write_rows):
    assert not is_foreign(own()[0])
    assert is_foreign(write_rows([ROW]))
    with pytest.raises(FileNotFoundError, match="no targets at"):
        is_foreign(write_rows([ROW]).with_name("gone.jsonl"))


def test_a_sample_is_drawn_evenly_and_all_are_counted(write_rows):
    source = foreign_source(write_rows([{**ROW, "text": str(number)} for number in range(10)]))
    counts, seen = [0] * 10, []
    for seed in range(300):
        for one in draw(source, 3, seed, seen.append):
            counts[int(one.text)] += 1
    assert len(seen) == 3000
    assert min(counts) > 60 and max(counts) < 120  # 90 each are expected
    assert [one.text for one in draw(source, 20, 1, seen.append)] == [str(number) for number in range(10)]


def test_empty_transcripts_are_counted_as_such(write_rows):
    """The cell of a CSV may be empty by mistake: an audit must not measure it without a word."""
    source = foreign_source(write_rows([ROW, {**ROW, "text": " "}, {**ROW, "text": ""}]))
    assert [example.text.strip() for example in source.iterate()] == ["three", "", ""]
    ((note, count),) = source.notes.items()
    assert (count, "transcripts are empty" in note, "--manifest" in note) == (2, True, True)


def test_a_row_of_messages_is_told_how_a_nested_column_is_named(write_rows):
    said = {"role": "user", "content": "three"}, {"role": "assistant", "content": "I heard three"}
    path = write_rows([{"messages": [*said]}])
    with pytest.raises(RecordError, match=r"--column target=NAME \(a nested one is messages.0.content"):
        list(foreign_source(path).iterate())
    columns = {"text": "messages.0.content", "target": "messages.1.content"}
    found = only(foreign_source(path, columns=columns))
    assert (found.text, found.response) == ("three", "I heard three")
