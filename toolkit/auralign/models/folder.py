"""Shared checks of the loaders of Hugging Face folders: nothing is downloaded or filled in, and errors name the file."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from auralign.files import read_json
from auralign.hub import WEIGHTS

DTYPES = ("float32", "bfloat16", "float16")
# Files that transformers reads besides the weights, if present.
OBJECTS = (
    "config.json", "generation_config.json", "preprocessor_config.json", "processor_config.json", "tokenizer.json",
    "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "chat_template.json",
)  # fmt: skip
TEXTS = ("chat_template.jinja", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "vocab.txt")
POINTER, PAGES = b"version https://git-lfs", (b"<!doctype html", b"<html")
COPY = "copy or download the folder again"


def check_files(path, names, *, what: str) -> None:
    """Raise FileNotFoundError if a folder lacks a file that `what` needs."""
    for name in names:
        if not (Path(path) / name).is_file():
            raise FileNotFoundError(
                f"no {name} in {path}; {what} is a downloaded Hugging Face folder, or an id of the hub"
            )


def check_sound(path) -> None:
    """Raise ValueError if a file that transformers would read is truncated or has other content, such as a Git LFS pointer or
    a server's error page; FileNotFoundError if weights are absent."""
    for file in [Path(path) / name for name in OBJECTS]:
        if file.is_file():
            read_object(file)
    for file in [Path(path) / name for name in TEXTS]:
        if file.is_file():
            _check_content(file)
    for file in weight_files(path):
        _check_content(file)
        if file.suffix == ".safetensors":
            _check_whole(file)


def read_object(file) -> dict:
    """The JSON object of a file of a downloaded folder; ValueError if the file holds anything else."""
    _check_content(Path(file))
    found = read_json(file, repair=COPY)
    if not isinstance(found, dict):
        raise ValueError(f"{file}: not a JSON object, {{...}}; {COPY}")
    return found


def weight_files(path) -> list[Path]:
    """The files of a folder's weights.

    Raises FileNotFoundError if one of them is absent, or all are.
    """
    for name in WEIGHTS:
        file, index = Path(path) / name, Path(path) / f"{name}.index.json"
        if file.is_file():
            return [file]
        if index.is_file():
            shards = read_object(index).get("weight_map")
            if not isinstance(shards, dict) or not all(isinstance(shard, str) for shard in shards.values()):
                raise ValueError(f"{index}: names no file for each weight (weight_map); {COPY}")
            found = [Path(path) / shard for shard in sorted(set(shards.values()))]
            for shard in found:
                if not shard.is_file():
                    raise FileNotFoundError(f"no {shard.name} in {path}, which {index.name} names; {COPY}")
            return found
    raise FileNotFoundError(f"no weights in {path}: expected {' or '.join(WEIGHTS)}, or their index; {COPY}")


def _check_content(file: Path) -> None:
    with file.open("rb") as opened:
        start = opened.read(64)
    problem = None
    if start.startswith(POINTER):
        problem = "is a pointer of Git LFS, not the file itself; run git lfs pull there"
    elif not start:
        problem = "is empty"
    elif start.lstrip().lower().startswith(PAGES):
        problem = "is a web page, perhaps of an error while it was downloaded"
    if problem:
        raise ValueError(
            f"{file}: {problem}{',' if ';' in problem else ';'} {'or ' if ';' in problem else ''}{COPY}"
        )


def _check_whole(file: Path) -> None:
    """Raise ValueError if a safetensors file is shorter than its header says."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        needed = 8 + length
        if needed <= size:
            try:
                header = json.loads(opened.read(length))
                needed += max(
                    (entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"),
                    default=0,
                )
            except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
                raise ValueError(
                    f"{file.parent}: its weights are not whole ({file.name} has no header); {COPY}"
                ) from error
    if size < needed:
        raise ValueError(
            f"{file.parent}: its weights are not whole ({file.name} has {size} of {needed} bytes); {COPY}"
        )


def check_finite(path, model: nn.Module) -> None:
    """Raise ValueError if a weight is NaN or infinite, on disk or in the dtype that it was loaded in."""
    bad = next((name for name, weight in model.named_parameters() if not _is_finite(weight)), None)
    if bad is None:
        return
    for file in weight_files(path):
        if file.suffix == ".safetensors":
            with safe_open(file, "pt") as opened:
                for name in opened.keys():  # noqa: SIM118 (no mapping)
                    tensor = opened.get_tensor(name)
                    if not _is_finite(tensor):
                        count = int((~tensor.isfinite()).sum())
                        raise ValueError(
                            f"{file}: the tensor {name} holds NaN or infinity ({count} of {tensor.numel()} values); {COPY}, or "
                            "repair what wrote it"
                        )
    dtype = str(model.get_parameter(bad).dtype).removeprefix("torch.")
    raise ValueError(
        f"{path}: the weight {bad} holds NaN or infinity in {dtype}; load it with dtype: float32 or bfloat16, or {COPY}"
    )


def _is_finite(tensor: torch.Tensor) -> bool:
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    return all(bool(end.isfinite()) for end in torch.aminmax(tensor.detach()))  # one pass, no copy


def torch_dtype(name: str) -> torch.dtype:
    """The dtype of that name; ValueError if it is not in `DTYPES`."""
    if name not in DTYPES:
        raise ValueError(f"dtype {name!r}: use {', '.join(DTYPES)}")
    return getattr(torch, name)


@contextlib.contextmanager
def loading(path) -> Iterator[None]:
    """Context manager around `from_pretrained`: no progress bars; a ValueError names a folder that cannot be loaded."""
    from transformers.utils.logging import disable_progress_bar, set_verbosity_error

    disable_progress_bar()  # "Loading weights", which would be printed to logs too
    set_verbosity_error()  # missing weights are an error here, in one line
    try:
        yield
    except SafetensorError as error:
        raise ValueError(f"{path}: its weights are not whole ({error}); {COPY}") from error
    except (ImportError, MemoryError, torch.OutOfMemoryError):
        raise
    except (
        Exception
    ) as error:  # transformers and tokenizers raise errors of any kind, often without the file's name
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{path}: transformers cannot load it ({type(error).__name__}: {reason[:300]}); {COPY}, or use another model"
        ) from error


def check_complete(path, missing, *, what: str) -> None:
    """Raise ValueError if weights are missing from the folder; transformers would fill in random ones."""
    if missing:
        raise ValueError(
            f"{path} lacks {len(missing)} {what}, such as {min(missing)}; copy the folder again, or give one of the right kind"
        )
