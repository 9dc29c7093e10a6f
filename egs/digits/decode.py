# Same in every recipe; tests/recipes/test_shared.py keeps it so. Delete this line to diverge.
"""Stage 4: answer the test questions from speech, and with the same LLM from text.

    python decode.py hparams/sift.yaml

Reads: <data_folder>/test.jsonl, <data_folder>/test.questions.jsonl, <output_folder>/checkpoints/
Writes: <output_folder>/hypotheses/test.{speech,shuffled}.jsonl (and {speech,shuffled}_alone where the method puts a transcript
        beside the speech), and, once for all methods,
        <text_folder>/hypotheses/test.{text,normalised,transcript}.jsonl
"""

from functools import cache
from pathlib import Path

from auralign import __version__, script
from auralign.data.frames import recipe_frames
from auralign.decode.answers import Decoder
from auralign.fingerprint import describe
from auralign.hparams import load_recipe, settings
from auralign.method import is_assisted
from auralign.models.build import (
    build_decoding,
    build_model,
    build_recognizer,
    check_parts,
    describe_parts,
    prompts_of,
)
from auralign.records import Hypothesis, Question, Records, Utterance
from auralign.stage import Stage, content, require
from auralign.store import partial_path
from auralign.text.words import is_normalised
from auralign.train.checkpoint import Checkpoints

PARTS = ("connector", "lora", "lora_scope", "train_llm", "branches", "heads", "frozen", "method")


def main(argv):
    hparams = load_recipe(argv)
    output, text = Path(hparams.output_folder), Path(hparams.text_folder)
    manifest, questions = (
        Path(hparams.data_folder) / name for name in ("test.jsonl", "test.questions.jsonl")
    )
    require(output, "train", made_by="stage 3 (train)")
    best = Checkpoints(output / "checkpoints").best()
    asked = {
        "auralign": __version__,
        **describe(settings(hparams, "decode")),
        "data": [content(path, made_by="stage 1 (prepare)") for path in (manifest, questions)],
    }
    trained = {
        **asked,
        "checkpoint": content(best.folder, made_by="stage 3 (train)"),
        "parts": describe({name: getattr(hparams, name) for name in PARTS}),
        "seed": hparams.seed,
    }
    jobs = [("text", text, asked, None)]
    if not is_normalised(Records(manifest, Utterance)):
        jobs.append(("normalised", text, asked, None))
    if hparams.recognizer:
        jobs.append(("transcript", text, asked, None))
    jobs += [("speech", output, trained, None), ("shuffled", output, trained, None)]
    if is_assisted(hparams.method):  # by a transcript beside the speech: what is it worth alone?
        jobs += [("speech", output, trained, False), ("shuffled", output, trained, False)]
    decoder = cache(lambda: make_decoder(hparams, best, manifest))  # built when the first stage needs it
    for given, folder, inputs, assisted in jobs:
        name = f"{given}_alone" if assisted is False else given
        path = folder / "hypotheses" / f"test.{name}.jsonl"
        with Stage(
            f"decode {name}", path.parent, inputs=inputs, outputs=[path], partial=[partial_path(path)]
        ) as stage:
            if not stage.complete:
                decoder().write(
                    Records(questions, Question), path, given=given, seed=hparams.seed, assisted=assisted
                )
                print(f"{stage.name}: {len(Records(path, Hypothesis))} answers in {path}")


def make_decoder(hparams, best, manifest):
    """The trained model, ready to answer; refuses a checkpoint that was trained with other parts."""
    model, renderer = build_model(hparams, prompts=prompts_of(best.description))
    check_parts(best.description, describe_parts(hparams, model, renderer), place=best.folder)
    best.load_weights(model)
    model.eval()
    manifest = Records(manifest, Utterance)
    return Decoder(
        model,
        renderer,
        manifest,
        recipe_frames(hparams, model, manifest),
        method=hparams.method,
        decoding=build_decoding(hparams),
        batch_size=hparams.decode_batch_size,
        recognizer=build_recognizer(hparams, model.encoder),
    )


if __name__ == "__main__":
    script.run(main)
