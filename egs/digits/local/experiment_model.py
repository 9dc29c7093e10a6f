"""A model of the experiments with its speech: how it speaks, answers, is trained, and is read by a linear probe.

    loaded = Model(model, renderer, train, test, recipe)
    losses = train(loaded, method, num_steps=60, utts_per_step=16, lr=1e-3, num_warmup_steps=10, seed=1)

An arm is trained in a loop of its own and not by stage 3, so that every arm takes the very same utterances in every step.
"""

from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import torch
from safetensors.torch import load_file, save_file

import world
from auralign.data.frames import recipe_frames
from auralign.files import make_folder_atomically
from auralign.layout import SPEECH, STUDENT, Response, Segment, Speech, Text, View, fill
from auralign.losses import total
from auralign.method import draw, lay_out, respond
from auralign.models.llm import Decoding
from auralign.records import Choice, Records, Utterance
from auralign.render import Renderer
from auralign.train.examples import PackOfExamples
from auralign.train.step import compute_terms

LETTERS = {"right": "r", "right content in another form": "f", "transcribed": "v", "wrong content": "c",
           "wrong task": "t", "other": "o"}  # fmt: skip
CONNECTOR = "connector.safetensors"
UTTS_PER_PACK = 16
BATCH_SIZE = 100  # of questions
NUM_PROBED = 200  # training utterances that the readout of the digits is fitted on
RIDGE = 1e-2


class Corpus:
    """The utterances of bare digits of a split, with their frames."""

    def __init__(self, manifest: Path, recipe, model):
        records = Records(manifest, Utterance)
        found = [(row, utterance) for row, utterance in enumerate(records) if not utterance.labels["command"]]
        self.rows, self.utterances = [row for row, _ in found], [utterance for _, utterance in found]
        self.frames = recipe_frames(recipe, model, records)

    def hear(self, indices):
        """Frames by branch of utterances."""
        return self.frames.get([self.rows[index] for index in indices])


@dataclass
class Model:
    """A model with its renderer and its speech, for one LLM and one connector."""

    model: torch.nn.Module
    renderer: Renderer
    train: Corpus
    test: Corpus
    recipe: object

    def speak(self, corpus: Corpus, indices, *, count: bool) -> list[torch.Tensor]:
        """Speech embeddings, one (U, D) for each utterance; with `count` one embedding for each token of the text."""
        found = []
        for start in range(0, len(indices), BATCH_SIZE):
            chosen = indices[start : start + BATCH_SIZE]
            views = [self.renderer.render(View((Speech(corpus.utterances[index].text),))) for index in chosen]
            with torch.no_grad():
                speech, _ = self.model.listen(views, corpus.hear(chosen), use_token_count=count)
            found += [of_one[0] for of_one in speech]
        return found

    def listen(self, corpus: Corpus, segments: tuple[Segment, ...]) -> list[list[torch.Tensor]]:
        """Of each utterance, the embeddings (U, D) of each span of speech among segments."""
        found, indices = [], range(len(corpus.utterances))
        for start in range(0, len(indices), BATCH_SIZE):
            chosen = indices[start : start + BATCH_SIZE]
            views = [self.renderer.render(View(segments))] * len(chosen)
            with torch.no_grad():
                found += self.model.listen(views, corpus.hear(chosen))[0]
        return found

    def read(self, texts) -> list[torch.Tensor]:
        """Embeddings (U, D) of texts as they are in a slot."""
        views = [self.renderer.render(View((Text(text, SPEECH),))) for text in texts]
        ids = [next(piece.ids for piece in view.pieces if piece.tag == SPEECH) for view in views]
        return [self.model.llm.embed(one) for one in ids]

    def answer(self, questions, slots) -> str:
        """Outcomes of questions, a letter each; `slots` has the embeddings (U, D) in the slot of each."""
        instructions = [question.instruction for question in questions]
        return self.judge(questions, self.reply(instructions, [[slot] for slot in slots]))

    def reply(self, instructions, slots, *, segments: tuple[Segment, ...] = (Speech(""),)) -> list[Response]:
        """Greedy answers to instructions; `slots` has the embeddings (U, D) of each span of speech among the `segments` that fill
        the slot of an instruction."""
        replies, decoding = [], Decoding(max_new_tokens=self.recipe.decode_max_new_tokens)
        for start in range(0, len(instructions), BATCH_SIZE):
            asked = instructions[start : start + BATCH_SIZE]
            prompts = [self.renderer.render(View(fill(instruction, *segments))) for instruction in asked]
            speech = slots[start : start + BATCH_SIZE]
            answers = self.model.answer(prompts, speech, decoding=decoding, stop_ids=self.renderer.stop_ids)
            replies += [
                Response(self.renderer.read(found.ids).text, finished=found.finish_reason == "stop")
                for found in answers
            ]
        return replies

    def judge(self, questions, replies: list[Response]) -> str:
        """Outcomes of the answers to questions, a letter each."""
        texts = {utterance.id: utterance.text for utterance in self.test.utterances}
        return "".join(
            LETTERS[
                world.classify(reply.text, question.reference, question.task, texts[question.utt_id].split())
            ]
            for question, reply in zip(questions, replies, strict=True)
        )


