"""Counters of a training step that hold on any machine: how often a GPU would be waited for, and what is copied to it."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from auralign.bench.ours import Ours

WAITS = ("item", "tolist", "__bool__", "__float__", "__int__", "__index__", "numpy", "cpu", "nonzero")


def count_waits(ours: "Ours") -> str:
    """Waits and copies of the second optimiser step, in words.

    On a CPU they are counted by the calls that would wait for a GPU. Calls on tensors that stay in memory are counted too: the
    number is an upper bound.
    """
    steps = iter(ours.steps())
    first = next(steps)
    ours.brain.fit_batch(first)
    step = next(steps, first)
    with counting() as found:
        ours.brain.fit_batch(step)
    return f"{found['wait']} waits and {found['copy']} copies in a step of {len(step)} packs"


@contextmanager
def counting() -> Iterator[Counter]:
    """Context manager: counts calls of tensors that wait for a GPU ("wait") and that copy to one ("copy")."""
    found: Counter = Counter()
    depth = 0

    def counted(kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            nonlocal depth
            found[kind] += not depth  # a call that calls another is one
            depth += 1
            try:
                return function(*args, **options)
            finally:
                depth -= 1

        return call

    before = {name: getattr(torch.Tensor, name) for name in (*WAITS, "to")}
    as_tensor = torch.as_tensor
    for name, function in before.items():
        setattr(torch.Tensor, name, counted("copy" if name == "to" else "wait", function))
    torch.as_tensor = counted("copy", as_tensor)
    try:
        yield found
    finally:
        for name, function in before.items():
            setattr(torch.Tensor, name, function)
        torch.as_tensor = as_tensor
