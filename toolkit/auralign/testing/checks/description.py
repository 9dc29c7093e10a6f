"""Checks of what a method says of itself: its class attributes and its options."""

import inspect
import json

from auralign.method import API_VERSIONS, FIDELITIES, AlignmentMethod
from auralign.testing.checks.failure import fail


def check_metadata(method: AlignmentMethod) -> None:
    """A method without a name cannot be chosen, without a docstring not understood, of another API not driven."""
    if not method.name or not method.name.isidentifier():
        fail(
            method,
            f"its name is {method.name!r}",
            "give the class a `name` of letters, digits and underscores",
        )
    if method.api_version not in API_VERSIONS:
        fail(
            method,
            f"it speaks API {method.api_version!r}",
            f"this auralign speaks {' and '.join(map(str, API_VERSIONS))}",
        )
    if method.fidelity not in FIDELITIES:
        fail(method, f"its fidelity is {method.fidelity!r}", f"use {' or '.join(FIDELITIES)}")
    doc = (type(method).__doc__ or "").strip()
    if not doc or doc.startswith(f"{type(method).__name__}("):  # which a dataclass writes itself
        fail(
            method,
            "it has no docstring",
            "say what the LLM is asked, what is taught, and what is faithful to the paper",
        )
    from auralign.testing.checks import CHECKS  # which holds this one

    unknown = set(method.expected_failures) - {check.__name__ for check in CHECKS}
    if unknown:
        fail(method, f"expected_failures names {sorted(unknown)}", "name checks of auralign.testing.CHECKS")


def check_options(method: AlignmentMethod) -> None:
    """Options are part of every target's provenance: plain values, from which the very method can be made again."""
    options = method.options()
    hidden = set(inspect.signature(type(method)).parameters) - set(options)
    if hidden:
        fail(
            method,
            f"it takes {sorted(hidden)}, which its options {options} do not hold",
            "make it a @dataclass(frozen=True), or write `options`",
        )
    try:
        again = type(method)(**json.loads(json.dumps(options)))
    except TypeError as error:
        fail(
            method,
            f"its options {options} are not plain values ({error})",
            "make it a dataclass of plain values",
        )
    if json.dumps(again.options(), sort_keys=True) != json.dumps(options, sort_keys=True) or _plain(
        again
    ) != _plain(method):
        fail(
            method,
            f"made again from its options {options} it is {again}",
            "let `options` give all that it was made with, and change nothing in __post_init__",
        )


def _plain(method: AlignmentMethod) -> str:
    """All that a method holds, as JSON: tuples come back as lists."""
    return json.dumps(vars(method), sort_keys=True, default=dict)
