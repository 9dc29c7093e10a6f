"""Rows of other texts."""

import pytest

from auralign.builders import Negate, build
from auralign.records import Records, Utterance, write_records
from auralign.text.words import plain

TEXTS = {"a": "one", "b": "One.", "c": "two", "d": "three", "e": "four"}


@pytest.fixture
def manifest(tmp_path):
    rows = [Utterance(name, f"{name}.wav", 1.0, text) for name, text in TEXTS.items()]
    write_records(tmp_path / "in.jsonl", rows, kind=Utterance)
    return tmp_path / "in.jsonl"


def read(path):
    return {row.id: row.others for row in Records(path, Utterance)}


def test_each_row_names_rows_of_other_texts_of_which_no_two_are_alike(tmp_path, manifest):
    build(Negate(number=3), manifest, tmp_path / "out.jsonl")
    for name, others in read(tmp_path / "out.jsonl").items():
        texts = [plain(TEXTS[other]) for other in others]
        assert len(set(texts)) == 3
        assert plain(TEXTS[name]) not in texts


def test_what_is_drawn_depends_on_the_row_and_the_seed_alone(tmp_path, manifest):
    for seed, name in ((1, "one"), (1, "again"), (2, "two")):
        build(Negate(number=2, seed=seed), manifest, tmp_path / f"{name}.jsonl")
    assert read(tmp_path / "one.jsonl") == read(tmp_path / "again.jsonl") != read(tmp_path / "two.jsonl")


def test_more_than_there_are_is_refused(tmp_path, manifest):
    with pytest.raises(ValueError, match="--number 4: the manifest has 4 different texts, of which 3"):
        build(Negate(number=4), manifest, tmp_path / "out.jsonl")


def test_a_text_of_no_word_is_nobodys_other_text(tmp_path):
    """A method that read it would have no wrong text at all."""
    rows = [
        Utterance(name, "a.wav", 1.0, text) for name, text in {"a": "one", "b": "...", "c": "two"}.items()
    ]
    write_records(tmp_path / "in.jsonl", rows, kind=Utterance)
    build(Negate(number=1), tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    others = read(tmp_path / "out.jsonl")
    assert (others["a"], others["c"]) == (("c",), ("a",))
    assert others["b"] in (("a",), ("c",))
