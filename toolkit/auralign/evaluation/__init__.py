"""Any finished model on any test set: `auralign evaluate`, `auralign.evaluate`.

    folder = auralign.evaluate("exp/synthetic/sift/seed_1", "data/other.jsonl", ask=["Repeat: {speech}"])

Nothing is trained and nothing is overwritten: the answers to each test set have a folder of their own, named by the manifest and
a hash of all that they depend on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from auralign import __version__
from auralign.data.own_corpus import make_questions, questions_path
from auralign.data.strata import strata_of
from auralign.decode.stage import SPEECH
from auralign.evaluation.sources import Source, find_source
from auralign.files import hash_path, hash_value
from auralign.layout import SLOT, Speech, fill
from auralign.ledger.build import judge_answers, make_ledger, read_methods
from auralign.ledger.columns import Item, MethodFiles, other_builds, read_utterance
from auralign.ledger.report import FILES, read_scores, read_strata, write_report
from auralign.ledger.strata import cut
from auralign.ledger.summary import describe_result
from auralign.ledger.table import Table
from auralign.ledger.tables import format_ledger, format_rate
from auralign.ledger.tasks import score_tasks
from auralign.records import Hypothesis, Question, Records, Utterance, read_rows, shorten, write_records
from auralign.run_folder import TEXT_TRAINED
from auralign.score.judge import Judge
from auralign.stage import Stage

QUESTIONS = "questions.jsonl"
TITLE = "The gap ledger of {manifest}"
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
    recognizer=None,
    device: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    others: Mapping[str, Any] | None = None,
    by: Sequence[str] = (),
) -> Path:
    """Answer the questions of a test set with a finished model, and set the answers to speech against those to text.

    Arguments
    ---------
    model : path or RunFolder
        A run's output_folder, its YAML, a model folder or its id on the hub; or the run that `auralign.train` gives. A model that
        others made is the folder or hub id of a speech LLM of transformers, the address of an endpoint, or an
        `auralign.adapters.OtherModel` of your own.
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
    recognizer : path, optional
        The folder or hub id of a Whisper, whose transcripts the LLM reads in the cascade; default: the recipe's.
    device : str, optional
        "cpu" or "cuda:N"; by default the run's, or the CPU.
    overrides : dict of str, optional
        Other values for keys of a run's recipe, such as `decode_num_beams`.
    others : dict of str, optional
        Options of a model that others made: `name`, `max_new_tokens`, `trust_remote_code`.
    by : sequence of str
        Labels of the utterances by which the ledger is cut, such as "year". Default: none.

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
    source = find_source(
        model,
        llm=llm,
        encoder=encoder,
        recognizer=recognizer,
        device=device,
        overrides=overrides,
        others=others,
    )
    return answer_and_score(source, utterances, asked, judge=judge, output=output, seed=seed, by=by).folder


@dataclass(frozen=True)
class Evaluation:
    """A finished evaluation: its folder, the manifest and the judge."""

    folder: Path
    manifest: Records
    judge: Judge
    answers: Mapping[str, Path]  # input kind -> answers
    name: str

    def read_items(self) -> dict[str, list[Item]]:
        """The questions with their answers."""
        read = {given: Records(path, Hypothesis) for given, path in self.answers.items()}
        files = MethodFiles(read.pop("speech"), read.pop("shuffled"), read.pop(TEXT_TRAINED, None))
        return read_methods(
            Records(self.folder / QUESTIONS, Question), self.manifest, read, {self.name: files}
        )


def answer_and_score(
    source: Source,
    utterances: Records,
    asked: list[Question],
    *,
    judge: Judge | None = None,
    output=None,
    seed: int = 1,
    by: Sequence[str] = (),
) -> Evaluation:
    """Write the answers of a source and their ledger into a folder of their own; what is there already is kept.

    Arguments
    ---------
    source : Source
    utterances : Records of Utterance
    asked : list of Question
    judge, output, seed, by
        As of `evaluate`.
    """
    if judge is None:
        judge, judged_by = source.find_judge(asked)
    else:
        judged_by = judge.identity()
    inputs = {
        "auralign": __version__,
        "model": source.identity(),
        "manifest": hash_path(utterances.path),
        "questions": hash_value([vars(question) for question in asked]),
        "judge": judged_by,
        "seed": seed,
    }
    named_by = hash_value({name: value for name, value in inputs.items() if name != "auralign"})
    if by:  # the answers are the same
        inputs["by"] = list(by)
        for label in by:
            strata_of(utterances, label)
    folder = Path(output or source.output) / f"{utterances.path.stem}-{named_by[:8]}"
    given_to_model = (*SPEECH, *([TEXT_TRAINED] if source.changes_text() else []))
    answers = {given: folder / f"{given}.jsonl" for given in (*source.texts(utterances), *given_to_model)}
    outputs = [folder / QUESTIONS, *answers.values(), *(folder / name for name in FILES)]
    evaluation = Evaluation(folder, utterances, judge, answers, source.name)
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
            _score(evaluation, seed, source.stages(), by)
    return evaluation


def _score(
    evaluation: Evaluation, seed: int, stages: Sequence[tuple[str, dict[str, Any]]], by: Sequence[str]
) -> None:
    """Write the ledger of the answers."""
    manifest, judge, folder = evaluation.manifest, evaluation.judge, evaluation.folder
    items = evaluation.read_items()
    judged = judge_answers(items, judge)
    ledger = make_ledger(items, judge, seed=seed, judged=judged)
    tasks = score_tasks(items, partial(read_utterance, manifest), judge.metrics, seed=seed)
    facts = {
        "model": evaluation.name,
        **other_builds([Records(evaluation.answers["speech"], Hypothesis)]),
        "auralign": __version__,
        "manifest": manifest.path.name,
        "questions": len(items[evaluation.name]),
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
        strata=cut(judged, manifest, by, seed=seed),
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
            *(f"\n{name}:\n{table.to_text()}" for name, table in read_strata(folder / "scores.json").items()),
            f"\n{describe_result(ledger)}\n",
            "Evaluations of this model:",
            Table(headers, rows, num_texts=4).to_text(),
            f"\nPage: {folder / 'report.html'}",
            f"Report: {folder / 'report.md'}",
        ]
    )


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
