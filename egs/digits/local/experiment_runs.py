"""The runs of the experiments: LLMs, aligned connectors, the arms that go on from them, and the vector of `cause`.

    bench = Bench(registered, folder=Path("exp/experiments"), data=Path("data/synthetic"))
    row = bench.make(run)        # a dict for row.json; outcomes are a string of one letter of `LETTERS` for each question

An arm is trained in one loop here and not by stage 3, so that every arm takes the very same utterances in every step.
"""

import gc
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import torch
from safetensors.torch import load_file, save_file

import build_llm
import world
from auralign import steps
from auralign.data.frames import recipe_frames
from auralign.files import make_folder_atomically
from auralign.layout import MAIN, SPEECH, STUDENT, TARGET, TEACHER, Response, Speech, Text, View, fill
from auralign.losses import total
from auralign.method import draw, lay_out, respond
from auralign.models.build import build_recognizer
from auralign.models.llm import Decoding
from auralign.records import Records, Utterance
from auralign.render import Renderer
from auralign.train.examples import PackOfExamples
from auralign.train.step import compute_terms
from experiment_arms import Arm, make_questions
from experiment_plan import ARM, CAUSE, LLM, START, Run

LETTERS = {"right": "r", "right content in another form": "f", "transcribed": "v", "wrong content": "c",
           "wrong task": "t", "other": "o"}  # fmt: skip
CONNECTOR = "connector.safetensors"
ALIGNED = {
    "num_steps": 450,
    "utts_per_step": 48,
    "lr": 5e-3,
    "num_warmup_steps": 45,
}  # hparams/wav2prompt.yaml
UTTS_PER_PACK = 16
BATCH_SIZE = 100  # of questions
NUM_PROBED = 200  # training utterances that the readout of the digits is fitted on
RIDGE = 1e-2
NUM_SURPRISING = 100  # training utterances whose targets the LLM judges


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

    def read(self, texts) -> list[torch.Tensor]:
        """Embeddings (U, D) of texts as they are in a slot."""
        views = [self.renderer.render(View((Text(text, SPEECH),))) for text in texts]
        ids = [next(piece.ids for piece in view.pieces if piece.tag == SPEECH) for view in views]
        return [self.model.llm.embed(one) for one in ids]

    def answer(self, questions, slots) -> str:
        """Outcomes of questions, a letter each; `slots` has the embeddings (U, D) in the slot of each."""
        texts = {utterance.id: utterance.text for utterance in self.test.utterances}
        outcomes, decoding = [], Decoding(max_new_tokens=self.recipe.decode_max_new_tokens)
        for start in range(0, len(questions), BATCH_SIZE):
            asked = questions[start : start + BATCH_SIZE]
            prompts = [
                self.renderer.render(View(fill(question.instruction, Speech("")))) for question in asked
            ]
            speech = [[slot] for slot in slots[start : start + BATCH_SIZE]]
            answers = self.model.answer(prompts, speech, decoding=decoding, stop_ids=self.renderer.stop_ids)
            for question, found in zip(asked, answers, strict=True):
                text = self.renderer.read(found.ids).text
                said = texts[question.utt_id].split()
                outcomes.append(LETTERS[world.classify(text, question.reference, question.task, said)])
        return "".join(outcomes)


