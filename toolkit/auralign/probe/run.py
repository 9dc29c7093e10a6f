"""Probe a trained run: `auralign probe`, `auralign.probe.run.probe`.

    folder = probe("exp/synthetic/sift/seed_1")
    read_probe(folder).share("instruction first").difference       # how much more the speech weighs than the same text

The answers whose flow is read are the model's own, greedy or as the run decodes, to questions of the run's test set; each
question is asked with the instruction before the speech and behind it. Nothing of the run is changed.
"""

import functools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch

from auralign import __version__
from auralign.decode.answers import Decoder
from auralign.decode.stage import changes_text, chosen_checkpoint, hash_checkpoint, make_decoder
from auralign.files import hash_value, read_json
from auralign.fingerprint import describe
from auralign.layout import INSTRUCTION, SPEECH, TARGET
from auralign.losses.cross_entropy import cross_entropy
from auralign.models.llm import INPUT, LAST
from auralign.models.views import Pack
from auralign.probe.flow import EAGER, Flow, read_flow
from auralign.probe.inputs import FIRST, ORDERS, Inputs, move_slot, words_of
from auralign.probe.page import FILES, JSON, write_probe
from auralign.probe.summary import (
    Forgetting,
    Probe,
    summarise_flows,
    summarise_forgetting,
    summarise_states,
    units_of,
)
from auralign.progress import track
from auralign.records import Hypothesis, Question, RecordError, Records, read_rows, write_records
from auralign.run_folder import TEXT_TRAINED, RunFolder
from auralign.stage import Stage, content

SAMPLE = 100  # questions
READ = ("speech", "text")


def probe(
    run,
    *,
    output=None,
    sample: int = SAMPLE,
    seed: int = 1,
    overrides: Mapping[str, Any] | None = None,
) -> Path:
    """Probe the trained model of a run.

    Arguments
    ---------
    run : path or RunFolder
        A run after stage 3: its output_folder, its YAML, or the RunFolder.
    output : path, optional
        The folder that is written; by default `probe` in the run's folder.
    sample : int
        The questions that are asked, drawn at random from those of the test set that have an instruction; default 100, at least
        2.
    seed : int
        Of the sample, the bootstrap and the permutations; default 1.
    overrides : dict of str, optional
        Other values for keys of the run's recipe, such as `device`.

    Returns Path: the folder with `probe.json`, `probe.md`, `probe.html`, `probe.png` and the answers.

    Raises
    ------
    FileNotFoundError
        If stage 1 or 3 was not run.
    RecordError
        If no question of the test set has an instruction.
    ValueError
        If the sample is too small, or the LLM does not return its attention weights.
    """
    if sample < 2:
        raise ValueError(f"sample {sample}: give a number of questions of at least 2")
    run = run if isinstance(run, RunFolder) else RunFolder.open(run, overrides)
    folder = Path(output).resolve() if output else None
    with run.working_here():
        return _probe(run, folder or run.folder.resolve() / "probe", sample, seed)


def read_probe(folder) -> Probe:
    """What was found, from the folder that `probe` returned."""
    return Probe.from_dict(read_json(Path(folder) / JSON))


@dataclass(frozen=True)
class _Order:
    """The files of one order of instruction and speech."""

    folder: Path
    order: str

    @property
    def questions(self) -> Path:
        return self._path("questions")

    def answers(self, given: str) -> Path:
        return self._path(given)

    def read_answers(self, given: str) -> dict[str, Hypothesis]:
        """The answers by the keys of their questions."""
        return {answer.key: answer for answer in read_rows(self.answers(given), Hypothesis)}

    def _path(self, what: str) -> Path:
        return self.folder / f"{self.order.replace(' ', '_')}.{what}.jsonl"


