"""Paths through rows whose neighbours are known."""

import numpy as np
import pytest

from auralign.builders import Relate, build
from auralign.builders.relate import follow, tf_idf
from auralign.data.rejected import rejected_path
from auralign.records import RecordError, Records, Utterance, write_records


def write(folder, *rows):
    write_records(folder / "in.jsonl", rows, kind=Utterance)
    return folder / "in.jsonl"


def row(name, text, **fields):
    return Utterance(id=name, audio=fields.pop("audio", f"{name}.wav"), seconds=1.0, text=text, **fields)


def others(output):
    return {utterance.id: utterance.others for utterance in Records(output, Utterance)}


def test_the_vectors_are_those_of_the_formula():
    found = tf_idf(["a a b", "b c"]).toarray()
    a, b = 2 * (np.log(3 / 2) + 1), np.log(3 / 3) + 1
    assert found[0, :2] == pytest.approx(np.array([a, b]) / np.hypot(a, b))
    assert np.linalg.norm(found, axis=1) == pytest.approx([1, 1])


def test_the_path_begins_at_the_lowest_degree_and_goes_to_the_nearest():
    # 3 - 0 - 1, 0 - 2, and 4 alone: degrees 3, 1, 1, 1, 0.
    nearest = [[(1, 0.9), (2, 0.5), (3, 0.4)], [(0, 0.9)], [(0, 0.5)], [(0, 0.4)], []]
    assert follow(nearest) == [4, 1, 0, 2, 3]


def test_related_rows_share_a_context_and_each_row_is_in_one(tmp_path):
    path = write(
        tmp_path,
        row("cat1", "the cat sat on a mat"),
        row("sea1", "waves of the wide sea"),
        row("cat2", "a cat on another mat"),
        row("sea2", "the sea has waves"),
    )
    build(Relate(size=2), path, tmp_path / "out.jsonl")
    rows = list(Records(tmp_path / "out.jsonl", Utterance))
    contexts = {}
    for utterance in rows:
        contexts.setdefault(utterance.labels["context"], set()).add(utterance.id)
    assert sorted(map(sorted, contexts.values())) == [["cat1", "cat2"], ["sea1", "sea2"]]
    assert [len(utterance.others) for utterance in rows] == [0, 1, 0, 1]
    assert all(utterance.others == (rows[n - 1].id,) for n, utterance in enumerate(rows) if utterance.others)


def test_a_near_duplicate_is_listed_under_its_own_id(tmp_path):
    path = write(tmp_path, row("a", "one two three"), row("b", "four five"), row("c", "One two, three!"))
    build(Relate(size=2), path, tmp_path / "out.jsonl", max_rejected=0.5)
    assert set(others(tmp_path / "out.jsonl")) == {"a", "b"}
    listed = rejected_path(tmp_path / "out.jsonl").read_text()
    assert listed == '{"id": "c", "reason": "near-duplicate", "detail": "of a, similarity 1.000"}\n'
    build(Relate(size=2, max_similarity=1), path, tmp_path / "all.jsonl")
    assert set(others(tmp_path / "all.jsonl")) == {"a", "b", "c"}


def test_rows_of_one_recording_follow_each_other_in_time(tmp_path):
    path = write(
        tmp_path,
        row("a2", "x", audio="a.wav", start=2.0),
        row("b1", "x", audio="b.wav"),
        row("a1", "x", audio="a.wav", start=1.0),
        row("a3", "x", audio="a.wav", start=3.0),
    )
    build(Relate(by="recording", size=2), path, tmp_path / "out.jsonl")
    assert others(tmp_path / "out.jsonl") == {"a1": (), "a2": ("a1",), "a3": (), "b1": ()}


def test_rows_are_related_by_any_label(tmp_path):
    path = write(
        tmp_path,
        row("a", "x", labels={"topic": 1}),
        row("b", "x", labels={"context": "talk"}),
        row("c", "x", labels={"topic": 1}),
    )
    summary = build(Relate(by="topic"), path, tmp_path / "out.jsonl")
    assert summary.notes["whose label context was replaced"] == 1
    assert others(tmp_path / "out.jsonl") == {"a": (), "c": ("a",), "b": ()}


def test_embeddings_of_the_user(tmp_path, monkeypatch):
    (tmp_path / "my_vectors.py").write_text(
        "def first_letter(texts):\n    return [[text[0] == 'a', text[0] == 'b'] for text in texts]\n\n"
        "def short(texts):\n    return [[1.0]]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    path = write(tmp_path, row("1", "a x"), row("2", "b x"), row("3", "a y"), row("4", "b y"))
    relate = Relate(size=2, max_similarity=1, embedding="my_vectors:first_letter")
    build(relate, path, tmp_path / "out.jsonl")
    assert others(tmp_path / "out.jsonl") == {"1": (), "3": ("1",), "2": (), "4": ("2",)}
    with pytest.raises(ValueError, match="one for each text"):
        build(Relate(embedding="my_vectors:short"), path, tmp_path / "bad.jsonl")


def test_a_row_with_others_is_refused(tmp_path):
    path = write(tmp_path, row("a", "x", others=("b",)), row("b", "y"))
    with pytest.raises((ValueError, RecordError), match="'a' names others already"):
        build(Relate(), path, tmp_path / "out.jsonl")
