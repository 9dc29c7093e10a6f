"""SLUE's corpora give the same utterances from the release and from parquet, and a reason for each row that gives none."""

import math
import shutil

import pytest

from auralign.corpora.slue.reading import PUBLISHED, read_slue
from auralign.corpora.slue.scoring import combine_tags
from auralign.data.manifest import write_manifest
from auralign.data.rejected import Note, Rejection
from auralign.records import RecordError, Records, Utterance
from auralign.testing.corpora.slue import make_slue, make_slue_phase_2
from auralign.testing.corpora.slue_parquet import make_slue_parquet
from auralign.testing.corpora.slue_rows import SLUE

CASES = [(corpus, split) for corpus, splits in SLUE.items() for split in splits]


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    folder = tmp_path_factory.mktemp("release")
    make_slue(folder)
    return make_slue_phase_2(folder)


@pytest.fixture(scope="module")
def parquet(tmp_path_factory):
    return make_slue_parquet(tmp_path_factory.mktemp("parquet"))


def utterances(items):
    return {item.id: item for item in items if isinstance(item, Utterance)}


def rejected(items):
    return {item.id: item.reason for item in items if isinstance(item, Rejection)}


def notes(items):
    return {item.text: item.count for item in items if isinstance(item, Note)}


def read(folder, corpus, split="fine-tune", **options):
    return list(read_slue(folder, corpus, split, **options))


def rewrite(path, *changes):
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def test_the_last_line_of_a_table_without_its_newline_is_told(tmp_path):
    folder = make_slue(tmp_path)
    (table,) = folder.rglob("slue-voxpopuli_dev.tsv")
    said = "from the last line of slue-voxpopuli_dev.tsv, which has no newline (was the file cut?)"
    assert said not in notes(read(folder, "voxpopuli", "dev"))
    table.write_bytes(table.read_bytes().rstrip())
    assert notes(read(folder, "voxpopuli", "dev"))[said] == 1


# VoxPopuli


def test_entities_are_phrases_of_the_normalized_text(release):
    found = utterances(read(release, "voxpopuli"))
    assert {identity: item.labels["entities"] for identity, item in found.items()} == {
        "20131007-0900-PLENARY-19-en_20131007-21:26:04_7": [["CARDINAL", "two"], ["CARDINAL", "two"]],
        "20131007 plenary_8": [["GPE", "malta"], ["ORG", "union"], ["LOC", "europe"]],
        "discard_1": [["LANGUAGE", "french"]],
        "none_1": [],
        "offsets_1": [["DATE", "five may"], ["ORG", "parliament"]],
        "silent_1": [],
    }


def test_entities_are_as_the_scores_take_them(release):
    found = utterances(read(release, "voxpopuli"))
    assert combine_tags(found["20131007 plenary_8"].labels["entities"])[-1] == ("PLACE", "europe")
    assert combine_tags(found["discard_1"].labels["entities"]) == []


def test_an_utterance_tells_all_that_the_release_does(release):
    assert utterances(read(release, "voxpopuli"))["20131007 plenary_8"] == Utterance(
        id="20131007 plenary_8",
        audio=str(release / "slue-voxpopuli/fine-tune/20131007 plenary_8.ogg"),
        seconds=math.inf,
        text="yes malta the union's part of europe",
        language="en",
        speaker="",
        labels={
            "raw_text": '"Yes", Malta, the union\'s part of Europe.',
            "entities": [["GPE", "malta"], ["ORG", "union"], ["LOC", "europe"]],
        },
    )


def test_an_empty_cell_is_no_entity(release):
    assert utterances(read(release, "voxpopuli", "test"))["test_3"].labels["entities"] == []


def test_speakers_that_are_not_known_are_empty(release):
    found = utterances(read(release, "voxpopuli"))
    assert (found["none_1"].speaker, found["discard_1"].speaker) == ("", "9")


def test_entities_that_cannot_be_read_name_their_cell(release):
    items = [item for item in read(release, "voxpopuli", "dev") if isinstance(item, Rejection)]
    assert [(item.id, item.reason) for item in items] == [
        ("cut_1", "broken label"),
        ("far_1", "broken label"),
    ]
    assert items[0].detail == "normalized_ner: \"[['LAW', 0\""
    assert items[1].detail.startswith("normalized_ner: entity ['LAW', 0, 40] is not a phrase of 'far'")


def test_a_tag_that_slue_has_not_is_a_broken_label(tmp_path):
    root = make_slue(tmp_path)
    rewrite(root / "slue-voxpopuli" / "slue-voxpopuli_dev.tsv", ("'DATE'", "'WHEN'"))
    assert rejected(read(root, "voxpopuli", "dev"))["dev_2"] == "broken label"


