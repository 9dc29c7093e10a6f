"""Which tasks and wordings of the benchmark a training held, read from its targets.

    >>> from auralign.generalisation.sentences import TASKS
    >>> exposure = match(TASKS, Counter([Seen("asr", "Transcribe: {speech}"), Seen("asr", "Transcribe: {speech}")]))
    >>> exposure.tasks["repeat"].reason, exposure.tasks["repeat"].wordings
    ("the task 'asr' of 2 targets", ('Transcribe: {speech}',))

A target belongs to the tasks that its instruction is a wording of; else to those that its task is a name of; else to those whose
key words are in its instruction, or that a command in its speech asks for. The page shows the reason for every task, so that
readers can check it.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from auralign.data.sources.forms import FORMS
from auralign.generalisation.task import Task, place_of, wording_key
from auralign.layout import SLOT
from auralign.records import Records, Target, Utterance, check_header, read_rows, shorten

LONGEST = 60  # characters of an instruction that a reason shows
GIVEN = "named by --seen"


@dataclass(frozen=True)
class Seen:
    """What one target asks: its task's name, its instruction with a slot or None, and the transcript, "" if it is unknown."""

    task: str
    instruction: str | None
    said: str = ""


@dataclass(frozen=True)
class SeenTask:
    """Why a task counts as seen, and the wordings in which the targets ask for it, the commonest first."""

    reason: str
    wordings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exposure:
    """What a training held of the tasks of one part of the benchmark.

    `tasks` are the seen ones by name. `places` are the places of the speech in all instructions of the training. `others` counts
    the instructions that ask for no task of the benchmark, by instruction. `is_known`: whether the targets are known.
    """

    is_known: bool
    tasks: Mapping[str, SeenTask] = field(default_factory=dict)
    places: frozenset[str] = frozenset()
    others: Mapping[str, int] = field(default_factory=dict)
    source: str = ""

    def is_seen(self, task: str) -> bool:
        """Whether a task was trained on."""
        return task in self.tasks

    def has_wording(self, task: str, instruction: str) -> bool:
        """Whether a task was trained on in this wording."""
        return self.is_seen(task) and wording_key(instruction) in map(wording_key, self.tasks[task].wordings)


INSTRUCTION_COLUMNS = ("instruction", "prompt", "question")
"""The usual names of an instruction in targets that were written elsewhere."""
UNKNOWN = Exposure(is_known=False)


