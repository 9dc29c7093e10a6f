# Same in every recipe; tests/recipes/test_shared.py keeps it so. Delete this line to diverge.
"""Stage 2: the frozen LLM writes the targets of the training and validation utterances.

    python generate.py hparams/sift.yaml [--temperature 0.7 --method.NAME VALUE ...]
    python generate.py hparams/sift.yaml --shard 2/4              the second of four parts; whoever finishes last joins them

Targets that a model was trained on are never replaced: if other values would change them, the stage stops and says so. With
--restart it writes them to the next targets_<number>.

Reads: <data_folder>/{train,valid}.jsonl
Writes: <output_folder>/targets/{train,valid}.jsonl, and beside each a list of what was rejected and why, and the lengths with
        which stage 3 starts, <name>.lengths.npz; for a method that distils from a teacher computed once,
        <name>.teacher_<k>_<temperature>.npy
"""

from auralign import script, steps


def main(argv):
    shard, argv = steps.Shard.of_arguments(argv)
    run = steps.RunFolder.of_arguments(argv, doc=__doc__)
    built = None
    for stage in steps.generating(run, shard):
        with stage:
            if not stage.complete:
                built = built or steps.build_llm(run.recipe)
                print(f"{stage.name}: {steps.write_targets(run, stage, *built)}")


if __name__ == "__main__":
    script.run(main, resumes=True)
