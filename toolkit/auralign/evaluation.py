"""Any finished model on any test set: `auralign evaluate`, `auralign.evaluate`.

    folder = auralign.evaluate("exp/synthetic/sift/seed_1", "data/other.jsonl", ask=["Repeat: {speech}"])

Nothing is trained and nothing is overwritten: the answers to each test set have a folder of their own, named by the manifest and
a hash of all that they depend on.
"""

import runpy
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from auralign import __version__
from auralign.bases import hash_content, hash_tensors
from auralign.data.frames import live_frames
from auralign.data.own_corpus import make_questions, questions_path
from auralign.decode.answers import Decoder
from auralign.decode.stage import (
    SPEECH,
    changes_text,
    chosen_checkpoint,
    hash_checkpoint,
    make_decoder,
    texts_of,
    trains_text,
)
from auralign.files import hash_path, hash_value, read_json
from auralign.fingerprint import describe
from auralign.hub import name_of, reference_of, resolve
from auralign.layout import SLOT, Speech, fill
from auralign.ledger.build import judge_answers, make_ledger, read_methods
from auralign.ledger.columns import MethodFiles, other_builds, read_utterance
from auralign.ledger.provenance import stages_of
from auralign.ledger.report import FILES, read_scores, write_report
from auralign.ledger.summary import describe_result
from auralign.ledger.table import Table
from auralign.ledger.tables import format_ledger, format_rate
from auralign.ledger.tasks import score_tasks
from auralign.publish.load import load
from auralign.publish.model_folder import CONFIG
from auralign.records import Hypothesis, Question, Records, Utterance, read_rows, shorten, write_records
from auralign.run_folder import TEXT_TRAINED, RunFolder
from auralign.score.judge import Judge
from auralign.stage import Stage
from auralign.train.checkpoint import WEIGHTS

QUESTIONS = "questions.jsonl"
TITLE = "The gap ledger of {manifest}"
DECODE_BATCH_SIZE = 16
LONGEST_QUESTION = 40  # characters that the list of evaluations shows


