"""The curves of a training: TensorBoard's, and if the recipe says `wandb: true` those of Weights & Biases too."""

import os
import shlex
import shutil
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter

WANDB_ID = "wandb.id"  # file beside TensorBoard's: a continued training goes on with the same run


class Curves:
    """Writes scalars by step.

    Arguments
    ---------
    folder : Path
        Folder of TensorBoard's files.
    step : int
        The step that the training continues from; later points of an interrupted run are dropped. 0 removes what is there.
    wandb : WandbRun, optional
        Also writes them; default: none.
    """

    def __init__(self, folder: Path, *, step: int, wandb: "WandbRun | None" = None):
        if step == 0:
            shutil.rmtree(folder, ignore_errors=True)  # of a run that this one replaces
        self.tensorboard = SummaryWriter(folder, purge_step=step + 1)
        self.wandb = wandb
        print(f"curves: tensorboard --logdir {shlex.quote(str(folder))}", file=sys.stderr)
        if wandb is not None:
            wandb.start(folder)

    def add(self, values: Mapping[str, float | torch.Tensor], step: int) -> None:
        """Add one point to each curve, by name."""
        for name, value in values.items():
            self.tensorboard.add_scalar(name, value, step)
        if self.wandb is not None:
            self.wandb.add(values, step)

    def close(self) -> None:
        """Write what is pending."""
        self.tensorboard.close()
        if self.wandb is not None:
            self.wandb.finish()


class WandbRun:
    """A run of Weights & Biases, in the project "auralign". The package is imported here, when the first one is made.

    Where the points go is for its own environment to say: `wandb login`, or WANDB_MODE=offline, which keeps them below the curves
    until `wandb sync`; WANDB_PROJECT names another project.

    Arguments
    ---------
    name : str
        Shown in the list of runs.
    config : dict
        The values of the recipe.

    Raises ValueError if the package is not installed.
    """

    def __init__(self, *, name: str, config: dict[str, Any]):
        try:
            import wandb
        except ImportError as error:
            raise ValueError(
                "wandb: true needs the package wandb: pip install 'auralign[wandb]', or leave the key out"
            ) from error
        self.module, self.name, self.config = wandb, name, config
        self.run: Any = None

    def start(self, folder: Path) -> None:
        """Begin the run, or continue that of `folder`. Raises ValueError if wandb cannot."""
        identity = folder / WANDB_ID
        folder.mkdir(parents=True, exist_ok=True)
        if not identity.exists():
            identity.write_text(uuid.uuid4().hex, encoding="ascii")
        try:
            self.run = self.module.init(
                project=os.environ.get("WANDB_PROJECT", "auralign"),
                name=self.name,
                id=identity.read_text(encoding="ascii"),
                resume="allow",
                dir=str(folder),
                config=self.config,
            )
        except Exception as error:
            raise ValueError(
                f"wandb: {error}; give WANDB_MODE=offline and `wandb sync` later, or leave `wandb: true` out"
            ) from error
        # A continued training repeats steps, which wandb's own counter does not allow.
        self.run.define_metric("*", step_metric="step")

    def add(self, values: Mapping[str, float | torch.Tensor], step: int) -> None:
        """Add one point to each curve."""
        self.run.log({"step": step, **{name: float(value) for name, value in values.items()}})

    def finish(self) -> None:
        """Send what is pending."""
        self.run.finish()