@pytest.mark.parametrize(("corpus", "kept"), [("voxpopuli", "raw_text"), ("voxceleb", None)])
def test_a_blind_table_gives_utterances_without_labels(tmp_path, corpus, kept):
    root = make_slue(tmp_path)
    (root / f"slue-{corpus}" / f"slue-{corpus}_test.tsv").unlink()
    items = read(root, corpus, "test")
    assert len(utterances(items)) == 4
    assert {key for item in utterances(items).values() for key in item.labels} == ({kept} if kept else set())
    assert notes(items) == {"without labels (the table is blind)": 4}


# VoxCeleb


def test_a_clip_is_cut_out_of_its_file(release):
    found = utterances(read(release, "voxceleb"))
    clips = {identity: (item.start, pytest.approx(item.seconds)) for identity, item in found.items()}
    assert clips == {
        "id10012_0AXjxNXiEzo_00001": (0.2, 0.6),
        "id 2:b": (0.0, 1.0),
        "id3_late": (0.5, 0.5),  # 0.04 s behind its file: clipped
        "id4": (0.2, 0.6),
    }
    assert found["id 2:b"].labels == {"sentiment": "Negative"}
    assert found["id 2:b"].text == 'he said, "never again"'


def test_sentiments_that_are_not_one_of_three_and_clips_behind_their_file_are_rejected(release):
    assert rejected(read(release, "voxceleb")) == {
        "id5_mixed": "no single sentiment",
        "id6_behind": "ends behind its audio",
    }
    assert rejected(read(release, "voxceleb", "dev")) == {
        "dev3_disagreement": "no single sentiment",
        "dev4_unknown": "unknown sentiment",
    }


def test_a_file_that_is_cut_already_is_the_clip(release):
    item = utterances(read(release, "voxceleb", "dev"))["dev1"]
    assert item.audio == str(release / "slue-voxceleb/dev/dev1.flac")
    assert (item.start, item.seconds) == (0.0, pytest.approx(0.6))


def test_a_time_that_is_no_number_is_named(tmp_path):
    root = make_slue(tmp_path)
    rewrite(root / "slue-voxceleb" / "slue-voxceleb_test.tsv", ("Negative\t0.2", "Negative\tnan"))
    items = [item for item in read(root, "voxceleb", "test") if isinstance(item, Rejection)]
    assert items == [Rejection("test1", "broken label", "start_second: 'nan'")]


def test_parquet_with_clips_that_are_cut_gives_them_whole(parquet, tmp_path):
    from pyarrow import Table
    from pyarrow import parquet as files

    root = tmp_path / "voxceleb"
    root.mkdir()
    row = files.read_table(parquet / "voxceleb" / "test-00000-of-00001.parquet").to_pylist()[0]
    rows = [row | {"start_second": 4.2, "end_second": 5.2}, row | {"id": "behind", "end_second": 5.2}]
    files.write_table(Table.from_pylist(rows), root / "test-00000-of-00001.parquet")
    items = read(tmp_path, "voxceleb", "test", audio_folder=tmp_path / "audio")
    assert [(item.start, item.seconds) for item in utterances(items).values()] == [(0.0, 1.0)]
    assert rejected(items) == {"behind": "ends behind its audio"}


# Harper Valley Bank


def test_an_utterance_has_all_its_dialog_acts(release):
    item = utterances(read(release, "hvb"))["00b8e1_1200_1700"]
    assert item.audio == str(release / "slue-hvb/fine-tune/00b8e1_1200_1700.wav")
    assert item.labels == {"dialog_acts": ["statement_open", "question_general"], "issue_id": "00b8e1"}
    assert item.attributes == {"role": "agent"}


def test_text_that_is_nan_is_no_text(release):
    assert utterances(read(release, "hvb"))["issue 2:a_2000_2500"].text == ""


def test_acts_that_are_cut_or_unknown_and_two_clips_of_one_name_are_rejected(release):
    assert rejected(read(release, "hvb")) == {"issue 2:a_3000_3500": "broken label"}
    assert rejected(read(release, "hvb", "dev")) == {
        "dev_3000_3500": "unknown dialog act",
        "dev_1200_1700": "id used twice",
    }


# SQA-5


