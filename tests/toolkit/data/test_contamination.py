"""Clips, sentences and speakers of test sets are found in a training manifest, and the clips taken out when asked."""

import json
from random import Random

import pytest

from auralign.data.contamination import exclude_overlap, find_overlap, overlap_path
from auralign.records import RecordError, Records, Utterance, write_records


def manifest(path, *rows):
    """Of (id, text, speaker)."""
    write_records(
        path,
        [Utterance(id=i, audio=f"{i}.wav", seconds=1.0, text=t, speaker=s) for i, t, s in rows],
        kind=Utterance,
    )
    return Records(path, Utterance)


TRAIN = [
    ("a", "three five", "s1"),
    ("b", "HELLO, WORLD", "s2"),
    ("c", "nine", "s3"),
    ("d", "four", ""),
    ("e", "…", "s4"),
    ("f", "cafe\u0301", "s5"),
]


@pytest.fixture
def sets(tmp_path):
    train = manifest(tmp_path / "train.jsonl", *TRAIN)
    clean = manifest(tmp_path / "clean.jsonl", ("a", "other", "t1"), ("g", "Hello world!", "t2"))
    other = manifest(
        tmp_path / "other.jsonl", ("h", "one", "s3"), ("i", "two", ""), ("j", "!", "t3"), ("k", "CAFÉ", "s3")
    )
    return train, [clean, other]


def test_each_kind_is_counted_with_an_example(sets, tmp_path):
    found = find_overlap(*sets)
    assert found.counts == {"id": 1, "sentence": 2, "speaker": 1}
    assert found.examples == {
        "id": [f"a ({tmp_path}/clean.jsonl: a)"],
        "sentence": [f"b ({tmp_path}/clean.jsonl: g)", f"f ({tmp_path}/other.jsonl: k)"],
        "speaker": [f"c ({tmp_path}/other.jsonl: h)"],
    }


def test_the_line_names_the_first_of_each_kind(sets, tmp_path):
    assert str(find_overlap(*sets)) == (
        f"{tmp_path}/train.jsonl: 6 clips; 1 share the id of a test clip, such as a ({tmp_path}/clean.jsonl: a); 2 share the "
        f"sentence of a test clip, such as b ({tmp_path}/clean.jsonl: g); 1 share the speaker of a test clip, such as c "
        f"({tmp_path}/other.jsonl: h)"
    )


def test_nothing_shared_is_said(tmp_path):
    train = manifest(tmp_path / "train.jsonl", ("a", "one", ""))
    assert str(
        find_overlap(
            train, [manifest(tmp_path / "test.jsonl"), manifest(tmp_path / "t.jsonl", ("b", "two", ""))]
        )
    ) == (f"{tmp_path}/train.jsonl: 1 clips; none shares anything with a test clip")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("well-known", "Well known"),
        ("don't", "DON’T"),
        ("ﬁve", "five"),
        ("不客气。", "不客气"),
        ("STRASSE", "straße"),
    ],
)
def test_case_punctuation_and_form_are_aside(tmp_path, one, other):
    train = manifest(tmp_path / "train.jsonl", ("a", one, ""))
    assert find_overlap(train, [manifest(tmp_path / "t.jsonl", ("b", other, ""))]).counts == {"sentence": 1}


@pytest.mark.parametrize(("one", "other"), [("की", "का"), ("cafe", "café"), ("two words", "two word")])
def test_other_words_are_another_sentence(tmp_path, one, other):
    train = manifest(tmp_path / "train.jsonl", ("a", one, ""))
    assert not find_overlap(train, [manifest(tmp_path / "t.jsonl", ("b", other, ""))]).counts


def test_equal_hashes_alone_are_no_overlap(sets, monkeypatch):
    monkeypatch.setattr("auralign.data.contamination._digest", lambda value: 7)
    assert find_overlap(*sets).counts == {"id": 1, "sentence": 2, "speaker": 1}


def test_no_more_than_five_examples_are_kept(tmp_path):
    rows = [(f"u{number}", f"text {number}", "s") for number in range(8)]
    test = manifest(tmp_path / "test.jsonl", *[(f"v{i}", text, "s") for i, (_, text, _) in enumerate(rows)])
    found = find_overlap(manifest(tmp_path / "train.jsonl", *rows), [test])
    assert (found.counts["speaker"], len(found.examples["speaker"])) == (8, 5)


def left(path):
    return [utterance.id for utterance in Records(path, Utterance)]


def listed(path):
    return {item["id"]: item["reason"] for item in map(json.loads, path.read_text().splitlines())}


def test_clips_and_sentences_of_a_test_set_are_left_out_and_listed(sets, tmp_path):
    said = exclude_overlap(*sets)
    assert said == (
        f"3 of 6 clips of {tmp_path}/train.jsonl were left out (id of a test clip: 1, sentence of a test clip: 2), listed in "
        f"{tmp_path}/train.overlap.jsonl; 1 kept clips share the speaker of a test clip"
    )
    assert left(tmp_path / "train.jsonl") == ["c", "d", "e"]
    assert listed(tmp_path / "train.overlap.jsonl") == {
        "a": "id of a test clip",
        "b": "sentence of a test clip",
        "f": "sentence of a test clip",
    }


def test_what_stays_is_as_it_was(sets, tmp_path):
    before = (tmp_path / "train.jsonl").read_text().splitlines()
    exclude_overlap(*sets)
    assert (tmp_path / "train.jsonl").read_text().splitlines() == [before[0], *before[3:6]]


