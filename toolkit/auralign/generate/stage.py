"""Stage 2 of a recipe: the inputs that its targets depend on, and the writing of targets."""

import contextlib
from collections.abc import Iterator

from auralign import __version__
from auralign.data.rejected import rejected_path
from auralign.fingerprint import describe
from auralign.run_folder import SPLITS, RunFolder
from auralign.stage import Stage, content
from auralign.store import teacher_path
from auralign.versions import choose_targets, target_folders, trained_on


@contextlib.contextmanager
def generating(run: RunFolder, split: str) -> Iterator[Stage]:
    """The stage that writes the targets of "train" or "valid".

    With the recipe's `restart`, targets that a model was trained on are kept, and a new version is written beside them; after the
    last of `SPLITS`, later stages read the new version.

    Raises FileNotFoundError if stage 1 was not run, ValueError if it would replace targets that a model was trained on.
    """
    settings = {"auralign": __version__, **describe(run.recipe.settings("generate"))}
    inputs = {
        f"generate {name}": {
            **settings,
            "manifest": content(run.data.manifest(name), made_by="stage 1 (prepare)"),
        }
        for name in SPLITS
    }
    folder = choose_targets(run.folder, inputs, restart=run.recipe.restart)
    name, path = f"generate {split}", folder / run.targets(split).name
    outputs = [path, rejected_path(path)]
    if run.recipe.method.needs.top_k:
        outputs.append(teacher_path(path, run.recipe.method.needs))
    with Stage(name, folder, inputs=inputs[name], outputs=outputs, protected=trained_on(run.folder)) as stage:
        yield stage
    if split == SPLITS[-1]:
        target_folders(run.folder).make_current(folder)
    if not run.checkpoints.exists():  # keep the recipe that a model was trained with
        run.write_recipe()


def write_targets(run: RunFolder, split: str, stage: Stage, llm, renderer) -> str:
    """Ask the LLM about every utterance of a split, with the engine of transformers; returns a one-line summary."""
    from auralign.generate.engine import TransformersEngine
    from auralign.generate.targets import TargetWriter
    from auralign.generate.teacher import write_teacher
    from auralign.records import Records, Target, Utterance

    recipe, path = run.recipe, stage.outputs[0]
    writer = TargetWriter(
        recipe.method,
        renderer,
        TransformersEngine(llm, renderer, batch_size=recipe.generate_batch_size),
        llm_name=llm.name,
        llm_revision=llm.revision,
        decoding={"max_new_tokens": recipe.max_new_tokens, "temperature": recipe.temperature},
        seed=recipe.seed,
        max_rejected=recipe.max_rejected,
        keep_cut_off=recipe.keep_cut_off,
    )
    utterances = Records(run.data.manifest(split), Utterance)
    summary = writer.write(utterances, path, partial=stage.partial(path))
    if recipe.method.needs.top_k:
        kept = Records(path, Target)
        summary += f"; {write_teacher(kept, utterances, method=recipe.method, llm=llm, renderer=renderer)}"
    return f"{summary}, in {path}"
