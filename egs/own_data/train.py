# Same in every recipe; tests/recipes/test_shared.py keeps it so. Delete this line to diverge.
"""Stage 3: train the connector until speech draws the target from the frozen LLM.

    python train.py hparams/sift.yaml [--lr 3e-4 --connector.stride 4 ...]
    python -m auralign.train.torchrun --standalone --nproc-per-node 4 train.py hparams/sift.yaml --device cuda    on four GPUs

A run goes on from its newest checkpoint. What is trained is never replaced: a run that differs in more than device, pack size,
validations or number of steps needs another output_folder, or --restart, which trains in the next train_<number>.

Reads: <data_folder>/{train,valid}.jsonl, <output_folder>/targets/{train,valid}.jsonl
Writes: <output_folder>/checkpoints/ (best and last), log.json, curves/ (tensorboard --logdir), and
        {train,valid}.rejected.jsonl: what was left out and why
"""

from auralign import script, steps


def main(argv):
    run = steps.RunFolder.of_arguments(argv, doc=__doc__)
    with steps.training(run) as stage:
        if not stage.complete:
            run = steps.on_own_device(run)
            model, renderer = steps.build_model(run.recipe)
            train, valid = (steps.read_examples(run, split, stage, model, renderer) for split in steps.SPLITS)
            best = steps.make_brain(run, stage, model, renderer).run(train, valid)
            print(f"{stage.name}: lowest validation loss {best.valid_loss:.3f}, at step {best.step}")


if __name__ == "__main__":
    script.run_on_all_ranks(main)
