# Same in every recipe; tests/recipes/test_shared.py keeps it so. Delete this line to diverge.
"""Stage 3: train the connector until speech draws the target from the frozen LLM.

    python train.py hparams/sift.yaml [--lr 3e-4 ...]
    torchrun --standalone --nproc-per-node 4 train.py hparams/sift.yaml --device cuda      on four GPUs

A run continues from its newest checkpoint. What was trained is never replaced: a run that differs in more than device, pack
size, validations or number of steps needs another output_folder, or --restart, which trains in the next train_<number>.

Reads: <data_folder>/{train,valid}.jsonl, <output_folder>/targets/{train,valid}.jsonl
Writes: <output_folder>/checkpoints/ (best and last), log.json, curves/ (tensorboard --logdir), and
        {train,valid}.rejected.jsonl: what was left out and why; after --restart in <output_folder>/train_<number>/
"""

from pathlib import Path

from auralign import __version__, script
from auralign.data.frames import recipe_frames
from auralign.data.manifest import rejected_path
from auralign.fingerprint import describe
from auralign.hparams import load_recipe, settings
from auralign.models.build import build_model, describe_parts
from auralign.records import Records, Target, Utterance
from auralign.stage import content
from auralign.store import teacher_path
from auralign.train.brain import AlignmentBrain
from auralign.train.checkpoint import initial_folder
from auralign.train.examples import Examples
from auralign.train.parallel import is_first, led, on_all_ranks, own_device
from auralign.train.resume import TrainingStage
from auralign.versions import current_targets

SPLITS = ("train", "valid")


@on_all_ranks
def main(argv):
    hparams = load_recipe(argv)
    data, output = Path(hparams.data_folder), Path(hparams.output_folder)
    manifests = {split: data / f"{split}.jsonl" for split in SPLITS}
    targets = {split: current_targets(output) / f"{split}.jsonl" for split in SPLITS}
    rejected = {split: rejected_path(f"{split}.jsonl").name for split in SPLITS}
    inputs = {
        "auralign": __version__,
        **describe(settings(hparams, "train")),
        "manifests": [content(path, made_by="stage 1 (prepare)") for path in manifests.values()],
        "targets": [content(path, made_by="stage 2 (generate)") for path in targets.values()],
    }
    if hparams.method.needs.top_k:
        kept = [teacher_path(path, hparams.method.needs) for path in targets.values()]
        inputs["teacher"] = [content(path, made_by="stage 2 (generate)") for path in kept]
    if hparams.init_from is not None:
        inputs["init_from"] = content(initial_folder(hparams.init_from), made_by="stage 3 of another run")
    outputs = ["checkpoints", "log.json", *rejected.values()]
    with led(TrainingStage(output, inputs=inputs, outputs=outputs, restart=hparams.restart)) as stage:
        if stage.complete:
            return
        hparams.device = own_device(hparams.device)
        model, renderer = build_model(hparams)
        examples = {}
        for split in SPLITS:
            manifest = Records(manifests[split], Utterance)
            examples[split] = Examples(
                Records(targets[split], Target),
                manifest,
                method=hparams.method,
                renderer=renderer,
                model=model,
                frames=recipe_frames(hparams, model, manifest),
                max_rejected=hparams.max_rejected,
            )
            if is_first():
                examples[split].rejected.write(stage.folder / rejected[split], num_kept=len(examples[split]))
        description = {**inputs, **describe_parts(hparams, model, renderer)}
        brain = AlignmentBrain(model, hparams.method, hparams, folder=stage.folder, description=description)
        brain.run(examples["train"], examples["valid"])
        best = brain.checkpoints.best()
        print(f"{stage.name}: lowest validation loss {best.valid_loss:.3f}, at step {best.step}")


if __name__ == "__main__":
    script.run(main)