class Bench:
    """Makes runs.

    Arguments
    ---------
    registered : dict
        The content of experiments.yaml.
    folder : Path
        Of all runs.
    data : Path
        Of the manifests.
    """

    def __init__(self, registered: dict, *, folder: Path, data: Path):
        self.registered, self.folder, self.data = registered, Path(folder), Path(data)

    def make(self, run: Run) -> dict:
        """The facts of a run, which is made anew if it was interrupted."""
        try:
            return {LLM: self._llm, START: self._start, ARM: self._arm, CAUSE: self._cause}[run.kind](run)
        finally:
            gc.collect()

    # --- models

    def licensed(self, llm_seed: int) -> str:
        """The request that licenses bare digits for an LLM."""
        ways = self.registered["llms"]["licensed"]
        return ways[(llm_seed - 1) % len(ways)]

    def load(self, run: Run, experiment: str) -> Model:
        """The LLM of a run with the connector of an experiment, which has random weights by the connector's seed."""
        how = self.registered["experiments"][experiment]
        overrides = {
            **{name: str(value) for name, value in how["options"].items()},
            "llm.path": str(self._llm_folder(run)),
            "data_folder": str(self.data),
            "seed": str(run.connector_seed),
        }
        recipe = steps.RunFolder.open(f"hparams/{how['connector']}.yaml", overrides).recipe
        model, renderer = steps.build_model(recipe)
        model.eval()
        corpora = [Corpus(self.data / f"{split}.jsonl", recipe, model) for split in ("train", "test")]
        return Model(model, renderer, *corpora, recipe)

    def _llm_folder(self, run: Run) -> Path:
        return self.folder / f"llm_{run.llm_seed}"

    def _questions(self, loaded: Model):
        """The questions, and the index of the utterance of each."""
        index = {utterance.id: number for number, utterance in enumerate(loaded.test.utterances)}
        questions = make_questions(loaded.test.utterances)
        return questions, [index[question.utt_id] for question in questions]

    def _arm_of(self, run: Run, name: str, *, counts: bool) -> Arm:
        return Arm(**self.registered["arms"][name], licensed=self.licensed(run.llm_seed), counts=counts)

    # --- kinds of runs

    def _llm(self, run: Run) -> dict:
        """The LLM that also writes, its ceiling and floor, and what it thinks of the targets of each arm."""
        folder, how = self._llm_folder(run), self.registered["llms"]
        licensed = self.licensed(run.llm_seed)
        if not (folder / "config.json").is_file():
            build_llm.adapt_llm(
                folder,
                init="models/llm",
                licensed=licensed,
                seed=run.llm_seed,
                num_steps=how["num_steps"],
                examples_per_step=how["examples_per_step"],
                peak_lr=how["lr"],
            )
        loaded = self.load(run, "drift")
        questions, which = self._questions(loaded)
        said = [utterance.text for utterance in loaded.test.utterances]
        other = said[1:] + said[:1]
        recognizer = build_recognizer(loaded.recipe, loaded.model.encoder)
        transcripts = recognizer.transcribe(*loaded.test.hear(range(len(said)))[MAIN])
        answers = {
            name: loaded.answer(questions, loaded.read([texts[index] for index in which]))
            for name, texts in (("text", said), ("another text", other), ("cascade", transcripts))
        }
        return {
            "licensed": licensed,
            "answers": answers,
            "voices": [loaded.test.utterances[index].speaker for index in which],
            "surprise": {name: self._surprise(run, loaded, name) for name in self.registered["arms"]},
        }

    def _surprise(self, run: Run, loaded: Model, name: str) -> float:
        """Nats a token of an arm's targets for the LLM that reads the text: 0 if they are its own."""
        arm = self._arm_of(run, name, counts=False)
        chosen = range(min(NUM_SURPRISING, len(loaded.train.utterances)))
        views = [example[TEACHER] for example in _examples(arm, loaded, chosen, Random(1), [TEACHER])]
        with torch.no_grad():
            found = loaded.model.read(loaded.model.pack_text(views)).cross_entropy(TARGET)
        return round(float(found.sum) / found.count, 3)

    def _start(self, run: Run) -> dict:
        """A connector that gives each token's own embedding, with no LLM in the loop."""
        loaded = self.load(run, "drift")
        untrained = self._look(loaded)
        method = loaded.recipe.method
        losses = _train(loaded, method, seed=run.connector_seed, views=(STUDENT, TEACHER), **ALIGNED)
        _save(loaded, self.folder / run.name)
        found = self._look(loaded, counted=_speak_counted(loaded))
        return {
            "loss": losses[-1],
            "answers": {"start": found["answers"], "untrained": untrained["answers"]},
            "content": found["content"],
        }

    def _arm(self, run: Run) -> dict:
        """Train an arm, and look at it on the way."""
        how = self.registered["experiments"][run.experiment]
        loaded = self.load(run, run.experiment)
        if how["start"] == "aligned":
            _load(loaded, self.folder / f"start/llm_{run.llm_seed}/connector_{run.connector_seed}")
        arm = self._arm_of(run, run.arm, counts=loaded.model.connector.counts_tokens)
        before = torch.cat(_speak_counted(loaded)) if arm.counts else None
        course = []

        def look(step: int, losses: list[float]) -> None:
            if step not in how["look_at"]:
                return
            entry = {"step": step, "loss": round(float(np.mean(losses[-10:])), 4)}
            counted = None
            if before is not None:
                counted = _speak_counted(loaded)
                moved = (torch.cat(counted) - before).norm() / before.norm()
                entry["displacement"] = round(float(moved), 4)
            course.append({**entry, **self._look(loaded, counted=counted)})

        options = {name: how[name] for name in ("num_steps", "utts_per_step", "lr", "num_warmup_steps")}
        _train(loaded, arm, seed=run.connector_seed, look=look, **options)
        _save(loaded, self.folder / run.name)
        last = course[-1]
        return {"answers": {run.arm: last["answers"]}, "content": last.get("content"), "course": course}

    def _look(self, loaded: Model, *, counted: list[torch.Tensor] | None = None) -> dict:
        """The outcomes of all questions from speech, and, if the embeddings of the tokens are given, the share of the digits
        that a linear readout finds in them."""
        questions, which = self._questions(loaded)
        speech = loaded.speak(loaded.test, range(len(loaded.test.utterances)), count=False)
        found = {"answers": loaded.answer(questions, [speech[index] for index in which])}
        if counted is not None:
            shares = _probe(loaded, counted)
            found["content"] = [round(shares[index], 3) for index in which]
        return found

    def _cause(self, run: Run) -> dict:
        """Add to text, and take from D's speech, the mean difference of the embeddings of D's connector and of A's."""
        how = self.registered["experiments"][run.experiment]
        loaded = self.load(run, how["needs"])
        everything = range(len(loaded.train.utterances))
        means = {}
        for name in "AD":
            _load(
                loaded,
                self.folder / how["needs"] / name / f"llm_{run.llm_seed}/connector_{run.connector_seed}",
            )
            means[name] = torch.cat(loaded.speak(loaded.train, everything, count=True)).mean(0)
        questions, which = self._questions(loaded)
        said = loaded.read([loaded.test.utterances[index].text for index in which])
        speech = loaded.speak(loaded.test, range(len(loaded.test.utterances)), count=False)  # D's
        vectors = {"v": means["D"] - means["A"]}
        generator = torch.Generator().manual_seed(run.connector_seed)
        random = torch.randn(vectors["v"].shape, generator=generator)
        vectors["random"] = random * vectors["v"].norm() / random.norm()
        answers = {}
        for arm in how["arms"]:
            slot, _, changed = arm.partition("_")
            vector, _, times = changed.partition("_")
            shift = 0.0 if not changed else float(times) * vectors[vector]
            slots = (
                [one + shift for one in said]
                if slot == "text"
                else [speech[index] - shift for index in which]
            )
            answers[arm] = loaded.answer(questions, slots)
        norms = {"v": float(vectors["v"].norm()), "embedding": float(torch.cat(said).norm(dim=-1).mean())}
        return {"answers": answers, "norms": {name: round(value, 4) for name, value in norms.items()}}


