"""Rows by the value of a label, such as year or source: by what a manifest is tabled and a report is cut.

    >>> rows = [Utterance("a", "a.wav", 1.0, "one", labels={"year": 2010}), Utterance("b", "b.wav", 1.0, "two")]
    >>> strata_of(rows, "year")
    {'a': '2010', 'b': 'not known'}

A label of many different numbers, such as a signal-to-noise ratio, is cut into quarters of equal size. A name may also be that of
an attribute, "speaker" or "language"; several with commas, such as "source,year", are cut together.
"""

from collections.abc import Iterable

import numpy as np

from auralign.records import Utterance

NOT_KNOWN = "not known"
MAX_VALUES = 40  # a table of more strata is not read; of numbers, more than MAX_NUMBERS are cut into quarters
MAX_NUMBERS = 12


def strata_of(utterances: Iterable[Utterance], label: str) -> dict[str, str]:
    """The stratum of each utterance, by its id.

    Raises ValueError if no utterance has the label, or it has too many values.
    """
    utterances = list(utterances)
    names = label.split(",")
    columns = [_column(utterances, name) for name in names]
    found = {}
    for number, utterance in enumerate(utterances):
        found[utterance.id] = ", ".join(column[number] for column in columns)
    num_values = len(set(found.values()))
    if num_values > MAX_VALUES:
        raise ValueError(
            f"--by {label}: has {num_values} different values; cut by a label that has at most {MAX_VALUES}"
        )
    return found


def order(strata: Iterable[str]) -> list[str]:
    """Each stratum once, in order, with what is not known last."""
    return sorted(set(strata), key=lambda name: (NOT_KNOWN in name, name))


def has_label(utterance: Utterance, name: str) -> bool:
    """Whether an utterance has a label, an attribute or a field of a name."""
    return _value(utterance, name) is not None


def _column(utterances: list[Utterance], name: str) -> list[str]:
    values = [_value(utterance, name) for utterance in utterances]
    known = [value for value in values if value is not None]
    if not known:
        labels = {key for utterance in utterances for key in (*utterance.labels, *utterance.attributes)}
        there = ", ".join(sorted(labels | {"speaker", "language"}))
        raise ValueError(f"--by {name}: no utterance has it; there are {there}")
    if len(set(map(repr, known))) > MAX_NUMBERS and all(_is_number(value) for value in known):
        edges = np.quantile(known, [0, 0.25, 0.5, 0.75, 1])
        values = [None if value is None else _quarter(float(value), edges) for value in values]
    return [NOT_KNOWN if value is None else str(value) for value in values]


def _value(utterance: Utterance, name: str) -> object:
    if name in utterance.labels:
        return utterance.labels[name]
    if name in utterance.attributes:
        return utterance.attributes[name]
    return getattr(utterance, name) or None if name in ("speaker", "language") else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _quarter(value: float, edges: np.ndarray) -> str:
    number = int(np.searchsorted(edges[1:-1], value, side="left"))
    return f"quarter {number + 1}: {edges[number]:g} to {edges[number + 1]:g}"
