"""The forms of a source, and how they are detected."""

from collections.abc import Callable
from pathlib import Path

from auralign.data.sources.hugging_face import read_datasets, read_hub, read_parquet
from auralign.data.sources.kaldi import read_kaldi
from auralign.data.sources.lhotse import read_lhotse
from auralign.data.sources.rows import Rows
from auralign.data.sources.tables import SEPARATORS, read_table
from auralign.data.sources.tars import read_shar, read_webdataset
from auralign.data.sources.text_files import open_text, read_jsonl, read_lines

HERE = ("kaldi", "lhotse", "hub")  # forms whose relative paths start from the working folder
TABLES = ("csv", "tsv")
WITH_SPLITS = ("parquet", "datasets", "hub")
FORMS: dict[str, Callable[..., Rows]] = {
    "jsonl": read_jsonl,
    "csv": read_table,
    "tsv": read_table,
    "kaldi": read_kaldi,
    "lhotse": read_lhotse,
    "parquet": read_parquet,
    "datasets": read_datasets,
    "hub": read_hub,
    "webdataset": read_webdataset,
    "shar": read_shar,
}


def guess_form(source: Path) -> str:
    """Detect the form of a source from its name and content.

    Raises ValueError if it has none of the known forms.
    """
    if source.is_dir():
        if (source / "wav.scp").is_file():
            return "kaldi"
        if (source / "state.json").is_file() or (source / "dataset_dict.json").is_file():
            return "datasets"
        if any(source.rglob("*.parquet")):
            return "parquet"
        if any(source.glob("cuts.*.jsonl*")):
            return "shar"
        if any(source.rglob("*.tar")):
            return "webdataset"
        raise ValueError(
            f"{source}: neither a Kaldi data folder (wav.scp), nor a saved Hugging Face dataset (state.json), nor parquet or tar "
            "files; give the table itself"
        )
    name = source.name.removesuffix(".gz")
    if name.endswith((".jsonl", ".json")):
        with open_text(source) as file:
            first = next(read_lines(file, source), "")
        return "lhotse" if '"supervisions"' in first or '"recording"' in first else "jsonl"
    if source.name.endswith(".tar"):
        return "webdataset"
    for form in ("csv", "tsv", "parquet"):
        if name.endswith(f".{form}"):
            return form
    if name.endswith((".txt", ".psv")):
        with open_text(source) as file:
            first = next(read_lines(file, source), "")
        if any(separator in first for separator in SEPARATORS):
            return "csv"
    raise ValueError(f"{source}: cannot tell its form by its name; say --form {' or '.join(FORMS)}")