# --- training


def _examples(method, loaded: Model, indices, rng: Random, names) -> list[dict]:
    """The rendered views, of some names, of one example of each training utterance."""
    found = []
    for index in indices:
        utterance = loaded.train.utterances[index]
        choice = draw(method, utterance, rng)[0]
        layout = lay_out(method, utterance, choice, Response(respond(method, utterance, choice)))
        found.append({name: loaded.renderer.render(getattr(layout, name)) for name in names})
    return found


def _train(
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
) -> list[float]:
    """Train the connector with AdamW at a rate that is constant after its warm-up; returns the loss of each step.

    The utterances of a step depend on seed and step alone, so that all arms take the same.
    """
    connector = loaded.model.connector
    optimizer = torch.optim.AdamW(connector.parameters(), lr=lr, weight_decay=0.01)
    order, losses = [], []
    rng = np.random.default_rng(seed)
    for step in range(num_steps):
        while len(order) < utts_per_step:
            order += rng.permutation(len(loaded.train.utterances)).tolist()
        chosen, order = order[:utts_per_step], order[utts_per_step:]
        # Sorted by length, so that little of a pack is padding.
        chosen.sort(key=lambda index: loaded.train.utterances[index].seconds)
        examples = _examples(method, loaded, chosen, Random(f"{seed}-{step}"), views)
        packs = []
        for first in range(0, len(chosen), UTTS_PER_PACK):
            part = examples[first : first + UTTS_PER_PACK]
            frames = loaded.train.hear(chosen[first : first + UTTS_PER_PACK])
            by_name = {name: [view[name] for view in part] for name in part[0]}
            packs.append(PackOfExamples(by_name, frames, tuple(None for _ in part)))
        units = sum((pack.units() for pack in packs), start=type(packs[0].units())())
        optimizer.zero_grad()
        loss_of_step = 0.0
        connector.train()
        for pack in packs:
            loss = total(compute_terms(method, loaded.model, pack), units)
            loss.backward()
            loss_of_step += float(loss.detach())
        connector.eval()
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1.0, (step + 1) / num_warmup_steps)
        torch.nn.utils.clip_grad_norm_(connector.parameters(), 1.0)
        optimizer.step()
        losses.append(loss_of_step)
        look(step + 1, losses)
    return losses


def _save(loaded: Model, folder: Path) -> None:
    with make_folder_atomically(folder) as temporary:
        save_file(loaded.model.connector.state_dict(), temporary / CONNECTOR)


def _load(loaded: Model, folder: Path) -> None:
    loaded.model.connector.load_state_dict(load_file(folder / CONNECTOR))


def _speak_counted(loaded: Model) -> list[torch.Tensor]:
    """The embeddings of the test utterances, one for each token of the text."""
    return loaded.speak(loaded.test, range(len(loaded.test.utterances)), count=True)


def _probe(loaded: Model, counted: list[torch.Tensor]) -> list[float]:
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
