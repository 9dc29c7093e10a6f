"""The gap ledger: the LLM's scores with speech, between a floor (another utterance's text) and the text.

A row is one method on one group of questions. Every answer to speech has a class, so that each lost point has a cause.
`build.py` makes the ledger; `tables.py`, `summary.py`, `picture.py` and `report.py` show it.

    recovery = (speech - floor) / (normalised - floor)

The floor is the score of the plain LLM that reads another utterance's text: one for all methods of an LLM, so that recoveries
can be compared. A method's score with another utterance's speech (shuffled) is a diagnostic: what it answers whatever is said. It
is the floor only if the answers to another utterance's text are missing, as in files of an earlier auralign.

Recovery is not defined if normalised text is less than 0.1 above the floor (`auralign.score.metrics.LEAST_SPAN`), or keeps less
than half of what the text gains over it (`LEAST_KEPT`), as with free answers that no two inputs give alike: then "n/a" and the
rates are shown.

Normalised text is the text without case and punctuation, as a perfect recognizer would write it. Every answer has a score from 0
to 1: by default 1 for an exact answer, else 0.
"""

import dataclasses
from dataclasses import dataclass

from auralign.ledger.behaviour import Behaviour
from auralign.score.judge import RIGHT, WRONG_CLASSES
from auralign.score.metrics import Estimate, agree

GROUPS = ("seen tasks", "unseen tasks", "unseen phrasings", "commands in the speech", "no instruction")
"""The order of the rows; other groups follow in the order of the questions."""
CLASSES = (RIGHT, *WRONG_CLASSES)
LEAST_KEPT = 0.5
"""Least share of what the text gains over the floor that normalised text keeps, for a recovery."""
STORED = {"metric": "measure"}
"""Field -> its key in files, if they differ; files keep the keys that earlier versions wrote."""


@dataclass(frozen=True)
class Rates:
    """Mean scores, 0 to 1, over the same questions, for each input of the LLM.

    `normalised` is None if the reference text is normalised already; `transcript` is None if the encoder has no recognizer.
    """

    num_questions: int
    text: float
    normalised: float | None
    transcript: float | None
    speech: float
    shuffled: float
    other_text: float | None = None  # for another utterance's text; None in files of an earlier auralign

    @property
    def floor(self) -> float:
        """The floor of recovery: the score for another utterance's text; without one, that for its speech."""
        return self.shuffled if self.other_text is None else self.other_text

    @property
    def ceiling(self) -> float:
        """The ceiling of recovery: the score for normalised text."""
        return self.text if self.normalised is None else self.normalised


@dataclass(frozen=True)
class Row:
    """One method on one group; `speech.value` is `rates.speech`, with its interval."""

    method: str
    group: str
    rates: Rates
    speech: Estimate
    recovery: Estimate
    form_ignored: float | None  # share of right answers if form is ignored; None if the judge cannot tell
    answers: dict[str, int]  # class -> number of answers to speech
    tasks: dict[str, Rates]


@dataclass(frozen=True)
class Difference:
    """`method` minus `other`: mean scores of answers to speech, on the same questions of a group.

    `p_value` is that of `auralign.score.metrics.difference_p_value`; `adjusted` is it after Holm's correction over all
    differences of the ledger. Both are None with too few speakers, and in files of an earlier auralign.
    """

    group: str
    method: str
    other: str
    estimate: Estimate
    p_value: float | None = None
    adjusted: float | None = None

    def is_significant(self, confidence: float) -> bool:
        """Whether the interval excludes 0 and the adjusted p-value is small enough; by one alone if the other is unknown."""
        low, high = self.estimate.low, self.estimate.high
        by_test = None if self.adjusted is None else self.adjusted < 1 - confidence
        by_interval = None if low is None or high is None else not low <= 0 <= high
        return agree(by_test, by_interval)


@dataclass(frozen=True)
class Pooled:
    """The runs of one method (its seeds) on one group together; intervals draw runs, speakers and utterances."""

    method: str
    group: str
    num_runs: int
    speech: Estimate
    recovery: Estimate


@dataclass(frozen=True)
class Example:
    """A wrong answer to speech."""

    method: str
    group: str
    answer_class: str
    instruction: str | None
    said: str
    expected: str
    got: str


@dataclass(frozen=True)
class Ledger:
    """Rows in the order of the groups, within a group in the order of the methods."""

    methods: tuple[str, ...]
    rows: tuple[Row, ...]
    differences: tuple[Difference, ...]
    examples: tuple[Example, ...]
    absent_groups: tuple[str, ...]
    metric: str  # name of the scores, such as "exact answers"
    num_utterances: int
    num_resamples: int
    confidence: float
    seed: int
    pooled: tuple[Pooled, ...] = ()  # of methods with several runs
    behaviours: tuple[Behaviour, ...] = ()  # in the order of the rows; empty in files of an earlier auralign
    num_without_speaker: int = 0  # utterances whose speaker is unknown; each counts as a speaker of its own

    @property
    def groups(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(row.group for row in self.rows))

    def row(self, method: str, group: str) -> Row:
        return next(row for row in self.rows if (row.method, row.group) == (method, group))

    def to_dict(self) -> dict:
        """Plain values, ready for JSON; files call `metric` "measure"."""
        return {STORED.get(name, name): value for name, value in dataclasses.asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict) -> "Ledger":
        """The inverse of `to_dict`, also for values read from JSON."""
        return cls(
            **{name: value for name, value in values.items() if name != "measure"}
            | {
                "metric": values["measure"],
                "methods": tuple(values["methods"]),
                "rows": tuple(_row_from_dict(row) for row in values["rows"]),
                "differences": tuple(
                    Difference(**item | {"estimate": Estimate(**item["estimate"])})
                    for item in values["differences"]
                ),
                "examples": tuple(Example(**example) for example in values["examples"]),
                "absent_groups": tuple(values["absent_groups"]),
                "behaviours": tuple(
                    Behaviour(
                        **{
                            name: Estimate(**value) if isinstance(value, dict) else value
                            for name, value in item.items()
                        }
                    )
                    for item in values.get("behaviours", ())
                ),
                "pooled": tuple(
                    Pooled(**item | {name: Estimate(**item[name]) for name in ("speech", "recovery")})
                    for item in values.get("pooled", ())
                ),
            }
        )


def _row_from_dict(values):
    return Row(
        **values
        | {
            "rates": Rates(**values["rates"]),
            "speech": Estimate(**values["speech"]),
            "recovery": Estimate(**values["recovery"]),
            "tasks": {task: Rates(**rates) for task, rates in values["tasks"].items()},
        }
    )