def test_a_question_is_about_its_document(release):
    assert utterances(read(release, "sqa5"))["nq train 2"] == Utterance(
        id="nq train 2",
        audio=str(release / "slue-sqa5/fine-tune/document/Chicago 1:a.wav"),
        seconds=math.inf,
        text="in chicago and paris",
        language="en",
        words=(("in", 0.0, 0.1), ("chicago", 0.1, 0.2), ("and", 0.2, 0.3), ("paris", 0.3, 0.4)),
        labels={
            "question": "which cities",
            "question_audio": "slue-sqa5/fine-tune/question/nq train 2.wav",
            "document_id": "Chicago 1:a",
            "answer_spans": [[0.1, 0.2], [0.3, 0.4]],
            "answers": ["chicago", "paris"],
        },
    )


def test_rows_are_read_with_quotes_or_without_as_the_columns_tell(release):
    items = read(release, "sqa5")
    assert list(utterances(items)) == ["nq-train-1:2", "nq train 2", "tabs", "open"]
    assert utterances(items)["open"].labels["question"] == "cheese of what"
    broken = release / "slue-sqa5" / "slue-sqa5_fine-tune.tsv"
    assert rejected(items) == {f"{broken}:6": "broken row", "cut": "broken label"}


def test_words_without_sound_times_are_told(release):
    items = read(release, "sqa5", "dev")
    # an untimed word, no word2time, a broken one
    assert {identity: item.words for identity, item in utterances(items).items()} == {
        "dev1": (),
        "dev2": None,
        "dev3": (),
    }
    assert notes(items) == {
        "without word times (other words)": 1,
        "without word times (broken word2time)": 1,
    }


def test_answers_without_word_times_are_those_of_the_table(release):
    assert utterances(read(release, "sqa5", "dev"))["dev2"].labels["answers"] == ["lima"]


def test_answers_are_the_words_heard_in_their_spans(tmp_path):
    root = make_slue_phase_2(tmp_path)
    rewrite(root / "slue-sqa5" / "slue-sqa5_test.tsv", ('[["kinds", 0.4', '[["kinds", 0.3'))
    assert utterances(read(root, "sqa5", "test"))["test1"].labels["answers"] == ["three kinds"]


def test_a_document_that_is_missing_and_an_answer_that_runs_backwards_are_rejected(release):
    assert rejected(read(release, "sqa5", "dev")) == {"dev4": "no such file"}
    assert rejected(read(release, "sqa5", "test")) == {"test4": "broken label"}


def test_a_question_without_audio_is_kept_and_told(tmp_path):
    root = make_slue_phase_2(tmp_path)
    (root / "slue-sqa5" / "test" / "question" / "test1.wav").unlink()
    items = read(root, "sqa5", "test")
    assert "question_audio" not in utterances(items)["test1"].labels
    assert notes(items)["without audio of the question"] == 1


def test_the_verified_test_set_is_a_split(tmp_path):
    root = make_slue_phase_2(tmp_path)
    table = root / "slue-sqa5" / "slue-sqa5_test.tsv"
    table.rename(table.with_name("slue-sqa5_verified-test.tsv"))
    (root / "slue-sqa5" / "test").rename(root / "slue-sqa5" / "verified-test")
    assert len(utterances(read(root, "sqa5", "verified-test"))) == 3


# TED


def test_a_talk_has_its_title_and_abstract(release):
    found = utterances(read(release, "ted"))
    assert found["Ann_Lee_1"].labels == {"title": 'Ears, and "hearts"', "abstract": "A talk on ears."}
    assert (found["Ann_Lee_1"].speaker, found["Bo:2 talk"].speaker) == ("Ann Lee", "")


def test_a_quoted_cell_may_hold_a_line_end(release):
    items = read(release, "ted")
    assert utterances(items)["Bo:2 talk"].labels["abstract"] == "On maps:\nold and new."
    assert rejected(items) == {"Fi_6": "no such file"}


def test_a_quote_that_is_never_closed_costs_its_row_alone(tmp_path):
    root = make_slue_phase_2(tmp_path)
    table = root / "slue-ted_dev" / "slue-ted_dev.tsv"
    rewrite(table, ("Rain\tOn rain.", '"Rain'))
    items = read(root, "ted", "dev")
    assert list(utterances(items)) == ["dev_sun", "dev_wind", "dev_sea"]
    assert rejected(items) == {f"{table}:2": "broken row"}


# Entities with times


def test_entities_and_words_have_their_times(release):
    item = utterances(read(release, "vp_nel", "dev"))["nel:dev 1"]
    assert item.words == (
        ("We", 0.1, 0.2), ("met", 0.2, 0.3), ("in", 0.3, 0.4), ("New", 0.4, 0.5), ("York", 0.5, 0.6)
    )  # fmt: skip
    assert item.labels == {"entity_spans": [["PLACE", 0.4, 0.6]], "entities": [["PLACE", "new york"]]}


