# Same in every recipe; tests/recipes/test_shared.py keeps it so. Delete this line to diverge.
"""Stage 3: train the connector until speech draws the target from the frozen LLM.

    python train.py hparams/sift.yaml [--lr 3e-4 ...]

Reads: <data_folder>/{train,valid}.jsonl, <output_folder>/targets/{train,valid}.jsonl
Writes: <output_folder>/checkpoints/ (best and last), log.json, curves/ (tensorboard --logdir), and what was left out and why
"""

from pathlib import Path

from auralign import __version__, script
from auralign.data.frames import open_frames
from auralign.data.manifest import rejected_path
from auralign.hparams import load_recipe
from auralign.models.build import build_model, describe_parts
from auralign.records import Records, Target, Utterance
from auralign.stage import Stage, content, describe
from auralign.train.brain import AlignmentBrain
from auralign.train.examples import Examples

SETTINGS = (
    "seed",
    "lr",
    "num_steps",
    "num_warmup_steps",
    "weight_decay",
    "max_grad_norm",
    "tokens_per_step",
    "tokens_per_pack",
    "valid_every",
    "num_shown",
    "decode_max_new_tokens",
    "system_prompt",
    "template_options",
    "precision",
    "device",
)


def main(argv):
    hparams = load_recipe(argv)
    data, output = Path(hparams.data_folder), Path(hparams.output_folder)
    inputs = {
        "auralign": __version__,
        "settings": {name: getattr(hparams, name) for name in SETTINGS},
        "parts": {
            name: describe(getattr(hparams, name)) for name in ("llm", "encoder", "connector", "method")
        },
        "manifests": [
            content(data / f"{split}.jsonl", made_by="stage 1 (prepare)") for split in ("train", "valid")
        ],
        "targets": [
            content(output / "targets" / f"{split}.jsonl", made_by="stage 2 (generate)")
            for split in ("train", "valid")
        ],
    }
    outputs = [
        output / "checkpoints",
        output / "log.json",
        output / "train.rejected.jsonl",
        output / "valid.rejected.jsonl",
    ]
    with Stage(f"train {hparams.method.name}", output, inputs=inputs, outputs=outputs) as stage:
        if stage.complete:
            return
        model, renderer = build_model(hparams)
        examples = {}
        for split in ("train", "valid"):
            manifest = Records(data / f"{split}.jsonl", Utterance)
            frames = open_frames(
                model.encoder,
                manifest,
                cache=hparams.feature_cache,
                folder=data / "frames",
                max_gigabytes=hparams.max_cache_gigabytes,
                batch_seconds=hparams.encode_batch_seconds,
            )
            examples[split] = Examples(
                Records(output / "targets" / f"{split}.jsonl", Target),
                manifest,
                method=hparams.method,
                renderer=renderer,
                model=model,
                frames=frames,
            )
            left_out = examples[split].rejected
            left_out.limit = hparams.max_rejected
            left_out.write(rejected_path(output / f"{split}.jsonl"), num_kept=len(examples[split]))
        description = {
            **describe_parts(model, renderer, hparams.method),
            "auralign": __version__,
            **inputs["settings"],
            "connector": describe(hparams.connector),
        }
        brain = AlignmentBrain(model, hparams.method, hparams, folder=output, description=description)
        brain.run(examples["train"], examples["valid"])
        best = brain.checkpoints.best()
        print(
            f"{stage.name}: best validation loss {best.valid_loss:.3f} at step {best.step} of {hparams.num_steps}"
        )


if __name__ == "__main__":
    script.run(main)
