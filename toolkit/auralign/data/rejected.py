"""Items that a stage rejects, or keeps although they are odd: counted by reason and listed in files."""

import json
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from auralign.files import PathLike, write_atomically
from auralign.records import Utterance, shorten

# Up to three items may be rejected whatever the limit (one of 29 is more than 1 %), but at most a quarter of all.
ALWAYS_ALLOWED, ALWAYS_ALLOWED_SHARE = 3, 0.25

REPAIR = "mend the data, or raise the limit (max_rejected of the recipe's YAML; of auralign prepare --max-rejected)"


class TooManyRejectedError(ValueError):
    """More items were rejected than the recipe allows."""


class Listed:
    """Items and the problem of each: counted by reason, and listed in a file.

    >>> listed = Listed()
    >>> listed.add("a", "no samples")
    >>> listed.reasons()
    'no samples: 1'
    """

    def __init__(self) -> None:
        self.items: list[dict[str, str]] = []

    def add(self, identity: str, reason: str, detail: str = "") -> None:
        """List one item. Items are counted by `reason`; `detail` is stored."""
        self.items.append({"id": identity, "reason": reason, **({"detail": detail} if detail else {})})

    def reasons(self) -> str:
        """Each reason and its number of items, as text."""
        counts = Counter(item["reason"] for item in self.items)
        return ", ".join(f"{reason}: {count}" for reason, count in sorted(counts.items()))

    def first(self) -> str:
        """The first item and its problem, as text."""
        first = self.items[0]
        return f"{shorten(first['id'])} ({shorten(first.get('detail') or first['reason'])})"

    def write_list(self, path: PathLike) -> None:
        """Write the list, one JSON object a line."""
        with write_atomically(path) as file:
            for item in self.items:
                line = json.dumps(item, ensure_ascii=False) + "\n"
                file.write(line.encode("utf-8", "backslashreplace").decode())  # ids too may be broken


class Rejected(Listed):
    """The items that a stage rejects; written beside the file of those that it keeps.

    Arguments
    ---------
    limit : float
        Share of all items, 0 to 1. If more are rejected, `write` stops the stage; up to three are always allowed, but never more
        than a quarter of all. 0 allows none.

    >>> rejected = Rejected(limit=0.5)
    >>> rejected.add("a", "no samples")
    >>> rejected.summary(num_kept=3)
    '1 of 4 rejected (no samples: 1)'
    """

    def __init__(self, *, limit: float):
        super().__init__()
        self.limit = limit
        self.left_out = Listed()

    def leave_out(self, identity: str, reason: str, detail: str = "") -> None:
        """List an item that the recipe leaves out on purpose: it is counted and written, and no part of the limit."""
        self.left_out.add(identity, reason, detail)

    def summary(self, *, num_kept: int) -> str:
        """One line: how many were rejected, and why."""
        number = len(self.left_out.items)
        return (
            f"{len(self.items)} of {num_kept + len(self.items)} rejected"
            + (f" ({self.reasons()})" if self.items else "")
            + (f"; {number} left out by the recipe ({self.left_out.reasons()})" if number else "")
        )

    def num_allowed(self, num_all: int) -> int:
        """How many of `num_all` items may be rejected.

        >>> rejected = Rejected(limit=0.01)
        >>> [rejected.num_allowed(num_all) for num_all in (3, 4, 29, 400, 1000)], Rejected(limit=0).num_allowed(29)
        ([0, 1, 3, 4, 10], 0)
        """
        few = min(ALWAYS_ALLOWED, int(ALWAYS_ALLOWED_SHARE * num_all)) if self.limit else 0
        return max(few, math.floor(self.limit * num_all)) if self.limit < 1 else num_all

    def write(self, path: PathLike, *, num_kept: int, repair: str = REPAIR) -> None:
        """Write the list.

        Arguments
        ---------
        path : path
        num_kept : int
            Number of the items that were not rejected.
        repair : str
            What the error advises; default: to mend the data or raise the limit.

        Raises
        ------
        TooManyRejectedError
            If more items were rejected than allowed, or nothing was kept. A list at `path` from an earlier run then remains,
            as it belongs to that run's output, and the new list is written to `<name>.stopped.jsonl`.
        """
        path, num_all = Path(path), num_kept + len(self.items)
        too_many = len(self.items) > self.num_allowed(num_all)
        stopped = path.with_suffix(".stopped.jsonl")
        if (too_many or not num_kept) and path.exists():
            path = stopped
        else:
            stopped.unlink(missing_ok=True)
        both = Listed()
        both.items = self.items + self.left_out.items
        both.write_list(path)
        if too_many:
            raise TooManyRejectedError(
                f"{self.summary(num_kept=num_kept)}, more than the limit of {self.limit:.1%}; the first is "
                f"{self.first()}; reasons in {path}; {repair}"
            )
        if not num_kept:
            raise TooManyRejectedError(f"nothing was kept: {self.summary(num_kept=0)}; see {path}")


@dataclass(frozen=True)
class Rejection:
    """A row or file of a corpus that its reader cannot turn into an utterance; it is listed as rejected."""

    id: str
    reason: str  # rejections are counted by it
    detail: str = ""


@dataclass(frozen=True)
class Note:
    """A remark by the reader of a corpus, shown in the summary as "3 silent"; it rejects nothing."""

    text: str
    count: int = 1


Item = Utterance | Rejection | Note  # what the reader of a corpus yields


def noted_path(path: PathLike) -> Path:
    """`train.noted.jsonl` beside `train.jsonl`."""
    return Path(path).with_suffix(".noted.jsonl")


def rejected_path(path: PathLike) -> Path:
    """`train.rejected.jsonl` beside `train.jsonl`."""
    return Path(path).with_suffix(".rejected.jsonl")