def test_other_words_and_an_entity_behind_the_text_are_told(release):
    items = read(release, "vp_nel", "dev")
    assert utterances(items)["nel_dev_3"].words == ()
    assert notes(items) == {"without word times (other words)": 1}
    assert rejected(items) == {"nel_dev_4": "broken label"}


def test_times_that_are_null_are_no_label(parquet, tmp_path):
    from pyarrow import Table
    from pyarrow import parquet as files

    rows = files.read_table(parquet / "vp_nel" / "test-00000-of-00001.parquet").to_pylist()
    rows = [row | {"ne_timestamps": None} for row in rows[:2]]
    files.write_table(Table.from_pylist(rows), tmp_path / "test-00000-of-00001.parquet")
    items = read(tmp_path, "vp_nel", "test", audio_folder=tmp_path / "audio")
    assert [item.labels for item in utterances(items).values()] == [{}, {}]
    assert notes(items) == {"without labels (the table is blind)": 2}


# All of them


@pytest.mark.parametrize(("corpus", "split"), [case for case in CASES if case != ("voxceleb", "dev")])
def test_parquet_holds_the_utterances_of_the_release(release, parquet, tmp_path, corpus, split):
    expected = utterances(read(release, corpus, split))
    found = utterances(read(parquet, corpus, split, audio_folder=tmp_path))
    # There the release lacks word2time, or has a broken one.
    shared = [
        identity for identity in expected if (corpus, identity) not in {("sqa5", "dev2"), ("sqa5", "dev3")}
    ]
    assert shared
    for identity in shared:
        one, other = expected[identity], found[identity]
        assert (one.text, one.speaker, one.words) == (other.text, other.speaker, other.words)
        assert (one.start, one.seconds) == (other.start, other.seconds)
        assert {**one.labels, "question_audio": ""} == {**other.labels, "question_audio": ""}


# (kept, rejected) and what is told of each split; the utterances without text are rejected too.
MANIFESTS = {
    ("voxpopuli", "fine-tune"): (5, "1 of 6 rejected (no text: 1)"),
    ("voxpopuli", "dev"): (2, "2 of 4 rejected (broken label: 2)"),
    ("voxpopuli", "test"): (4, "0 of 4 rejected"),
    ("voxceleb", "fine-tune"): (4, "2 of 6 rejected (ends behind its audio: 1, no single sentiment: 1)"),
    ("voxceleb", "dev"): (2, "2 of 4 rejected (no single sentiment: 1, unknown sentiment: 1)"),
    ("voxceleb", "test"): (3, "1 of 4 rejected (no text: 1)"),
    ("hvb", "fine-tune"): (4, "2 of 6 rejected (broken label: 1, no text: 1)"),
    ("hvb", "dev"): (2, "2 of 4 rejected (id used twice: 1, unknown dialog act: 1)"),
    ("hvb", "test"): (4, "0 of 4 rejected"),
    ("sqa5", "fine-tune"): (4, "2 of 6 rejected (broken label: 1, broken row: 1)"),
    ("sqa5", "dev"): (3, "1 of 4 rejected (no such file: 1)"),
    ("sqa5", "test"): (3, "1 of 4 rejected (broken label: 1)"),
    ("ted", "fine-tune"): (4, "2 of 6 rejected (no such file: 1, no text: 1)"),
    ("ted", "dev"): (4, "0 of 4 rejected"),
    ("ted", "test"): (4, "0 of 4 rejected"),
    ("vp_nel", "dev"): (3, "1 of 4 rejected (broken label: 1)"),
    ("vp_nel", "test"): (4, "0 of 4 rejected"),
}


@pytest.mark.parametrize(("corpus", "split"), CASES)
def test_a_manifest_is_made_of_the_release(release, tmp_path, corpus, split):
    path = tmp_path / "out" / f"{split}.jsonl"
    summary = write_manifest(path, read_slue(release, corpus, split), audio_folder=release, limit=0.5)
    assert (summary.num_kept, summary.rejected) == MANIFESTS[corpus, split]
    assert all(item.seconds <= 1.0 and item.audio_hash for item in Records(path, Utterance))
    if corpus == "hvb":
        assert summary.notes["resampled to 16000 Hz"] == summary.num_kept