def read_targets(path: Path, manifest: Path | None = None) -> Iterable[Seen]:
    """What the targets of a file ask: a file of stage 2, targets written elsewhere, or a text with an instruction on each line.

    Arguments
    ---------
    path : Path
    manifest : Path, optional
        The utterances of the targets, for commands in their speech; default: these are not looked for.

    Raises FileNotFoundError if the file is not there, RecordError if it holds other records, ValueError if a line of text lacks
    the slot.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"no targets at {path}; run stage 2 (generate), or give a text file of instructions"
        )
    with path.open("rb") as file:
        first = file.readline()
    if not first.lstrip().startswith(b'{"'):
        yield from _read_lines(path)
        return
    if b'"schema"' not in first:  # targets that were written elsewhere, as `auralign audit` reads them
        for _, row in FORMS["jsonl"](path):
            asked = next((str(row[name]) for name in INSTRUCTION_COLUMNS if row.get(name)), None)
            if asked is not None and SLOT not in asked:
                asked = f"{asked}\n{SLOT}"
            yield Seen("", asked, "" if asked else str(row.get("text") or ""))
        return
    check_header(first, Target, position=path)
    utterances = Records(manifest, Utterance) if manifest is not None and manifest.is_file() else None
    for target in read_rows(path, Target):
        said = ""
        if target.choice.instruction is None and utterances is not None and target.utt_id in utterances:
            said = utterances[target.utt_id].text
        yield Seen(target.choice.task, target.choice.instruction, said)


def _read_lines(path: Path) -> Iterable[Seen]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        if line.count(SLOT) != 1:
            raise ValueError(
                f"{path}:{number}: the instruction {shorten(repr(line))} has {line.count(SLOT)} slots; mark the place of the "
                f"speech once, by {SLOT}"
            )
        yield Seen("", line.replace("\\n", "\n"))


def match(
    tasks: Mapping[str, Task],
    asked: Mapping[Seen, int],
    *,
    command: Callable[[str], str | None] | None = None,
    source: str = "",
) -> Exposure:
    """Find the tasks of the benchmark among what targets ask.

    Arguments
    ---------
    tasks : dict of str to Task
    asked : Counter of Seen
    command : callable (said) -> str or None, optional
        The task that a transcript asks for by a spoken command.
    source : str
        Where the targets are, for the page.

    Returns Exposure.
    """
    exact = {wording_key(phrasing): name for name, task in tasks.items() for phrasing in task.phrasings}
    reasons: dict[str, Counter[str]] = {}
    wordings: dict[str, Counter[str]] = {}
    others: Counter[str] = Counter()
    for seen, number in asked.items():
        found = _find(tasks, exact, seen, command)
        for name, reason in found.items():
            reasons.setdefault(name, Counter())[reason] += number
            if seen.instruction is not None:
                wordings.setdefault(name, Counter())[seen.instruction] += number
        if seen.instruction is not None and not found:
            others[seen.instruction] += number
    instructions = {seen.instruction for seen in asked if seen.instruction is not None}
    return Exposure(
        is_known=True,
        tasks={
            name: SeenTask(_describe(reasons[name]), _order(wordings.get(name, Counter())))
            for name in tasks
            if name in reasons
        },
        places=frozenset(map(place_of, instructions)),
        others=dict(others.most_common()),
        source=source,
    )


def _find(
    tasks: Mapping[str, Task],
    exact: Mapping[tuple[str, ...], str],
    seen: Seen,
    command: Callable[[str], str | None] | None,
) -> dict[str, str]:
    """The tasks that a target asks for, each with the reason."""
    if seen.instruction is not None and wording_key(seen.instruction) in exact:
        return {exact[wording_key(seen.instruction)]: "a wording of the benchmark in"}
    named = {
        name: f"the task {seen.task!r} of" for name, task in tasks.items() if seen.task.lower() in task.names
    }
    if named:
        return named
    if seen.instruction is not None:
        shown = shorten(" ".join(seen.instruction.split()), LONGEST)
        return {
            name: f"key words, such as in {shown!r}, of"
            for name, task in tasks.items()
            if task.is_asked_by(seen.instruction)
        }
    spoken = command(seen.said) if command is not None and seen.said else None
    return {} if spoken is None else {spoken: "a command in the speech of"}


def _describe(reasons: Counter[str]) -> str:
    """The commonest reason of each kind with its number of targets."""
    kinds: dict[str, tuple[str, int]] = {}
    for reason, number in reasons.most_common():
        kind = reason.partition(",")[0]
        first, total = kinds.get(kind, (reason, 0))
        kinds[kind] = (first, total + number)
    return "; ".join(f"{reason} {total:,} target{'s' * (total > 1)}" for reason, total in kinds.values())


def _order(wordings: Counter[str]) -> tuple[str, ...]:
    return tuple(sorted(wordings, key=lambda wording: (-wordings[wording], wording)))


def name_seen(tasks: Mapping[str, Task], exposure: Exposure, names: Iterable[str]) -> Exposure:
    """The exposure with tasks that the user names as seen, whose wordings are not known; the others count as unseen."""
    named = {name: SeenTask(GIVEN) for name in names if name in tasks}
    return Exposure(
        is_known=True,
        tasks={**named, **exposure.tasks},
        places=exposure.places,
        others=exposure.others,
        source=exposure.source or GIVEN,
    )
