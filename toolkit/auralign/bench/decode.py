"""`auralign bench decode`: answers of stage 4, against one question at a time.

Both arms read the same audio with the same encoder, connector and LLM, and give greedy answers of one length. One by one is how
BLSP (generate.py), WEST (west/bin/decode.py, whose batch is `x[0]`) and SLAM-LLM (val_batch_size 1) decode: each question reads
and encodes its audio, and is answered alone by transformers. A row is void if the text of an answer differs.
"""

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

from auralign.bench import Row, Settings, against_bar
from auralign.bench.corpus import LIBRISPEECH
from auralign.bench.generate import clock
from auralign.bench.ours import World
from auralign.records import Hypothesis, Question, Records, write_records

NUM_CLIPS, LENGTH, BAR = 8, 64, 4.0
QUESTIONS = ("repeat this: {speech}", "{speech} what was said before this?")


def measure(settings: Settings) -> Iterator[Row]:
    """The speed of stage 4 over that of one question at a time."""
    with tempfile.TemporaryDirectory() as folder:
        world = World.make(Path(folder), LIBRISPEECH, settings, number=NUM_CLIPS)
        world.model.eval()
        questions = make_questions(world)
        arms = {"together": lambda: together(world, questions), "alone": lambda: one_by_one(world, questions)}
        seconds: dict[str, list[float]] = {name: [] for name in arms}
        answers: dict[str, dict[str, str]] = {}
        for _ in range(settings.repeats):
            for name, arm in arms.items():
                start = clock(settings)
                answers[name] = arm()
                seconds[name].append(clock(settings) - start)
    ratios = [alone / ours for ours, alone in zip(*seconds.values(), strict=True)]
    ratio = statistics.median(ratios)
    differ = sum(answers["together"][key] != text for key, text in answers["alone"].items())
    yield Row(
        f"stage 4, {NUM_CLIPS} clips x {len(QUESTIONS)} questions, answers of {LENGTH} tokens, against one question at a time",
        f"{ratio:.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f}, {settings.repeats} runs): "
        f"{statistics.median(seconds['together']):.2f} s",
        against_bar(ratio, BAR),
        void=f"{differ} of {len(answers['alone'])} answers differ" if differ else "",
    )


def make_questions(world: World) -> Records:
    """Each question about each clip, as records in a file."""
    asked = (
        Question(f"{utterance.id}-{number}", utterance.id, "seen tasks", "bench", instruction, None, number)
        for utterance in world.manifest
        for number, instruction in enumerate(QUESTIONS)
    )
    write_records(world.folder / "questions.jsonl", asked, kind=Question)
    return Records(world.folder / "questions.jsonl", Question)


def together(world: World, questions: Records) -> dict[str, str]:
    """Stage 4 as it ships, without a cache of frames: texts by question."""
    from auralign.data.frames import live_frames
    from auralign.decode.answers import Decoder
    from auralign.models.llm import Decoding

    decoder = Decoder(
        world.model,
        world.renderer,
        world.manifest,
        live_frames(world.model, world.manifest),
        method=world.recipe.method,
        decoding=Decoding(LENGTH),
        batch_size=world.recipe.decode_batch_size,
    )
    path = world.folder / "answers.jsonl"
    decoder.write(questions, path, given="speech")
    return {answer.key: answer.text for answer in Records(path, Hypothesis)}


@torch.no_grad()
def one_by_one(world: World, questions: Records) -> dict[str, str]:
    """Each question by itself: its audio, the encoder, the connector, and `model.generate`."""
    from transformers import GenerationConfig

    from auralign.data.frames import live_frames
    from auralign.layout import View, fill
    from auralign.method import in_slot
    from auralign.models.speech_llm import on_device

    model, renderer = world.model, world.renderer
    found: dict[str, str] = {}
    frames = live_frames(model, world.manifest)
    stops = list(renderer.stop_ids)
    for question in questions:
        row, _ = world.manifest.find(question.utt_id)
        prompt = renderer.render(View(fill(question.instruction, *in_slot(world.recipe.method, ""))))
        speech, _ = model.listen([prompt], on_device(frames.get([row]), model.llm.device))
        output = model.llm.model.generate(
            inputs_embeds=model.pack([prompt], speech).embeddings[None],
            generation_config=GenerationConfig(
                max_new_tokens=LENGTH, do_sample=False, eos_token_id=stops, pad_token_id=stops[0]
            ),
        )
        ids = output[0].tolist()
        end = next((place for place, token in enumerate(ids) if token in stops), len(ids))
        found[question.key] = renderer.read(ids[:end]).text
    return found
