"""Probe a trained run: `auralign probe`, `auralign.probe.run.probe`.

    folder = probe("exp/synthetic/sift/seed_1")
    read_probe(folder).share("instruction first").difference       # how much more the speech weighs than the same text

The answers whose flow is read are the model's own, greedy or as the run decodes, to questions of the run's test set; each
question is asked with the instruction before the speech and behind it. Nothing of the run is changed.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from auralign import __version__
from auralign.constructor import with_keywords
from auralign.decode.answers import Decoder
from auralign.decode.stage import changes_text, chosen_checkpoint, hash_checkpoint, make_decoder
from auralign.files import PathLike, hash_value, read_json
from auralign.fingerprint import describe
from auralign.probe.flow import EAGER
from auralign.probe.inputs import FIRST, ORDERS, Inputs, move_slot, words_of
from auralign.probe.page import FILES, JSON, write_probe
from auralign.probe.reading import READ, OrderFiles, read_flows, read_forgetting, read_states
from auralign.probe.summary import (
    Probe,
    summarise_flows,
    summarise_forgetting,
    summarise_states,
    units_of,
)
from auralign.records import Question, RecordError, Records, read_rows, write_records
from auralign.run_folder import TEXT_TRAINED, RunFolder
from auralign.stage import Stage, content

SAMPLE = 100  # questions


def probe(
    run: PathLike | RunFolder,
    *,
    output: PathLike | None = None,
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
    opened = run if isinstance(run, RunFolder) else RunFolder.open(run, overrides)
    folder = Path(output).resolve() if output else None
    with opened.working_here():
        return _probe(opened, folder or opened.probe.resolve(), sample, seed)


def read_probe(folder: PathLike) -> Probe:
    """What was found, from the folder that `probe` returned."""
    return Probe.from_dict(read_json(Path(folder) / JSON, keys=()))


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
    reads: dict[str, tuple[str, ...]] = dict.fromkeys(ORDERS, READ)
    if changes_text(run.recipe):
        reads[FIRST] = (*READ, TEXT_TRAINED)
    orders = {order: OrderFiles(folder, order) for order in ORDERS}
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
    llm: Any = with_keywords(run.recipe.llm, attention=EAGER)
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


def _read(run: RunFolder, decoder: Decoder, orders: Mapping[str, OrderFiles], seed: int) -> Probe:
    """Everything that is read of the model; `facts` are the numbers of utterances, speakers and positions."""
    inputs, skipped, sizes = Inputs(decoder), Counter[str](), Counter[str]()
    ids = list(dict.fromkeys(question.utt_id for question in orders[FIRST].read_questions()))
    clusters_of = {utt_id: decoder.manifest[utt_id].cluster for utt_id in ids}

    def units(utt_ids: list[str]) -> dict[str, Any]:
        return units_of([clusters_of[utt_id] for utt_id in utt_ids], utt_ids, seed)

    shares = []
    for order, files in orders.items():
        flows = read_flows(inputs, files, skipped)
        for _, speech, text in flows:
            sizes.update(
                flows=1,
                speech=speech.num_speech,
                instruction=speech.num_instruction,
                longer=int(text.num_speech > speech.num_speech),
            )
        if flows:
            asked, heard, read = (list(column) for column in zip(*flows, strict=True))
            shares += summarise_flows(order, heard, read, units([question.utt_id for question in asked]))
    clusters = units(ids)["clusters"]
    similarities = []
    if len(ids) > 1:
        similarities = summarise_states(*read_states(inputs, ids), clusters, seed=seed)
    forgetting = None
    if changes_text(run.recipe):
        forgotten = read_forgetting(inputs, orders[FIRST], skipped)
        if forgotten.utt_ids:
            forgetting = summarise_forgetting(
                forgotten.changed,
                forgotten.before,
                forgotten.after,
                forgotten.num_tokens,
                units(forgotten.utt_ids),
            )
    facts: dict[str, Any] = {"utterances": len(ids), "speakers": len(set(clusters))}
    for name in ("speech", "instruction"):
        if sizes["flows"]:
            facts[f"positions of the {name}, mean"] = round(sizes[name] / sizes["flows"], 1)
    notes = [f"{number} of the answers were left out: {reason}." for reason, number in skipped.items()]
    if sizes["longer"]:
        notes.append(
            f"In {sizes['longer']} of {sizes['flows']} sequences the text has more positions than the speech, and was not "
            "stretched."
        )
    if not similarities:
        notes.append("All questions are about one utterance, so that CKA is undefined.")
    if not changes_text(run.recipe):
        notes.append("Training does not change the LLM's answers to text, so that it forgets nothing.")
    return Probe(facts, tuple(shares), tuple(similarities), forgetting, tuple(notes))
