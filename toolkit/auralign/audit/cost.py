"""What an audit will take, estimated from the texts and the sizes of the LLM's weights, before the LLM is loaded.

>>> cost = Cost(num_targets=100, num_positions=20_000, num_parameters=135_000_000)
>>> print(cost)
100 targets, about 20,000 positions of an LLM of 135 M parameters: about 1 min 48 s on a CPU core, or 1 s on a GPU
"""

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from auralign.audit.examples import Example
from auralign.bases import weight_files
from auralign.files import PathLike
from auralign.hub import parse, resolve
from auralign.layout import SLOT
from auralign.progress import show_seconds
from auralign.text.words import UNSPACED

FRAME_POSITIONS = 30  # of the chat template around a turn
LETTERS_PER_TOKEN = 4
UNSPACED_LETTER = re.compile(f"[{UNSPACED}]")  # such as a Chinese character: a token each
HALVES = ("float16", "bfloat16", "torch.float16", "torch.bfloat16")
PASSES = 2  # the target as it is, and with another word in the transcript
# Operations a second: of a CPU core in fp32 (measured with SmolLM2-135M, one thread), and of a GPU in bf16 (assumed).
CPU_RATE, GPU_RATE = 5e10, 5e13


@dataclass(frozen=True)
class Cost:
    """An estimate; `num_parameters` is None if the LLM's weights are not on this machine yet."""

    num_targets: int
    num_positions: int
    num_parameters: int | None

    def seconds(self, rate: float) -> float | None:
        """The time at a rate in operations a second: two for each parameter and position."""
        return None if self.num_parameters is None else 2 * self.num_parameters * self.num_positions / rate

    def __str__(self) -> str:
        text = f"{self.num_targets:,} target{'s' * (self.num_targets != 1)}, about {self.num_positions:,} positions"
        on_cpu, on_gpu = self.seconds(CPU_RATE), self.seconds(GPU_RATE)
        if on_cpu is None or on_gpu is None:
            return f"{text}; the LLM is not on this machine yet: add the time to fetch it"
        size = self.num_parameters or 0
        words = f"{size / 1e6:,.0f} M" if size >= 1e6 else f"{size:,}"
        times = (show_seconds(max(1, seconds)) for seconds in (on_cpu, on_gpu))
        return "{} of an LLM of {} parameters: about {} on a CPU core, or {} on a GPU".format(
            text, words, *times
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {**vars(self), "cpu_seconds": self.seconds(CPU_RATE), "gpu_seconds": self.seconds(GPU_RATE)}


def estimate(examples: Sequence[Example], llm: PathLike) -> Cost:
    """The cost of reading some examples with an LLM that is named by a folder or an id; nothing is fetched."""
    parts = [
        part
        for one in examples
        for part in (one.text, (one.instruction or "").replace(SLOT, ""), one.response)
    ]
    letters, unspaced = sum(map(len, parts)), sum(len(UNSPACED_LETTER.findall(part)) for part in parts)
    positions = (letters - unspaced) // LETTERS_PER_TOKEN + unspaced + FRAME_POSITIONS * len(examples)
    return Cost(len(examples), PASSES * positions, count_parameters(llm))


def count_parameters(llm: PathLike) -> int | None:
    """The parameters of an LLM, from the headers of its weights, or, if these are not safetensors, from their size in bytes and
    the configuration's dtype; None if they are not on this machine."""
    if parse(llm) is None:
        folder = resolve(llm)
    else:
        found = _cached(llm)
        if found is None:
            return None
        folder = found
    files = weight_files(folder)
    if not files:
        return None
    if all(file.suffix == ".safetensors" for file in files):
        return sum(map(_count, files))
    return sum(file.stat().st_size for file in files) // _stored_bytes(folder)


def _stored_bytes(folder: Path) -> int:
    """The bytes of a stored parameter, as the configuration has its dtype: 2 for half precision, else 4."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
        return 2 if str(config.get("dtype") or config.get("torch_dtype")) in HALVES else 4
    except (OSError, ValueError, AttributeError, RecursionError):
        return 4


def _cached(llm: PathLike) -> Path | None:
    """The folder of the hub's cache that holds a model of the hub."""
    from huggingface_hub import try_to_load_from_cache

    reference = parse(llm)
    found = reference and try_to_load_from_cache(reference.id, "config.json", revision=reference.revision)
    return Path(found).parent if isinstance(found, (str, os.PathLike)) else None


def _count(file: Path) -> int:
    """The parameters in one file; 0 if its header cannot be read, which the loader reports."""
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if not 0 < length <= file.stat().st_size:
            return 0
        try:
            header = json.loads(opened.read(length))
            return sum(prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return 0
