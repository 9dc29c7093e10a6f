"""Hugging Face datasets: parquet files, saved folders and datasets of the hub; a dataset's code is never run."""

import os
import re
from pathlib import Path
from typing import Any

from auralign.data.sources.rows import Rows, import_extra
from auralign.files import PathLike, write_atomically
from auralign.records import RecordError, shorten

HUB = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(@[\w./-]+)?")  # owner/name, owner/name@revision
FILE_ENDINGS = (".jsonl", ".json", ".csv", ".tsv", ".txt", ".psv", ".parquet", ".gz")


def read_parquet(source: Path, split: str | None, *, batch_size: int = 64) -> Rows:
    """Read a parquet file or a folder of them; if `split` is given, only the files of that split."""
    parquet = import_extra("pyarrow.parquet", "datasets")
    paths = [source] if source.is_file() else sorted(source.rglob("*.parquet"))
    splits = {path: _split_of(path) for path in paths}
    if split is not None:
        paths = [path for path in paths if splits[path] == split]
    if not paths or len({splits[path] for path in paths}) > 1:
        raise ValueError(
            f"{source}: has the splits {', '.join(sorted(set(splits.values())))}; choose: --split NAME"
        )
    for path in paths:
        number = 0
        try:
            for batch in parquet.ParquetFile(path).iter_batches(batch_size=batch_size):
                for row in batch.to_pylist():
                    yield f"{path}: row {number}", row
                    number += 1
        except (OSError, import_extra("pyarrow", "datasets").ArrowException) as error:
            raise RecordError(
                f"{path}: cannot be read after {number} rows ({error}); copy it again"
            ) from error


def _split_of(path: Path) -> str:
    """The split of a file named as on the hub: train-00000-of-00002.parquet or train/0000.parquet."""
    name = path.stem.split("-")[0]
    return path.parent.name if name.isdigit() else name


def read_datasets(source: Path, split: str | None) -> Rows:
    """Read a folder that Hugging Face's `Dataset.save_to_disk` wrote."""
    datasets = import_extra("datasets", "datasets")
    found = datasets.load_from_disk(str(source))
    if isinstance(found, dict):
        if split not in found:
            raise ValueError(f"{source}: has the splits {', '.join(found)}; choose: --split NAME")
        found = found[split]
    elif split is not None:
        raise ValueError(f"{source}: is one dataset, without splits; leave out --split {split}")
    yield from _rows_of(found, source)


def _rows_of(found: Any, source: str | Path) -> Rows:
    """The rows of a loaded dataset, with audio undecoded."""
    datasets = import_extra("datasets", "datasets")
    for name, feature in found.features.items():
        if isinstance(feature, datasets.Audio):
            found = found.cast_column(name, datasets.Audio(decode=False))
    for number, row in enumerate(found):
        yield f"{source}: row {number}", row


def hub_name(source: PathLike) -> str | None:
    """The name of a source on the Hugging Face hub; None if the source is a path.

    Raises ValueError if it begins with hf:// and no dataset name follows.

    >>> hub_name("hf://datasets/google/fleurs"), hub_name("google/fleurs@main"), hub_name("data/clips.csv")
    ('google/fleurs', 'google/fleurs@main', None)
    """
    text = os.fspath(source)
    if text.startswith("hf:/"):  # pathlib makes one slash of two
        name = text.removeprefix("hf:").lstrip("/").removeprefix("datasets/").rstrip("/")
        if not HUB.fullmatch(name):
            raise ValueError(f"{text}: give a dataset of the hub as hf://owner/name")
        return name
    is_path = os.path.exists(text) or os.path.isdir(os.path.dirname(text)) or text.endswith(FILE_ENDINGS)
    return None if is_path or not HUB.fullmatch(text) else text


def read_hub(source: str, split: str | None, config: str | None) -> Rows:
    """Read a dataset of the Hugging Face hub, from the cache alone if HF_HUB_OFFLINE is set; its code is never run."""
    datasets = import_extra("datasets", "datasets")
    name, _, revision = source.partition("@")
    options = {"revision": revision} if revision else {}
    offline = datasets.config.HF_HUB_OFFLINE
    try:
        if split is None and not offline:  # avoids the download of all splits
            splits = datasets.get_dataset_split_names(name, config, **options)
            split = splits[0] if len(splits) == 1 else None
            found = None if split is None else datasets.load_dataset(name, config, split=split, **options)
        else:
            found = datasets.load_dataset(name, config, split=split, **options)
            splits = list(found) if split is None else []
            found = found[splits[0]] if len(splits) == 1 else found
    except Exception as error:  # many types: no network, no such dataset, config or split
        what = shorten(" ".join(f"{type(error).__name__}: {error}".split()), 400)
        repair = "check the name, --config, --split and the network"
        if offline:
            repair = "HF_HUB_OFFLINE is set, so that only the cache is read: load the dataset once without it"
        raise ValueError(
            f"hf://{source}: cannot be loaded ({what}); {repair}; or give a folder that save_to_disk wrote"
        ) from error
    if len(splits) > 1:
        raise ValueError(f"hf://{source}: has the splits {', '.join(splits)}; choose: --split NAME")
    yield from _rows_of(found, f"hf://{source}")


def write_audio(value: dict[str, Any], number: int, folder: PathLike | None, position: str) -> str:
    """Write the audio in {"bytes": ..., "path": ...} to a file named by its row number; returns the file's path."""
    if folder is None:
        raise RecordError(f"{position}: holds audio itself, and no folder was given to write it to")
    path = Path(folder) / f"{number:08d}{Path(value.get('path') or '').suffix or '.audio'}"
    with write_atomically(path, "wb") as file:
        file.write(value["bytes"])
    return str(path.absolute())
