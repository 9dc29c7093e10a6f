"""auralign's own training as an arm: the classes that train.py uses, with the values of the recipe of LibriSpeech.

world = World.make(folder, "LibriSpeech", Settings(), number=64)
world.ours("sift").epoch()                # forward, backward, optimiser, data and log of all utterances
"""

import dataclasses
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from torch.utils.data import DataLoader

from auralign.bench import SCALES, Settings
from auralign.bench.corpus import SIZES, draw_responses, draw_words, make_corpus, make_llm, make_whisper
from auralign.constructor import Constructor
from auralign.data.batching import epoch_steps
from auralign.data.frames import live_frames
from auralign.generate.engine import Reply
from auralign.generate.targets import TargetWriter
from auralign.generate.teacher import write_teacher
from auralign.layout import STUDENT, TEACHER
from auralign.losses import total
from auralign.method import AlignmentMethod
from auralign.models.build import build_model
from auralign.models.connectors import StackAndProject
from auralign.models.speech_llm import SpeechLLM
from auralign.plugins import load_method
from auralign.progress import Progress
from auralign.recipe import Recipe
from auralign.records import Records, Target, TargetRequest
from auralign.render import Rendered
from auralign.store import teacher_path
from auralign.train.brain import AlignmentBrain
from auralign.train.examples import Examples, StepStream
from auralign.train.step import compute_terms, count_units

STRIDE = 5  # of SLAM-LLM: 300 embeddings for its 30 s
SHIPPED_STRIDE = 8  # of the recipe of LibriSpeech; BLSP's own, too
TOKENS_PER_STEP, TOKENS_PER_PACK = 7_710, 2_048  # of the recipe of LibriSpeech


class DrawnAnswers:
    """An engine that draws its answers, of lengths like an LLM's."""

    max_prompt_ids = 4_095

    def __init__(self, name: str, tokenizer: Any):
        self.name, self.tokenizer = name, tokenizer

    def answer(self, requests: list[TargetRequest]) -> Iterator[list[Reply]]:
        """Replies in batches, as `auralign.generate.engine` has them."""
        lengths = draw_responses(self.name, len(requests)).tolist()
        replies = []
        for request, length in zip(requests, lengths, strict=True):
            text = draw_words(Random(request.key), length)
            ids = tuple(self.tokenizer(text, add_special_tokens=False).input_ids[:length])
            replies.append(Reply(request, self.tokenizer.decode(ids), "stop", ids))
        for start in range(0, len(replies), 64):
            yield replies[start : start + 64]


@dataclass(frozen=True)
class World:
    """A corpus with its audio, a model, and targets by method, in a folder."""

    folder: Path
    name: str
    recipe: Recipe
    model: Any
    renderer: Any
    manifest: Records

    @classmethod
    def make(
        cls, folder: Path, name: str, settings: Settings, *, number: int, vocabulary: int | None = None
    ) -> "World":
        """Make or, if the folder has them, take corpus and models; then load the model in fp32, on a GPU in bf16."""
        size = SIZES[settings.scale if settings.scale in SCALES else "small"]
        on_gpu = settings.device == "cuda" and settings.scale != "tiny"
        dtype = "bfloat16" if on_gpu else "float32"
        llm, encoder = folder / "llm", folder / "encoder"
        if settings.scale not in SCALES:
            llm = Path(settings.scale)
        elif not llm.is_dir():
            make_llm(llm, size, vocabulary=vocabulary, dtype=dtype)
        if not encoder.is_dir():
            make_whisper(encoder, size)
        data = folder / name.replace(" ", "_")
        manifest = make_corpus(data, name, number)
        recipe = _recipe(data, llm, encoder, settings.device, dtype)
        model, renderer = build_model(recipe)
        return cls(data, name, recipe, model, renderer, manifest)

    def targets(self, method: AlignmentMethod) -> Records:
        """The targets of a method, written by stage 2 with `DrawnAnswers`."""
        path = self.folder / method.name / "targets" / "train.jsonl"
        if not path.is_file():
            path.parent.mkdir(parents=True)
            engine = DrawnAnswers(self.name, self.renderer.tokenizer)
            TargetWriter(
                method,
                self.renderer,
                engine,
                llm_name="llm",
                llm_revision=self.model.llm.revision,
                decoding={"max_new_tokens": 256, "temperature": 0.0},
                seed=1,
                max_rejected=0.9,
            ).write(self.manifest, path)
        return Records(path, Target)

    def ours(self, name: str = "sift", *, padding: str = "true_length", **options: Any) -> "Ours":
        """auralign with a method and a padding of Whisper's audio; every arm of a world has the same model."""
        return Ours(self, load_method(name, **options), padding)

    def as_shipped(self) -> "World":
        """The same with the connector of the recipe of LibriSpeech, untrained: it makes fewer embeddings."""
        parts = self.model
        connector = StackAndProject(parts.encoder.width, parts.llm.width, stride=SHIPPED_STRIDE)
        model = SpeechLLM(parts.encoder, connector.to(parts.llm.device), parts.llm)
        return dataclasses.replace(self, model=model)


