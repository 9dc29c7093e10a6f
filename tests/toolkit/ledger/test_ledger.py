import json
import subprocess
import sys

import pytest

from auralign.ledger.ledger import Difference, Ledger
from auralign.ledger.summary import describe_result
from auralign.ledger.tables import format_ledger, format_legend
from auralign.score.metrics import Estimate


def test_a_ledger_survives_json(ledger):
    stored = json.loads(json.dumps(ledger.to_dict()))
    assert Ledger.from_dict(stored) == ledger
    assert (stored["measure"], "metric" in stored) == (ledger.metric, False)  # the key of earlier scores.json


def test_a_ledger_of_an_earlier_auralign_is_read(ledger):
    stored = json.loads(json.dumps(ledger.to_dict()))
    del stored["pooled"], stored["num_without_speaker"]
    for row in stored["rows"]:
        del row["rates"]["other_text"], row["answers"]["right content in another form"]
        for name in ("speech", "recovery"):
            del row[name]["num_clusters"]
    for item in stored["differences"]:
        del item["p_value"], item["adjusted"], item["estimate"]["num_clusters"]
    found = Ledger.from_dict(stored)
    assert "paired resamples of the utterances" in format_legend(found)  # as they were drawn
    assert "unseen tasks: 4 questions\n" in format_ledger(found)
    assert describe_result(found)


def test_scoring_imports_neither_torch_nor_matplotlib():
    code = (
        "import sys, auralign.ledger.build, auralign.ledger.report, auralign.ledger.columns\n"
        "print({'torch', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(("adjusted", "expected"), [(0.0005, True), (0.2, False), (None, False)])
def test_a_difference_without_interval_is_judged_by_its_p_value(adjusted, expected):
    """As of all right against all wrong, in which no resample differs."""
    found = Difference("g", "m", "o", Estimate(1.0, None, None), p_value=adjusted, adjusted=adjusted)
    assert found.is_significant(0.95) is expected