def _probe(run: RunFolder, folder: Path, sample: int, seed: int) -> Path:
    data = [
        content(path, made_by="stage 1 (prepare)") for path in (run.data.manifest("test"), run.data.questions)
    ]
    checkpoint = chosen_checkpoint(run)
    run.pin_models("decode")
    asked, without = _draw(run.data.questions, sample, seed)
    inputs = {
        "auralign": __version__,
        "checkpoint": hash_checkpoint(checkpoint),
        "decoding": describe(run.recipe.settings("decode")),
        "data": data,
        "questions": hash_value([vars(question) for question in asked]),
        "seed": seed,
    }
    reads = {order: READ for order in ORDERS}
    if changes_text(run.recipe):
        reads[FIRST] = (*READ, TEXT_TRAINED)
    orders = {order: _Order(folder, order) for order in ORDERS}
    outputs = [
        path
        for order, files in orders.items()
        for path in (files.questions, *(files.answers(given) for given in reads[order]))
    ]
    outputs += [folder / name for name in FILES]
    with Stage("probe", folder, inputs=inputs, outputs=outputs) as stage:
        if not stage.complete:
            decoder = _make_decoder(run)
            for order, files in orders.items():
                moved = [move_slot(question, order) for question in asked]
                write_records(files.questions, moved, kind=Question)
                for given in reads[order]:
                    path = files.answers(given)
                    decoder.write(
                        Records(files.questions, Question), path, given=given, partial=stage.partial(path)
                    )
            found = _read(run, decoder, orders, seed)
            facts = {
                "run": run.name,
                "method": run.recipe.method.name,
                "LLM": decoder.model.llm.name,
                "questions": len(asked),
                "questions without an instruction": without,
                **found.facts,
                "seed": seed,
                "auralign": __version__,
            }
            write_probe(replace(found, facts=facts), folder)
    return folder


def _make_decoder(run: RunFolder) -> Decoder:
    """The model of the run; its LLM is loaded with an attention that returns its weights, so that no config is changed later."""
    llm = functools.partial(run.recipe.llm, attention=EAGER)
    return make_decoder(RunFolder(replace(run.recipe, llm=llm)))


def _draw(path: Path, sample: int, seed: int) -> tuple[list[Question], int]:
    """Questions with an instruction, in the order of the file, and the number of those without."""
    asked = list(read_rows(path, Question))
    fit = [question for question in asked if words_of(question.instruction)]
    if len(fit) < 2:
        raise RecordError(
            f"{path}: {len(fit)} of {len(asked)} questions have an instruction; the probe compares speech with instruction, and "
            "needs at least 2 questions with both"
        )
    rows = sorted(Random(seed).sample(range(len(fit)), min(sample, len(fit))))
    return [fit[row] for row in rows], len(asked) - len(fit)


def _read(run: RunFolder, decoder: Decoder, orders: Mapping[str, _Order], seed: int) -> Probe:
    """Everything that is read of the model; `facts` are the numbers of positions."""
    inputs, utterances = Inputs(decoder), decoder.manifest
    shares, skipped, sizes = [], Counter[str](), Counter[str]()
    for order, files in orders.items():
        flows = _read_flows(inputs, files, skipped)
        sizes.update(
            speech=sum(speech.num_speech for _, speech, _ in flows),
            text=sum(text.num_speech for _, _, text in flows),
            instruction=sum(speech.num_instruction for _, speech, _ in flows),
            longer=sum(text.num_speech > speech.num_speech for _, speech, text in flows),
            flows=len(flows),
        )
        if flows:
            ids = [question.utt_id for question, _, _ in flows]
            units = units_of([utterances[utt_id].speaker for utt_id in ids], ids, seed)
            shares += summarise_flows(
                order, [one for _, one, _ in flows], [one for _, _, one in flows], units
            )
    ids = list(dict.fromkeys(question.utt_id for question in read_rows(orders[FIRST].questions, Question)))
    states = _read_states(inputs, ids)
    clusters = units_of([utterances[utt_id].speaker for utt_id in ids], ids, seed)["clusters"]
    similarities = summarise_states(*states, clusters, seed=seed) if len(ids) > 1 else []
    forgetting = _read_forgetting(inputs, orders[FIRST], skipped, seed) if changes_text(run.recipe) else None
    facts = {"utterances": len(ids), "speakers": len(set(clusters))}
    for name in ("speech", "instruction"):
        if sizes["flows"]:
            facts[f"positions of the {name}, mean"] = round(sizes[name] / sizes["flows"], 1)
    notes = [f"{number} of the answers were left out: {reason}." for reason, number in skipped.items()]
    if sizes["longer"]:
        notes.append(
            f"In {sizes['longer']} of {sizes['flows']} sequences the text has more positions than the speech, and was not "
            "stretched."
        )
    if len(ids) < 2:
        notes.append("All questions are about one utterance, so that CKA is undefined.")
    return Probe(facts, tuple(shares), tuple(similarities), forgetting, tuple(notes))


