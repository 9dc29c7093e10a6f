"""An evaluation whose ledger is cut by a label."""

import numpy as np
import pytest
import soundfile

from auralign.adapters import OtherModel, Reply
from auralign.evaluation import describe_evaluations, evaluate
from auralign.ledger.report import read_strata
from auralign.records import Utterance, write_records


class Deaf(OtherModel):
    """Answers "yes" to everything."""

    name = short_name = "deaf"

    def __init__(self, beside):
        self.beside, self.asked = beside, 0

    def identity(self):
        return "1"

    def answer(self, prompts):
        self.asked += len(prompts)
        return [Reply("yes", "stop") for _ in prompts]


@pytest.fixture
def manifest(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.full(1600, 0.1), 16_000)
    rows = [Utterance(f"u{year}", "a.wav", 0.1, f"in {year}", labels={"year": year}) for year in (2010, 2020)]
    write_records(tmp_path / "test.jsonl", rows, kind=Utterance)
    return tmp_path / "test.jsonl"


def test_the_ledger_is_cut_and_the_answers_are_asked_for_once(tmp_path, manifest):
    model = Deaf(tmp_path)
    folder = evaluate(model, manifest, ask=["Repeat: {speech}"])
    asked = model.asked
    assert evaluate(model, manifest, ask=["Repeat: {speech}"], by=["year"]) == folder
    assert model.asked == asked > 0
    (table,) = read_strata(folder / "scores.json").values()
    assert [row[1:10] for row in table.rows] == [
        [year, "deaf", "1", "1", "1", "1.00", "1.00", "1.00", "-"] for year in ("2010", "2020")
    ]
    assert "Cut by year" in describe_evaluations(folder)


def test_a_label_that_no_utterance_has_is_refused_before_anything_is_asked(tmp_path, manifest):
    model = Deaf(tmp_path)
    with pytest.raises(ValueError, match="--by source: no utterance has it"):
        evaluate(model, manifest, ask=["Repeat: {speech}"], by=["source"])
    assert model.asked == 0
