"""What was found inside the models is in the report, if it is of the checkpoint that answered."""

from types import SimpleNamespace

import pytest

from auralign.files import write_json
from auralign.ledger.inside import INSIDE, find_probe, table_of_probes
from auralign.ledger.page import format_page
from auralign.ledger.report import format_report
from auralign.stage import Stage

OVERVIEW = {
    "headers": ["measure", "speakers", "value"],
    "rows": [["<mean> share", "12", "0.40"]],
    "num_texts": 1,
}


@pytest.fixture
def run(tmp_path):
    """A run whose answers are of the checkpoint "new"."""
    (tmp_path / "hypotheses").mkdir()
    found = SimpleNamespace(
        probe=tmp_path / "probe", hypotheses=lambda given: tmp_path / "hypotheses" / f"test.{given}.jsonl"
    )
    path = found.hypotheses("speech")
    with Stage("decode speech", path.parent, inputs={"checkpoint": "new"}, outputs=[path]):
        path.write_text("answers")
    return found


def write_probe(run, checkpoint):
    path = run.probe / "probe.json"
    with Stage("probe", run.probe, inputs={"checkpoint": checkpoint}, outputs=[path]):
        write_json(path, {"overview": OVERVIEW})


def test_a_probe_of_the_checkpoint_that_answered_is_found(run):
    assert find_probe(run) is None
    write_probe(run, "new")
    assert find_probe(run) == run.probe / "probe.json"


def test_a_probe_of_an_earlier_checkpoint_is_not_shown(run):
    write_probe(run, "old")
    assert find_probe(run) is None


def test_the_reports_show_the_probes_of_all_methods(run, ledger):
    write_probe(run, "new")
    table = table_of_probes({"sift": find_probe(run), "sit": find_probe(run)})
    assert [row[:2] for row in table.rows] == [["sift", "<mean> share"], ["sit", "<mean> share"]]
    report = format_report(ledger, title="t", facts={}, inside=table)
    page = format_page(ledger, title="t", facts={}, picture=b"", inside=table)
    assert f"## {INSIDE}" in report and "| sift |" in report and "auralign probe" in report
    assert f"<caption>{INSIDE}</caption>" in page and "<mean>" not in page


def test_without_a_probe_there_is_no_section(ledger):
    assert table_of_probes({}) is None
    assert INSIDE not in format_report(ledger, title="t", facts={})
    assert INSIDE not in format_page(ledger, title="t", facts={}, picture=b"")
