"""The rows of SLUE's look-alikes in the form of the copies on the Hugging Face hub."""

import io
from pathlib import Path

import soundfile

from auralign.files import PathLike
from auralign.testing.corpora.slue_rows import DOCUMENTS, SECONDS, SLUE, SPLITS, Row, word2time
from auralign.testing.tiny.speech import make_speech

# Lists of items in parquet: column -> names of an item's parts.
PARTS = {
    "raw_ner": ("type", "start", "length"),
    "normalized_ner": ("type", "start", "length"),
    "answer_spans": ("answer", "start_second", "end_second"),
    "word_timestamps": ("word", "start_sec", "end_sec"),
    "ne_timestamps": ("ne_label", "start_char_idx", "char_offset", "start_sec", "end_sec"),
}


def make_slue_parquet(folder: PathLike) -> Path:
    """Write the same rows as copies of asapp/slue and asapp/slue-phase-2 hold them; the folder of all.

    Audio is {"bytes": ..., "path": ...}, lists are columns within columns, an absent value is null. Rows whose labels are
    cut are left out, as no column could hold them.
    """
    import pyarrow
    from pyarrow import parquet

    root = Path(folder) / "SLUE-parquet"
    for corpus, splits in SLUE.items():
        (root / corpus).mkdir(parents=True)
        for split, rows in splits.items():
            found = [
                _parquet_row(corpus, row)
                for row in rows
                if not any(name in row and isinstance(row[name], str) for name in (*PARTS, "dialog_acts"))
            ]
            path = root / corpus / f"{SPLITS[split]}-00000-of-00001.parquet"
            parquet.write_table(pyarrow.Table.from_pylist(found), path)
    return root


def _parquet_row(corpus: str, row: Row) -> Row:
    found = {key: None if value in ("", "None", "nan") else value for key, value in row.items()}
    for name in PARTS.keys() & row.keys():
        found[name] = {part: [item[at] for item in row[name]] for at, part in enumerate(PARTS[name])}
    if corpus != "sqa5":
        return found | {"audio": _held(SECONDS[corpus], "FLAC", f"{row.get('id', 'clip')}.flac")}
    words = list(word2time(row["document_id"])) if DOCUMENTS.get(row["document_id"], (0, None))[1] else []
    return found | {
        "question_audio": _held(0.2, "WAV", f"{row['question_id']}.wav"),
        "document_audio": _held(SECONDS["sqa5"], "WAV", None),
        "word2time": {
            "word": [word[0] for word, _ in words],
            "normalized_word": [word[1] for word, _ in words],
            "start_second": [times[0] if times else -1.0 for _, times in words],
            "end_second": [times[1] if times else -1.0 for _, times in words],
        },
    }


def _held(seconds: float, form: str, path: str | None) -> Row:
    content = io.BytesIO()
    soundfile.write(content, make_speech(seconds), 16_000, format=form)
    return {"bytes": content.getvalue(), "path": path}
