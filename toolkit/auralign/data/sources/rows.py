"""What the readers of all forms share: the type of their rows, and the import of optional packages."""

import importlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

Row = dict[str, Any]  # column to cell
Rows = Iterator[tuple[str, Row]]  # each with its place, such as "clips.csv:2"


def import_extra(name: str, extra: str) -> ModuleType:
    """A module of an extra of auralign; raises ValueError, which says how to install it, if it is not there."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ValueError(f"this source needs {extra}: pip install 'auralign[{extra}]'") from error
