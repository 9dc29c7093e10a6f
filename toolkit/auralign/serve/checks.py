"""The refusal of a request, and the checks of values in its JSON."""

from collections.abc import Callable
from typing import Any

from auralign.records import shorten
from auralign.text.characters import escape_halves, is_str


class RequestError(Exception):
    """A request that is refused, in the form of OpenAI's errors.

    Arguments
    ---------
    message : str
        The value, its place and the repair.
    status : int
        HTTP status; default 400.
    param : str, optional
        The field of the request, such as "messages[0].content".
    code : str, optional
        A name for programs, such as "model_not_found".
    """

    def __init__(self, message: str, *, status: int = 400, param: str | None = None, code: str | None = None):
        super().__init__(message)
        self.message, self.status, self.param, self.code = message, status, param, code

    def as_json(self) -> dict[str, Any]:
        """The body of the response."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        if self.status == 429:
            kind = "rate_limit_error"
        # Both may hold the name of a field as the client wrote it.
        message, param = (text and escape_halves(text) for text in (self.message, self.param))
        return {"error": {"message": message, "type": kind, "param": param, "code": self.code}}


def read_field(given: dict, name: str, fits: Callable[[Any], bool], expected: str) -> Any:
    """The value of a field, None if it is absent; raises RequestError if it does not fit."""
    value = given.get(name)
    if value is not None and not fits(value):
        raise RequestError(f"{name} is {show(value)}; give {expected}", param=name)
    return value


def is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def is_filled(value: Any) -> bool:
    return is_str(value) and value != ""


def is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any, low: float, high: float) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and low <= value <= high


def show(value: Any) -> str:
    return "nothing" if value is None else shorten(repr(value))