def test_a_manifest_is_made_of_parquet_whose_audio_is_written_once(parquet, tmp_path):
    path, audio = tmp_path / "out" / "train.jsonl", tmp_path / "audio"

    def prepare():
        items = read_slue(parquet, "voxpopuli", "train", audio_folder=audio)
        return write_manifest(path, items, audio_folder=parquet, limit=0.5)

    assert prepare().num_kept == 5
    first = Records(path, Utterance)[0]
    assert first.audio == f"../audio/voxpopuli/fine-tune/{first.id}.flac"
    written = {file: file.stat().st_mtime_ns for file in audio.rglob("*.flac")}
    assert len(written) == 6
    prepare()
    assert {file: file.stat().st_mtime_ns for file in audio.rglob("*.flac")} == written


def test_audio_that_another_run_left_cut_is_written_again(parquet, tmp_path):
    read(parquet, "ted", "dev", audio_folder=tmp_path)
    path = tmp_path / "ted" / "dev" / "dev_sun.flac"
    content = path.read_bytes()
    path.write_bytes(content[:100])
    read(parquet, "ted", "dev", audio_folder=tmp_path)
    assert path.read_bytes() == content


def test_an_id_with_a_slash_stays_within_the_folder(parquet, tmp_path):
    from pyarrow import Table
    from pyarrow import parquet as files

    row = files.read_table(parquet / "ted" / "test-00000-of-00001.parquet").to_pylist()[0]
    files.write_table(Table.from_pylist([row | {"id": "../a/b"}]), tmp_path / "test-00000-of-00001.parquet")
    item = read(tmp_path, "ted", "test", audio_folder=tmp_path / "audio")[0]
    assert (item.id, item.audio) == ("../a/b", str(tmp_path / "audio/ted/test/..%2Fa%2Fb.flac"))


def test_the_folder_of_a_corpus_may_be_given_itself(release):
    assert utterances(read(release / "slue-hvb", "hvb"))["00b8e1_2000_2500"].audio == str(
        release / "slue-hvb/fine-tune/00b8e1_2000_2500.wav"
    )


def test_crlf_and_a_mark_of_order_are_read(tmp_path):
    root = make_slue(tmp_path)
    path = root / "slue-voxpopuli" / "slue-voxpopuli_test.tsv"
    expected = read(root, "voxpopuli", "test")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert read(root, "voxpopuli", "test") == expected


def test_a_row_without_an_id_is_rejected(tmp_path):
    root = make_slue(tmp_path)
    path = root / "slue-voxpopuli" / "slue-voxpopuli_test.tsv"
    rewrite(path, ("test_2\t", "\t"))
    assert rejected(read(root, "voxpopuli", "test")) == {f"{path}:3": "no id"}


def test_a_file_that_is_no_audio_is_rejected(tmp_path):
    root = make_slue(tmp_path)
    (root / "slue-voxceleb" / "test_raw" / "test2.flac").write_bytes(b"")
    assert rejected(read(root, "voxceleb", "test")) == {"test2": "bad audio"}


def test_what_cannot_be_read_is_named(release, parquet, tmp_path):
    with pytest.raises(
        ValueError, match="corpus 'slurp': SLUE has voxpopuli, voxceleb, hvb, sqa5, ted, vp_nel"
    ):
        read_slue(release, "slurp", "test")
    with pytest.raises(ValueError, match="split 'valid': hvb has fine-tune, dev, test"):
        read_slue(release, "hvb", "valid")
    with pytest.raises(ValueError, match="split 'fine-tune': vp_nel has dev, test; .*train on voxpopuli"):
        read_slue(release, "vp_nel", "train")
    with pytest.raises(FileNotFoundError, match="no slue-hvb_dev.tsv in .* no hvb/validation-.*asapp/slue"):
        read_slue(tmp_path, "hvb", "dev")
    with pytest.raises(ValueError, match="parquet holds audio itself; give the folder to write it to"):
        read_slue(parquet, "hvb", "dev")
    shutil.copytree(release / "slue-hvb", tmp_path / "slue-hvb")
    table = tmp_path / "slue-hvb" / "slue-hvb_dev.tsv"
    rewrite(table, ("\ttext\t", "\twords\t"))
    with pytest.raises(
        RecordError, match="slue-hvb_dev.tsv:1: no column 'text'; columns are issue_id, utt_index"
    ):
        read(tmp_path, "hvb", "dev")
    table.write_bytes(b"issue_id\xe9")
    with pytest.raises(RecordError, match="slue-hvb_dev.tsv: not UTF-8 .*copy it again"):
        read(tmp_path, "hvb", "dev")


def test_published_numbers_are_those_of_the_papers():
    assert PUBLISHED["voxpopuli"] == {"fine-tune": 5_000, "dev": 1_753, "test": 1_842}
    assert sum(PUBLISHED["sqa5"].values()) == 50_915
