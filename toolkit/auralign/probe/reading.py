"""Read the trained model and the original LLM on the sequences of a probe: flows, hidden states and likelihoods.

Legend: U utterances, L layers, D width.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from auralign.layout import INSTRUCTION, SPEECH, TARGET
from auralign.losses.cross_entropy import cross_entropy
from auralign.models.llm import INPUT, LAST, LLM
from auralign.models.views import Pack
from auralign.probe.flow import Flow, positions_of, read_flow
from auralign.probe.inputs import Inputs
from auralign.progress import track
from auralign.records import Hypothesis, Question, read_rows
from auralign.run_folder import TEXT_TRAINED

READ = ("speech", "text")  # inputs whose answers are probed


@dataclass(frozen=True)
class OrderFiles:
    """The questions with one order of instruction and speech, and the answers to them.

    Arguments
    ---------
    folder : Path
    order : str
        A value of `auralign.probe.inputs.ORDERS`.
    """

    folder: Path
    order: str

    @property
    def questions(self) -> Path:
        """The file of the questions."""
        return self._path("questions")

    def answers(self, given: str) -> Path:
        """The file of the answers from an input."""
        return self._path(given)

    def read_questions(self) -> list[Question]:
        """The questions in order."""
        return list(read_rows(self.questions, Question))

    def read_answers(self, given: str) -> dict[str, Hypothesis]:
        """The answers from an input, by the keys of their questions."""
        return {answer.key: answer for answer in read_rows(self.answers(given), Hypothesis)}

    def _path(self, what: str) -> Path:
        return self.folder / f"{self.order.replace(' ', '_')}.{what}.jsonl"


@dataclass
class Forgotten:
    """Of each answer of the original LLM to text: its utterance, whether the trained LLM changed it, and its likelihoods.

    `before` and `after` are negative log-likelihoods over the `num_tokens` tokens, under the original and the trained LLM.
    """

    utt_ids: list[str] = field(default_factory=list)
    changed: list[bool] = field(default_factory=list)
    before: list[float] = field(default_factory=list)
    after: list[float] = field(default_factory=list)
    num_tokens: list[int] = field(default_factory=list)


def read_flows(inputs: Inputs, files: OrderFiles, skipped: Counter[str]) -> list[tuple[Question, Flow, Flow]]:
    """The flows into the answers of the trained model to speech, and of the original LLM to the stretched text.

    Arguments
    ---------
    inputs : Inputs
    files : OrderFiles
        With the answers from speech and from text.
    skipped : Counter of str
        Counts the questions that are left out, by reason.

    Returns list of (question, flow with speech, flow with text).
    """
    llm, utterances = inputs.decoder.model.llm, inputs.decoder.manifest
    speech, text = (files.read_answers(given) for given in READ)
    found = []
    for question in track(files.read_questions(), f"probe: {files.order}", unit="question"):
        heard = inputs.with_speech(question.utt_id, question.instruction, speech[question.key])
        read = inputs.with_text(
            utterances[question.utt_id].text,
            question.instruction,
            text[question.key],
            num_positions=len(positions_of(heard, SPEECH)),
        )
        reason = _why_not(heard, llm) or _why_not(read, llm)
        if reason:
            skipped[reason] += 1
            continue
        flow = read_flow(llm, heard)
        with llm.original():
            found.append((question, flow, read_flow(llm, read)))
    return found


def _why_not(pack: Pack, llm: LLM) -> str | None:
    """Why the flow of a sequence is undefined, or None."""
    missing = {TARGET: "no token in the answer", SPEECH: "no speech", INSTRUCTION: "no instruction"}
    for tag, reason in missing.items():
        if not len(positions_of(pack, tag)):
            return reason
    return (
        "prompt and answer are longer than the LLM's context" if pack.sizes[0] > llm.max_positions else None
    )


@torch.no_grad()
def read_states(inputs: Inputs, utt_ids: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Mean hidden states of the speech of utterances and of their texts, (U, L + 1, D) each.

    The speech, and the text, is the whole turn of the user, so that no instruction changes them.
    """
    llm, utterances = inputs.decoder.model.llm, inputs.decoder.manifest
    speech, text = [], []
    for utt_id in track(utt_ids, "probe: similarity", unit="utterance"):
        pack = inputs.with_speech(utt_id)
        with llm.adapting(pack.is_speech[None]):
            speech.append(_mean_states(llm, pack))
        pack = inputs.with_text(utterances[utt_id].text)
        with llm.original():
            text.append(_mean_states(llm, pack))
    return np.stack(speech), np.stack(text)


def _mean_states(llm: LLM, pack: Pack) -> np.ndarray:
    layers = (INPUT, *range(1, llm.config.num_hidden_layers), LAST)
    states = llm.run(pack.embeddings, pack.positions, layers[1:-1])
    places = positions_of(pack, SPEECH)
    return np.stack([states[layer][places].double().mean(0).cpu().numpy() for layer in layers])


@torch.no_grad()
def read_forgetting(inputs: Inputs, files: OrderFiles, skipped: Counter[str]) -> Forgotten:
    """What the trained LLM makes of the text, against the original one.

    Arguments
    ---------
    inputs : Inputs
    files : OrderFiles
        With the answers from text of both LLMs.
    skipped : Counter of str
        Counts the answers that are left out, by reason.
    """
    llm, utterances = inputs.decoder.model.llm, inputs.decoder.manifest
    original, trained = (files.read_answers(given) for given in ("text", TEXT_TRAINED))
    found = Forgotten()
    for question in track(files.read_questions(), "probe: forgetting", unit="question"):
        answer, text = original[question.key], utterances[question.utt_id].text
        before, after = (
            inputs.with_text(text, question.instruction, answer, trained=is_trained)
            for is_trained in (False, True)
        )
        num_tokens = len(positions_of(before, TARGET))
        if not num_tokens:
            skipped["no token in the answer to text, so that it has no likelihood"] += 1
            continue
        with llm.original():
            found.before.append(_nll(llm, before))
        with llm.adapting(after.is_speech[None]):
            found.after.append(_nll(llm, after))
        found.utt_ids.append(question.utt_id)
        found.changed.append(answer.text != trained[question.key].text)
        found.num_tokens.append(num_tokens)
    return found


def _nll(llm: LLM, pack: Pack) -> float:
    """The negative log-likelihood of the answer, over all its tokens."""
    target = positions_of(pack, TARGET)
    hidden = llm.hidden_states(pack.embeddings, pack.positions)
    return float(cross_entropy(hidden[target - 1], pack.ids[target], llm.head).sum)
