"""The experiment `bias`: LLMs that are tuned to neglect instructions to five degrees. Does the probe rank them as their flips do?

facts = tune(bench, run)

Self-Powered LSM (arXiv:2410.03798) describes LLMs that take the speech for the command. Here LoRA tunes the LLM on speech, beside
an aligned connector that stays as it is: on its own replies (arm A of the other experiments), on bare digits under a request that
does not license them (D), and on mixtures of both.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch

from auralign.files import read_json
from auralign.layout import Speech, View, fill
from auralign.method import AlignmentMethod
from auralign.probe.flow import EAGER, read_flow
from experiment_arms import Arm
from experiment_model import restore, train

OWN, FOREIGN = "A", "D"  # arms of experiments.yaml
FLIPS = "tv"  # outcomes: another task, or what was said


@dataclass(frozen=True)
class Mixed(AlignmentMethod):
    """Each example is of one of two arms, drawn at random.

    Arguments
    ---------
    first, second : Arm
    share : float
        Of the examples that are of the second arm, 0 to 1.
    """

    first: Arm
    second: Arm
    share: float

    name = "mixed"

    @property
    def needs(self):
        """What the first arm needs."""
        return self.first.needs

    def choices(self, utterance, rng):
        """The choice of one of the arms."""
        is_second = rng.random() < self.share
        for choice in (self.second if is_second else self.first).choices(utterance, rng):
            yield replace(choice, options={"second": is_second})

    def _arm_of(self, choice) -> Arm:
        return self.second if choice.options["second"] else self.first

    def given_response(self, utterance, choice):
        """The target of the chosen arm."""
        return self._arm_of(choice).given_response(utterance, choice)

    def layout(self, utterance, choice, response):
        """The layout of the chosen arm."""
        return self._arm_of(choice).layout(utterance, choice, response)

    def loss(self, views):
        """Cross-entropy on the target."""
        return self.first.loss(views)


def tune(bench, run) -> dict:
    """Tune an LLM with a share of foreign targets: its outcomes, its flip rate, and the share of the speech by the probe.

    Arguments
    ---------
    bench : experiment_runs.Bench
    run : experiment_plan.Run

    Returns dict: `flips`, of the questions that the untuned LLM answers rightly from the text, the share whose answer to speech
    does another task or writes down what was said (None if it answers none); `speech_share` and `speech_share_per_edge`, the
    mean over answers of `auralign.probe.flow.Flow.shares` of all layers (None if no flow is defined).
    """
    from peft import LoraConfig

    how = bench.how(run)
    loaded = bench.load(run, how["connector_of"], attention=EAGER)
    restore(loaded, bench.start_folder(run))
    loaded.model.connector.requires_grad_(False)
    torch.manual_seed(run.connector_seed)
    loaded.model.llm.add_lora(LoraConfig(**how["lora"]))
    first, second = (bench.arm_of(run, name, counts=False) for name in (OWN, FOREIGN))
    budget = {name: how[name] for name in ("num_steps", "utts_per_step", "lr", "num_warmup_steps")}
    losses = train(
        loaded,
        Mixed(first, second, how["share_of_d"][run.arm]),
        seed=run.connector_seed,
        part=loaded.model.llm.lora,
        **budget,
    )
    questions, which = bench.questions(loaded)
    spoken = loaded.speak(loaded.test, range(len(loaded.test.utterances)), count=False)
    slots = [[spoken[index]] for index in which]
    replies = loaded.reply([question.instruction for question in questions], slots)
    outcomes = loaded.judge(questions, replies)
    untuned = read_json(bench.folder / f"llm_{run.llm_seed}.json")["answers"]["text"]
    asked = zip(questions, slots, replies, strict=True)
    chosen = [one for one in asked if one[2].text][: how["num_probed"]]
    shares = np.array([_read_shares(loaded, *one) for one in chosen]).reshape(-1, 2)
    shares = shares[~np.isnan(shares).any(1)]
    summed, per_edge = shares.mean(0).round(4).tolist() if len(shares) else (None, None)
    return {
        "answers": {run.arm: outcomes},
        "flips": flip_rate(outcomes, untuned),
        "speech_share": summed,
        "speech_share_per_edge": per_edge,
        "num_probed": len(shares),
        "loss": round(float(np.mean(losses[-10:])), 4),
    }


def flip_rate(outcomes: str, untuned: str) -> float | None:
    """The share of flips among the answers to questions that the untuned LLM answers rightly from the text.

    >>> flip_rate("rtvo", "rrrr"), flip_rate("rt", "or"), flip_rate("t", "o")
    (0.5, 1.0, None)
    """
    flips = [letter in FLIPS for letter, before in zip(outcomes, untuned, strict=True) if before == "r"]
    return round(float(np.mean(flips)), 4) if flips else None


def _read_shares(loaded, question, slot, reply) -> tuple[float, float]:
    """The share of the speech in the flow into an answer: summed, and per edge."""
    view = loaded.renderer.render(View((*fill(question.instruction, Speech("")), reply)))
    flow = read_flow(loaded.model.llm, loaded.model.pack([view], [slot]))
    return float(flow.shares()[-1]), float(flow.shares(per_edge=True)[-1])
