"""What LibriSpeech's prepare.py asks, and of whom."""

from pathlib import Path

import pytest

from auralign.files import read_json
from auralign.records import Question, Records, Utterance
from auralign.score import obey
from auralign.testing.corpora.librispeech import make_librispeech
from recipe import run

RECIPE = Path(__file__).parent.parent.parent.parent / "recipes" / "LibriSpeech"
SPLITS = "train-clean-5 dev-clean-2 test-clean"


def prepare(folder, monkeypatch, *options, splits=SPLITS):
    monkeypatch.chdir(RECIPE)
    data = make_librispeech(folder / "corpus", sound=True)
    arguments = [
        "hparams/smoke.yaml",
        "--data",
        str(data),
        "--data_folder",
        str(folder / "data"),
        "--splits",
        splits,
    ]
    return *run("prepare.py", *arguments, *options), folder / "data"


def read(folder, name, kind):
    return list(Records(folder / f"{name}.jsonl", kind))


def test_texts_are_in_lower_case_and_know_their_subset(tmp_path, monkeypatch):
    code, _, told, data = prepare(tmp_path, monkeypatch)
    assert code == 0, told
    utterance = read(data, "test", Utterance)[0]
    assert (utterance.id, utterance.text) == ("64-1-0000", "sixty four go do you hear")
    assert (utterance.labels, utterance.attributes, utterance.speaker) == (
        {"subset": "test-clean"},
        {"gender": "female"},
        "64",
    )


def test_headers_alone_are_read_unless_asked(tmp_path, monkeypatch):
    _, said, _, data = prepare(tmp_path, monkeypatch, "--verify_audio", "false")
    assert "headers only" in said
    assert "11-2-0002" in {utterance.id for utterance in read(data, "train", Utterance)}  # was cut


def test_the_test_split_may_have_a_limit_of_its_own(tmp_path, monkeypatch):
    *_, data = prepare(tmp_path, monkeypatch, "--limit", "3", "--limit-test", "1")
    assert [len(read(data, split, Utterance)) for split in ("train", "test")] == [3, 1]
    assert read_json(data / "corpus.json")["options"]["limit_test"] == "1"


def test_data_of_an_earlier_auralign_which_had_no_such_limit_stay_finished(tmp_path, monkeypatch):
    *_, data = prepare(tmp_path, monkeypatch)
    assert "limit_test" not in read_json(data / "corpus.json")["options"]


def test_with_verify_a_cut_file_is_rejected(tmp_path, monkeypatch):
    _, said, _, data = prepare(tmp_path, monkeypatch, "--verify", "--verify_audio", "false")
    assert "headers only" not in said
    assert "11-2-0002" not in {utterance.id for utterance in read(data, "train", Utterance)}


def test_every_test_utterance_is_asked_for_its_transcript_in_three_manners(tmp_path, monkeypatch):
    *_, data = prepare(tmp_path, monkeypatch)
    asked = [question for question in read(data, "test.questions", Question) if question.task == "asr"]
    assert len(asked) == 4 * 3 * 5
    assert {question.group for question in asked} == {
        f"test-clean: asr, {manner}" for manner in ("natural", "unseen", "format-pinned")
    }
    assert {question.reference for question in asked if question.utt_id == "64-1-0000"} == {
        "sixty four go do you hear"
    }


def test_no_two_wordings_are_the_same(tmp_path, monkeypatch):
    *_, data = prepare(tmp_path, monkeypatch)
    asked = read(data, "test.questions", Question)
    of_one = [question.instruction for question in asked if question.utt_id == asked[0].utt_id]
    assert len(set(of_one)) == len(of_one)


def test_obey_asks_the_same_utterances_in_every_wording(tmp_path, monkeypatch):
    *_, data = prepare(tmp_path, monkeypatch, "--obey", "2", "--phrasings", "3")
    by_wording = {}
    for question in read(data, "test.questions", Question):
        if question.task == "first_word":
            by_wording.setdefault(question.phrasing, set()).add(question.utt_id)
    assert set(by_wording) == {0, 1, 2}
    assert all(asked == by_wording[0] and len(asked) == 2 for asked in by_wording.values())


def test_all_tasks_of_obey_are_asked(tmp_path, monkeypatch):
    *_, data = prepare(tmp_path, monkeypatch)
    tasks = {question.task for question in read(data, "test.questions", Question)}
    assert tasks == {*obey.TASKS, "asr"}


