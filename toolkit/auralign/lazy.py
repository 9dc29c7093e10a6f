"""Names of a package that are imported from its modules when they are first used.

    __getattr__, __all__ = lazily("auralign.models", {"build": ["build_llm", "build_model"]})

A finished stage needs no torch; `models.build_model` in its script imports it only if there is something to do.
"""

import importlib
from collections.abc import Callable


def lazily(package: str, modules: dict[str, list[str]]) -> tuple[Callable, list[str]]:
    """A package's `__getattr__` and `__all__`.

    Arguments
    ---------
    package : str
        Its name.
    modules : dict of str -> list of str
        Names by the module of the package that defines them.
    """
    homes = {name: module for module, names in modules.items() for name in names}

    def get(name: str):
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)

    return get, sorted(homes)