def test_speakers_of_a_test_set_are_left_out_when_asked(sets, tmp_path):
    exclude_overlap(*sets, kinds=("id", "sentence", "speaker"))
    assert left(tmp_path / "train.jsonl") == ["d", "e"]
    assert listed(tmp_path / "train.overlap.jsonl")["c"] == "speaker of a test clip"


def test_a_second_run_keeps_the_list(sets, tmp_path):
    exclude_overlap(*sets)
    before = (tmp_path / "train.overlap.jsonl").read_text()
    said = exclude_overlap(Records(tmp_path / "train.jsonl", Utterance), sets[1])
    assert said.startswith("0 of 3 clips")
    assert (tmp_path / "train.overlap.jsonl").read_text() == before


def test_a_clip_that_is_in_the_manifest_again_is_off_the_list(sets, tmp_path):
    exclude_overlap(*sets)
    train = manifest(tmp_path / "train.jsonl", ("a", "three five", "s1"), ("z", "zero", "s1"))
    exclude_overlap(train, [manifest(tmp_path / "new.jsonl", ("y", "ten", ""))])
    assert left(tmp_path / "train.jsonl") == ["a", "z"]
    assert set(listed(tmp_path / "train.overlap.jsonl")) == {"b", "f"}


def test_nothing_left_stops_with_the_manifest_as_it_was(tmp_path):
    train = manifest(tmp_path / "train.jsonl", ("a", "one", ""))
    before = (tmp_path / "train.jsonl").read_bytes()
    with pytest.raises(
        ValueError, match="no clip would be left: all 1 .*sentence of a test clip: 1.*first is a"
    ):
        exclude_overlap(train, [manifest(tmp_path / "t.jsonl", ("b", "ONE", ""))])
    assert (tmp_path / "train.jsonl").read_bytes() == before
    assert not (tmp_path / "train.overlap.jsonl").exists()


def test_a_manifest_is_not_compared_with_itself_or_nothing(sets):
    with pytest.raises(ValueError, match="train.jsonl: is among the test manifests"):
        find_overlap(sets[0], [*sets[1], sets[0]])
    with pytest.raises(ValueError, match="train.jsonl: no test manifests"):
        find_overlap(sets[0], [])


def test_what_may_be_shared_stays(sets):
    exclude_overlap(*sets, kinds=["id"])
    assert [utterance.id for utterance in Records(sets[0].path, Utterance)] == ["b", "c", "d", "e", "f"]


def test_a_kind_that_is_none_is_told(sets):
    with pytest.raises(ValueError, match="'sentences' .* id, sentence, speaker"):
        exclude_overlap(*sets, kinds=["sentences"])


@pytest.mark.parametrize("kind", ["id", "speaker", "text"])
def test_overlap_is_found_in_every_form_of_unicode(tmp_path, kind):
    composed = {"id": "a", "text": "x", "speaker": "s"} | {kind: "josé"}
    other = {"id": "b", "text": "y", "speaker": "t"} | {kind: "jose\u0301"}
    records = []
    for name, values in (("train", composed), ("test", other)):
        path = tmp_path / f"{name}.jsonl"
        write_records(path, [Utterance(audio="a.wav", seconds=1.0, **values)], kind=Utterance)
        records.append(Records(path, Utterance))
    assert find_overlap(records[0], records[1:]).counts == {"sentence" if kind == "text" else kind: 1}


def naming(path, **others):
    """A manifest whose rows name others; the text of each is its id."""
    rows = [Utterance(one, "a.flac", 1.0, one, others=tuple(named.split())) for one, named in others.items()]
    write_records(path, rows, kind=Utterance)
    return Records(path, Utterance)


def test_whoever_names_a_test_sentence_by_whatever_path_is_left_out(tmp_path):
    """A chain of others, a cycle of which one is a test row, and a cycle that is none."""
    rows = {"a": "b", "b": "c", "c": "heard", "d": "e", "e": "d heard", "f": "g", "g": "f", "h": ""}
    train = naming(tmp_path / "train.jsonl", **rows, heard="")
    test = manifest(tmp_path / "test.jsonl", ("t", "heard", ""))
    assert find_overlap(train, [test]).counts == {"sentence": 6}
    exclude_overlap(train, [test])
    assert left(train.path) == ["f", "g", "h"]
    assert '"a", "reason": "sentence of a test clip"' in overlap_path(train.path).read_text()


def test_rows_that_name_each_other_are_each_looked_at_once(tmp_path):
    """Of a manifest of negatives each row leads to all others: a walk from each took minutes for some thousands."""
    rng, names = Random(1), [f"u{number}" for number in range(2000)]
    train = naming(tmp_path / "train.jsonl", **{name: " ".join(rng.sample(names, 8)) for name in names})
    asked = []
    find = Records.find
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Records, "find", lambda self, one: asked.append(one) or find(self, one))
        found = find_overlap(train, [manifest(tmp_path / "test.jsonl", ("t", "u7", ""))])
    assert found.counts == {"sentence": 2000}
    assert len(asked) < 10_000


def test_a_row_that_names_one_that_is_not_there_is_named(tmp_path):
    train = naming(tmp_path / "train.jsonl", a="gone")
    with pytest.raises(RecordError, match="'a' names 'gone' among its others: .*no id 'gone'"):
        find_overlap(train, [manifest(tmp_path / "test.jsonl", ("t", "x", ""))])
