import json
import subprocess
import sys

from auralign.ledger.ledger import Ledger


def test_a_ledger_survives_json(ledger):
    stored = json.loads(json.dumps(ledger.to_dict()))
    assert Ledger.from_dict(stored) == ledger
    assert (stored["measure"], "metric" in stored) == (ledger.metric, False)  # the key of earlier scores.json


def test_scoring_imports_neither_torch_nor_matplotlib():
    code = (
        "import sys, auralign.ledger.build, auralign.ledger.report, auralign.ledger.columns\n"
        "print({'torch', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
