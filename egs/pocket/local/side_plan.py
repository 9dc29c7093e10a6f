"""The plan of the side-by-side: its methods, its test groups, and the runs that compare them at equal cost.

    >>> from local.side_plan import Settings, plan
    >>> [run.name for run in plan(Settings(), methods=["sift"])][:3]
    ['start', 'targets/sift', 'aligned/sift/speed']

Two tables. *Aligned*: every method goes on from one aligned connector, which alone is trained. *Scratch*: every method trains the
connector of its own paper from the beginning, at several numbers of utterances. Within a plan all trainings have the same budget
of CPU seconds, whatever the number of utterances; the number of steps follows from the measured cost of one step.
One module, as methods, groups and runs are one plan to be read at once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

ALIGNED, SCRATCH = "aligned", "scratch"
START, TARGETS, SPEED, DEV, CELL = "start", "targets", "speed", "dev", "cell"  # kinds of runs
DEV_SHARE = 1 / 3  # of the budget: a training that chooses the learning rate
NUM_SPEED_STEPS, NUM_UNTIMED_STEPS = (
    8,
    2,
)  # of the run that measures the cost of a step; the first ones are not typical
WARMUP_SHARE = 0.05  # of the steps

REPEAT = (
    "{speech}\nRepeat the above.",
    "Say this once more: {speech}",
    "Read these words back to me: {speech}",
)
CONTINUE = (
    "Continue this text in fewer than 30 words:\n{speech}",
    "{speech}\nHow does it go on?",
    "Write what could come next: {speech}",
)
TRANSCRIBE = ("Write down what is said: {speech}",)
TASKS = {"repeat": REPEAT, "continue": CONTINUE}  # the tasks that instructions of training ask for

NO_INSTRUCTION = (None,)
QUESTION, NONE, SEEN, UNSEEN_WORDING, UNSEEN_TASK = (
    "spoken question", "none", "seen wording", "unseen wording", "unseen task",
)  # fmt: skip
GROUPS: dict[str, tuple[str | None, ...]] = {
    QUESTION: NO_INSTRUCTION,
    NONE: NO_INSTRUCTION,
    SEEN: (REPEAT[0], CONTINUE[0]),
    UNSEEN_WORDING: ("What did I say? {speech}", "Take this one sentence further: {speech}"),
    UNSEEN_TASK: ("Translate into Spanish: {speech}", "Give this a title: {speech}"),
}
"""The test groups, each with the text instructions that its utterances are asked with in turn."""
REQUESTS = frozenset(
    "name list tell give write explain describe show say use make find compare suggest count imagine create".split()
)
"""First words of what asks for an answer without a question mark."""


@dataclass(frozen=True)
class Method:
    """One method of the comparison.

    Arguments
    ---------
    arguments : dict
        Of the method itself; `name` is the registered one.
    connector : str
        Class of `auralign.models.connectors` that its paper trains, or the nearest.
    connector_arguments : dict
    lora : dict, optional
        Arguments of the LoRA that the table *scratch* trains with the connector; default: the LLM stays frozen.
    taught : str
        What its training asks of an utterance, for the page.
    aligned : bool
        Whether it is in the table *aligned*; default True.
    note : str
        What is not as in the paper, for the page.
    """

    arguments: dict
    connector: str
    connector_arguments: dict
    taught: str
    lora: dict | None = None
    aligned: bool = True
    note: str = ""


STACK = ("StackAndProject", {"stride": 8, "keep_remainder": True})  # of AZeroS, 6.25 embeddings a second
CIF = ("ContinuousIntegrateAndFire", {"hidden_width": 768, "tokens_per_frame": 0.08})
QFORMER = "WindowedQFormer"
METHODS = {
    "transcription": Method({"name": "transcription", "instructions": list(REPEAT)}, *STACK, "repeat"),
    "sit": Method({"name": "sit", "instructions": list(REPEAT)}, *STACK, "repeat"),
    "sift": Method({"name": "sift"}, *STACK, "nothing"),
    "blsp": Method({"name": "blsp", "instruction": CONTINUE[0]}, "ConvolveAndProject", {}, "continue"),
    "distillation": Method(
        {"name": "distillation", "instruction": CONTINUE[0]},
        "UltravoxProjector",
        {"hidden_width": 2048},
        "continue",
        note="the paper's projector is 4,096 wide, for an LLM of 8 B",
    ),
    "mtbi": Method(
        {
            "name": "mtbi",
            "tasks": {name: list(wordings) for name, wordings in TASKS.items()},
            "tasks_per_utterance": 1,
        },
        *STACK,
        "repeat, continue",
        note="the connector is ours: the paper's is not known",
    ),
    "self_powered": Method(
        {
            "name": "self_powered",
            "families": {
                **{name: list(wordings) for name, wordings in TASKS.items()},
                "transcribe": list(TRANSCRIBE),
            },
            "only_punctuated": False,  # most answers are cut off
        },
        QFORMER,
        {"window_seconds": 0.3333},
        "repeat, continue, transcribe",
        lora={
            "r": 4,
            "lora_alpha": 32,
            "target_modules": "q_proj k_proj v_proj o_proj gate_proj up_proj down_proj".split(),
        },
        note="LoRA, where the paper trains the whole LLM; frozen in the table from aligned",
    ),
    "diva": Method(
        {"name": "diva"},
        QFORMER,
        {"window_seconds": 0.2},
        "nothing",
        aligned=False,
        note="a Q-Former in place of Whisper's decoder",
    ),
    "wav2prompt": Method({"name": "wav2prompt", "instruction": REPEAT[0]}, *CIF, "repeat", aligned=False),
    "acif": Method(
        {"name": "wav2prompt", "stage": "align", "instruction": REPEAT[0]},
        CIF[0],
        {**CIF[1], "project_first": True},
        "nothing",
        aligned=False,
        note="its first stage alone, which does not run the LLM",
    ),
}


@dataclass(frozen=True)
class Settings:
    """What all runs of a comparison share.

    Arguments
    ---------
    size : str
        Of the corpus: data/<size>.
    num_utts : tuple of int
        Training utterances of the table *scratch*, ascending; the table *aligned* has the last.
    cpu_seconds : float
        Budget of one training: of its optimiser steps, without validation, encoding and targets.
    seeds : tuple of int
        Of the table *aligned*; the table *scratch* has the first.
    rates : tuple of float
        The learning rates among which each method's is chosen.
    num_asked : int
        Utterances of each test group, at most.
    num_steps : int, optional
        Steps of every training, in place of the budget: for trials, whose page is not published.
    """

    size: str = "full"
    num_utts: tuple[int, ...] = (400, 800, 1600)
    cpu_seconds: float = 120.0
    seeds: tuple[int, ...] = (1, 2, 3)
    rates: tuple[float, ...] = (1e-4, 1e-3)
    num_asked: int = 60
    num_steps: int | None = None

    def __post_init__(self):
        for name in ("num_utts", "seeds", "rates"):
            values = getattr(self, name)
            if not values or min(values) <= 0 or sorted(set(values)) != list(values):
                raise ValueError(f"{name} {values}: give one or more different numbers above 0, ascending")
        for name in ("cpu_seconds", "num_asked", "num_steps"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} {value}: give a number above 0")


@dataclass(frozen=True)
class Run:
    """One run, which has a folder and, when it is finished, a row.

    Arguments
    ---------
    name : str
        Its folder, seen from that of the comparison.
    kind : str
        start (the aligned connector as it is, and the answers to text), targets (stage 2), speed (the cost of a step), dev (one
        learning rate), or cell (a row of a table).
    table : str
        aligned, scratch, or "" if the run serves both.
    method : str
        Key of `METHODS`; "" for the start.
    seed : int
    num_utts : int
        Training utterances.
    rate : float, optional
        Learning rate of a dev run; a cell has the chosen one.
    needs : tuple of str
        Names of the runs whose rows it reads.
    """

    name: str
    kind: str
    table: str = ""
    method: str = ""
    seed: int = 1
    num_utts: int = 0
    rate: float | None = None
    needs: tuple[str, ...] = field(default=())


def plan(settings: Settings, methods: Sequence[str] | None = None) -> list[Run]:
    """All runs in the order in which they are made: first those that fill a column, then repetitions.

    Arguments
    ---------
    settings : Settings
    methods : sequence of str, optional
        Keys of `METHODS`; default all.

    Raises ValueError on a method that is not there.
    """
    chosen = list(METHODS if methods is None else methods)
    unknown = [name for name in chosen if name not in METHODS]
    if unknown:
        raise ValueError(f"no method {', '.join(unknown)} in the comparison; it has {', '.join(METHODS)}")
    first, most = settings.seeds[0], settings.num_utts[-1]
    runs = [Run("start", START, seed=first)]
    aligned = [name for name in chosen if METHODS[name].aligned]
    for name in aligned:
        runs.append(_targets(name, settings))
        runs += _prepare(ALIGNED, name, settings)
        runs.append(_cell(ALIGNED, name, settings, seed=first, num_utts=most))
    for seed in settings.seeds[1:]:
        runs += [_cell(ALIGNED, name, settings, seed=seed, num_utts=most) for name in aligned]
    for name in chosen:
        if name not in aligned:
            runs.append(_targets(name, settings))
        runs += _prepare(SCRATCH, name, settings)
        runs.append(_cell(SCRATCH, name, settings, seed=first, num_utts=most))
    for num_utts in reversed(settings.num_utts[:-1]):
        runs += [_cell(SCRATCH, name, settings, seed=first, num_utts=num_utts) for name in chosen]
    return runs


def dev_names(run: Run, settings: Settings) -> list[str]:
    """Names of the dev runs that choose the learning rate of a cell."""
    return [f"{run.table}/{run.method}/rate_{rate:g}" for rate in settings.rates]


def speed_name(run: Run) -> str:
    """Name of the run that measures the cost of a step of a training."""
    return f"{run.table}/{run.method}/speed"


def _targets(method: str, settings: Settings) -> Run:
    return Run(f"targets/{method}", TARGETS, "", method, settings.seeds[0], settings.num_utts[-1])


def _prepare(table: str, method: str, settings: Settings) -> Iterator[Run]:
    """The runs that a table's cells of a method need: the cost of a step, and each learning rate."""
    common = {
        "table": table,
        "method": method,
        "seed": settings.seeds[0],
        "num_utts": settings.num_utts[-1],
    }
    speed = Run(f"{table}/{method}/speed", SPEED, **common, needs=("start", f"targets/{method}"))
    yield speed
    for rate in settings.rates:
        needs = ("start", f"targets/{method}", speed.name)
        yield Run(f"{table}/{method}/rate_{rate:g}", DEV, **common, rate=rate, needs=needs)


def _cell(table: str, method: str, settings: Settings, *, seed: int, num_utts: int) -> Run:
    name = f"{table}/{method}/" + (f"seed_{seed}" if table == ALIGNED else f"utts_{num_utts}")
    run = Run(name, CELL, table, method, seed, num_utts)
    needs = ("start", f"targets/{method}", speed_name(run), *dev_names(run, settings))
    return Run(name, CELL, table, method, seed, num_utts, needs=needs)


def choose_num_steps(run: Run, settings: Settings, seconds_per_step: float) -> int:
    """Optimiser steps of a dev run or a cell: as many as its budget pays for, at least 1."""
    if settings.num_steps is not None:
        return settings.num_steps
    budget = settings.cpu_seconds * (DEV_SHARE if run.kind == DEV else 1)
    return max(1, round(budget / seconds_per_step))


def choose_rate(losses: dict[float, float]) -> float:
    """The learning rate with the lowest validation loss; of equal ones the lowest rate."""
    return min(losses, key=lambda rate: (losses[rate], rate))
