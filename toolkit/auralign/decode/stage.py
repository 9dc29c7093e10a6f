"""Stage 4 of a recipe: the inputs of the LLM, and the model that answers."""

import itertools
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from auralign import __version__
from auralign.files import locked, write_atomically
from auralign.fingerprint import describe
from auralign.marks import read_done
from auralign.method import is_assisted
from auralign.records import Hypothesis, Question, Records, Utterance, read_rows
from auralign.run_folder import OTHER_TEXT, TEXT_TRAINED, RunFolder, is_of_model
from auralign.shards import DealtStage, PartStage, Shard, common_header, deal
from auralign.stage import content, require
from auralign.text.words import is_normalised
from auralign.train.checkpoint import Checkpoint, Checkpoints
from auralign.train.resume import differences

SPEECH = ("speech", "shuffled")
ALONE = "_alone"  # suffix of an input: without the transcript that the method uses beside the speech
PARTS = ("connector", "lora", "lora_scope", "train_llm", "branches", "heads", "frozen", "method")


def inputs_of(run: RunFolder) -> list[str]:
    """The inputs that the questions are asked with, those of the original LLM first.

    "text" is the reference transcript, "normalised" the same without case and punctuation if that differs, "transcript" the
    encoder's own if the recipe names a recognizer, "other_text" the text of another utterance without case and punctuation: the
    floor of the LLM. "speech" is the utterance itself, "shuffled" another utterance's speech. If the method uses a transcript
    beside the speech, "speech_alone" and "shuffled_alone" are those without it. If training changes what the LLM answers to text,
    "text_trained" is the reference transcript for the trained LLM, which shows what it forgot.
    """
    path = run.data.manifest("test")
    content(path, made_by="stage 1 (prepare)")
    given = [*texts_of(read_rows(path, Utterance), run.recipe.recognizer), *SPEECH]
    given += [f"{one}{ALONE}" for one in SPEECH] * is_assisted(run.recipe.method)
    return given + [TEXT_TRAINED] * changes_text(run.recipe)


def changes_text(recipe) -> bool:
    """Whether training changes what the LLM answers to text: its weights are trained, or adapters of all positions."""
    return trains_text(recipe.lora, recipe.lora_scope, recipe.train_llm)


def trains_text(lora, lora_scope: str, train_llm: bool) -> bool:
    """`changes_text` by the values of a recipe, or of a model folder's config."""
    return train_llm or (lora is not None and lora_scope == "all")


def texts_of(utterances: Iterable[Utterance], recognizer=None) -> list[str]:
    """The inputs of the original LLM about some utterances, as in `inputs_of`."""
    other = [] if is_normalised(utterances) else ["normalised"]
    return ["text", *other, *(["transcript"] if recognizer else []), OTHER_TEXT]


class DecodingStage(DealtStage):
    """The stage that writes the answers from one of `inputs_of`."""

    def __init__(self, run: RunFolder, given: str, inputs: dict):
        self.run, self.given, self.path = run, given, run.hypotheses(given)
        super().__init__(
            f"decode {given}",
            self.path.parent,
            inputs=inputs,
            outputs=[self.path],
            restart=run.recipe.restart,
        )
        self.keep_recipe: Callable[[], None] | None = None  # called when the stage has ended

    def join(self, parts: list[Path]) -> str:
        """Write the answers of all shards in the order of the questions; returns a one-line summary."""
        numbers = shards_of_questions(self.run, len(parts))
        header, lines = common_header(parts), []
        for part in parts:
            lines.append(iter(part.read_bytes().splitlines(keepends=True)[1:]))
        with write_atomically(self.path, "wb") as file:
            file.write(header)
            file.writelines(next(lines[number - 1]) for number in numbers)
        return f"{len(numbers)} answers in {self.path}"

    def __exit__(self, kind, error, trace) -> None:
        super().__exit__(kind, error, trace)
        if kind is None and self.keep_recipe is not None:
            with locked(self.path.with_name(".recipe.lock")):  # shards may end at the same moment
                self.keep_recipe()


def shards_of_questions(run: RunFolder, count: int) -> list[int]:
    """The number of the shard, of so many, that answers each of the run's questions; those about an utterance share a shard."""
    manifest = Records(run.data.manifest("test"), Utterance)
    rows = [manifest.row(question.utt_id) for question in read_rows(run.data.questions, Question)]
    return deal(rows, count)


