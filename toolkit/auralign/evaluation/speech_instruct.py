"""`auralign evaluate MODEL --benchmark speech_instruct`: spoken instructions, followed or not.

Closed-ended items are checked by rule (`auralign.score.ifeval`); open-ended ones and adjustments by a judge, an LLM that
answers yes or no. The answers and the ledger of each file are in a folder of their own, as of any evaluation.

| column | meaning |
|---|---|
| prompt accuracy | share of the items of which all instructions were followed |
| instruction accuracy | share of the instructions that were followed |
| IAR | of adjustments: the later instruction was followed, with the right content |
| ECR | of adjustments: the earlier instruction was followed; lower is better |

Closed-ended accuracies are printed strict and loose, and their mean. Differences from the benchmark's own code: nothing is asked
beside the speech, items are known by key and not by prompt, and a judgement that cannot be read counts as wrong, for IAR and ECR
too, is counted, and listed in `unread.jsonl`; the judge is asked once, not four times.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from auralign import __version__
from auralign.corpora.speech_instruct import ADJUSTMENT, CLOSED, Instruction, read_speech_instruct
from auralign.data.manifest import write_manifest
from auralign.data.rejected import Item, Listed, Rejection
from auralign.evaluation import answer_and_score
from auralign.evaluation.instruction_judge import NAME, VERSION, Ask, Judgement, SpeechInstructJudge
from auralign.evaluation.sources import Source, find_source
from auralign.files import hash_path, hash_value, write_atomically, write_json
from auralign.ledger.columns import Item as Answered
from auralign.ledger.table import NOT_DEFINED, Table
from auralign.ledger.tables import format_rate
from auralign.records import Question, Records, Utterance
from auralign.score.metrics import MIN_SPEAKERS, bootstrap_interval
from auralign.store import Store


def evaluate_speech_instruct(
    model: Any,
    files: Sequence[Any],
    *,
    judge: Ask | None = None,
    judge_name: str = "",
    num_utts: int | None = None,
    output: Any = None,
    seed: int = 1,
    **finding: Any,
) -> Path:
    """Evaluate a model by SpeechInstructBench.

    Arguments
    ---------
    model : path, str or RunFolder
        As of `auralign.evaluate`.
    files : sequence of path
        Files of the benchmark, such as closed_standard_en.jsonl; audio is looked for beside them.
    judge : callable (str) -> str, optional
        Needed for open-ended files and for adjustments.
    judge_name : str
        What names the judge among the inputs of the evaluation.
    num_utts : int, optional
        Only the first of each file, for a trial.
    output, seed, **finding
        As of `auralign.evaluate`.

    Returns Path: the folder with `speech_instruct.md`, `speech_instruct.json` and a folder for each file.

    Raises ValueError if no file is given, or a file needs a judge and there is none; RecordError on a bad row.
    """
    if not files:
        raise ValueError("which items? give files of the benchmark: --manifest closed_standard_en.jsonl")
    read = {Path(path): list(read_speech_instruct(path)) for path in files}
    for path, items in read.items():
        kinds = {item.kind for item in items if isinstance(item, Instruction)}
        if kinds - {CLOSED} and judge is None:
            raise ValueError(
                f"{path}: holds {', '.join(sorted(kinds - {CLOSED}))} items, which need a judge: --judge ADDRESS of an endpoint, "
                "or module:function"
            )
    source = find_source(model, **finding)
    identity = hash_value([source.identity(), [hash_path(path) for path in read], judge_name, num_utts, seed])
    folder = Path(output or source.output) / f"{NAME}-{VERSION}-{identity[:8]}"
    folder.mkdir(parents=True, exist_ok=True)
    rows, unread = [], Listed()
    with Store(folder / "judgements.jsonl", Judgement) as store:
        for path, items in read.items():
            found = _evaluate_file(
                source, folder, path, items[:num_utts], judge, store, judge_name, seed, unread
            )
            rows += found
    unread.write_list(folder / "unread.jsonl")
    facts = {
        "benchmark": f"{NAME}, version {VERSION}",
        "auralign": __version__,
        "model": source.name,
        "seed": seed,
    }
    facts |= {"judge": judge_name or "none", "trial with": num_utts or "all items"}
    write_json(folder / f"{NAME}.json", {"facts": facts, "rows": rows})
    table = _table(rows)
    with write_atomically(folder / f"{NAME}.md") as file:
        notes = "\n".join(f"- {name}: {value}" for name, value in facts.items())
        file.write(f"# SpeechInstructBench\n\n{table.to_markdown()}\n\n{notes}\n")
    print(f"{table.to_text()}\n\nReport: {folder / f'{NAME}.md'}")
    return folder


def _evaluate_file(
    source: Source,
    folder: Path,
    path: Path,
    read: Sequence[Instruction | Rejection],
    judge: Ask | None,
    store: Store,
    judge_name: str,
    seed: int,
    unread: Listed,
) -> list[dict[str, Any]]:
    """Answer and judge the items of one file; a row for each kind of input. Judgements that cannot be read go to `unread`."""
    items = {one.utterance.id: one for one in read if isinstance(one, Instruction)}
    manifest = folder / f"{path.stem}.jsonl"
    if not manifest.exists():  # the folder's name holds the hash of the file
        rows: Iterable[Item] = (one.utterance if isinstance(one, Instruction) else one for one in read)
        summary = write_manifest(manifest, rows, limit=0.05)
        print(f"{NAME}: {summary}", file=sys.stderr)
    utterances = Records(manifest, Utterance)
    asked = [
        Question(row.id, row.id, items[row.id].kind, items[row.id].kind, None, None) for row in utterances
    ]
    found = SpeechInstructJudge(items, judge, store, judge_name)
    evaluation = answer_and_score(source, utterances, asked, judge=found, output=folder, seed=seed)
    answered = evaluation.read_items()[source.name]
    return [
        _measure(path.stem, kind, given, members, found, seed, unread)
        for kind in dict.fromkeys(question.group for question in asked)
        for given in answered[0].answers
        if (members := [one for one in answered if one.question.group == kind])
    ]


def _measure(
    part: str,
    kind: str,
    given: str,
    members: Sequence[Answered],
    judge: SpeechInstructJudge,
    seed: int,
    unread: Listed,
) -> dict[str, Any]:
    """The measures of the answers after one kind of input."""
    verdicts = [judge.verdict(one.answers[given], one.question) for one in members]
    values: dict[str, Any] = {"part": part, "kind": kind, "input": given, "items": len(verdicts)}
    said = [verdict.unread for verdict in verdicts]
    values["unread judgements"] = sum(one is not None for one in said)
    for item, one in zip(members, said, strict=True):
        if one is not None:
            unread.add(item.question.utt_id, f"of the answer from {given}", one)
    if kind == ADJUSTMENT:
        per_item = [float(verdict.strict[0]) for verdict in verdicts]
        values["IAR"] = sum(per_item) / len(per_item)
        values["ECR"] = sum(verdict.strict[1] for verdict in verdicts) / len(verdicts)
    else:
        for reading in ("strict", "loose"):
            held = [getattr(verdict, reading) for verdict in verdicts]
            values[f"{reading} prompt"] = sum(map(all, held)) / len(held)
            values[f"{reading} instruction"] = sum(map(sum, held)) / sum(map(len, held))
        for level in ("prompt", "instruction"):
            values[f"mean {level}"] = (values[f"strict {level}"] + values[f"loose {level}"]) / 2
        per_item = [(all(verdict.strict) + all(verdict.loose)) / 2 for verdict in verdicts]
    interval = bootstrap_interval(
        per_item,
        clusters=[one.cluster for one in members],
        within=[one.question.utt_id for one in members],
        seed=seed,
        min_clusters=MIN_SPEAKERS,
    )
    values["interval"] = [interval.low, interval.high]
    return values


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    names = [
        f"{reading} {level}" for level in ("prompt", "instruction") for reading in ("strict", "loose", "mean")
    ]
    names += ["IAR", "ECR"]
    headers = ["part", "input", "items", *names, "95 % interval", "unread judgements"]
    cells = [
        [
            row["part"],
            row["input"],
            str(row["items"]),
            *(format_rate(row.get(name)) for name in names),
            NOT_DEFINED if row["interval"][0] is None else "{:z.2f}..{:z.2f}".format(*row["interval"]),
            str(row["unread judgements"]),
        ]
        for row in rows
    ]
    return Table(headers, cells, num_texts=2).without_empty_columns()
