import dataclasses

import pytest

from auralign.ledger.report import FILES, format_report, read_scores, write_report
from auralign.ledger.table import Table
from auralign.ledger.tasks import Spread, TaskTable

FACTS = {"seed": 1, "command": "python score.py"}


@pytest.fixture
def report(ledger):
    return format_report(ledger, title="Digits", facts=FACTS, notes=["Text is normalised."])


def test_the_same_ledger_writes_the_same_bytes(ledger, tmp_path):
    for folder in ("one", "two"):
        write_report(tmp_path / folder, ledger, title="Digits", facts=FACTS)
    one, two = (
        {name: (tmp_path / folder / name).read_bytes() for name in FILES} for folder in ("one", "two")
    )
    assert one == two


def test_scores_give_the_ledger_and_the_facts_back(ledger, tmp_path):
    write_report(tmp_path, ledger, title="Digits", facts=FACTS)
    assert read_scores(tmp_path / "scores.json") == (ledger, [], FACTS)


def test_the_report_says_how_it_was_made(report):
    assert "- seed: 1\n- command: python score.py" in report.split("## How it was made")[1]


def test_the_report_holds_a_row_of_the_ledger(report):
    assert "| unseen tasks | near | 4 | 4 | 1.00 | 0.75 | 0.25 | 0.75 |" in report


def test_the_report_shows_three_wrong_answers_of_a_method_that_has_as_many(report):
    lines = report.split("## Wrong answers")[1].splitlines()
    assert sum(line.startswith("| far | unseen tasks |") for line in lines) == 3


def test_answers_are_data_and_break_no_table(ledger):
    odd = dataclasses.replace(ledger.examples[0], got="a | b\n<|im_end|> *x*")
    report = format_report(dataclasses.replace(ledger, examples=(odd,)), title="Digits", facts={})
    assert r"a \| b \<\|im\_end\|\> \*x\* |" in report


HOSTILE = "![x](http://a.b)\x1b[31m \u202e<img>"
SHOWN = r"!\[x\](http\://a.b)⟨U+001B⟩\[31m ⟨U+202E⟩\<img\>"


def test_names_and_wordings_are_data_outside_of_tables_too(ledger):
    spread = Spread((), 0.0, 0.0, 0.0)
    task = TaskTable(HOSTILE, "order", "accuracy", "", False, 4, 1, (HOSTILE,), {"text": spread}, {})
    strata = {HOSTILE: Table(("group",), [["x"]], 1)}
    absent = dataclasses.replace(ledger, absent_groups=(HOSTILE,))
    report = format_report(absent, [task], title="Digits", facts={"by": HOSTILE}, strata=strata)
    assert not {"\x1b", "\u202e"} & set(report)
    lines = report.splitlines()
    assert f"## {SHOWN}" in lines and f"- {SHOWN}: not in this corpus" in lines
    assert any(line.startswith(f"- {SHOWN}, order, 1: ") for line in lines)


def test_tables_have_as_many_cells_in_every_row(report):
    table = report.split("## The gap ledger")[1].split("\n\n")[1].splitlines()
    assert {line.count(" | ") for line in table} == {15}
