"""What is read is compared with what its stage recorded, and files that no stage recorded are named once."""

import random
from dataclasses import replace

import pytest

from auralign.files import read_json, write_json
from auralign.marks import ChangedOutputError, accept_changed
from auralign.records import RecordError, Records, Utterance, read_rows, write_records
from auralign.stage import Stage, content

ROWS = [Utterance(f"u{n}", f"{n}.flac", 1.5, f"text {n}", labels={"n": n}) for n in range(4)]


def prepare(folder, rows=ROWS):
    path = folder / "train.jsonl"
    with Stage("prepare", folder, inputs={"rows": len(rows)}, outputs=[path]) as stage:
        if not stage.complete:
            write_records(path, rows, kind=Utterance)
            assert len(Records(path, Utterance)) == len(rows)  # the stage itself reads what it makes
    return path


@pytest.mark.parametrize("read", [Records, lambda *arguments: list(read_rows(*arguments))])
def test_every_flipped_bit_of_a_finished_file_is_found(tmp_path, read, capsys):
    path = prepare(tmp_path)
    whole, draw = path.read_bytes(), random.Random(1)
    for _ in range(200):
        damaged = bytearray(whole)
        place = draw.randrange(8 * len(whole))
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises((RecordError, ChangedOutputError), match="train.jsonl"):
            read(path, Utterance)
    path.write_bytes(whole)
    read(path, Utterance)
    assert capsys.readouterr().err == ""


def test_an_edited_file_is_refused_until_its_mark_is_removed(tmp_path, capsys):
    path = prepare(tmp_path)
    write_records(path, [replace(ROWS[0], text="other"), *ROWS[1:]], kind=Utterance)
    with pytest.raises(
        ChangedOutputError,
        match=r"train.jsonl: is not what the stage wrote, which \.prepare\.done\.json records .* delete .*prepare",
    ):
        Records(path, Utterance)
    (tmp_path / ".prepare.done.json").unlink()
    for _ in range(2):
        assert Records(path, Utterance)[0].text == "other"
    assert capsys.readouterr().err.count("no stage recorded its content") == 1


def test_another_file_that_a_stage_made_is_compared_when_it_is_hashed(tmp_path):
    path = tmp_path / "train.teacher.npy"
    with Stage("generate train", tmp_path, inputs={}, outputs=[path]):
        path.write_bytes(b"logits")
    assert content(path, made_by="stage 2 (generate)")
    path.write_bytes(b"logitt")
    with pytest.raises(ChangedOutputError, match="run that stage again"):
        content(path, made_by="stage 2 (generate)")


def test_a_changed_file_is_used_if_that_was_asked_for_and_is_named(tmp_path, capsys):
    path = prepare(tmp_path)
    write_records(path, ROWS[:3], kind=Utterance)
    accept_changed(path)
    assert len(Records(path, Utterance)) == 3
    assert "is not what the stage wrote" in capsys.readouterr().err


def test_other_rows_of_a_later_run_are_read(tmp_path):
    prepare(tmp_path)
    assert len(Records(prepare(tmp_path, ROWS[:2]), Utterance)) == 2


def test_the_mark_of_an_earlier_auralign_has_no_names_and_is_no_reason_to_say_anything(tmp_path, capsys):
    path, done = prepare(tmp_path), tmp_path / ".prepare.done.json"
    write_json(done, {name: value for name, value in read_json(done).items() if name != "names"})
    assert len(Records(path, Utterance)) == 4
    assert content(path, made_by="stage 1")
    assert capsys.readouterr().err == ""


def test_a_file_that_changes_while_a_stage_is_at_work_is_refused(tmp_path):
    path = tmp_path / "by_hand.jsonl"
    write_records(path, ROWS, kind=Utterance)
    inputs = {"manifest": content(path, made_by="stage 1")}
    with Stage("next", tmp_path, inputs=inputs, outputs=[]):
        assert len(Records(path, Utterance)) == len(ROWS)
        write_records(path, ROWS[:1], kind=Utterance)
        with pytest.raises(
            ChangedOutputError, match=r"by_hand.jsonl: was changed while this stage was at work"
        ):
            Records(path, Utterance)
    assert len(Records(path, Utterance)) == 1


def test_a_file_that_another_stage_has_taken_may_change(tmp_path):
    path = prepare(tmp_path)
    content(path, made_by="stage 1")  # of a stage that did not begin
    (tmp_path / ".prepare.done.json").unlink()
    with Stage("prepare", tmp_path, inputs={}, outputs=[path]):
        write_records(path, ROWS[:1], kind=Utterance)
        assert len(Records(path, Utterance)) == 1


def test_a_file_of_a_stage_that_begins_behind_another_may_not_change(tmp_path):
    path = prepare(tmp_path)
    inputs = {
        "manifest": content(path, made_by="stage 1")
    }  # both stages are described before the first begins
    (tmp_path / ".prepare.done.json").unlink()
    with Stage("first", tmp_path / "first", inputs={}, outputs=[]):
        write_records(path, ROWS[:1], kind=Utterance)
    with (
        pytest.raises(ChangedOutputError, match="was changed while this stage was at work"),
        Stage("second", tmp_path / "second", inputs=inputs, outputs=[]),
    ):
        len(Records(path, Utterance))
