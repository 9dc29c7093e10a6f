"""The same two rows in every form that `auralign prepare` reads, for the tests of sources, ids and conditions."""

import gzip
import json
import math

from auralign.data.sources import Columns, read_source
from auralign.records import Utterance

ROWS = [
    {"id": "u1", "audio": "a.wav", "text": 'three "five', "speaker": "s1", "german": "drei fünf"},
    {"id": "u2", "audio": "b.wav", "text": "nine, one", "speaker": "s2", "german": "neun eins"},
]
LABELLED = Columns(labels={"german": "german"})


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def expected():
    return [
        Utterance(
            id=row["id"],
            audio=row["audio"],
            seconds=math.inf,
            text=row["text"],
            speaker=row["speaker"],
            labels={"german": row["german"]},
        )
        for row in ROWS
    ]


def write_form(folder, form):
    """The rows in one form; the path of what was written."""
    if form == "jsonl":
        return write(folder / "t.jsonl", "".join(json.dumps(row) + "\n" for row in ROWS))
    if form == "jsonl.gz":
        path = folder / "t.jsonl.gz"
        path.write_bytes(gzip.compress(write_form(folder, "jsonl").read_bytes()))
        return path
    if form == "csv":
        lines = ['u1,a.wav,"three ""five",s1,drei fünf', 'u2,b.wav,"nine, one",s2,neun eins']
        return write(folder / "t.csv", "\ufeffid,audio,text,speaker,german\r\n" + "\r\n".join(lines) + "\r\n")
    if form == "tsv":
        lines = ["\t".join(ROWS[0]), *("\t".join(row.values()) for row in ROWS)]
        return write(folder / "t.tsv", "\n".join(lines) + "\n")
    import datasets

    data = datasets.Dataset.from_list(ROWS)
    if form == "parquet":
        data.to_parquet(folder / "t.parquet")
        return folder / "t.parquet"
    data.save_to_disk(folder / "saved")
    return folder / "saved"


def read(path, text, **options):
    """The items of a source that is written first."""
    return list(read_source(write(path, text), **options))
