"""What a notebook calls: `auralign.train`. Loading a model is in `auralign.publish`, evaluating one in `auralign.evaluation`."""

from auralign import steps
from auralign.recipe import Recipe
from auralign.run_folder import RunFolder


def train(recipe: Recipe) -> RunFolder:
    """Run stages 2 and 3 of a recipe: the LLM writes the targets, and the connector learns them.

    What is finished is skipped, and an interrupted run continues, as with the scripts of a recipe.

    Arguments
    ---------
    recipe : Recipe
        Its `data_folder` holds what stage 1 or `auralign prepare` wrote: `train.jsonl` and `valid.jsonl`.

    Returns RunFolder: the run; `auralign.evaluate` takes it.

    Raises
    ------
    FileNotFoundError
        If the data is not there.
    ValueError
        If the output_folder holds a run that this one cannot continue.
    """
    run, built = steps.RunFolder(recipe), None
    for stage in steps.generating(run):
        with stage:
            if not stage.complete:
                built = built or steps.build_llm(run.recipe)
                print(f"{stage.name}: {steps.write_targets(run, stage, *built)}")
    built = None  # its memory is that of training
    with steps.training(run) as stage:
        if not stage.complete:
            model, renderer = steps.build_model(run.recipe)
            train_set, valid_set = (
                steps.read_examples(run, split, stage, model, renderer) for split in steps.SPLITS
            )
            best = steps.make_brain(run, stage, model, renderer).run(train_set, valid_set)
            print(f"{stage.name}: lowest validation loss {best.valid_loss:.3f}, at step {best.step}")
    return run
