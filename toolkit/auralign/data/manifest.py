"""Write a manifest of utterances whose every audio was read once; what is rejected is listed with its reason."""

import dataclasses
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from tqdm import tqdm

from auralign.data.audio import AudioError, audio_path, read_audio
from auralign.files import write_atomically
from auralign.records import Utterance, write_records


class TooManyRejectedError(ValueError):
    """More items were rejected than the recipe allows."""


class Rejected:
    """Collects the items that a stage leaves out, and writes them beside what it keeps.

    >>> rejected = Rejected(limit=0.5)
    >>> rejected.add("a", "no samples")
    >>> rejected.summary(num_kept=3)
    '1 of 4 rejected (no samples: 1)'
    """

    def __init__(self, *, limit: float):
        self.limit = limit
        self.items: list[dict] = []

    def add(self, identity: str, reason: str, detail: str = "") -> None:
        """Leave out one item. `reason` is counted; `detail` is only kept."""
        self.items.append({"id": identity, "reason": reason, **({"detail": detail} if detail else {})})

    def summary(self, *, num_kept: int) -> str:
        """One line: how many were rejected, and why."""
        reasons = ", ".join(
            f"{reason}: {count}" for reason, count in sorted(Counter(i["reason"] for i in self.items).items())
        )
        return f"{len(self.items)} of {num_kept + len(self.items)} rejected" + (
            f" ({reasons})" if reasons else ""
        )

    def write(self, path, *, num_kept: int) -> None:
        """Write the list, then raise TooManyRejectedError where it is longer than the limit, or nothing was kept."""
        with write_atomically(path) as file:
            for item in self.items:
                file.write(json.dumps(item, ensure_ascii=False) + "\n")
        num_all = num_kept + len(self.items)
        if self.items and len(self.items) > self.limit * num_all:
            raise TooManyRejectedError(
                f"{self.summary(num_kept=num_kept)}, more than the limit of {self.limit:.1%}; "
                f"reasons in {path}; mend the data, or raise the limit (max_rejected)"
            )
        if not num_kept:
            raise TooManyRejectedError(f"nothing was kept; see {path}")


def write_manifest(path, utterances: Iterable[Utterance], *, audio_folder, limit: float = 0.01) -> int:
    """Read every utterance's audio, write those that are sound to `path` and the others to `<name>.rejected.jsonl`.

    Arguments
    ---------
    path : Path
        Of the manifest. What it says of audio is relative to its folder.
    utterances : iterable of Utterance
        With `audio` relative to `audio_folder`.
    audio_folder : Path
    limit : float
        Share of rejected utterances above which TooManyRejectedError is raised.

    Returns the number of utterances kept. Raises RecordError on an id used twice.
    """
    rejected = Rejected(limit=limit)
    num_kept = 0

    def sound() -> Iterator[Utterance]:
        nonlocal num_kept
        for utterance in tqdm(
            utterances, desc=f"checking {Path(path).stem}", unit="utt", disable=None, leave=False
        ):
            audio = os.path.relpath(Path(audio_folder) / utterance.audio, Path(path).parent)
            utterance = dataclasses.replace(utterance, audio=audio)
            try:
                samples = read_audio(
                    audio_path(path, utterance), start=utterance.start, seconds=utterance.seconds
                )
            except AudioError as error:
                rejected.add(utterance.id, "bad audio", str(error))
                continue
            num_kept += 1
            yield dataclasses.replace(
                utterance, audio_hash=hashlib.blake2b(samples.tobytes(), digest_size=8).hexdigest()
            )
        # Before the manifest gets its name: one with too much left out never stands there.
        rejected.write(rejected_path(path), num_kept=num_kept)

    write_records(path, sound(), kind=Utterance)
    return num_kept


def rejected_path(path) -> Path:
    """Beside `train.jsonl` stands `train.rejected.jsonl`."""
    return Path(path).with_suffix(".rejected.jsonl")
