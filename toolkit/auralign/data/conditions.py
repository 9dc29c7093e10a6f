"""Conditions that choose the rows of a source, as in `auralign prepare --where`.

>>> Condition.parse("duration < 20").fits("7.5", "clips.csv:2")
True
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from auralign.records import RecordError, shorten
from auralign.text.characters import compose

CONDITION = re.compile(
    r"\s*(?P<column>.+?)\s*(?P<sign>!=|<=|>=|==?|<|>|(?<=\s)in(?=\s))\s*(?P<value>.*?)\s*", re.DOTALL
)
NUMBER = re.compile(r"[+-]?(0|[1-9]\d*)(\.\d*)?([eE][+-]?\d+)?|[+-]?\.\d+")  # 007 is a name
ORDER: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Condition:
    """A condition on one column that a row must meet to be read.

    Arguments
    ---------
    column : str
    sign : str
        "=", "!=", "<", ">", "<=", ">=", or "in": one of several values.
    values : tuple of str
        Several only if the sign is "in"; "" of = and != is an empty cell. Two numbers are compared as numbers, everything else as
        text.

    >>> Condition.parse("split in dev, test")
    Condition(column='split', sign='in', values=('dev', 'test'))
    >>> Condition.parse("seconds<20").fits("7.50", "t.csv:2"), Condition.parse("seconds=7.5").fits("7.50", "t.csv:2")
    (True, True)
    """

    column: str
    sign: str
    values: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Parse "duration<20" or "split in dev,test"; raises ValueError if the text is not a condition."""
        match = CONDITION.fullmatch(text)
        values = [match["value"]] if match else []
        if match and match["sign"] == "in":
            values = [value.strip() for value in match["value"].strip("()[]").split(",")]
        may_be_empty = match is not None and match["sign"] in ("=", "==", "!=")
        if match is None or not (all(values) or may_be_empty) or values[0][:1] in ("=", "<", ">", "!"):
            raise ValueError(
                f"{text!r} is not a condition; give COLUMN=VALUE, or !=, <, >, <=, >= for the =, or COLUMN in VALUE,VALUE; "
                "COLUMN!= keeps the rows in which it is not empty"
            )
        if match["sign"] in ORDER and number_of(values[0]) is None:
            raise ValueError(f"{text!r}: {values[0]!r} is not a number; {match['sign']} compares numbers")
        return cls(match["column"], "=" if match["sign"] == "==" else match["sign"], tuple(values))

    def fits(self, cell: Any, position: str, *, decimal_comma: bool = False) -> bool:
        """Whether a cell meets the condition; an empty one is neither less nor more than a number.

        Raises RecordError, which names `position`, if the sign compares numbers and the cell holds none.
        """
        number = number_of(cell, decimal_comma=decimal_comma)
        if self.sign in ORDER:
            if number is None and not is_empty(cell):
                raise RecordError(
                    f"{position}: the {self.column} {shorten(repr(cell))} is not a number, as {str(self)!r} needs; mend the row"
                )
            return number is not None and ORDER[self.sign](number, float(self.values[0]))
        text, values = (
            "" if is_empty(cell) else compose(str(cell)),
            [compose(value) for value in self.values],
        )
        if isinstance(cell, bool):  # True of Python, true of JSON
            text, values = text.lower(), [value.lower() for value in values]
        same = text in values or (number is not None and number in map(number_of, values))
        return same != (self.sign == "!=")

    def __str__(self) -> str:
        return f"{self.column} {self.sign} {','.join(self.values)}"


def number_of(value: Any, *, decimal_comma: bool = False) -> float | None:
    """A number, or text that holds a number, as float; None otherwise."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return None if math.isnan(value) else float(value)
    text = value.strip() if isinstance(value, str) else ""
    text = with_point(text) if decimal_comma else text
    return float(text) if NUMBER.fullmatch(text) else None


def with_point(text: str) -> str:
    """Replace the decimal comma of a number by a point."""
    return text.replace(",", ".") if text.count(",") == 1 and "." not in text else text


def is_empty(cell: Any) -> bool:
    return cell is None or cell == "" or cell != cell  # NaN
