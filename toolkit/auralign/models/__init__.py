"""Frozen encoders, connectors, frozen LLMs, and the model that puts them together."""

import importlib.machinery
import importlib.metadata
import importlib.util
import sys
import types


def _load_torchaudio() -> str | None:
    """Import torchaudio; if that fails, replace it with an empty module and return the reason.

    transformers and SpeechBrain import torchaudio with their own modules, but of all that auralign does only forced alignment
    uses it. A build of torchaudio that does not fit torch's must not stop the rest.
    """
    spec = importlib.util.find_spec("torchaudio")
    try:
        import torchaudio  # noqa: F401
    except Exception as error:  # OSError: symbols that this torch lacks; RuntimeError: built for another CUDA
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchaudio"]:
            del sys.modules[name]
        empty = types.ModuleType("torchaudio")
        empty.__spec__ = spec or importlib.machinery.ModuleSpec("torchaudio", None)
        empty.__version__ = (
            importlib.metadata.version("torchaudio") if spec else "2.11"
        )  # SpeechBrain reads it
        sys.modules["torchaudio"] = empty
        return " ".join(str(error).split()) or type(error).__name__
    return None


torchaudio_fault = _load_torchaudio()
