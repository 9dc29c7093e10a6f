"""Grades of answers, by functions that a YAML names under `grade`: of a file, or of the answer itself.

grade: !name:auralign.generate.grades.from_file {path: grades.jsonl}
grade: !name:my_module.judge {model: path/of/a/judge}

Such a function is called with the utterance and the target of each answer that is kept, and returns what is known of it, plain
values by name. Stage 2 writes them into the target; the student's view may read them, the LLM that answers never does.
"""

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from auralign.environment import is_out_of_memory
from auralign.json_lines import parse_object, shorten
from auralign.method import AlignmentMethod, running
from auralign.records import Target, Utterance
from auralign.text.words import normalise

Grade = Callable[[Utterance, Target], Mapping[str, Any]]


def from_file(utterance: Utterance, target: Target, *, path: str) -> dict[str, Any]:
    """The grades that a file of JSON lines has for a target.

    Arguments
    ---------
    utterance : Utterance
    target : Target
    path : str
        Each line is an object with `key`, the key of a target, or `id`, that of an utterance, for all its answers; and the
        grades by name, such as {"id": "clip-7", "fluency": 0.82}.

    Raises ValueError if the file has no line for the target.
    """
    by_name = _read(str(path))
    for name, value in (("key", target.key), ("id", utterance.id)):
        if (name, value) in by_name:
            return by_name[name, value]
    raise ValueError(
        f"{path}: has no grades of the target {target.key} of {utterance.id}; give it a line with this key or id"
    )


def copied(utterance: Utterance, target: Target) -> dict[str, float]:
    """{"copied": 1.0} if an answer is the bare transcript, whatever its case and punctuation, else {"copied": 0.0}."""
    return {"copied": float(normalise(target.response) == normalise(utterance.text))}


@cache
def _read(path: str) -> dict[tuple[str, str], dict[str, Any]]:
    found: dict[tuple[str, str], dict[str, Any]] = {}
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            values = parse_object(line, position=f"{path}:{number}")
            name = "key" if "key" in values else "id"
            if name not in values:
                raise ValueError(f"{path}:{number}: has neither `key` nor `id`: {shorten(repr(values))}")
            identity = (name, str(values.pop(name)))
            if identity in found:
                raise ValueError(f"{path}:{number}: a second line for the {name} {identity[1]!r}; leave one")
            found[identity] = values
    return found


def grade(
    method: AlignmentMethod, function: Grade | None, utterance: Utterance, target: Target
) -> dict[str, Any]:
    """The grades of an answer that is kept: what the recipe's function returns, then what the method says itself.

    Raises ValueError if they are no plain values by name, or if the method needs one that is not there.
    """
    grades: dict[str, Any] = {}
    if function:
        try:
            found = function(utterance, target)
        except (ValueError, OSError):
            raise
        except Exception as error:
            if is_out_of_memory(error):  # no fault of the function
                raise
            raise ValueError(
                f"grade of the recipe failed for the target {target.key} of {target.utt_id}: {type(error).__name__}: {error}"
            ) from error
        grades |= _checked(found, "grade of the recipe", target)
    with running(method, "grade", utterance.id):
        own = method.grade(utterance, target.choice, target.response)
    grades |= _checked(own, f"grade of the method {method.name!r}", target)
    for name in method.needs.grades:
        if grades.get(name) is None:
            there = ", ".join(repr(one) for one, value in grades.items() if value is not None) or "none"
            raise ValueError(
                f"the method {method.name!r} needs the grade {name!r} of each answer; the target {target.key} of "
                f"{target.utt_id} has {there}: name a function that gives it under `grade` in the YAML"
            )
    return grades


def _checked(found: Any, what: str, target: Target) -> dict[str, Any]:
    place = f"{what}: {shorten(repr(found))} for the target {target.key} of {target.utt_id}"
    if not isinstance(found, Mapping):
        raise ValueError(f"{place}; return a dict of plain values by name")
    try:
        return json.loads(json.dumps(dict(found), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{place}: {error}; return plain values by name, which JSON has") from error
