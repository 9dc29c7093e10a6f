"""Checkpoints: safetensors of the trained parts, the optimiser's state, and a description; whole or absent."""

import contextlib
import io
import math
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save

from auralign.files import (
    TEMPORARY,
    hash_path,
    make_folder_atomically,
    read_json,
    write_atomically,
    write_json,
)

WEIGHTS, OPTIMISER, DESCRIPTION, HASHES = (
    "trainable.safetensors",
    "optimiser.pt",
    "checkpoint.json",
    "hashes.json",
)


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint on disk. `description` says what it was trained with, and its step and validation loss."""

    folder: Path
    description: dict

    @property
    def step(self) -> int:
        return self.description["step"]

    @property
    def valid_loss(self) -> float:
        return self.description["valid_loss"]

    def load_weights(self, module: torch.nn.Module) -> None:
        """Put the trained parts into `module`; every one of its parameters must be there."""
        module.load_state_dict(load_file(self.folder / WEIGHTS), strict=True)

    def load_optimiser(self) -> dict:
        """The optimiser's and the schedule's state."""
        return torch.load(self.folder / OPTIMISER, weights_only=True)


class Checkpoints:
    """The checkpoints of one run: the last one, and the one with the lowest validation loss.

    Arguments
    ---------
    folder : Path
        Holds one `step_<number>` folder for each checkpoint.
    """

    def __init__(self, folder):
        self.folder = Path(folder)

    def save(self, module: torch.nn.Module, optimiser_state: dict, description: dict) -> None:
        """Write a checkpoint, then remove those that are neither best nor last."""
        step = description["step"]
        with make_folder_atomically(self.folder / f"step_{step:08d}") as folder:
            tensors = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
            buffer = io.BytesIO()
            torch.save(optimiser_state, buffer)
            for name, content in ((WEIGHTS, save(tensors)), (OPTIMISER, buffer.getbuffer())):
                with write_atomically(folder / name, "wb") as file:
                    file.write(content)
            write_json(folder / DESCRIPTION, description)
            write_json(
                folder / HASHES,
                {name: hash_path(folder / name) for name in (WEIGHTS, OPTIMISER, DESCRIPTION)},
            )
        keep = {self.last().folder, self.best().folder}
        for folder in set(self.folder.glob("step_*")) - keep:  # also what a killed run left half removed
            shutil.rmtree(folder)

    def last(self) -> Checkpoint | None:
        """The newest sound checkpoint, or None. By step number: clocks jump."""
        return max(self._all(), key=lambda checkpoint: checkpoint.step, default=None)

    def best(self) -> Checkpoint:
        """The checkpoint with the lowest validation loss, the earlier one of two equals.

        Raises FileNotFoundError where there is none.
        """
        found = self._all()
        if not found:
            raise FileNotFoundError(f"no checkpoint in {self.folder}; run stage 3")
        return min(found, key=lambda checkpoint: (_rank(checkpoint.valid_loss), checkpoint.step))

    def _all(self) -> list[Checkpoint]:
        found = []
        for folder in sorted(self.folder.glob("step_*")):
            if folder.name.endswith(TEMPORARY):
                continue
            if _is_sound(folder):
                found.append(Checkpoint(folder, read_json(folder / DESCRIPTION)))
            else:
                print(f"{folder}: its files do not match its hashes; left aside", file=sys.stderr)
        return found


def _rank(loss: float) -> float:
    return math.inf if math.isnan(loss) else loss


def _is_sound(folder: Path) -> bool:
    with contextlib.suppress(FileNotFoundError, ValueError):
        return all(hash_path(folder / name) == digest for name, digest in read_json(folder / HASHES).items())
    return False
