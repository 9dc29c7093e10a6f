"""The utterances of LibriSpeech's tree come out as they are, and whatever is wrong in it with its reason."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from auralign.corpora import librispeech
from auralign.corpora.librispeech import read_alignments, read_genders, read_librispeech
from auralign.data.manifest import write_manifest
from auralign.data.rejected import Note, Rejection
from auralign.records import RecordError, Records, Utterance
from auralign.testing.corpora.librispeech import make_librispeech

MINI = Path(__file__).parents[4] / "shared" / "data" / "librispeech_mini" / "LibriSpeech"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_librispeech(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def train(corpus):
    return list(read_librispeech(corpus, "train-clean-5"))


def utterances(items):
    return {item.id: item for item in items if isinstance(item, Utterance)}


def reasons(items):
    return [(item.id, item.reason) for item in items if isinstance(item, Rejection)]


def notes(items):
    found = Counter()
    for item in items:
        if isinstance(item, Note):
            found[item.text] += item.count
    return found


def test_texts_are_exact_and_in_order(train):
    assert [(u.id, u.text) for u in utterances(train).values()] == [
        ("1-2-0001", "THE BOYS' CAPTAIN SAID 'TIS LATE"),
        ("1-2-0002", "GO"),
        ("1-3-0000", "GO DO YOU HEAR"),
        ("1-3-0001", "OTHER WORDS"),
        ("1-3-0002", "ABSENT"),
        ("11-2-0001", "STEREO"),
        ("11-2-0002", "CUT"),
        ("11-2-0004", ""),
    ]


def test_an_utterance_tells_all_that_the_release_does(train, corpus):
    assert utterances(train)["11-2-0001"] == Utterance(
        id="11-2-0001",
        audio=str(corpus / "train-clean-5/11/2/11-2-0001.flac"),
        seconds=0.5,
        text="STEREO",
        language="en",
        speaker="11",
        attributes={"gender": "male"},
    )


def test_seconds_are_those_of_the_header(train):
    found = {identity: utterance.seconds for identity, utterance in utterances(train).items()}
    assert found == {
        "1-2-0001": 0.5,
        "1-2-0002": 0.1,
        "1-3-0000": 2.1,
        "1-3-0001": 1.0,
        "1-3-0002": 0.3,
        "11-2-0001": 0.5,
        "11-2-0002": 2.0,
        "11-2-0004": 0.2,
    }


def test_what_is_no_utterance_is_rejected_with_its_reason(train, corpus):
    transcript = corpus / "train-clean-5" / "1" / "2" / "1-2.trans.txt"
    assert reasons(train) == [
        ("1-2-0003", "no such file"),
        ("1-2-0001", "id used twice"),
        ("11-2-0001", "line of another chapter"),
        (f"{transcript}:6", "broken line"),
        ("1-2-0004", "no line"),
        ("11-2-0003", "bad audio"),
    ]


def test_a_chapter_without_transcript_has_files_without_a_line(corpus):
    assert reasons(read_librispeech(corpus, "dev-clean-2")) == [("60-8-0000", "no line")]


def test_a_cut_file_is_found_only_where_whole_files_are_read(train, corpus):
    assert "11-2-0002" in utterances(train)
    verified = list(read_librispeech(corpus, "train-clean-5", verify=True))
    assert set(reasons(verified)) - set(reasons(train)) == {("11-2-0002", "bad audio")}


def test_the_manifest_of_headers_holds_a_cut_file_too(corpus, tmp_path):
    path = tmp_path / "train.jsonl"
    items = read_librispeech(corpus, "train-clean-5")
    write_manifest(path, items, audio_folder=corpus, limit=0.6, verify=False)
    assert [utterance.id for utterance in Records(path, Utterance)] == [
        "1-2-0001",
        "1-2-0002",
        "1-3-0000",
        "1-3-0001",
        "1-3-0002",
        "11-2-0001",
        "11-2-0002",
    ]


@pytest.mark.parametrize("num_threads", [1, 2, 8])
def test_the_order_depends_on_no_thread(train, corpus, num_threads):
    assert list(read_librispeech(corpus, "train-clean-5", num_threads=num_threads)) == train


def test_few_chapters_are_looked_into_ahead(tmp_path, monkeypatch):
    looked = []
    look_into = librispeech._look_into
    monkeypatch.setattr(
        librispeech, "_look_into", lambda *call: looked.append(call[2].name) or look_into(*call)
    )
    (tmp_path / "SPEAKERS.TXT").write_text("1 | F | train | 1 | Ann\n")
    for number in range(20):
        chapter = tmp_path / "train" / "1" / f"{number:02d}"
        chapter.mkdir(parents=True)
        (chapter / "notes.txt").touch()
    items = read_librispeech(tmp_path, "train", num_threads=2)
    next(items)
    items.close()
    assert len(looked) <= 4  # the two folders above, then two chapters


def test_words_have_times_where_the_chapter_is_aligned(train):
    found = {identity: utterance.words for identity, utterance in utterances(train).items()}
    assert found["1-3-0000"] == (
        ("GO", 0.49, 0.89),
        ("DO", 1.27, 1.38),
        ("YOU", 1.38, 1.49),
        ("HEAR", 1.49, 1.89),
    )
    assert (found["1-3-0001"], found["1-3-0002"], found["1-2-0001"]) == ((), (), None)


def test_what_is_passed_over_is_told(train):
    assert notes(train) == {
        "files of macOS (._*) ignored": 2,
        "files of other kinds ignored": 2,
        "without word times (other words)": 1,
        "without word times (not in its chapter)": 1,
        "without word times (no alignment of the chapter)": 5,
    }


def test_the_manifest_holds_what_is_sound(corpus, tmp_path):
    path = tmp_path / "train.jsonl"
    summary = write_manifest(path, read_librispeech(corpus, "train-clean-5"), audio_folder=corpus, limit=0.6)
    assert [utterance.id for utterance in Records(path, Utterance)] == [
        "1-2-0001",
        "1-2-0002",
        "1-3-0000",
        "1-3-0001",
        "1-3-0002",
        "11-2-0001",
    ]
    assert summary.rejected == (
        "8 of 14 rejected (bad audio: 2, broken line: 1, id used twice: 1, line of another chapter: 1, no line: 1, no such "
        "file: 1, no text: 1)"
    )
    assert summary.notes["resampled to 16000 Hz"] == summary.notes["averaged over their channels"] == 1


def test_long_clips_and_broken_texts_are_rejected_by_the_manifest(corpus, tmp_path):
    items = [
        *read_librispeech(corpus, "dev-clean-2"),
        utterances(read_librispeech(corpus, "train-clean-5"))["1-2-0002"],
    ]
    write_manifest(tmp_path / "m.jsonl", items, audio_folder=corpus, limit=1.0, max_seconds=30)
    listed = [json.loads(line) for line in (tmp_path / "m.rejected.jsonl").read_text().splitlines()]
    assert {item["id"]: item["reason"] for item in listed} == {
        "60-7-0000": "longer than 30 s",
        "60-7-0001": "text is not Unicode",
        "60-8-0000": "no line",
    }


def test_a_name_may_hold_a_pipe(corpus):
    assert read_genders(corpus / "SPEAKERS.TXT") == {"1": "female", "11": "male", "60": "male"}


@pytest.mark.parametrize(
    "line", ["60 | M | train-clean-100 | 20.18", "60 | X | train-clean-100 | 20.18 | Simon"]
)
def test_a_broken_line_of_speakers_is_named(tmp_path, line):
    (tmp_path / "SPEAKERS.TXT").write_text(f";ID|SEX\n{line}\n")
    with pytest.raises(RecordError, match="SPEAKERS.TXT:2: expected: ID"):
        read_genders(tmp_path / "SPEAKERS.TXT")


def test_a_reader_that_is_not_listed_has_no_gender(tmp_path):
    corpus = make_librispeech(tmp_path)
    (corpus / "SPEAKERS.TXT").write_text("1 | F | train-clean-5 | 1 | Ann\n")
    found = list(read_librispeech(corpus, "train-clean-5"))
    assert utterances(found)["11-2-0001"].attributes == {}
    assert notes(found)["of readers that SPEAKERS.TXT does not list"] == 3


def test_a_file_outside_of_a_chapter_is_rejected(tmp_path):
    corpus = make_librispeech(tmp_path)
    (corpus / "dev-clean-2" / "60" / "7" / "60-7-0000.flac").rename(
        corpus / "dev-clean-2" / "60" / "60-7-0000.flac"
    )
    assert reasons(read_librispeech(corpus, "dev-clean-2")) == [
        ("60-7-0000", "no line"),
        ("60-7-0000", "no such file"),
        ("60-8-0000", "no line"),
    ]


def test_what_is_missing_is_named(corpus, tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder .*there: dev-clean-2, train-clean-5"):
        next(read_librispeech(corpus, "dev-clean"))
    (tmp_path / "dev-clean").mkdir()
    with pytest.raises(FileNotFoundError, match="no .*SPEAKERS.TXT"):
        next(read_librispeech(tmp_path, "dev-clean"))


CHAPTER = '84-121123-0000 ",GO,,DO,YOU,HEAR," "0.490,0.890,1.270,1.380,1.490,1.890,2.09"\n'


def write_chapter(folder, text):
    path = folder / "84-121123.alignment.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_librispeech_word_starts_where_the_one_before_it_ends(tmp_path):
    assert read_alignments(write_chapter(tmp_path, CHAPTER)) == {
        "84-121123-0000": [
            ("GO", 0.49, 0.89),
            ("DO", 1.27, 1.38),
            ("YOU", 1.38, 1.49),
            ("HEAR", 1.49, 1.89),
        ]
    }


def test_silence_of_no_length_is_left_out(tmp_path):
    path = write_chapter(tmp_path, '1-2-3 ",A," "0,0.5,0.5"\n\n')
    assert read_alignments(path) == {"1-2-3": [("A", 0.0, 0.5)]}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('1-2-3 ",A," "0,0.5"', ":2: expected: ID"),
        ('1-2-3 ",A," "0,0.5,x"', ":2: expected: ID"),
        ('1-2-3 ",A," "0,0.', ":2: expected: ID .*was the file cut"),
        ("1-2-3", ":2: expected: ID"),
        (CHAPTER.strip(), ":2: the id '84-121123-0000' is used twice"),
    ],
)
def test_a_broken_chapter_is_named_with_its_line(tmp_path, line, says):
    with pytest.raises(RecordError, match=f"84-121123.alignment.txt{says}"):
        read_alignments(write_chapter(tmp_path, CHAPTER + line + "\n"))


published = pytest.mark.skipif(not MINI.is_dir(), reason="no LibriSpeech beside the checkout")


@published
@pytest.mark.parametrize(
    ("subset", "num", "num_readers"), [("train-clean-100", 110, 110), ("test-other", 50, 5)]
)
def test_published_librispeech_mini(subset, num, num_readers):
    found = list(read_librispeech(MINI, subset))
    assert len(found) == len(utterances(found)) == num
    assert len({item.speaker for item in found}) == num_readers
    assert all(item.attributes and item.id.startswith(f"{item.speaker}-") for item in found)


@published
def test_published_librispeech_mini_is_as_its_list_says():
    import csv

    with open(MINI.parents[1] / "MANIFEST.tsv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]
    told = {Path(row["path"]).stem: row for row in rows if row["path"].startswith("librispeech_mini/")}
    found = utterances([*read_librispeech(MINI, "train-clean-100"), *read_librispeech(MINI, "test-other")])
    assert found.keys() == told.keys()
    for identity, utterance in found.items():
        assert utterance.text == told[identity]["text"]
        assert utterance.seconds == pytest.approx(float(told[identity]["seconds"]), abs=0.001)


@published
def test_published_librispeech_readers():
    assert Counter(read_genders(MINI / "SPEAKERS.TXT").values()) == {"male": 1_283, "female": 1_201}


def test_a_transcript_without_its_last_newline_is_reported(tmp_path):
    chapter = tmp_path / "dev-clean" / "1" / "2"
    chapter.mkdir(parents=True)
    soundfile.write(chapter / "1-2-0000.flac", np.zeros(1600), 16_000)
    (chapter / "1-2.trans.txt").write_text("1-2-0000 THE SH")
    (tmp_path / "SPEAKERS.TXT").write_text("1 | F | dev-clean | 1 | Ann\n")
    items = list(read_librispeech(tmp_path, "dev-clean"))
    assert [item.text for item in items if isinstance(item, Note)] == [
        "from the last line of 1-2.trans.txt, which has no newline (was the file cut?)"
    ]
