"""What is counted while the targets of a split, or of a shard of it, are written."""

from pathlib import Path

from auralign.data.rejected import Rejected

STRIPPED, CUT_OFF = "stripped of reasoning", "cut off (kept without an end of turn)"
WRITTEN, NO_CHOICE = "written", "utterances for which the method returns no choice"


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
