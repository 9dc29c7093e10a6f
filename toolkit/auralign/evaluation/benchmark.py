"""`auralign evaluate MODEL --benchmark generalisation`: the fixed questions, answered, scored, and set on one page.

    page = evaluate_benchmark("exp/synthetic/sit/seed_1", ["data/synthetic/test.jsonl"])

The answers and the ledger of each part are in a folder of their own beside the page, as of any evaluation.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from auralign import __version__
from auralign.corpora.librispeech import read_librispeech
from auralign.data.rejected import Rejection
from auralign.evaluation import answer_and_score
from auralign.evaluation.instruction_judge import NAME as SPEECH_INSTRUCT
from auralign.evaluation.sources import Source, find_source, targets_of
from auralign.evaluation.speech_instruct import evaluate_speech_instruct
from auralign.files import hash_path, hash_value, without_folders_in_command
from auralign.generalisation import NAME, VERSION, digits
from auralign.generalisation.exposure import (
    UNKNOWN,
    Exposure,
    Seen,
    match,
    name_seen,
    read_targets,
)
from auralign.generalisation.judge import GeneralisationJudge
from auralign.generalisation.page import JSON, format_text, write_page
from auralign.generalisation.questions import DIGITS, TASKS, Part, choose, make_questions, relocate
from auralign.generalisation.result import Result, measure
from auralign.generalisation.sentences import SUBSET
from auralign.ledger.build import judge_answers
from auralign.recipe.trust import TRUST
from auralign.records import Records, Utterance, write_records
from auralign.run_folder import RunFolder

BENCHMARKS = (NAME, SPEECH_INSTRUCT)


def evaluate_benchmark(
    model,
    manifests: Sequence = (),
    *,
    benchmark: str = NAME,
    targets: Sequence = (),
    seen: Iterable[str] = (),
    num_utts: int | None = None,
    judge: Callable[[str], str] | None = None,
    judge_name: str = "",
    output=None,
    seed: int = 1,
    command: Sequence[str] = (),
    **finding: Any,
) -> Path:
    """Evaluate a model by a benchmark.

    Arguments
    ---------
    model : path, str or RunFolder
        As of `auralign.evaluate`.
    manifests : sequence of path
        Manifests of LibriSpeech test-clean and of spoken digits, one each or one of them. The folder LibriSpeech of the release
        does for the first. Default: the run's test set.
    benchmark : str
        "generalisation"; or "speech_instruct", whose files `manifests` are then: see `auralign.evaluation.speech_instruct`.
    targets : sequence of path
        What the model was trained with, beside the targets of the run and of those that it began with (`init_from`): targets
        of stage 2, a run, or a text file with an instruction on each line.
    seen : iterable of str
        Names of tasks that count as seen in training, beside those in the targets.
    num_utts : int, optional
        Only as many utterances of each part, for a trial; the page says so.
    judge : callable (str) -> str, optional
        Of "speech_instruct": what answers the prompts that ask about an answer. Default: none; then only what rules check.
    judge_name : str
        What names that judge.
    output : path, optional
        The folder in which the benchmark's folder is made; default as of `auralign.evaluate`.
    seed : int
        Of the shuffled speech and of the bootstrap.
    command : sequence of str
        The command line, for the page.
    **finding
        `llm`, `encoder`, `recognizer`, `device`, `overrides` and `others`, as of `auralign.evaluate`.

    Returns Path: the folder with `generalisation.md`, `generalisation.html`, `generalisation.json`, and a folder for each part.

    Raises
    ------
    FileNotFoundError
        If the model, a manifest or the targets are not there.
    ValueError
        If the benchmark or a task is unknown, or a manifest does not hold what the benchmark asks about.
    """
    if benchmark not in BENCHMARKS:
        raise ValueError(f"benchmark {benchmark!r}: use {', '.join(BENCHMARKS)}")
    if benchmark == SPEECH_INSTRUCT:
        if targets or list(seen):
            raise ValueError(f"--targets and --seen are of {NAME}; {SPEECH_INSTRUCT} has no seen tasks")
        return evaluate_speech_instruct(
            model,
            manifests,
            judge=judge,
            judge_name=judge_name,
            num_utts=num_utts,
            output=output,
            seed=seed,
            **finding,
        )
    if judge is not None:
        raise ValueError(f"--judge is of {SPEECH_INSTRUCT}; {NAME} is judged by rule")
    seen = _check_tasks(seen)
    if num_utts is not None and num_utts < 2:
        raise ValueError(f"--utts {num_utts}: give at least 2, as the floor needs another utterance")
    source = find_source(model, **finding)
    parts = _choose_parts(manifests or source.test_sets(), num_utts)
    trust = {name: value for name, value in (finding.get("overrides") or {}).items() if name == TRUST}
    asked, place, unknown = _read_exposure(source, targets, trust)
    results = []
    # Which tasks count as seen changes the page, so each has a folder of its own.
    exposures = {name: _exposure_of(name, asked, place, seen) for name in parts}
    identity = hash_value(
        [
            source.identity(),
            {name: [part.fingerprint, _account(exposures[name])] for name, (_, part) in parts.items()},
            seed,
        ]
    )
    folder = Path(output or source.output) / f"{NAME}-{VERSION}-{identity[:8]}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, (place_of_part, part) in parts.items():
        before = place_of_part if place_of_part.is_dir() else place_of_part.parent
        results.append(_evaluate_part(source, folder, before, part, exposures[name], seed))
    facts = {
        "benchmark": f"{NAME}, version {VERSION}",
        "auralign": __version__,
        "model": source.name,
        "model's hash": source.identity()[:12],
        "targets": place or ("named by --seen" if seen else "not known"),
        "utterances of": ", ".join(place.name for place, _ in parts.values()),
        "seed": seed,
        "command": without_folders_in_command(list(command))
        if command
        else "auralign.evaluation.benchmark.evaluate_benchmark",
    }
    if unknown:
        facts["began with"] = (
            f"{', '.join(unknown)}, whose targets are not known: a task that counts as unseen may be seen; give them by --targets"
        )
        print(f"warning: the training began with {facts['began with']}", file=sys.stderr)
    page = write_page(folder, results, name=source.name, facts=facts)
    print(format_text(results, name=source.name))
    print(f"\nPage: {page.with_suffix('.html')}\nReport: {page}\nNumbers: {folder / JSON}")
    return folder


def _check_tasks(names: Iterable[str]) -> list[str]:
    known = {name for tasks in TASKS.values() for name in tasks}
    names = list(names)
    for name in names:
        if name not in known:
            raise ValueError(f"--seen {name}: no task of the benchmark; use {', '.join(sorted(known))}")
    return names


def _choose_parts(manifests: Sequence, num_utts: int | None) -> dict[str, tuple[Path, Part]]:
    """The part of the benchmark in each manifest, by its name, with the manifest."""
    parts: dict[str, tuple[Path, Part]] = {}
    for path in map(Path, manifests):
        part = choose(_read_utterances(path), path, num_utts)
        if part.name in parts:
            raise ValueError(
                f"{path}: holds {part.name}, as does {parts[part.name][0]}; give one manifest of each part"
            )
        parts[part.name] = path.resolve(), part
    if not parts:
        raise ValueError(
            "the benchmark needs the folder LibriSpeech, or a manifest of its test-clean or of spoken digits: --manifest PLACE"
        )
    return parts


def _read_utterances(path: Path) -> list[Utterance]:
    """The utterances of a manifest, or of test-clean in the folder LibriSpeech of the release."""
    if path.is_file():
        return list(Records(path, Utterance))
    if not path.is_dir():
        raise FileNotFoundError(f"no manifest at {path}, and no folder LibriSpeech")
    found = list(read_librispeech(path, SUBSET))
    unusable = [item for item in found if isinstance(item, Rejection)]
    if unusable:
        print(
            f"{path}: {len(unusable)} items of {SUBSET} cannot be used, such as {unusable[0].id} ({unusable[0].reason})",
            file=sys.stderr,
        )
    return [item for item in found if isinstance(item, Utterance)]


def _read_exposure(
    source: Source, given: Sequence, trust: Mapping[str, Any]
) -> tuple[Mapping[Seen, int] | None, str, list[str]]:
    """What the targets of the training ask, where they are, and the places of earlier trainings whose targets are not known.

    None instead of what they ask if no targets are known. `trust` is given to the recipes of runs.
    """
    found, unknown = source.targets()
    for place in map(Path, given):
        if place.is_file() and place.suffix not in (".yaml", ".yml"):
            found.append((place, None))
        else:
            more, without = targets_of(RunFolder.open(place, trust))
            found, unknown = [*found, *more], [*unknown, *without]
    if not found:
        return None, "", unknown
    asked: Counter[Seen] = Counter()
    for path, manifest in found:
        asked.update(read_targets(path, manifest))
    return asked, ", ".join(f"{path.name} ({hash_path(path)[:12]})" for path, _ in found), unknown


def _exposure_of(part: str, asked: Mapping[Seen, int] | None, place: str, seen: list[str]) -> Exposure:
    """What the training held of the tasks of a part."""
    tasks = TASKS[part]
    exposure = UNKNOWN
    if asked is not None:
        command = digits.spoken_command if part == DIGITS else None
        exposure = match(tasks, asked, command=command, source=place)
    return name_seen(tasks, exposure, seen) if seen else exposure


def _account(exposure: Exposure) -> list[Any]:
    """What the answers and the page depend on, as JSON."""
    tasks = {name: [one.reason, list(one.wordings)] for name, one in exposure.tasks.items()}
    return [exposure.is_known, tasks, sorted(exposure.places)]


def _evaluate_part(
    source: Source, folder: Path, before: Path, part: Part, exposure: Exposure, seed: int
) -> Result:
    """Answer and score the questions of one part, whose audio is relative to the folder `before`."""
    path = folder / f"{part.name}.jsonl"
    write_records(path, relocate(part.utterances, before, folder), kind=Utterance)
    judge = GeneralisationJudge(part.tasks)
    asked = list(make_questions(part, exposure))
    evaluation = answer_and_score(
        source, Records(path, Utterance), asked, judge=judge, output=folder, seed=seed
    )
    judged = judge_answers(evaluation.read_items(), judge)[source.name]
    return measure(part, exposure, judged, seed=seed)
