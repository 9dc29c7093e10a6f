"""What the loaders of Hugging Face folders share: nothing is fetched, nothing is filled in, and what is wrong is named."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError

DTYPES = ("float32", "bfloat16", "float16")


def check_files(path, names, *, what: str) -> None:
    """Raise FileNotFoundError where a folder lacks a file that `what` needs."""
    for name in names:
        if not (Path(path) / name).is_file():
            raise FileNotFoundError(f"no {name} in {path}; {what} is a downloaded Hugging Face folder")


def torch_dtype(name: str) -> torch.dtype:
    """The dtype of that name; ValueError on others than `DTYPES`."""
    if name not in DTYPES:
        raise ValueError(f"dtype {name!r}: use {', '.join(DTYPES)}")
    return getattr(torch, name)


@contextlib.contextmanager
def loading(path) -> Iterator[None]:
    """Around `from_pretrained`: quiet, and ValueError on weights that were cut."""
    from transformers.utils.logging import disable_progress_bar, set_verbosity_error

    disable_progress_bar()  # "Loading weights", which would be printed to logs too
    set_verbosity_error()  # what is missing is an error here, and said in one line
    try:
        yield
    except SafetensorError as error:
        raise ValueError(f"{path}: its weights are not whole ({error}); copy the folder again") from error


def check_complete(path, missing, *, what: str) -> None:
    """Raise ValueError where weights are not in the folder; transformers would fill in random ones."""
    if missing:
        raise ValueError(
            f"{path} lacks {len(missing)} {what}, such as {min(missing)}; copy the folder again, or give one of the right kind"
        )