class Ours:
    """Stage 3 of one method in a `World`."""

    def __init__(self, world: World, method: AlignmentMethod, padding: str):
        self.world, self.method, self.padding = world, method, padding
        self.model = world.model
        self.model.encoder.padding = padding
        targets = world.targets(method)
        if method.needs.top_k and not teacher_path(targets.path, method.needs).is_file():
            write_teacher(targets, world.manifest, method=method, llm=self.model.llm, renderer=world.renderer)
        self.examples = Examples(
            targets,
            world.manifest,
            method=method,
            renderer=world.renderer,
            model=self.model,
            frames=live_frames(self.model, world.manifest, num_workers=world.recipe.num_workers),
            max_rejected=0.9,
        )
        recipe = dataclasses.replace(world.recipe, method=method)
        name = f"{method.name}_{padding}_{method.needs.top_k}_{self.model.connector.stride}"
        folder = world.folder / "runs" / name
        self.brain = AlignmentBrain(self.model, method, recipe, folder=folder, description={})
        self.brain.progress = Progress("", unit="step")
        self.brain.stream = StepStream(
            self.examples, tokens_per_step=TOKENS_PER_STEP, tokens_per_pack=TOKENS_PER_PACK, seed=1
        )
        self.brain.on_fit_start()
        self.brain.modules.train()

    def steps(self) -> DataLoader:
        """The optimiser steps of one epoch, as they are read and encoded."""
        self.model.encoder.padding = self.padding
        stream = self.brain.stream
        stream.start = 0
        stream.stop = len(
            epoch_steps(self.examples.lengths, tokens_per_step=TOKENS_PER_STEP, seed=1, epoch=0)
        )
        return DataLoader(stream, batch_size=None)

    def epoch(self) -> None:
        """Train on all examples once."""
        for step in self.steps():
            self.brain.fit_batch(step)

    def gradient(self) -> tuple[dict[str, float], Counter]:
        """The terms of all examples by name, summed, and their units; the gradient of the loss stays in the connector."""
        self.model.zero_grad(set_to_none=True)
        steps = [step for step in self.steps()]
        units = sum((count_units(step) for step in steps), Counter())
        found: Counter = Counter()
        for pack in (pack for step in steps for pack in step):
            terms = compute_terms(self.method, self.model, pack)
            total(terms, units).backward()
            found.update({name: float(term.sum.detach()) for name, term in terms.items()})
        return dict(found), units

    def items(self) -> "list[Item]":
        """What the peers' arms read: the same utterances and ids."""
        items = []
        for example in range(len(self.examples)):
            _, views = self.examples._views(example)
            utterance = self.world.manifest[int(self.examples.rows[example])]
            pieces = views[STUDENT].pieces
            at = next(index for index, piece in enumerate(pieces) if piece.is_speech)
            items.append(
                Item(
                    self.world.folder / utterance.audio,
                    utterance.seconds,
                    Rendered(pieces[:at]).ids,
                    Rendered(pieces[at + 1 : -1]).ids,
                    Rendered(pieces[-1:]).ids,
                    views[TEACHER].before_target.ids if TEACHER in views else (),
                )
            )
        return items


@dataclass(frozen=True)
class Item:
    """One example as ids: before the speech, between speech and answer, the answer, and the teacher's prompt if there is one."""

    path: Path
    seconds: float
    before: tuple[int, ...]
    between: tuple[int, ...]
    target: tuple[int, ...]
    teacher_prompt: tuple[int, ...]


def _recipe(data: Path, llm: Path, encoder: Path, device: str, dtype: str) -> Recipe:
    """The values of the recipe of LibriSpeech, with these models."""
    return Recipe(
        seed=1,
        data_folder=str(data),
        output_folder=str(data / "run"),
        text_folder=str(data / "text"),
        score_folder=str(data / "score"),
        method=load_method("sift"),
        llm=Constructor("auralign.models.llm.load_llm", path=str(llm), dtype=dtype),
        encoder=Constructor(
            "auralign.models.encoders.load_whisper",
            path=str(encoder),
            padding="true_length",
            chunk_seconds=30,
        ),
        connector=Constructor("auralign.models.connectors.StackAndProject", stride=STRIDE),
        max_new_tokens=256,
        lr=1e-6,  # arms take turns with one connector, which shall not wander
        num_steps=1_000_000,
        num_warmup_steps=0,
        tokens_per_step=TOKENS_PER_STEP,
        tokens_per_pack=TOKENS_PER_PACK,
        valid_every=1_000_000,
        feature_cache="off",
        decode_max_new_tokens=256,
        precision="bf16" if dtype == "bfloat16" else "fp32",
        device=device,
    )