def evaluate(
    model,
    manifest,
    *,
    questions=None,
    ask: Sequence[str] = (),
    output=None,
    judge: Judge | None = None,
    seed: int = 1,
    llm=None,
    encoder=None,
    device: str | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Path:
    """Answer the questions of a test set with a finished model, and set the answers to speech against those to text.

    Arguments
    ---------
    model : path or RunFolder
        A run's output_folder, its YAML, a model folder or its id on the hub; or the run that `auralign.train` gives.
    manifest : path
        The utterances, as `auralign prepare` or stage 1 of a recipe writes them.
    questions : path, optional
        What is asked about them; by default `<manifest>.questions.jsonl` beside the manifest. A question without a reference is
        right if it is answered from speech as the LLM answers it from text.
    ask : sequence of str, optional
        Instructions with a `{speech}` slot, asked about every utterance, instead of `questions`.
    output : path, optional
        The folder in which the evaluation's folder is made; by default `evaluations` in the run's folder, or
        `<name>.evaluations` beside the model folder, or in the working folder if the model is of the hub.
    judge : Judge, optional
        Says what an answer is worth. By default that of the run's recipe, `make_judge(run)` of its `score.py`, if it knows the
        tasks of the questions; else exact answers count.
    seed : int
        Seed of the shuffled speech and of the bootstrap.
    llm, encoder : path, optional
        The present folders or hub ids of the LLM and the encoder, if they were moved.
    device : str, optional
        "cpu" or "cuda:N"; by default the run's, or the CPU.
    overrides : dict of str, optional
        Other values for keys of a run's recipe, such as `decode_num_beams`.

    Returns Path: the folder with `questions.jsonl`, the answers (`speech.jsonl`, `shuffled.jsonl`, `text.jsonl`, ...),
    `scores.json`, `report.html`, `report.md` and `ledger.png`.

    Raises
    ------
    FileNotFoundError
        If the model, the manifest or the questions are not there.
    ValueError
        If both `questions` and `ask` are given, an instruction has no slot, or a RunFolder comes with other values.
    """
    utterances = Records(_existing(manifest, "manifest"), Utterance)
    asked = _read_questions(utterances, questions, list(ask))
    moved = {"device": device, "llm.path": llm, "encoder.path": encoder}
    options = {**(overrides or {}), **{key: str(value) for key, value in moved.items() if value}}
    if not isinstance(model, RunFolder):
        model = _find(model)
    if isinstance(model, RunFolder) and options:
        raise ValueError(
            f"{', '.join(options)}: a RunFolder has its own values; give the run's folder, {model.folder}"
        )
    is_folder = not isinstance(model, RunFolder) and (Path(model) / CONFIG).is_file()
    source = _Folder(model, llm, encoder, device or "cpu") if is_folder else _Run(model, options)
    judged_by = f"{type(judge).__module__}.{type(judge).__qualname__}"
    if judge is None:
        judge, judged_by = source.find_judge(asked)
    inputs = {
        "auralign": __version__,
        "model": source.identity(),
        "manifest": hash_path(utterances.path),
        "questions": hash_value([vars(question) for question in asked]),
        "judge": judged_by,
        "seed": seed,
    }
    named_by = hash_value({name: value for name, value in inputs.items() if name != "auralign"})
    folder = Path(output or source.output) / f"{utterances.path.stem}-{named_by[:8]}"
    given_to_model = (*SPEECH, *([TEXT_TRAINED] if source.changes_text() else []))
    answers = {given: folder / f"{given}.jsonl" for given in (*source.texts(utterances), *given_to_model)}
    outputs = [folder / QUESTIONS, *answers.values(), *(folder / name for name in FILES)]
    with Stage("evaluate", folder, inputs=inputs, outputs=outputs) as stage:
        if not stage.complete:
            write_records(folder / QUESTIONS, asked, kind=Question)
            decoder = source.make_decoder(utterances)
            for given, path in answers.items():
                if not path.exists():  # else a run was killed: the folder's name holds the hash of its inputs
                    decoder.write(
                        Records(folder / QUESTIONS, Question),
                        path,
                        given=given,
                        seed=seed,
                        partial=stage.partial(path),
                    )
            _score(folder, utterances, answers, source.name, judge, seed, source.stages())
    return folder


def _find(model) -> Path | str:
    """The path or name of a run, or the folder of a model; one on the hub is fetched.

    Raises FileNotFoundError if there is none.
    """
    if not any(map(Path.exists, (Path(model), Path("hparams", f"{model}.yaml")))):
        model = resolve(model)
        if not model.exists():
            raise FileNotFoundError(
                f"{model}: no run's folder, no model folder (with {CONFIG}), no YAML, no name of one in hparams/, and no id of "
                "the hub (org/name)"
            )
    return model


def _score(
    folder: Path,
    manifest: Records,
    answers: Mapping[str, Path],
    name: str,
    judge: Judge,
    seed: int,
    stages: Sequence[tuple[str, dict[str, Any]]],
) -> None:
    """Write the ledger of the answers."""
    read = {given: Records(path, Hypothesis) for given, path in answers.items()}
    asked = Records(folder / QUESTIONS, Question)
    files = MethodFiles(read.pop("speech"), read.pop("shuffled"), read.pop(TEXT_TRAINED, None))
    items = read_methods(asked, manifest, read, {name: files})
    judged = judge_answers(items, judge)
    ledger = make_ledger(items, judge, seed=seed, judged=judged)
    tasks = score_tasks(items, partial(read_utterance, manifest), judge.metrics, seed=seed)
    facts = {
        "model": name,
        **other_builds([files.speech]),
        "auralign": __version__,
        "manifest": manifest.path.name,
        "questions": len(asked),
        "utterances": ledger.num_utterances,
        "seed": seed,
    }
    write_report(
        folder,
        ledger,
        tasks,
        title=TITLE.format(manifest=manifest.path.name),
        facts=facts,
        judged=judged,
        manifest=manifest,
        stages=stages,
    )


def describe_evaluations(folder: Path) -> str:
    """The ledger of an evaluation, and a line for each evaluation of the same model, oldest first."""
    ledger, _, facts = read_scores(folder / "scores.json")
    size = f"{facts['questions']} questions about {facts['utterances']} utterances"
    rows = []
    for path in sorted(folder.parent.glob("*/scores.json"), key=lambda path: path.stat().st_mtime):
        other = read_scores(path)[0]
        first = next(read_rows(path.with_name(QUESTIONS), Question)).instruction or "nothing"
        for row in other.rows:
            shown = map(format_rate, (row.rates.text, row.rates.speech, row.rates.shuffled))
            rows.append([path.parent.name, shorten(first, LONGEST_QUESTION), row.group, other.metric, *shown])
    headers = ("evaluation", "asks", "group", "metric", "text", "speech", "floor")
    return "\n".join(
        [
            f"The gap ledger: {ledger.metric} to {size}\n",
            format_ledger(ledger),
            f"\n{describe_result(ledger)}\n",
            "Evaluations of this model:",
            Table(headers, rows, num_texts=4).to_text(),
            f"\nPage: {folder / 'report.html'}",
            f"Report: {folder / 'report.md'}",
        ]
    )


class _Run:
    """A run as `evaluate` sees it."""

    def __init__(self, run, overrides: Mapping[str, Any]):
        self.run = run if isinstance(run, RunFolder) else RunFolder.open(run, overrides)
        self.name = self.run.name
        with self.run.working_here():
            self.output = self.run.evaluations.resolve()

    def identity(self) -> str:
        """A hash of what its answers depend on."""
        with self.run.working_here():
            checkpoint = hash_checkpoint(chosen_checkpoint(self.run))
            self.run.pin_models("decode")
            return hash_value([checkpoint, describe(self.run.recipe.settings("decode"))])

    def find_judge(self, asked: list[Question]) -> tuple[Judge, str]:
        """The judge of the recipe's `score.py` if it knows the tasks of the questions, and a hash of its file."""
        with self.run.working_here():
            file, questions = Path("score.py"), self.run.data.questions
            if not (file.is_file() and questions.is_file()):
                return Judge(), ""
            known = {question.task for question in read_rows(questions, Question)}
            make = runpy.run_path(str(file)).get("make_judge")
            if make is None or not {question.task for question in asked} <= known:
                return Judge(), ""
            return make(self.run), hash_path(file)

    def stages(self) -> list[tuple[str, dict[str, Any]]]:
        """When, how long and on what the stages of the run ran."""
        with self.run.working_here():
            return stages_of({self.name: self.run})

    def texts(self, manifest: Records) -> list[str]:
        """What the original LLM reads."""
        return texts_of(manifest, self.run.recipe.recognizer)

    def changes_text(self) -> bool:
        """Whether training changes what the LLM answers to text."""
        return changes_text(self.run.recipe)

    def make_decoder(self, manifest: Records) -> Decoder:
        """The model, ready to answer."""
        with self.run.working_here():
            return make_decoder(self.run, manifest)


class _Folder:
    """A model folder as `evaluate` sees it."""

    def __init__(self, folder, llm, encoder, device: str):
        self.folder = Path(folder).resolve()
        self.name = name_of(self.folder)
        reference = reference_of(self.folder)
        name = Path(reference.id).name if reference else self.name
        beside = Path.cwd() if reference else self.folder.parent  # nothing is written into the hub's cache
        self.output = beside / f"{name}.evaluations"
        self.options = {"llm": llm, "encoder": encoder, "device": device}

    def identity(self) -> str:
        """A hash of what its answers depend on."""
        config = read_json(self.folder / CONFIG)
        return hash_value([config, hash_path(self.folder / WEIGHTS), *self._other_builds(config)])

    def _other_builds(self, config: dict) -> list[str]:
        """Hashes of the given LLM and encoder, if they are not the folders that the model was exported with."""
        found = []
        for part in ("llm", "encoder"):
            if not self.options[part]:
                continue
            path = resolve(self.options[part])
            recorded = {*config[part].get("places", {}).values()}
            # A base that was exported by its id on the hub has no place. Another interface is refused when it is loaded.
            tensors = config[part].get("source", {}).get("tensors")
            if (
                path.exists()
                and not {hash_content(path), hash_path(path)} & recorded
                and hash_tensors(path) != tensors
            ):
                found.append(hash_content(path))
        return found

    def find_judge(self, asked: list[Question]) -> tuple[Judge, str]:
        """Exact answers count: a model folder holds no code."""
        return Judge(), ""

    def stages(self) -> list[tuple[str, dict[str, Any]]]:
        """None: a model folder does not say how long its training took."""
        return []

    def texts(self, manifest: Records) -> list[str]:
        """What the original LLM reads."""
        return texts_of(manifest)

    def changes_text(self) -> bool:
        """Whether training changes what the LLM answers to text."""
        config = read_json(self.folder / CONFIG)
        return trains_text(config["lora"], config.get("lora_scope", "all"), config.get("train_llm", False))

    def make_decoder(self, manifest: Records) -> Decoder:
        """The model, ready to answer."""
        loaded = load(self.folder, **self.options)
        return Decoder(
            loaded.model,
            loaded.renderer,
            manifest,
            live_frames(loaded.model, manifest),
            method=_Slot(loaded),
            decoding=loaded.decoding,
            batch_size=DECODE_BATCH_SIZE,
        )


class _Slot:
    """A model folder's method for `Decoder`: the segments that replace the prompt's `{speech}` slot."""

    name = "of a model folder"

    def __init__(self, pretrained):
        self._pretrained = pretrained

    def slot(self, utterance: Utterance):
        is_assisted = "assisted_slot" in self._pretrained.config
        return tuple(self._pretrained.slot(utterance.text if is_assisted else None))


def _existing(path, what: str) -> Path:
    if not Path(path).is_file():
        raise FileNotFoundError(f"no {what} at {path}")
    return Path(path).resolve()


def _read_questions(manifest: Records, questions, ask: list[str]) -> list[Question]:
    """The questions of a file, or an instruction about every utterance."""
    if ask and questions:
        raise ValueError("questions and ask: give one of them")
    if ask:
        for instruction in ask:
            fill(instruction, Speech(""))  # raises if it has no slot
        return list(make_questions(manifest, [(instruction, None) for instruction in ask]))
    path = Path(questions or questions_path(manifest.path))
    if not path.is_file():
        raise FileNotFoundError(
            f"no questions at {path}; give --questions FILE, or --ask 'INSTRUCTION with {SLOT}'"
        )
    return list(Records(path, Question))