def examples(method, loaded: Model, indices, rng: Random, names) -> list[tuple[Choice, dict]]:
    """The choice and the rendered views, of some names, of one example of each training utterance."""
    found = []
    for index in indices:
        utterance = loaded.train.utterances[index]
        choice = draw(method, utterance, rng)[0]
        layout = lay_out(method, utterance, choice, Response(respond(method, utterance, choice)))
        found.append((choice, {name: loaded.renderer.render(getattr(layout, name)) for name in names}))
    return found


def train(
    loaded: Model,
    method,
    *,
    num_steps,
    utts_per_step,
    lr,
    num_warmup_steps,
    seed,
    views=(STUDENT,),
    look=lambda *_: None,
    part=None,
) -> list[float]:
    """Train a part, by default the connector, with AdamW at a rate that is constant after its warm-up; returns the loss of each
    step.

    The utterances of a step depend on seed and step alone, so that all arms take the same.
    """
    part = loaded.model.connector if part is None else part
    optimizer = torch.optim.AdamW(part.parameters(), lr=lr, weight_decay=0.01)
    order, losses = [], []
    rng = np.random.default_rng(seed)
    for step in range(num_steps):
        while len(order) < utts_per_step:
            order += rng.permutation(len(loaded.train.utterances)).tolist()
        chosen, order = order[:utts_per_step], order[utts_per_step:]
        # Sorted by length, so that little of a pack is padding.
        chosen.sort(key=lambda index: loaded.train.utterances[index].seconds)
        taken = examples(method, loaded, chosen, Random(f"{seed}-{step}"), views)
        packs = []
        for first in range(0, len(chosen), UTTS_PER_PACK):
            choices, together = zip(*taken[first : first + UTTS_PER_PACK], strict=True)
            frames = loaded.train.hear(chosen[first : first + UTTS_PER_PACK])
            by_name = {name: [view[name] for view in together] for name in views}
            packs.append(PackOfExamples(by_name, frames, choices))
        units = sum((pack.units() for pack in packs), start=type(packs[0].units())())
        optimizer.zero_grad()
        loss_of_step = 0.0
        part.train()
        for pack in packs:
            loss = total(compute_terms(method, loaded.model, pack), units)
            loss.backward()
            loss_of_step += float(loss.detach())
        part.eval()
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1.0, (step + 1) / num_warmup_steps)
        torch.nn.utils.clip_grad_norm_(part.parameters(), 1.0)
        optimizer.step()
        losses.append(loss_of_step)
        look(step + 1, losses)
    return losses


def save(loaded: Model, folder: Path) -> None:
    with make_folder_atomically(folder) as temporary:
        save_file(loaded.model.connector.state_dict(), temporary / CONNECTOR)


def restore(loaded: Model, folder: Path) -> None:
    loaded.model.connector.load_state_dict(load_file(folder / CONNECTOR))


def speak_counted(loaded: Model) -> list[torch.Tensor]:
    """The embeddings of the test utterances, one for each token of the text."""
    return loaded.speak(loaded.test, range(len(loaded.test.utterances)), count=True)


def probe(loaded: Model, counted: list[torch.Tensor]) -> list[float]:
    """Share of the digits of each test utterance that a ridge regression reads from the embeddings of their tokens."""

    num_fitted = min(NUM_PROBED, len(loaded.train.utterances))

    def digits(corpus: Corpus, number: int) -> list[list[int]]:
        texts = [utterance.text for utterance in corpus.utterances[:number]]
        return [[world.DIGITS.index(word) for word in text.split()] for text in texts]

    fitted = torch.cat(loaded.speak(loaded.train, range(num_fitted), count=True)).double()
    labels = torch.tensor(sum(digits(loaded.train, num_fitted), start=[]))
    wanted = torch.nn.functional.one_hot(labels, len(world.DIGITS)).double()
    centred = fitted - fitted.mean(0)
    gram = centred.T @ centred
    ridge = RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    weights = torch.linalg.solve(gram + ridge, centred.T @ (wanted - wanted.mean(0)))
    shares = []
    for speech, spoken in zip(counted, digits(loaded.test, len(counted)), strict=True):
        named = ((speech.double() - fitted.mean(0)) @ weights + wanted.mean(0)).argmax(1)
        shares.append(float((named == torch.tensor(spoken)).double().mean()))
    return shares
