"""Stage 3 of a recipe: the inputs that a training depends on, and its examples."""

import contextlib
import dataclasses
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from auralign import __version__
from auralign.data.rejected import rejected_path
from auralign.files import hash_path
from auralign.fingerprint import describe
from auralign.json_lines import shorten
from auralign.marks import accept_changed
from auralign.run_folder import RECIPE, SPLITS, RunFolder
from auralign.stage import begun_with, content
from auralign.train.checkpoint import DESCRIPTION, WEIGHTS, initial_folder
from auralign.train.preemption import catching
from auralign.train.resume import TrainingStage
from auralign.versions import CHECKPOINTS, LOG, trainings


@contextlib.contextmanager
def training(run: RunFolder) -> Iterator[TrainingStage]:
    """The stage that trains. Under `torchrun` rank 0 enters it, and broadcasts whether it is complete.

    Raises FileNotFoundError if an earlier stage was not run, ValueError if the folder has a run that this one cannot
    continue.
    """
    try:
        inputs = _inputs_of(run)
    except FileNotFoundError:
        run.recipe.check_constructors()  # a misspelt argument is named first: it is why nothing was made for this run
        raise
    outputs = [CHECKPOINTS, LOG, *(rejected_path(f"{split}.jsonl").name for split in SPLITS)]
    stage = TrainingStage(run.folder, inputs=inputs, outputs=outputs, restart=run.recipe.restart)
    with catching("before the first step"), _entered(stage):
        yield stage
        # A run that fails leaves the recipe of the checkpoints that are there.
        if os.environ.get("RANK", "0") == "0" and not (stage.complete and (stage.folder / RECIPE).exists()):
            run.write_recipe(stage.folder)


def _inputs_of(run: RunFolder) -> dict:
    if run.recipe.restart:  # a run of its own with data that were changed on purpose
        for split in SPLITS:
            accept_changed(run.data.manifest(split))
            accept_changed(run.targets(split))
    made = {
        "manifests": [content(run.data.manifest(split), made_by="stage 1 (prepare)") for split in SPLITS],
        "targets": [content(run.targets(split), made_by="stage 2 (generate)") for split in SPLITS],
    }
    if run.recipe.init_from is not None:
        initial_folder(run.recipe.init_from)  # an error names the key
    run.pin_models("train")
    recipe = run.recipe
    inputs = {"auralign": __version__, **describe(recipe.settings("train")), **made}
    if recipe.method.needs.top_k:
        inputs["teacher"] = [content(run.teacher(split), made_by="stage 2 (generate)") for split in SPLITS]
    if recipe.init_from is not None:
        inputs["init_from"] = _hash_initial(initial_folder(recipe.init_from), run)
    return inputs


def _hash_initial(folder: Path, run: RunFolder) -> str:
    """A hash of the weights that a training begins with: of a model folder without its card and its pictures.

    An earlier auralign hashed all files of a model folder: a run that recorded that goes on if none of them changed.
    """
    if (folder / DESCRIPTION).is_file():
        return content(folder, made_by="stage 3 of another run")
    recorded = (begun_with(trainings(run.folder).current, "train") or {}).get("init_from")
    every_file = hash_path(folder)
    return every_file if recorded == every_file else hash_path(folder / WEIGHTS)


def _entered(stage: TrainingStage):
    if "RANK" not in os.environ:
        return stage
    from auralign.train.parallel import led

    return led(stage)


def on_own_device(run: RunFolder) -> RunFolder:
    """The run on the device of this rank: under `torchrun` each has a GPU of its own."""
    from auralign.train.parallel import own_device

    return RunFolder(dataclasses.replace(run.recipe, device=own_device(run.recipe.device)))


def read_examples(run: RunFolder, split: str, stage: TrainingStage, model, renderer):
    """The `Examples` of "train" or "valid"; rejected targets are listed in `<split>.rejected.jsonl`."""
    from auralign.data.frames import recipe_frames
    from auralign.records import Records, Target, Utterance
    from auralign.train.examples import Examples
    from auralign.train.parallel import is_first

    manifest = Records(run.data.manifest(split), Utterance)
    examples = Examples(
        Records(run.targets(split), Target),
        manifest,
        method=run.recipe.method,
        renderer=renderer,
        model=model,
        frames=recipe_frames(run.recipe, model, manifest),
        max_rejected=run.recipe.max_rejected_data,
        draws=run.recipe.draws if split == SPLITS[0] else None,  # validations of two mixtures can be compared
    )
    if is_first():
        for name, book in model.books.items() if split == SPLITS[0] else ():
            unused = sorted({*range(book.size)} - examples.codes[name])
            if unused:
                tokens = ", ".join(repr(book.names[one]) if book.names else str(one) for one in unused)
                print(
                    f"books: no target uses {shorten(tokens)} of {name!r}: untrained, as it began",
                    file=sys.stderr,
                )
        if examples.rejected.left_out.items:
            print(f"{split}: {examples.rejected.summary(num_kept=len(examples))}", file=sys.stderr)
        examples.rejected.write(rejected_path(stage.folder / f"{split}.jsonl"), num_kept=len(examples))
    return examples


def make_brain(run: RunFolder, stage: TrainingStage, model, renderer):
    """The `AlignmentBrain` that trains a model; its checkpoints record the parts and inputs of the training.

    Raises ValueError if the recipe names a recognizer for stage 4 that does not fit the encoder.
    """
    from auralign.models.build import check_recognizer, describe_parts
    from auralign.train.brain import AlignmentBrain
    from auralign.train.parallel import is_first

    if is_first():
        check_recognizer(run.recipe, model.encoder)
    description = {**stage.inputs, **describe_parts(run.recipe, model, renderer)}
    return AlignmentBrain(model, run.recipe.method, run.recipe, folder=stage.folder, description=description)
