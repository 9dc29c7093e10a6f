"""The ledger cut by labels, and the strata of a label."""

import json
from dataclasses import replace

import pytest

from auralign.data.strata import order, strata_of
from auralign.ledger.build import judge_answers, make_ledger, read_methods
from auralign.ledger.recipe import Comparison
from auralign.ledger.report import read_strata, write_report
from auralign.ledger.strata import cut
from auralign.records import Question, Records, Utterance, write_records


def rows(*values):
    return [
        Utterance(f"u{number}", "x.wav", 1.0, "x", labels={} if value is None else {"v": value})
        for number, value in enumerate(values)
    ]


def test_a_value_is_a_stratum_and_what_is_not_known_is_one_too():
    assert strata_of(rows(2010, None, 2010), "v") == {"u0": "2010", "u1": "not known", "u2": "2010"}
    assert order(["b", "not known", "a", "b"]) == ["a", "b", "not known"]


def test_many_different_numbers_are_cut_into_quarters():
    found = strata_of(rows(*range(0, 200, 10)), "v")  # 20 numbers: edges at 47.5, 95 and 142.5
    assert found["u0"] == found["u4"] == "quarter 1: 0 to 47.5"
    assert found["u5"] == found["u9"] == "quarter 2: 47.5 to 95"
    assert found["u19"] == "quarter 4: 142.5 to 190"


def test_labels_that_no_table_could_show_are_refused():
    with pytest.raises(ValueError, match="--by v: has 50 different values"):
        strata_of(rows(*(f"word {number}" for number in range(50))), "v")
    with pytest.raises(ValueError, match="--by w: no utterance has it; there are language, speaker, v"):
        strata_of(rows(1), "w")


@pytest.fixture
def judged(tmp_path, make_corpus):
    """24 utterances, of which 12 of 2010 by 12 speakers are right but for three, and 12 of 2020 by two are wrong."""
    questions = tuple(
        Question(f"q{number:02d}", f"u{number:02d}", "unseen tasks", "t", "do {speech}", f"right {number}")
        for number in range(24)
    )
    speakers = {f"u{number:02d}": f"s{number if number < 12 else 12 + number % 2}" for number in range(24)}
    corpus = make_corpus(questions, speakers)
    labelled = [
        replace(row, labels={"year": 2010 if number < 12 else 2020})
        for number, row in enumerate(corpus.manifest)
    ]
    write_records(tmp_path / "labelled.jsonl", labelled, kind=Utterance)
    read = {"text": corpus.answers("text", "1" * 24)}
    methods = {"sift": corpus.method("sift", "1" * 9 + "w" * 15, "w" * 24)}
    items = read_methods(corpus.questions, corpus.manifest, read, methods)
    judge = corpus.judge
    answers = judge_answers(items, judge)
    manifest = Records(tmp_path / "labelled.jsonl", Utterance)
    return answers, manifest, make_ledger(items, judge, seed=1, judged=answers)


def test_each_stratum_has_its_number_and_no_interval_below_ten_speakers(judged):
    answers, manifest, _ = judged
    (table,) = cut(answers, manifest, ["year"], seed=1).values()
    first, second = table.rows
    assert first[:9] == ["unseen tasks", "2010", "sift", "12", "12", "12", "1.00", "0.00", "0.75"]
    low, high = map(float, first[9].split(".."))
    assert 0.4 < low < 0.75 < high <= 1.0
    assert second[:10] == ["unseen tasks", "2020", "sift", "12", "12", "2", "1.00", "0.00", "0.00", "-"]


def test_the_reports_hold_the_tables(tmp_path, judged):
    answers, manifest, ledger = judged
    strata = cut(answers, manifest, ["year"], seed=1)
    write_report(tmp_path / "out", ledger, title="t", facts={}, strata=strata)
    assert "## Cut by year" in (tmp_path / "out" / "report.md").read_text()
    assert "<caption>Cut by year</caption>" in (tmp_path / "out" / "report.html").read_text()
    assert read_strata(tmp_path / "out" / "scores.json")["Cut by year"].rows == strata["Cut by year"].rows
    write_report(tmp_path / "out", ledger, title="t", facts={})
    assert "strata" not in json.loads((tmp_path / "out" / "scores.json").read_text())


def test_the_labels_of_a_command_line(monkeypatch):
    opened = []
    monkeypatch.setattr(
        "auralign.ledger.recipe.RunFolder.open",
        lambda path, overrides: opened.append(overrides) or FakeRun(path),
    )
    found = Comparison.of_arguments(["sift.yaml", "--by", "year source", "--seed", "2"])
    assert found.by == ("year", "source")
    assert opened == [{"seed": "2"}]


class FakeRun:
    recipe = None

    def __init__(self, name):
        self.name = name
