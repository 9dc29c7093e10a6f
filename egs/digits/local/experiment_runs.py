"""The runs of the experiments: LLMs, aligned connectors, the arms that go on from them, and the vector of `cause`.

bench = Bench(registered, folder=Path("exp/experiments"), data=Path("data/synthetic"))
facts = bench.make(run)      # outcomes are a string of one letter of `experiment_model.LETTERS` for each question
"""

import functools
import gc
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import torch

import build_llm
import experiment_attributes
import experiment_bias
from auralign import steps
from auralign.audit.surprise import read_surprises
from auralign.audit.texts import overlap
from auralign.constructor import with_keywords
from auralign.layout import MAIN, STUDENT, TEACHER
from auralign.models.build import build_recognizer
from experiment_arms import NOTHING, Arm, make_questions
from experiment_model import Corpus, Model, examples, probe, restore, save, speak_counted, train
from experiment_plan import ARM, CAUSE, LLM, START, TOLD, TUNED, VOICE, Run
from instructions import draw_licensed

NUM_AUDITED = 100  # training utterances whose targets are audited


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
    encoder : Path, optional
        In place of the encoder of the YAMLs.
    """

    def __init__(self, registered: dict, *, folder: Path, data: Path, encoder: Path | None = None):
        self.registered, self.folder, self.data = registered, Path(folder), Path(data)
        self.encoder = encoder

    def make(self, run: Run) -> dict:
        """The facts of a run, which is made anew if it was interrupted."""
        try:
            own = {LLM: self._llm, START: self._start, ARM: self._arm, CAUSE: self._cause}
            if run.kind in own:
                return own[run.kind](run)
            programs = {
                TUNED: experiment_bias.tune,
                TOLD: experiment_attributes.teach,
                VOICE: experiment_attributes.train_voice,
            }
            return programs[run.kind](self, run)
        finally:
            gc.collect()

    # --- models

    def licensed(self, llm_seed: int) -> str:
        """The request that licenses bare digits for an LLM."""
        ways = self.registered["llms"]["licensed"]
        return ways[(llm_seed - 1) % len(ways)]

    def how(self, run: Run) -> dict:
        """What is registered of the experiment of a run."""
        return self.registered["experiments"][run.experiment]

    def load(self, run: Run, experiment: str, *, branches_of: str | None = None, **llm_options) -> Model:
        """The LLM of a run with the connector of an experiment, which has random weights by the connector's seed.

        Arguments
        ---------
        run : Run
        experiment : str
        branches_of : str, optional
            The name of a YAML whose further encoders and connectors the model has too; default none.
        **llm_options
            Further arguments of the LLM's constructor.
        """
        how = self.registered["experiments"][experiment]
        overrides = {
            **{name: str(value) for name, value in how["options"].items()},
            "llm.path": str(self.llm_folder(run)),
            "data_folder": str(self.data),
            "seed": str(run.connector_seed),
        }
        if self.encoder:
            overrides["encoder_folder"] = str(self.encoder)
        recipe = steps.RunFolder.open(f"hparams/{how['connector']}.yaml", overrides).recipe
        if llm_options:
            recipe = replace(recipe, llm=with_keywords(recipe.llm, **llm_options))
        if branches_of:
            others = steps.RunFolder.open(f"hparams/{branches_of}.yaml", {"data_folder": str(self.data)})
            recipe = replace(recipe, branches=others.recipe.branches)
        model, renderer = steps.build_model(recipe)
        model.eval()
        corpora = [Corpus(self.data / f"{split}.jsonl", recipe, model) for split in ("train", "test")]
        return Model(model, renderer, *corpora, recipe)

    def llm_folder(self, run: Run) -> Path:
        """Where the LLM of a run is; an experiment may have its own."""
        has_own = run.experiment and self.how(run).get("llm")
        return (self.folder / run.experiment if has_own else self.folder) / f"llm_{run.llm_seed}"

    def start_folder(self, run: Run) -> Path:
        """Where the aligned connector of a run is."""
        return self.llm_folder(run).parent / f"start/llm_{run.llm_seed}/connector_{run.connector_seed}"

    def questions(self, loaded: Model):
        """The questions, and the index of the utterance of each."""
        index = {utterance.id: number for number, utterance in enumerate(loaded.test.utterances)}
        questions = make_questions(loaded.test.utterances)
        return questions, [index[question.utt_id] for question in questions]

    def arm_of(self, run: Run, name: str, *, counts: bool) -> Arm:
        return Arm(**self.registered["arms"][name], licensed=self.licensed(run.llm_seed), counts=counts)

    # --- kinds of runs

    def _llm(self, run: Run) -> dict:
        """The LLM that also writes, its ceiling and floor, and what it thinks of the targets of each arm."""
        folder, how = self.llm_folder(run), self.registered["llms"]
        licensed = self.licensed(run.llm_seed)
        if not (folder / "config.json").is_file():
            build_llm.adapt_llm(
                folder,
                init="models/llm",
                draw=functools.partial(draw_licensed, licensed=licensed),
                seed=run.llm_seed,
                num_steps=how["num_steps"],
                examples_per_step=how["examples_per_step"],
                peak_lr=how["lr"],
            )
        loaded = self.load(run, "drift")
        questions, which = self.questions(loaded)
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
            "audit": {name: self._audit(run, loaded, name) for name in self.registered["arms"]},
        }

    def _audit(self, run: Run, loaded: Model, name: str) -> dict[str, float]:
        """What the audit (`auralign.audit.measures`) says of an arm's targets before any training."""
        arm = self.arm_of(run, name, counts=False)
        chosen = range(min(NUM_AUDITED, len(loaded.train.utterances)))
        pairs = examples(arm, loaded, chosen, Random(1), [TEACHER])
        found = read_surprises(
            loaded.model.llm, [views[TEACHER] for _, views in pairs], about=f"audit of {name}"
        )
        num_tokens = sum(one.num_tokens for one in found)
        utterances = [loaded.train.utterances[index] for index in chosen]
        asked = zip(utterances, (choice for choice, _ in pairs), strict=True)
        overlaps = [overlap(one.text, arm.given_response(one, choice)) for one, choice in asked]
        measures = {
            "conflict": np.mean([arm.ask != NOTHING and one.is_foreign() for one in found]),
            "gap": sum(one.gap for one in found) / num_tokens,
            "nll": sum(one.nll for one in found) / num_tokens,
            "tokens": num_tokens / len(found),
            "overlap": np.mean(overlaps),
        }
        return {measure: round(float(value), 3) for measure, value in measures.items()}

    def _start(self, run: Run) -> dict:
        """A connector that gives each token's own embedding, with no LLM in the loop."""
        loaded = self.load(run, "drift")  # the aligned connector of all experiments
        untrained = self._look(loaded)
        method = loaded.recipe.method
        losses = train(
            loaded, method, seed=run.connector_seed, views=(STUDENT, TEACHER), **self.registered["aligned"]
        )
        save(loaded, self.folder / run.name)
        found = self._look(loaded, counted=speak_counted(loaded))
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
            restore(loaded, self.start_folder(run))
        arm = self.arm_of(run, run.arm, counts=loaded.model.connector.counts_tokens)

        def speak() -> list[torch.Tensor]:
            return loaded.speak(loaded.test, range(len(loaded.test.utterances)), count=arm.counts)

        before = torch.cat(speak())
        course = []

        def look(step: int, losses: list[float]) -> None:
            if step not in how["look_at"]:
                return
            spoken = speak()
            moved = (torch.cat(spoken) - before).norm() / before.norm()
            entry = {
                "step": step,
                "loss": round(float(np.mean(losses[-10:])), 4),
                "displacement": round(float(moved), 4),
            }
            course.append({**entry, **self._look(loaded, counted=spoken if arm.counts else None)})

        options = {name: how[name] for name in ("num_steps", "utts_per_step", "lr", "num_warmup_steps")}
        options["lr"] = how.get("lr_of", {}).get(run.arm, options["lr"])
        train(loaded, arm, seed=run.connector_seed, look=look, **options)
        save(loaded, self.folder / run.name)
        last = course[-1]
        facts = {name: last.get(name) for name in ("content", "counted")}
        return {"answers": {run.arm: last["answers"]}, **facts, "course": course}

    def _look(self, loaded: Model, *, counted: list[torch.Tensor] | None = None) -> dict:
        """The outcomes of all questions from speech, and, if the embeddings of the tokens are given, the share of the digits
        that a linear readout finds in them, and whether the connector counts the tokens rightly by itself."""
        questions, which = self.questions(loaded)
        speech = loaded.speak(loaded.test, range(len(loaded.test.utterances)), count=False)
        found = {"answers": loaded.answer(questions, [speech[index] for index in which])}
        if counted is not None:
            shares = probe(loaded, counted)
            found["content"] = [round(shares[index], 3) for index in which]
            found["counted"] = [len(speech[index]) == len(counted[index]) for index in which]
        return found

    def _cause(self, run: Run) -> dict:
        """Add to text, and take from D's speech, the mean difference of the embeddings of D's connector and of A's."""
        how = self.registered["experiments"][run.experiment]
        loaded = self.load(run, how["needs"])
        everything = range(len(loaded.train.utterances))
        means = {}
        for name in "AD":
            where = f"llm_{run.llm_seed}/connector_{run.connector_seed}"
            restore(loaded, self.folder / how["needs"] / name / where)
            means[name] = torch.cat(loaded.speak(loaded.train, everything, count=True)).mean(0)
        questions, which = self.questions(loaded)
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