def decoding(run: RunFolder, shard: Shard | None = None) -> list[DecodingStage] | list[PartStage]:
    """The stages that write the answers from each of `inputs_of`, in order; with `shard`, those of that shard of each.

    Raises FileNotFoundError if an earlier stage was not run.
    """
    data = [
        content(path, made_by="stage 1 (prepare)") for path in (run.data.manifest("test"), run.data.questions)
    ]
    chosen = chosen_checkpoint(run)
    run.pin_models("decode")
    recipe = run.recipe
    asked = {"auralign": __version__, **describe(recipe.settings("decode")), "data": data}
    trained = {
        **asked,
        "checkpoint": hash_checkpoint(chosen),
        "parts": describe({name: getattr(recipe, name) for name in PARTS}),
        "seed": recipe.seed,
    }
    stages = [DecodingStage(run, given, trained if is_of_model(given) else asked) for given in inputs_of(run)]
    if not differences(chosen.description, describe(recipe.settings("train"))):
        # Records the decoding too. A recipe with other values of stage 3 would not be that of the checkpoint.
        stages[-1].keep_recipe = run.write_recipe
    return stages if shard is None else [stage.part(shard) for stage in stages]


def chosen_checkpoint(run: RunFolder) -> Checkpoint:
    """The checkpoint that answers: that with the lowest validation loss, or the mean of the last ones (`average_checkpoints`).

    Raises FileNotFoundError if stage 3 is not finished, ValueError if it kept fewer than are averaged.
    """
    require(run.checkpoints.parent, "train", made_by="stage 3 (train)")
    return Checkpoints(run.checkpoints).chosen(run.recipe.average_checkpoints)


def hash_checkpoint(checkpoint: Checkpoint) -> str | list[str]:
    """The hash of a checkpoint, or those of all that are averaged."""
    hashes = [content(folder, made_by="stage 3 (train)") for folder in checkpoint.folders]
    return hashes if checkpoint.averaged_steps else hashes[0]


def answered_by_another(run: RunFolder) -> bool:
    """Whether the run's answers to speech are of another checkpoint than the one that would answer now, as after more training;
    False if there are none, or an earlier auralign did not record it."""
    answers = run.hypotheses("speech")
    mark = answers.parent / ".decode_speech.done.json"
    recorded = read_done(mark)["inputs"].get("checkpoint") if mark.is_file() else None
    return recorded is not None and recorded != hash_checkpoint(chosen_checkpoint(run))


def make_decoder(run: RunFolder, manifest=None):
    """The trained model, ready to answer about the utterances of a manifest; default: the run's test set.

    Raises ValueError if the checkpoint was trained with other parts than the recipe names.
    """
    from auralign.data.frames import live_frames, recipe_frames
    from auralign.decode.answers import Decoder
    from auralign.models.build import (
        build_decoding,
        build_model,
        build_recognizer,
        check_parts,
        describe_parts,
        prompts_of,
    )

    recipe, chosen = run.recipe, chosen_checkpoint(run)
    model, renderer = build_model(recipe, prompts=prompts_of(chosen.description))
    check_parts(
        chosen.description, describe_parts(recipe, model, renderer), checkpoint=chosen.folder, model=model
    )
    if chosen.averaged_steps:
        steps = ", ".join(map(str, chosen.averaged_steps))
        print(f"weights: the mean of the checkpoints at the steps {steps}", file=sys.stderr)
    chosen.load_weights(model)
    model.eval()
    if manifest is None:
        manifest = Records(run.data.manifest("test"), Utterance)
        frames = recipe_frames(recipe, model, manifest)
    else:
        frames = live_frames(model, manifest)
    return Decoder(
        model,
        renderer,
        manifest,
        frames,
        method=recipe.method,
        decoding=build_decoding(recipe),
        batch_size=recipe.decode_batch_size,
        recognizer=build_recognizer(recipe, model.encoder),
        engine=_build_engine(recipe, model, renderer),
    )


def _build_engine(recipe, model, renderer):
    """The engine that answers instead of the model; None if it is that of transformers.

    Raises ValueError if the LLM's weights are not those that another engine would load.
    """
    from auralign.generate.engine import TransformersEngine
    from auralign.models.build import construct

    if recipe.decode_engine.func is TransformersEngine:
        return None
    if recipe.lora is not None or recipe.train_llm:
        raise ValueError(
            f"decode_engine {recipe.decode_engine.name}: it would load the LLM without what was trained of it; use "
            "--decode_engine transformers"
        )
    return construct(
        "decode_engine", recipe.decode_engine, model.llm, renderer, batch_size=recipe.decode_batch_size
    )


def write_answers(run: RunFolder, stage: DecodingStage | PartStage, decoder) -> str:
    """Answer the run's questions, or those of a shard; returns a one-line summary."""
    questions: Iterable[Question] = Records(run.data.questions, Question)
    given = stage.whole.given
    if stage.shard is not None:
        numbers = shards_of_questions(run, stage.shard.num_shards)
        questions = itertools.compress(questions, [number == stage.shard.number for number in numbers])
    decoder.write(
        questions,
        stage.path,
        given=given.removesuffix(ALONE),
        seed=run.recipe.seed,
        assisted=False if given.endswith(ALONE) else None,
        partial=stage.partial(stage.path),
    )
    return f"{len(Records(stage.path, Hypothesis))} answers in {stage.path}"
