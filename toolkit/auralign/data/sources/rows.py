"""The row type that the readers of all forms share, and the import of optional packages."""

import importlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

Row = dict[str, Any]  # column to cell
Rows = Iterator[tuple[str, Row]]  # each with its position, such as "clips.csv:2"


def import_extra(name: str, extra: str) -> ModuleType:
    """Import a module of one of auralign's extras; raises ValueError with the command that installs it if it is missing."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ValueError(f"this source needs {extra}: pip install 'auralign[{extra}]'") from error
