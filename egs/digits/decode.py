# Same in every recipe; tests/recipes/test_shared.py keeps it so. Delete this line to diverge.
"""Stage 4: answer the test questions from speech, and with the same LLM from text.

    python decode.py hparams/sift.yaml

Reads: <data_folder>/test.jsonl, <data_folder>/test.questions.jsonl, <output_folder>/checkpoints/
Writes: <output_folder>/hypotheses/test.{speech,shuffled}.jsonl, and, once for all methods,
        <text_folder>/hypotheses/test.{text,transcript}.jsonl
"""

from functools import cache
from pathlib import Path

from auralign import __version__, script
from auralign.data.frames import open_frames
from auralign.decode.answers import Decoder
from auralign.hparams import load_recipe
from auralign.models.build import build_model, check_parts, describe_parts
from auralign.records import Question, Records, Utterance
from auralign.stage import Stage, content, describe
from auralign.train.checkpoint import Checkpoints


def main(argv):
    hparams = load_recipe(argv)
    data, output, text = Path(hparams.data_folder), Path(hparams.output_folder), Path(hparams.text_folder)
    checkpoints = Checkpoints(output / "checkpoints")

    @cache
    def decoder():
        model, renderer = build_model(hparams)
        best = checkpoints.best()
        check_parts(best.description, describe_parts(model, renderer, hparams.method), place=best.folder)
        best.load_weights(model.trained_parts)
        model.eval()
        manifest = Records(data / "test.jsonl", Utterance)
        frames = open_frames(
            model.encoder,
            manifest,
            cache=hparams.feature_cache,
            folder=data / "frames",
            max_gigabytes=hparams.max_cache_gigabytes,
            batch_seconds=hparams.encode_batch_seconds,
        )
        recognizer = hparams.recognizer(width=model.encoder.width) if hparams.recognizer else None
        return Decoder(
            model,
            renderer,
            manifest,
            frames,
            max_new_tokens=hparams.decode_max_new_tokens,
            batch_size=hparams.decode_batch_size,
            recognizer=recognizer,
        )

    asked = {
        "auralign": __version__,
        "parts": {name: describe(getattr(hparams, name)) for name in ("llm", "encoder", "recognizer")},
        "data": [
            content(data / name, made_by="stage 1 (prepare)")
            for name in ("test.jsonl", "test.questions.jsonl")
        ],
        "max_new_tokens": hparams.decode_max_new_tokens,
        "system_prompt": hparams.system_prompt,
        "template_options": hparams.template_options,
    }
    trained = {
        **asked,
        "checkpoint": content(checkpoints.best().folder, made_by="stage 3 (train)"),
        "connector": describe(hparams.connector),
        "seed": hparams.seed,
    }
    kinds = {"text": (text, asked), "speech": (output, trained), "shuffled": (output, trained)}
    if hparams.recognizer:
        kinds["transcript"] = (text, asked)
    for given, (folder, inputs) in kinds.items():
        path = folder / "hypotheses" / f"test.{given}.jsonl"
        with Stage(
            f"decode {hparams.method.name} from {given}" if folder == output else f"decode {given}",
            path.parent,
            inputs=inputs,
            outputs=[path],
        ) as stage:
            if not stage.complete:
                decoder().write(
                    Records(data / "test.questions.jsonl", Question), path, given=given, seed=hparams.seed
                )


if __name__ == "__main__":
    script.run(main)
