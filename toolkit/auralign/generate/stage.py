"""Stage 2 of a recipe: what its targets depend on, and how they are written."""

import contextlib
from collections.abc import Iterator

from auralign import __version__
from auralign.data.manifest import rejected_path
from auralign.fingerprint import describe
from auralign.run_folder import RunFolder
from auralign.stage import Stage, content
from auralign.store import partial_path


@contextlib.contextmanager
def generating(run: RunFolder, split: str) -> Iterator[Stage]:
    """The stage that writes the targets of "train" or "valid".

    Raises FileNotFoundError if stage 1 was not run.
    """
    path = run.targets(split)
    outputs = [path, rejected_path(path)]
    if run.recipe.method.needs.top_k:
        outputs.append(run.teacher(split))
    with Stage(
        f"generate {split}",
        path.parent,
        inputs={
            "auralign": __version__,
            **describe(run.recipe.settings("generate")),
            "manifest": content(run.data.manifest(split), made_by="stage 1 (prepare)"),
        },
        outputs=outputs,
        partial=[partial_path(path)],
        needed_by=run.checkpoints,
    ) as stage:
        yield stage
        if not run.checkpoints.exists():  # the recipe that a model was trained with stays
            run.write_recipe()


def write_targets(run: RunFolder, split: str, llm, renderer) -> str:
    """Ask the LLM about every utterance of a split, by the engine of transformers; gives a summary of one line."""
    from auralign.generate.engine import TransformersEngine
    from auralign.generate.targets import TargetWriter
    from auralign.generate.teacher import write_teacher
    from auralign.records import Records, Target, Utterance

    recipe, path = run.recipe, run.targets(split)
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
    summary = writer.write(utterances, path)
    if recipe.method.needs.top_k:
        kept = Records(path, Target)
        summary += f"; {write_teacher(kept, utterances, method=recipe.method, llm=llm, renderer=renderer)}"
    return f"{summary}, in {path}"
