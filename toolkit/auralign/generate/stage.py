"""Stage 2 of a recipe: the inputs that its targets depend on, and the writing of targets."""

from pathlib import Path

from auralign import __version__
from auralign.data.rejected import rejected_path
from auralign.fingerprint import describe
from auralign.run_folder import SPLITS, RunFolder
from auralign.stage import Stage, content
from auralign.store import teacher_path
from auralign.versions import choose_targets, target_folders, trained_on


class GeneratingStage(Stage):
    """The stage that writes the targets of one split; the last one makes its folder that which later stages read."""

    def __init__(self, run: RunFolder, split: str, folder: Path, inputs: dict, protected: set[str]):
        path = folder / run.targets(split).name
        outputs = [path, rejected_path(path)]
        if run.recipe.method.needs.top_k:
            outputs.append(teacher_path(path, run.recipe.method.needs))
        super().__init__(
            f"generate {split}",
            folder,
            inputs=inputs,
            outputs=outputs,
            protected=protected,
            restart=run.recipe.restart,
        )
        self.run, self.split, self.path = run, split, path

    def __exit__(self, kind, error, trace) -> None:
        super().__exit__(kind, error, trace)
        if kind is None and self.split == SPLITS[-1]:
            target_folders(self.run.folder).make_current(self.folder)
            if not self.run.checkpoints.exists():  # the recipe that a model was trained with stays
                self.run.write_recipe()


def generating(run: RunFolder) -> list[GeneratingStage]:
    """The stages that write the targets of `SPLITS`, in order.

    With the recipe's `restart`, targets that a model was trained on stay, and a new version is written beside them. Otherwise a
    stage that would replace them raises ValueError on entry.

    Raises FileNotFoundError if stage 1 was not run.
    """
    manifests = {split: content(run.data.manifest(split), made_by="stage 1 (prepare)") for split in SPLITS}
    run.pin_models("generate")
    settings = {"auralign": __version__, **describe(run.recipe.settings("generate"))}
    inputs = {split: {**settings, "manifest": manifest} for split, manifest in manifests.items()}
    named = {f"generate {split}": of_split for split, of_split in inputs.items()}
    folder = choose_targets(run.folder, named, restart=run.recipe.restart)
    protected = trained_on(run.folder)
    return [GeneratingStage(run, split, folder, inputs[split], protected) for split in SPLITS]


def write_targets(run: RunFolder, stage: GeneratingStage, llm, renderer) -> str:
    """Ask the LLM about every utterance of a split, with the engine of transformers; returns a one-line summary."""
    from auralign.data.lengths import write_lengths
    from auralign.generate.engine import TransformersEngine
    from auralign.generate.targets import TargetWriter
    from auralign.generate.teacher import write_teacher
    from auralign.records import Records, Target, Utterance

    recipe, path = run.recipe, stage.path
    writer = TargetWriter(
        recipe.method,
        renderer,
        TransformersEngine(llm, renderer, batch_size=recipe.generate_batch_size),
        llm_name=llm.name,
        llm_revision=llm.revision,
        decoding={"max_new_tokens": recipe.max_new_tokens, "temperature": recipe.temperature},
        seed=recipe.seed,
        max_rejected=recipe.max_rejected_answers,
        keep_cut_off=recipe.keep_cut_off,
        grade=recipe.grade,
        num_utts=recipe.num_train_utts if stage.split == "train" else None,
    )
    utterances = Records(run.data.manifest(stage.split), Utterance)
    summary = writer.write(utterances, path, partial=stage.partial(path))
    kept = Records(path, Target)
    write_lengths(kept, utterances, method=recipe.method, renderer=renderer)
    if recipe.method.needs.top_k:
        summary += f"; {write_teacher(kept, utterances, method=recipe.method, llm=llm, renderer=renderer)}"
    return f"{summary}, in {path}"
