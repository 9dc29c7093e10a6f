"""A corpus without a recipe becomes a manifest, with questions about it."""

import numpy as np
import pytest
import soundfile

from auralign import cli
from auralign.data.own_corpus import AS_TEXT, prepare_own_corpus, questions_path
from auralign.marks import ChangedOutputError
from auralign.records import Question, RecordError, Records, Utterance
from auralign.stage import Stage, StageBusyError, content

TRANSLATE = ("Auf Deutsch: {speech}", "german")


@pytest.fixture
def clips(tmp_path):
    for name in ("a", "b"):
        soundfile.write(tmp_path / f"{name}.wav", np.full(8_000, 0.1), 16_000)
    (tmp_path / "clips.csv").write_text("path,sentence,german\na.wav,three,drei\nb.wav,nine,neun\n")
    return tmp_path / "clips.csv"


def questions(manifest):
    return list(Records(questions_path(manifest), Question))


def test_each_instruction_is_asked_of_each_utterance(clips, tmp_path):
    manifest = tmp_path / "data" / "test.jsonl"
    summary, num_questions = prepare_own_corpus(clips, manifest, asked=[("{speech}", None), TRANSLATE])
    assert (summary.num_kept, num_questions) == (2, 4)
    assert [(u.id, u.audio, u.labels) for u in Records(manifest, Utterance)] == [
        ("a", "../a.wav", {"german": "drei"}),
        ("b", "../b.wav", {"german": "neun"}),
    ]
    assert [(q.utt_id, q.group, q.reference) for q in questions(manifest)] == [
        ("a", AS_TEXT, None),
        ("b", AS_TEXT, None),
        ("a", "german", "drei"),
        ("b", "german", "neun"),
    ]


def test_the_key_of_a_question_changes_with_what_is_asked(clips, tmp_path):
    keys = []
    for asked in (TRANSLATE, TRANSLATE, ("Translate: {speech}", "german"), ("Auf Deutsch: {speech}", None)):
        prepare_own_corpus(clips, tmp_path / "t.jsonl", asked=[asked])
        keys.append(questions(tmp_path / "t.jsonl")[0].key)
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


def test_an_utterance_without_an_answer_is_named(clips, tmp_path):
    clips.write_text("path,sentence,german\na.wav,three,\n")
    with pytest.raises(RecordError, match=r"t.jsonl: a has no answer in the column 'german'"):
        prepare_own_corpus(clips, tmp_path / "t.jsonl", asked=[TRANSLATE])
    assert not questions_path(tmp_path / "t.jsonl").exists()


@pytest.mark.parametrize(
    ("manifest", "options", "message"),
    [
        ("t.json", {}, "t.json: the manifest's name ends in .jsonl"),
        ("t.jsonl", {"asked": [("Translate", None)]}, "needs exactly one {speech}"),
        ("t.jsonl", {"audio_folder": "gone"}, "--audio-folder gone: no such folder"),
    ],
)
def test_a_mistake_leaves_the_manifest_as_it_is(clips, tmp_path, manifest, options, message):
    path = tmp_path / manifest
    path.write_text("before")
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        prepare_own_corpus(clips, path, **options)
    assert path.read_text() == "before"


def test_the_command_marks_a_manifest_whose_damage_is_then_found(clips, tmp_path, capsys):
    manifest = tmp_path / "data" / "test.jsonl"
    command = ["prepare", str(clips), str(manifest), "--ask", "{speech}"]
    cli.run(command)
    whole = manifest.read_bytes()
    for path in (manifest, questions_path(manifest)):
        path.write_bytes(path.read_bytes().replace(b'id": "a"', b'id": "A"'))
    for path, kind in ((manifest, Utterance), (questions_path(manifest), Question)):
        with pytest.raises(ChangedOutputError, match=rf"{path.name}: .*\.prepare_test\.done\.json records"):
            list(Records(path, kind))
    cli.run(command)
    assert manifest.read_bytes() == whole
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("words", "table", "error"),
    [
        (["--audio-folder", "gone"], None, FileNotFoundError),
        (["--where", "splt=test"], None, RecordError),
        (["--where", "german=nothing"], None, ValueError),
        ([], "path,sentence\ngone.wav,three\n", ValueError),
    ],
)
def test_a_failure_leaves_what_was_there(clips, tmp_path, words, table, error):
    """A typo must not cost a manifest and its questions, which may have been written by hand."""
    manifest = tmp_path / "test.jsonl"
    cli.run(["prepare", str(clips), str(manifest), "--ask", "{speech}"])
    before = [path.read_bytes() for path in (manifest, questions_path(manifest))]
    if table:
        clips.write_text(table)
    with pytest.raises(error):
        cli.run(["prepare", str(clips), str(manifest), *words])
    assert [path.read_bytes() for path in (manifest, questions_path(manifest))] == before


def test_neither_a_mistake_nor_a_failure_unmarks_what_it_did_not_touch(clips, tmp_path):
    manifest = tmp_path / "test.jsonl"
    cli.run(["prepare", str(clips), str(manifest)])
    with pytest.raises(FileNotFoundError):
        cli.run(["prepare", str(clips), str(manifest), "--audio-folder", "gone"])
    found = content(manifest, made_by="stage 1")
    clips.write_text("path,sentence\ngone.wav,three\n")
    with pytest.raises(ValueError, match="1 of 1"):
        cli.run(["prepare", str(clips), str(manifest)])
    assert content(manifest, made_by="stage 1") == found


def test_questions_that_are_asked_no_more_are_removed_with_a_word(clips, tmp_path, capsys):
    manifest = tmp_path / "test.jsonl"
    cli.run(["prepare", str(clips), str(manifest), "--ask", "{speech}"])
    cli.run(["prepare", str(clips), str(manifest)])
    assert not questions_path(manifest).exists()
    assert f"removed {questions_path(manifest)}" in capsys.readouterr().out


def test_rows_without_an_answer_can_be_left_out(clips, tmp_path):
    clips.write_text("path,sentence,german\na.wav,three,\nb.wav,nine,neun\n")
    cli.run(["prepare", str(clips), str(tmp_path / "t.jsonl"), "--ask", *TRANSLATE, "--where", "german!="])
    assert [question.reference for question in questions(tmp_path / "t.jsonl")] == ["neun"]


def test_two_at_once_are_kept_apart(clips, tmp_path):
    command = ["prepare", str(clips), str(tmp_path / "test.jsonl")]
    with (
        Stage("prepare test", tmp_path, inputs={}, outputs=[], always=True),
        pytest.raises(StageBusyError, match="prepare test: another run"),
    ):
        cli.run(command)
