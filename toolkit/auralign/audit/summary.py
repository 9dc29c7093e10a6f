"""What an audit found: each measure with its limit, the same by instruction, and the worst targets."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from auralign.audit.cost import Cost
from auralign.audit.examples import Example
from auralign.audit.measures import MEASURES
from auralign.audit.surprise import Surprise
from auralign.audit.texts import Texts
from auralign.records import shorten

QUANTILES = (0.1, 0.5, 0.9)
NUM_EXAMPLES = 5  # of the targets with the largest form gap
LONGEST = 200  # characters of an example
Read = Sequence[tuple[Example, Surprise, float | None]]
"""Each target that the LLM read, with its sensitivity, None if no word could be exchanged."""


@dataclass(frozen=True)
class Value:
    """A measure's value, None if it is not defined here; its limit, None if it has none; and whether it is within it."""

    value: float | None
    limit: float | None
    passed: bool


@dataclass(frozen=True)
class Group:
    """The sampled targets of one instruction; "" is that of targets under which nothing is asked."""

    instruction: str
    num: int
    gap: float  # nats a token, over all tokens
    gaps: tuple[float, ...]  # the same of each target at QUANTILES
    foreign: float
    nll: float
    entropy: float
    sensitivity: float | None
    tokens: float


@dataclass(frozen=True)
class Audit:
    """What was found.

    Arguments
    ---------
    facts : dict
        How: targets, LLM, number of targets, sample, seed.
    measures : dict of str to Value
        In the order of MEASURES.
    groups : list of Group
        By instruction, the most frequent first.
    gaps, sensitivities : list of float
        Of each sampled target: nats a token, nats a target.
    attributes : dict
        By attribute, "known" (number of targets) and "mentioned" (share).
    languages : dict of str to int
    shown : dict of str to str
        By measure of the texts, the first target that it counts.
    worst : list of dict
        The sampled targets with the largest form gap.
    notes : list of str
    cost : Cost
    """

    facts: dict[str, Any]
    measures: dict[str, Value]
    groups: list[Group]
    gaps: list[float]
    sensitivities: list[float]
    attributes: dict[str, dict[str, Any]]
    languages: dict[str, int]
    shown: dict[str, str]
    worst: list[dict[str, Any]]
    notes: list[str]
    cost: Cost = field(repr=False)

    @property
    def failed(self) -> list[str]:
        """The measures that are beyond their limits."""
        return [name for name, found in self.measures.items() if not found.passed]

    @property
    def advice(self) -> list[str]:
        """A line for each measure beyond its limit."""
        return [
            f"{describe(name, self.measures[name])} {MEASURES[name].advice}".strip() for name in self.failed
        ]

    def to_dict(self) -> dict[str, Any]:
        """As JSON: without the values of single targets, but with their quantiles."""
        values = {**asdict(self), "cost": self.cost.to_dict(), "failed": self.failed, "advice": self.advice}
        for name in ("gaps", "sensitivities"):
            values[name] = dict(zip(map(str, QUANTILES), map(float, _quantiles(values[name])), strict=False))
        return values


def describe(name: str, found: Value) -> str:
    """A measure that is beyond its limit, in words.

    >>> describe("gap", Value(2.5, 0.5, False))
    'gap 2.50 (nats a token; at most 0.5 is wanted):'
    """
    measure = MEASURES[name]
    return f"{name} {found.value:.2f} ({measure.unit}; {measure.side} {found.limit:g} is wanted):"


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _quantiles(values: Sequence[float]) -> Any:
    return np.quantile(values, QUANTILES) if len(values) else []


def measure(
    texts: Texts, read: Read, limits: Mapping[str, float | None], *, has_tests: bool
) -> dict[str, Value]:
    """Every measure, in the order of MEASURES, compared with its limit."""
    num_tokens = sum(one.num_tokens for _, one, _ in read)
    ended = [one for _, one, _ in read if one.end_gap is not None]
    values: dict[str, float | None] = {
        "conflict": _mean(
            [bool(example.asked) and one.is_foreign(drawn=example.drawn) for example, one, _ in read]
        ),
        "foreign": _mean([one.is_foreign(drawn=example.drawn) for example, one, _ in read]),
        "gap": sum(one.gap for _, one, _ in read) / num_tokens,
        "nll": sum(one.nll for _, one, _ in read) / num_tokens,
        "entropy": sum(one.entropy for _, one, _ in read) / num_tokens,
        "sensitivity": _mean([change for _, _, change in read if change is not None]),
        "content": texts.mean("content"),
        "overlap": texts.mean("overlap"),
        "tokens": num_tokens / len(read),
        "false_stops": _mean([one.stops_falsely for one in ended]),
        "test_text": texts.share("test text") if has_tests else None,
    }
    for name in MEASURES.keys() - values.keys():
        values[name] = texts.share(name.replace("_", " "))
    found = {}
    for name, about in MEASURES.items():
        limit = limits.get(name, about.limit)
        found[name] = Value(values[name], limit, about.passes(values[name], limit))
    return found


def group_by_instruction(read: Read) -> list[Group]:
    """The targets of each instruction, the most frequent instruction first."""
    by_instruction: dict[str, list[tuple[Example, Surprise, float | None]]] = {}
    for example, one, change in read:
        by_instruction.setdefault(example.asked, []).append((example, one, change))
    groups = []
    for instruction, found in by_instruction.items():
        num_tokens = sum(one.num_tokens for _, one, _ in found)
        groups.append(
            Group(
                instruction=instruction,
                num=len(found),
                gap=sum(one.gap for _, one, _ in found) / num_tokens,
                gaps=tuple(map(float, _quantiles([one.gap / one.num_tokens for _, one, _ in found]))),
                foreign=float(np.mean([one.is_foreign(drawn=example.drawn) for example, one, _ in found])),
                nll=sum(one.nll for _, one, _ in found) / num_tokens,
                entropy=sum(one.entropy for _, one, _ in found) / num_tokens,
                sensitivity=_mean([change for _, _, change in found if change is not None]),
                tokens=num_tokens / len(found),
            )
        )
    return sorted(groups, key=lambda group: -group.num)


def find_worst(read: Read) -> list[dict[str, Any]]:
    """The targets with the largest form gap a token."""
    rows = sorted(read, key=lambda row: -row[1].gap / row[1].num_tokens)
    return [
        {
            "place": example.place,
            "instruction": shorten(example.asked, LONGEST),
            "text": shorten(example.text, LONGEST),
            "target": shorten(example.response, LONGEST),
            "gap": one.gap / one.num_tokens,
        }
        for example, one, _ in rows[:NUM_EXAMPLES]
        if one.gap > 0
    ]
