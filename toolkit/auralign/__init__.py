"""auralign gives text LLMs ears, with alignment targets that the LLM writes itself.

The package is laid out along the five stages: `data` (prepare), `generate`, `train`, `decode`, `score`. Nothing heavy
is imported here, so that `auralign --help` answers at once.
"""

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`auralign.load`, fetched when it is asked for: it needs torch."""
    if name == "load":
        from auralign.publish.load import load

        return load
    raise AttributeError(f"module 'auralign' has no attribute {name!r}")
