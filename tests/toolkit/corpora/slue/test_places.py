"""Locating what answers quote: once each, kept, and resumed."""

import pytest

from auralign.corpora.slue.places import places_path, read_places, write_places
from auralign.files import partial_path


def test_a_quote_is_looked_for_once(tmp_path):
    calls, known = [], {("a", "malta"): (0.0, 0.5)}

    def locate(utt_id, phrases):
        calls.append((utt_id, phrases))
        return [(0.5, 1.0, -0.1) if phrase != "oz" else None for phrase in phrases]

    path = tmp_path / "p.jsonl"
    write_places(path, {"a": ["malta", "rome", "rome", "oz"], "b": ["malta"], "c": []}, locate, known)
    assert calls == [("a", ["rome", "oz"]), ("b", ["malta"])]
    expected = {
        ("a", "malta"): (0.0, 0.5),
        ("a", "rome"): (0.5, 1.0),
        ("a", "oz"): None,
        ("b", "malta"): (0.5, 1.0),
    }
    assert read_places(path) == known == expected


def test_a_run_that_broke_goes_on_where_it_was(tmp_path):
    path, calls = tmp_path / "p.jsonl", []

    def locate(utt_id, phrases):
        calls.append(utt_id)
        if utt_id == "b" and calls.count("b") == 1:
            raise KeyboardInterrupt
        return [(0.0, 1.0, 0.0)] * len(phrases)

    wanted = {"a": ["one"], "b": ["two"]}
    with pytest.raises(KeyboardInterrupt):
        write_places(path, wanted, locate, {})
    assert not path.exists() and partial_path(path).exists()
    write_places(path, wanted, locate, known := {})
    assert calls == ["a", "b", "b"]
    assert set(known) == {("a", "one"), ("b", "two")}
    assert not partial_path(path).exists()


def test_places_stand_beside_the_answers():
    assert str(places_path("x/test.speech.jsonl")) == "x/test.speech.places.jsonl"
