"""How a check fails: with the problem and the repair."""

from collections.abc import Callable
from typing import NoReturn, Protocol


class Tried(Protocol):
    """What a check tries: a method, a connector or an encoder."""

    @property
    def name(self) -> str:
        """Its name in messages."""


class CheckFailedError(AssertionError):
    """A method, a connector or an encoder does not pass a check; the message says what to do."""


def fail(tried: Tried, problem: str, repair: str) -> NoReturn:
    """Raise CheckFailedError."""
    raise CheckFailedError(f"{tried.name or type(tried).__name__}: {problem}; {repair}")


def explain(check: Callable, error: Exception) -> CheckFailedError:
    """The failure of a check by whatever error the tried code raised, with the check's name and its reason."""
    why = " ".join((check.__doc__ or "").split())
    said = f"{error}" if isinstance(error, CheckFailedError) else f"{type(error).__name__}: {error}"
    return CheckFailedError(f"{said}\n    {check.__name__}: {why}")
