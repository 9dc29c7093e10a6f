"""What `auralign probe` found inside the models, as the report of their recipe shows it.

The probe is a command of its own, since it loads the models again; its `probe.json` holds an overview for this report.
"""

from collections.abc import Mapping
from pathlib import Path

from auralign.decode.stage import SPEECH
from auralign.files import read_json
from auralign.fingerprint import same
from auralign.ledger.table import Table
from auralign.run_folder import RunFolder
from auralign.stage import begun_with

INSIDE = "Inside the models"
NOTE = (
    "Inside the models: found by `auralign probe`; docs/probe.md defines the measures. A share is from 0, drawn from the "
    "instruction alone, to 1, drawn from the speech alone."
)


def find_probe(run: RunFolder) -> Path | None:
    """The result of a finished probe of the checkpoint that answered in stage 4; None if there is none."""
    path = run.probe / "probe.json"
    probed = begun_with(run.probe, "probe")
    answered = begun_with(run.hypotheses(SPEECH[0]).parent, f"decode {SPEECH[0]}")
    if not path.is_file() or probed is None or answered is None:
        return None
    return path if same(probed["checkpoint"], answered["checkpoint"]) else None


def table_of_probes(probes: Mapping[str, Path]) -> Table | None:
    """The overviews of probes, by the name of their method, in one table; None if there are none."""
    overviews = {
        name: Table(**read_json(path, keys=("overview",))["overview"]) for name, path in probes.items()
    }
    if not overviews:
        return None
    headers = next(iter(overviews.values())).headers
    rows = [[name, *row] for name, table in overviews.items() for row in table.rows]
    return Table(["method", *headers], rows, num_texts=2)
