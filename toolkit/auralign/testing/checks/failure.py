"""How a check fails: with the problem and the repair."""

from typing import NoReturn

from auralign.method import AlignmentMethod


class CheckFailedError(AssertionError):
    """A method does not pass a check; the message says what to do."""


def fail(method: AlignmentMethod, problem: str, repair: str) -> NoReturn:
    """Raise CheckFailedError for a method."""
    raise CheckFailedError(f"{method.name or type(method).__name__}: {problem}; {repair}")
