"""Stage 2 of a recipe: the inputs that its targets depend on, and the writing of targets."""

from pathlib import Path

from auralign import __version__
from auralign.data.rejected import rejected_path
from auralign.files import locked
from auralign.fingerprint import describe
from auralign.run_folder import SPLITS, RunFolder
from auralign.shards import DealtStage, PartStage, Shard
from auralign.stage import content
from auralign.store import teacher_path
from auralign.versions import choose_targets, target_folders, trained_on


class GeneratingStage(DealtStage):
    """The stage that writes the targets of one split; when those of all `splits` are written, later stages read their folder."""

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
        self.splits = [self]

    def join(self, parts: list[Path]) -> str:
        """Write the outputs from the targets of all shards, in order; returns a one-line summary."""
        from auralign.generate.joining import join_targets

        return join_targets(parts, self.path, run=self.run, split=self.split)

    def __exit__(self, kind, error, trace) -> None:
        super().__exit__(kind, error, trace)
        if kind is not None or not all(stage.is_done() for stage in self.splits):
            return
        with locked(self.run.folder / ".targets.lock"):  # shards may end at the same moment
            target_folders(self.run.folder).make_current(self.folder)
            if not self.run.checkpoints.exists():  # the recipe that a model was trained with stays
                self.run.write_recipe()


def generating(run: RunFolder, shard: Shard | None = None) -> list[GeneratingStage] | list[PartStage]:
    """The stages that write the targets of `SPLITS`, in order; with `shard`, those of that shard of each.

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
    stages = [GeneratingStage(run, split, folder, inputs[split], protected) for split in SPLITS]
    for stage in stages:
        stage.splits = stages
    return stages if shard is None else [stage.part(shard) for stage in stages]


def write_targets(run: RunFolder, stage: GeneratingStage | PartStage, llm, renderer) -> str:
    """Ask the LLM about every utterance of a split, with the recipe's engine; returns a one-line summary."""
    from auralign.data.lengths import write_lengths
    from auralign.generate.spot_check import SAMPLE
    from auralign.generate.targets import TargetWriter, draw_rows
    from auralign.generate.teacher import block_size, write_teacher
    from auralign.models.build import construct
    from auralign.records import Records, Target, Utterance

    recipe, path, split = run.recipe, stage.path, stage.whole.split
    utterances = Records(run.data.manifest(split), Utterance)
    num_utts = recipe.num_train_utts if split == "train" else None
    rows = draw_rows(utterances, num_utts)
    block = block_size(len(rows)) if recipe.method.needs.top_k else 1
    of_shard = None if stage.shard is None else stage.shard.cut(len(rows), block=block)
    engine = construct("engine", recipe.engine, llm, renderer, batch_size=recipe.generate_batch_size)
    try:
        writer = TargetWriter(
            recipe.method,
            renderer,
            engine,
            llm_name=llm.name,
            llm_revision=llm.revision,
            decoding={
                "max_new_tokens": recipe.max_new_tokens,
                "temperature": recipe.temperature,
                **engine.about(),
            },
            seed=recipe.seed,
            max_rejected=recipe.max_rejected_answers,
            keep_cut_off=recipe.keep_cut_off,
            grade=recipe.grade,
            num_utts=num_utts,
            num_checked=SAMPLE,
        )
        summary = writer.write(utterances, path, partial=stage.partial(path), of_shard=of_shard)
    finally:
        engine.close()
    kept = Records(path, Target)
    write_lengths(kept, utterances, method=recipe.method, renderer=renderer)
    if recipe.method.needs.top_k:
        scored = write_teacher(kept, utterances, method=recipe.method, llm=llm, renderer=renderer, rows=rows)
        summary += f"; {scored}"
    return f"{summary}, in {path}"
