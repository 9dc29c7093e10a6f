"""What is counted while the targets of a split, or of a shard of it, are written."""

from pathlib import Path

from auralign.data.rejected import Rejected
from auralign.progress import Progress

STRIPPED, CUT_OFF = "stripped of reasoning", "cut off (kept without an end of turn)"
WRITTEN, NO_CHOICE = "written", "utterances for which the method returns no choice"


class UtteranceCounter:
    """Tells a progress how many utterances are done, each of which may have none or many requests.

    Requests are read in windows of whole or begun utterances, and answered in any order: of a window, as large a share of the
    utterances is done as of the requests.
    """

    def __init__(self, progress: Progress):
        self.progress = progress
        self._end = 0

    def begin(self, num_read: int, *, num_asked: int, num_known: int) -> None:
        """A new window: the utterances read so far; its requests that are asked, and those that an earlier run has answered."""
        self.progress.update(self._end - self.progress.done)
        num_utts = num_read - self._end
        self.progress.skip(self._end + num_utts * num_known // max(1, num_asked + num_known))
        self._first, self._end = self.progress.done, num_read
        self._num_asked, self._num_answered = num_asked, 0
        if not num_asked:
            self.progress.update(num_read - self._first)

    def answer(self, count: int) -> None:
        """Count requests of the window as answered."""
        self._num_answered += count
        done = self._first + (self._end - self._first) * self._num_answered // max(1, self._num_asked)
        self.progress.update(done - self.progress.done)


def counts_path(path) -> Path:
    """What a shard has counted, beside its targets."""
    return Path(path).with_suffix(".counts.json")


def check_asked(method, num_unasked: int, num_utts: int, manifest) -> None:
    """Raise ValueError if a method returns no choice for any utterance of the manifest at this path."""
    if num_utts and num_unasked == num_utts:
        raise ValueError(
            f"method {method.name!r} returns no choice for any of the {num_utts} utterances of "
            f"{manifest}; for its requirements see: auralign methods {method.name}"
        )


def summarise(rejected: Rejected, counts: dict[str, int]) -> str:
    """One line about the targets of a split."""
    notes = [f"{count} {what}" for what, count in counts.items() if count and what != WRITTEN]
    return "; ".join(
        [
            f"{counts[WRITTEN]} targets",
            rejected.summary(num_kept=counts[WRITTEN]),
            *([", ".join(notes)] if notes else []),
        ]
    )