def _read_flows(inputs: Inputs, files: _Order, skipped: Counter) -> list[tuple[Question, Flow, Flow]]:
    """The flows into the answers of the trained model to speech, and of the original LLM to the stretched text."""
    llm, utterances = inputs.decoder.model.llm, inputs.decoder.manifest
    speech, text = (files.read_answers(given) for given in READ)
    found = []
    questions = list(read_rows(files.questions, Question))
    for question in track(questions, f"probe: {files.order}", unit="question"):
        heard = inputs.with_speech(question.utt_id, question.instruction, speech[question.key])
        read = inputs.with_text(
            utterances[question.utt_id].text,
            question.instruction,
            text[question.key],
            num_positions=len(heard.tagged.get(SPEECH, ())),
        )
        reason = next((reason for pack in (heard, read) if (reason := _why_not(pack, llm))), None)
        if reason:
            skipped[reason] += 1
            continue
        flow = read_flow(llm, heard)
        with llm.original():
            found.append((question, flow, read_flow(llm, read)))
    return found


def _why_not(pack: Pack, llm) -> str | None:
    """Why the flow of a sequence is undefined, or None."""
    for tag, what in (
        (TARGET, "no token in the answer"),
        (SPEECH, "no speech"),
        (INSTRUCTION, "no instruction"),
    ):
        if not len(pack.tagged.get(tag, ())):
            return what
    return (
        "prompt and answer are longer than the LLM's context" if pack.sizes[0] > llm.max_positions else None
    )


@torch.no_grad()
def _read_states(inputs: Inputs, utt_ids: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Mean hidden states of the speech of utterances and of their texts, (U, L + 1, D) each; nothing is asked."""
    llm, utterances = inputs.decoder.model.llm, inputs.decoder.manifest
    speech, text = [], []
    for utt_id in track(utt_ids, "probe: similarity", unit="utterance"):
        pack = inputs.with_speech(utt_id)
        with llm.adapting(pack.ids[None] < 0):
            speech.append(_mean_states(llm, pack))
        pack = inputs.with_text(utterances[utt_id].text)
        with llm.original():
            text.append(_mean_states(llm, pack))
    return np.stack(speech), np.stack(text)


def _mean_states(llm, pack: Pack) -> np.ndarray:
    layers = (INPUT, *range(1, llm.config.num_hidden_layers), LAST)
    states = llm.run(pack.embeddings, pack.positions, layers[1:-1])
    places = pack.tagged[SPEECH]
    return np.stack([states[layer][places].double().mean(0).cpu().numpy() for layer in layers])


@torch.no_grad()
def _read_forgetting(inputs: Inputs, files: _Order, skipped: Counter, seed: int) -> Forgetting | None:
    """What the trained LLM makes of the text, against the original one; None if no answer has a token."""
    llm, utterances = inputs.decoder.model.llm, inputs.decoder.manifest
    original, trained = (files.read_answers(given) for given in ("text", TEXT_TRAINED))
    rows, ids = [], []
    questions = list(read_rows(files.questions, Question))
    for question in track(questions, "probe: forgetting", unit="question"):
        answer, utterance = original[question.key], utterances[question.utt_id]
        packs = [
            inputs.with_text(utterance.text, question.instruction, answer, trained=is_trained)
            for is_trained in (False, True)
        ]
        num_tokens = len(packs[0].tagged.get(TARGET, ()))
        if not num_tokens:
            skipped["no token in the answer to text, of which the likelihood is undefined"] += 1
            continue
        with llm.original():
            before = _nll(llm, packs[0])
        with llm.adapting(packs[1].ids[None] < 0):
            after = _nll(llm, packs[1])
        rows.append((answer.text != trained[question.key].text, before, after, num_tokens))
        ids.append(question.utt_id)
    if not rows:
        return None
    units = units_of([utterances[utt_id].speaker for utt_id in ids], ids, seed)
    return summarise_forgetting(*zip(*rows, strict=True), units)


def _nll(llm, pack: Pack) -> float:
    """The negative log-likelihood of the answer, over all its tokens."""
    target = pack.tagged[TARGET]
    hidden = llm.hidden_states(pack.embeddings, pack.positions)
    return float(cross_entropy(hidden[target - 1], pack.ids[target], llm.head).sum)
