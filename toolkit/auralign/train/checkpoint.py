"""Checkpoints: safetensors of the trained parts, the optimiser's state, and a description. Each is complete or absent."""

import contextlib
import io
import math
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from auralign.files import (
    TEMPORARY,
    hash_path,
    hash_value,
    make_folder_atomically,
    read_json,
    write_atomically,
    write_json,
)
from auralign.hub import MODEL_FOLDER, resolve
from auralign.stage import require
from auralign.versions import current_checkpoints

if TYPE_CHECKING:  # a finished stage finds its checkpoints without torch
    import torch

WEIGHTS, OPTIMISER, DESCRIPTION, HASHES = (
    "trainable.safetensors",
    "optimiser.pt",
    "checkpoint.json",
    "hashes.json",
)
HASHES_OF_EXPORT = "sha256"  # in a model folder's configuration: of its other files, and of its other keys under its own name
FROZEN = "frozen.safetensors"  # written once beside the checkpoints: parts that an earlier training trained


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint on disk. `description` records the parts and inputs of its training, its step and its validation loss.

    The loss is None if a signal stopped the training between two validations: such a checkpoint is continued from, and never
    the best one.
    """

    folder: Path
    description: dict

    @property
    def step(self) -> int:
        return self.description["step"]

    @property
    def valid_loss(self) -> float | None:
        return self.description["valid_loss"]

    @property
    def is_validated(self) -> bool:
        """Whether it was written after a validation, and not because a signal stopped the training."""
        return self.description["valid_loss"] is not None

    @property
    def folders(self) -> tuple[Path, ...]:
        """Folders of all checkpoints that its weights are made of."""
        return (self.folder,)

    @property
    def averaged_steps(self) -> tuple[int, ...]:
        """The steps of the checkpoints whose mean it is; () if it is one checkpoint."""
        return ()

    def load_weights(self, model) -> None:
        """Load the parts into a SpeechLLM; each of their parameters must be in the checkpoint."""
        model.parts.load_state_dict(self.weights(), strict=True)

    def weights(self) -> "dict[str, torch.Tensor]":
        """Tensors of all parts, trained and frozen, by name.

        Raises ValueError if the frozen parts are not those that this checkpoint was trained with.
        """
        from safetensors.torch import load_file

        frozen = self.folder.parent / FROZEN
        beside = self.description.get("frozen_parts")
        if beside is None:
            return load_file(self.folder / WEIGHTS)
        if not frozen.is_file() or hash_path(frozen) != beside:
            raise ValueError(
                f"{frozen}: not the frozen parts that {self.folder} was trained with; run stage 3 again"
            )
        return {**load_file(self.folder / WEIGHTS), **load_file(frozen)}

    def load_optimiser(self) -> dict:
        """The state of the optimiser and of the schedule."""
        import torch

        return torch.load(self.folder / OPTIMISER, weights_only=True)


@dataclass(frozen=True)
class Average(Checkpoint):
    """The mean of the weights of several checkpoints; `folder` and `description` are those of the last one.

    Arguments
    ---------
    parts : tuple of Checkpoint
        Those that are averaged, by step.
    """

    parts: tuple[Checkpoint, ...] = ()

    @property
    def folders(self) -> tuple[Path, ...]:
        """Folders of all that are averaged."""
        return tuple(part.folder for part in self.parts)

    @property
    def valid_loss(self) -> None:
        """Unknown: the mean was not validated."""

    @property
    def averaged_steps(self) -> tuple[int, ...]:
        """The steps of those that are averaged."""
        return tuple(part.step for part in self.parts)

    def weights(self) -> "dict[str, torch.Tensor]":
        """The means of the tensors of the trained parts, in the precision of each, and the tensors of the frozen ones."""
        from safetensors.torch import load_file
        from speechbrain.utils.checkpoints import average_state_dicts

        weights = super().weights()
        means = average_state_dicts(
            {name: tensor.float() for name, tensor in load_file(part.folder / WEIGHTS).items()}
            for part in self.parts
        )
        return {**weights, **{name: mean.to(weights[name].dtype) for name, mean in means.items()}}


class Checkpoints:
    """The checkpoints of one training: the last ones, the one with the lowest validation loss, and two at least, so that a
    damaged one does not lose the training. A checkpoint without a validation is kept until the next one.

    Arguments
    ---------
    folder : str or Path
        Folder that has one `step_<number>` folder for each checkpoint.
    num_last : int
        How many of the last ones `save` keeps; default: 1.
    """

    def __init__(self, folder, *, num_last: int = 1):
        self.folder, self.num_last = Path(folder), num_last

    def save_frozen(self, parts: "torch.nn.Module") -> dict:
        """Write the parts that are not trained, once; returns their entry in the descriptions, empty if there are none."""
        if not len(list(parts.parameters())):
            return {}
        from safetensors.torch import save

        with write_atomically(self.folder / FROZEN, "wb") as file:
            file.write(save({name: tensor.contiguous() for name, tensor in parts.state_dict().items()}))
        return {"frozen_parts": hash_path(self.folder / FROZEN)}

    def save(self, module: "torch.nn.Module", optimiser_state: dict, description: dict) -> None:
        """Write a checkpoint, then remove those of this training that are neither the best nor among the last."""
        import torch
        from safetensors.torch import save

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
        self.remove_others()

    def remove_others(self) -> None:
        """Remove the checkpoints that are neither the best nor among the last, and what a killed run left of removed ones."""
        found = self._all()
        validated = [checkpoint for checkpoint in found if checkpoint.is_validated]
        kept = [*validated[-self.num_last :], *([_best_of(validated)] if validated else ()), found[-1]]
        if len({checkpoint.step for checkpoint in kept if checkpoint.is_validated}) == 1:
            kept += validated[-2:]  # best is last: the one before it is kept too
        keep = {checkpoint.folder for checkpoint in kept}
        for folder in set(self.folder.glob("step_*")) - keep:
            shutil.rmtree(folder)

    def exist(self) -> bool:
        """Whether there is any checkpoint, sound or not."""
        return any(not folder.name.endswith(TEMPORARY) for folder in self.folder.glob("step_*"))

    def last(self) -> Checkpoint | None:
        """The newest sound checkpoint, or None."""
        found = self._all()
        return found[-1] if found else None

    def best(self) -> Checkpoint:
        """The checkpoint with the lowest validation loss; of two equals, the earlier one.

        Raises FileNotFoundError if there is none with a validation.
        """
        return _best_of(self._validated())

    def chosen(self, num_averaged: int) -> Checkpoint:
        """The checkpoint that is used: the best one, or the mean of the `num_averaged` last ones if they are several.

        Raises FileNotFoundError if there is none, ValueError if fewer are kept.
        """
        if num_averaged == 1:
            return self.best()
        validated = self._validated()
        found = [one for one in validated if math.isfinite(one.valid_loss)]
        left_out = len(validated) - len(found)
        found = found[-num_averaged:]
        if len(found) < num_averaged:
            steps = ", ".join(str(checkpoint.step) for checkpoint in found)
            raise ValueError(
                f"average_checkpoints: {num_averaged}, but {self.folder} keeps {len(found)} (step {steps}"
                f"{f'; {left_out} without a finite validation loss' * bool(left_out)}); give "
                f"{len(found)} or less, or train with average_checkpoints {num_averaged} from the start (--restart) and "
                f"with at least {num_averaged} validations (valid_every)"
            )
        return Average(found[-1].folder, found[-1].description, tuple(found))

    def _validated(self) -> list[Checkpoint]:
        found = self._all()
        if not found:
            raise FileNotFoundError(f"no checkpoint in {self.folder}; run stage 3")
        validated = [checkpoint for checkpoint in found if checkpoint.is_validated]
        if not validated:
            raise FileNotFoundError(
                f"no validated checkpoint in {self.folder}: the training was stopped at step {found[-1].step}; run stage 3 again"
            )
        return validated

    def _all(self) -> list[Checkpoint]:
        """The sound checkpoints, by step: clocks jump."""
        found = []
        for folder in sorted(self.folder.glob("step_*")):
            if folder.name.endswith(TEMPORARY):
                continue
            if _is_sound(folder):
                found.append(Checkpoint(folder, read_json(folder / DESCRIPTION)))
            else:
                print(
                    f"{folder}: its files do not match its hashes; the checkpoint is ignored", file=sys.stderr
                )
        return sorted(found, key=lambda checkpoint: checkpoint.step)


def initial_folder(path) -> Path:
    """Folder of the weights that `init_from` names.

    Arguments
    ---------
    path : str or Path
        A run's output_folder, whose best checkpoint of the current version is used; the folder of one of its versions, its
        `checkpoints` or one of them; or a model folder, or its id on the hub.

    Raises
    ------
    FileNotFoundError
        If there are no weights, or the training is not finished.
    """
    lacking = (
        f"init_from: no trained weights in {path}; run stage 3 of the YAML whose output_folder it is, or give a model "
        "folder"
    )
    try:
        path = resolve(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{lacking} ({error})") from error
    checkpoints = path if Checkpoints(path).exist() else current_checkpoints(path)
    if checkpoints.is_dir():
        require(checkpoints.parent, "train", made_by="init_from: stage 3 (train)")
        return Checkpoints(checkpoints).best().folder
    if (path / WEIGHTS).is_file() and any((path / name).is_file() for name in (DESCRIPTION, MODEL_FOLDER)):
        return path
    raise FileNotFoundError(lacking)


def initialise(model, path) -> str:
    """Load the weights that `init_from` names into the parts of a SpeechLLM that they have; returns a line that names the parts.

    Weights that were trained beside another build of the LLM or the encoders are accepted with a line on stderr (see
    `auralign.models.builds`).

    Raises ValueError if the weights are of another LLM or encoder, do not fit a part, or lack a part that is `frozen`.
    """
    folder = initial_folder(path)
    is_checkpoint = (folder / DESCRIPTION).is_file()
    if not is_checkpoint:
        config = read_json(folder / MODEL_FOLDER, keys=("llm", "encoder"))
        check_hashes(folder, config)
        from safetensors.torch import load_file

        weights = load_file(folder / WEIGHTS)
        trained_with = {"llm": config["llm"]["revision"], "encoder": config["encoder"]["fingerprint"]}
        for name, branch in config.get("branches", {}).items():
            trained_with[f"branch {name}"] = branch["encoder"]["fingerprint"]
        trained_with |= {f"book {name}": account for name, account in config.get("books", {}).items()}
    else:
        if not _is_sound(folder):
            raise ValueError(
                f"init_from: {folder}: its files do not match its hashes; give another checkpoint, or the run"
            )
        checkpoint = Checkpoint(folder, read_json(folder / DESCRIPTION))
        weights, trained_with = checkpoint.weights(), dict(checkpoint.description["trained_with"])
        for name in [name for name in trained_with if name.startswith("branch ")]:
            trained_with[name] = trained_with[name][0]  # the second entry describes its connector
    from auralign.models.builds import RECORD, compare_bases

    record = (folder.parent if is_checkpoint else folder) / RECORD
    compare_bases(trained_with, model, record, what=f"init_from: {folder}")
    model.other_builds = {}  # what is trained now is trained with these builds
    given, fresh = [], []
    for name, part in model.parts.items():
        found = {
            key.removeprefix(f"{name}."): value
            for key, value in weights.items()
            if key.startswith(f"{name}.")
        }
        if not found:
            fresh.append(name)
            continue
        try:
            part.load_state_dict(found, strict=True)
        except RuntimeError as error:
            raise ValueError(
                f"init_from: the {name} of {folder} does not fit the recipe's: {' '.join(str(error).split())}"
            ) from error
        given.append(name)
    for name, book in model.books.items():
        recorded = trained_with.get(f"book {name}", {}).get("with", {}).get("names")
        if f"{name}_book" in given and recorded is not None and tuple(recorded) != book.names:
            raise ValueError(
                f"init_from: the book {name!r} of {folder} has the names {recorded}, the recipe's has {[*book.names]}; give "
                "it the same names in the same order, or another name"
            )
    for name in model.frozen:
        if name in fresh:
            raise ValueError(
                f"frozen: {name} would keep its random initial weights; {folder} has none (init_from)"
            )
    others = {key.partition(".")[0] for key in weights} - set(model.parts)
    return (
        f"initialised from {folder}: {', '.join(given) or 'nothing'}; new: {', '.join(fresh) or 'nothing'}"
        + (f"; not used: {', '.join(sorted(others))}" if others else "")
    )


def check_hashes(folder: Path | str, config: dict) -> None:
    """Raise ValueError if a file of a model folder is not the one that was exported; folders of before have no hashes.

    Arguments
    ---------
    folder : path
    config : dict
        The content of its `auralign.json`.
    """
    from auralign.models.builds import RECORD

    if HASHES_OF_EXPORT not in config:
        return
    hashes = config[HASHES_OF_EXPORT]
    lacking = [name for name in (MODEL_FOLDER, WEIGHTS) if not (isinstance(hashes, dict) and name in hashes)]
    if lacking:
        raise ValueError(
            f"{Path(folder) / MODEL_FOLDER}: its {HASHES_OF_EXPORT} lack {lacking[0]}; export, pull or copy the folder again"
        )
    for name, expected in hashes.items():
        path = Path(folder) / name
        if name not in (MODEL_FOLDER, WEIGHTS, RECORD) and not path.exists():
            continue  # a picture or a recording, which nobody needs for the model
        if name == MODEL_FOLDER:
            found = hash_value({key: value for key, value in config.items() if key != HASHES_OF_EXPORT})
        else:
            found = hash_path(path) if path.is_file() else "no file"
        if found != expected:
            what = "is not there" if found == "no file" else "is not as it was exported: its SHA-256 differs"
            moved = "; where a model is now is said by --llm and --encoder" if name == MODEL_FOLDER else ""
            raise ValueError(f"{path}: {what}; export, pull or copy the folder again{moved}")


def _best_of(found: list[Checkpoint]) -> Checkpoint:
    return min(found, key=lambda checkpoint: (_rank(checkpoint.valid_loss), checkpoint.step))


def _rank(loss: float | None) -> float:
    return math.inf if loss is None or math.isnan(loss) else loss


def _is_sound(folder: Path) -> bool:
    with contextlib.suppress(FileNotFoundError, ValueError):
        hashes = read_json(folder / HASHES, keys=(WEIGHTS,))
        return all(hash_path(folder / name) == digest for name, digest in hashes.items())
    return False