def test_a_subset_may_serve_two_splits(tmp_path, monkeypatch):
    code, *_, data = prepare(tmp_path, monkeypatch, splits="train-clean-5 valid=dev-clean-2 test=dev-clean-2")
    assert code == 0
    assert read(data, "valid", Utterance) == read(data, "test", Utterance)


@pytest.mark.parametrize(
    ("splits", "told"),
    [
        (
            "train-clean-5 dev-clean-2 test-claen",
            "no part 'test-claen'; there are dev-clean-2, test-clean, train-clean-5",
        ),
        ("train-clean-5 dev-clean-2", "nothing to make the test split of"),
        ("train-clean-5 vaild=dev-clean-2", "say what it is for: train=dev-clean-2, valid=dev-clean-2"),
    ],
)
def test_a_mistake_in_the_splits_is_told_in_a_line(tmp_path, monkeypatch, splits, told):
    code, _, error, _ = prepare(tmp_path, monkeypatch, splits=splits)
    assert code == 2
    assert told in error


def test_a_training_clip_with_a_test_sentence_is_left_out_and_listed(tmp_path, monkeypatch):
    data = make_librispeech(tmp_path / "corpus", sound=True)
    lines = (data / "test-clean" / "64" / "1" / "64-1.trans.txt").read_text().splitlines()
    text = lines[0].split(" ", 1)[1]
    chapter = data / "train-clean-5" / "14" / "1" / "14-1.trans.txt"
    chapter.write_text(chapter.read_text().replace("FOURTEEN GO DO YOU HEAR", text))
    monkeypatch.chdir(RECIPE)
    arguments = ["hparams/smoke.yaml", "--data", str(data), "--data_folder", str(tmp_path / "data")]
    code, said, _ = run("prepare.py", *arguments, "--splits", SPLITS)
    assert code == 0
    assert "1 of 18 clips" in said
    assert "14-1-0000" in (tmp_path / "data" / "train.overlap.jsonl").read_text()
    others = "train=dev-clean-2 valid=test-clean test=test-clean"
    code, _, told = run("prepare.py", *arguments, "--splits", others)
    assert code == 0, told
    assert not (
        tmp_path / "data" / "train.overlap.jsonl"
    ).exists()  # the list of the manifest that was replaced


def test_whether_a_corpus_was_downloaded_makes_no_stage_run_again(tmp_path, monkeypatch):
    data = make_librispeech(tmp_path / "corpus", sound=True)
    monkeypatch.chdir(RECIPE)
    arguments = ["hparams/smoke.yaml", "--data", str(data), "--data_folder", str(tmp_path / "data")]
    run("prepare.py", *arguments, "--splits", SPLITS)
    code, said, told = run("prepare.py", *arguments, "--splits", SPLITS, "--download")
    assert code == 0, told
    assert "already complete for these inputs" in said


def test_download_unpacks_again_what_was_cut_while_it_was_unpacked(tmp_path, monkeypatch):
    data = make_librispeech(tmp_path / "corpus", sound=True)
    (data.parent / "test-clean.tar.gz").write_bytes(b"not the archive")
    monkeypatch.chdir(RECIPE)
    arguments = ["hparams/smoke.yaml", "--data", str(data), "--data_folder", str(tmp_path / "data")]
    code, _, told = run("prepare.py", *arguments, "--splits", SPLITS, "--download")
    assert code == 2
    assert "test-clean.tar.gz is not https://www.openslr.org" in told


def test_other_folders_beside_the_subsets_are_no_subsets(tmp_path, monkeypatch):
    data = make_librispeech(tmp_path / "corpus", sound=True)
    (data / "raw-metadata").mkdir()
    monkeypatch.chdir(RECIPE)
    arguments = ["hparams/smoke.yaml", "--data", str(data), "--data_folder", str(tmp_path / "data")]
    code, _, told = run("prepare.py", *arguments)
    assert code == 0, told


def test_it_is_told_that_a_test_set_is_not_whole(tmp_path, monkeypatch):
    _, said, _, data = prepare(tmp_path, monkeypatch)
    line = "test: test-clean, 4 utterances of 2,620 published: figures are not to be compared with published ones"
    assert f"prepare: {line}\n" in said
    assert line in read_json(data / "corpus.json")["parts"]


def test_validation_on_test_clips_is_warned_of(tmp_path, monkeypatch):
    *_, told, _ = prepare(tmp_path, monkeypatch, splits="train-clean-5 valid=dev-clean-2 test=dev-clean-2")
    assert "warning: checkpoints are chosen by test clips" in told
