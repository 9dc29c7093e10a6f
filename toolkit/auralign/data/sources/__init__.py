"""Utterances from a user's own corpus in any of several forms: what `auralign prepare` reads.

    >>> import tempfile, pathlib
    >>> table = pathlib.Path(tempfile.mkdtemp()) / "clips.csv"
    >>> _ = table.write_text("path,sentence\\na.wav,three five\\n")
    >>> [(utterance.id, utterance.audio, utterance.text) for utterance in read_source(table)]
    [('a', 'a.wav', 'three five')]

A source is read row by row. Columns are found by their usual names or by a mapping. Code that comes with a source is never run.
`auralign.data.ids` makes the ids of rows that have none.
"""

from auralign.data.sources.columns import Columns
from auralign.data.sources.forms import FORMS, HERE, guess_form
from auralign.data.sources.hugging_face import hub_name, read_parquet
from auralign.data.sources.read import read_source

__all__ = ["FORMS", "HERE", "Columns", "guess_form", "hub_name", "read_parquet", "read_source"]
