"""The steps that the scripts of a recipe are made of; a script replaces any of them by a function of its own.

    run = steps.RunFolder.of_arguments(sys.argv[1:])      # the recipe and its folder of results
    model, renderer = steps.build_model(run.recipe)

Each is imported when it is first used: a stage that finds itself finished needs neither torch nor a model. These names are
stable, since recipes outside of this repository use them.
"""

from auralign.lazy import lazily

__getattr__, __all__ = lazily(
    "auralign",
    {
        "run_folder": ["RunFolder", "SPLITS"],
        "shards": ["Shard"],
        "models.build": ["build_llm", "build_model"],
        "generate.stage": ["generating", "write_targets"],
        "train.stage": ["training", "on_own_device", "read_examples", "make_brain"],
        "decode.stage": ["decoding", "make_decoder", "write_answers"],
    },
)
