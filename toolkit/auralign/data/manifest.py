"""Write a manifest of utterances whose audio was looked into once; what is rejected is listed with its reason."""

import dataclasses
import hashlib
import json
import math
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from tqdm import tqdm

from auralign.data.audio import OPPOSITE, SAMPLE_RATE, AudioError, describe_audio, hear
from auralign.files import write_atomically
from auralign.records import Utterance, shorten, to_line, write_records

ACCOUNT = "corpus.json"  # in a recipe's data folder: what stage 1 was told, and what it made


# So many items may be rejected whatever the share, as one bad clip of 29 is more than 1 %; but not more than this part of all.
ALWAYS_ALLOWED, ALWAYS_ALLOWED_SHARE = 3, 0.25


class TooManyRejectedError(ValueError):
    """More items were rejected than the recipe allows."""


AVERAGED = "averaged over their channels"
SHORTER = "shorter than their file, of which nothing else is used"
TOLERANCE_SECONDS = 0.05  # by which a length is rounded, or a segment ends before its file


class Listed:
    """Items with what is wrong with them: counted by reason, and listed in a file.

    >>> listed = Listed()
    >>> listed.add("a", "no samples")
    >>> listed.reasons()
    'no samples: 1'
    """

    def __init__(self):
        self.items: list[dict] = []

    def add(self, identity: str, reason: str, detail: str = "") -> None:
        """List one item. `reason` is counted; `detail` is only kept."""
        self.items.append({"id": identity, "reason": reason, **({"detail": detail} if detail else {})})

    def reasons(self) -> str:
        """Each reason, and how many items have it."""
        counts = Counter(item["reason"] for item in self.items)
        return ", ".join(f"{reason}: {count}" for reason, count in sorted(counts.items()))

    def first(self) -> str:
        """The first item, and what is wrong with it."""
        first = self.items[0]
        return f"{shorten(first['id'])} ({shorten(first.get('detail') or first['reason'])})"

    def write_list(self, path) -> None:
        """Write the list, one JSON object a line."""
        with write_atomically(path) as file:
            for item in self.items:
                line = json.dumps(item, ensure_ascii=False) + "\n"
                file.write(line.encode("utf-8", "backslashreplace").decode())  # ids too may be broken


class Rejected(Listed):
    """Collects the items that a stage leaves out, and writes them beside what it keeps.

    More than the share `limit` of all items stop the stage. Up to three never do, unless they are more than a quarter of all, or
    the limit is 0.

    >>> rejected = Rejected(limit=0.5)
    >>> rejected.add("a", "no samples")
    >>> rejected.summary(num_kept=3)
    '1 of 4 rejected (no samples: 1)'
    """

    def __init__(self, *, limit: float):
        super().__init__()
        self.limit = limit

    def summary(self, *, num_kept: int) -> str:
        """One line: how many were rejected, and why."""
        return f"{len(self.items)} of {num_kept + len(self.items)} rejected" + (
            f" ({self.reasons()})" if self.items else ""
        )

    def num_allowed(self, num_all: int) -> int:
        """How many of so many items may be rejected.

        >>> rejected = Rejected(limit=0.01)
        >>> [rejected.num_allowed(num_all) for num_all in (3, 4, 29, 400, 1000)], Rejected(limit=0).num_allowed(29)
        ([0, 1, 3, 4, 10], 0)
        """
        few = min(ALWAYS_ALLOWED, int(ALWAYS_ALLOWED_SHARE * num_all)) if self.limit else 0
        return max(few, math.floor(self.limit * num_all)) if self.limit < 1 else num_all

    def write(self, path, *, num_kept: int) -> None:
        """Write the list.

        Raises
        ------
        TooManyRejectedError
            If the list is longer than is allowed, or nothing was kept. If there is a list of an earlier run at `path`, it
            stays there, beside what that run kept, and the new one is written to `<name>.stopped.jsonl`.
        """
        path, num_all = Path(path), num_kept + len(self.items)
        too_many = len(self.items) > self.num_allowed(num_all)
        stopped = path.with_suffix(".stopped.jsonl")
        if (too_many or not num_kept) and path.exists():
            path = stopped
        else:
            stopped.unlink(missing_ok=True)
        self.write_list(path)
        if too_many:
            raise TooManyRejectedError(
                f"{self.summary(num_kept=num_kept)}, more than the limit of {self.limit:.1%}; the first is "
                f"{self.first()}; reasons in {path}; mend the data, or raise the limit "
                "(max_rejected of the recipe's YAML; of auralign prepare --max-rejected)"
            )
        if not num_kept:
            raise TooManyRejectedError(f"nothing was kept; see {path}")


@dataclass(frozen=True)
class Rejection:
    """What the reader of a corpus found there and cannot make an utterance of; listed as the rejected are."""

    id: str
    reason: str  # is counted
    detail: str = ""


@dataclass(frozen=True)
class Note:
    """Something else that the reader of a corpus found: told in the summary, as "3 silent"; nothing is rejected by it."""

    text: str
    count: int = 1


Item = Utterance | Rejection | Note  # what the reader of a corpus gives


@dataclass
class Summary:
    """What became of a source: shown as one line."""

    path: Path
    num_kept: int = 0
    seconds: float = 0.0
    rejected: str = ""
    notes: Counter = field(default_factory=Counter)
    listed: Path | None = None  # where those are listed by name that have a note
    verified: bool = True  # whether whole files were read

    def __str__(self):
        hours = f"{self.seconds / 3600:.2f} h" if self.seconds >= 360 else f"{self.seconds:.1f} s"
        notes = "".join(f"; {count} {note}" for note, count in sorted(self.notes.items()))
        notes += f"; what is odd is listed in {self.listed}" if self.listed else ""
        unread = "" if self.verified else "; headers only: no audio was read through"
        return f"{self.num_kept} utterances, {hours}, in {self.path}; {self.rejected}{notes}{unread}"


def write_manifest(
    path,
    utterances: Iterable[Item],
    *,
    audio_folder,
    limit: float = 0.01,
    max_seconds: float | None = None,
    verify: bool = True,
) -> Summary:
    """Look into every utterance's audio, write those that are sound to `path`, the others to `<name>.rejected.jsonl`.

    What is kept and sounds odd, such as silence, is listed in `<name>.noted.jsonl`, if there is any.

    Arguments
    ---------
    path : Path
        Of the manifest. What it says of audio is relative to its folder.
    utterances : iterable of Utterance
        With `audio` relative to `audio_folder`; infinite `seconds` reach to the end of the file, and are measured. A
        Rejection among them is listed with the others, a Note told in the summary.
    audio_folder : Path
    limit : float
        Share of rejected utterances above which TooManyRejectedError is raised, as `Rejected` says.
    max_seconds : float, optional
        Longer utterances are rejected.
    verify : bool
        Whether audio is read through. Otherwise an utterance whose `seconds` its reader measured is taken at its word, where
        the file is there, and infinite ones are measured by the header: quick, but it does not show that a file was cut, nor,
        as `audio_hash` is then the file's size, that its samples were exchanged for others of the same size.

    Raises RecordError on an id used twice.
    """
    rejected, noted = Rejected(limit=limit), Listed()
    summary = Summary(Path(path), verified=verify)
    shorter: dict[str, tuple[str, str]] = {}  # audio of which a first part is an utterance, and which one
    users: Counter = Counter()  # utterances of these

    def sound() -> Iterator[Utterance]:
        manifest_folder = str(Path(path).parent)
        relative = _relative_to(manifest_folder)
        for utterance in tqdm(
            utterances, desc=f"checking {Path(path).stem}", unit="utt", disable=None, leave=False
        ):
            if isinstance(utterance, Rejection):
                rejected.add(utterance.id, utterance.reason, utterance.detail)
                continue
            if isinstance(utterance, Note):
                summary.notes[utterance.text] += utterance.count
                continue
            folder, name = os.path.split(os.path.join(audio_folder, utterance.audio))
            audio = relative(folder) + name
            try:
                utterance, changes, odd, whole_seconds = _check(
                    utterance, manifest_folder, audio, max_seconds, verify
                )
            except AudioError as error:
                rejected.add(utterance.id, "bad audio", str(error))
            except _Unfit as error:
                rejected.add(utterance.id, *error.args)
            else:
                summary.num_kept += 1
                summary.seconds += utterance.seconds
                summary.notes.update(changes)
                for reason, detail in odd:
                    noted.add(utterance.id, reason, detail)
                users[audio] += 1
                if not utterance.start and utterance.seconds < whole_seconds - TOLERANCE_SECONDS:
                    shorter[audio] = utterance.id, f"{utterance.seconds:.2f} s of {whole_seconds:.2f} s"
                yield utterance
        # Of a recording that several utterances share, each is a part.
        for audio, (identity, detail) in shorter.items():
            if users[audio] == 1:
                noted.add(identity, SHORTER, detail)
        summary.notes.update(item["reason"] for item in noted.items)
        noted_path(path).unlink(missing_ok=True)
        if noted.items:
            summary.listed = noted_path(path)
            noted.write_list(summary.listed)
        # Before the manifest gets its name: one with too much left out never stands there.
        rejected.write(rejected_path(path), num_kept=summary.num_kept)

    write_records(path, sound(), kind=Utterance)
    summary.rejected = rejected.summary(num_kept=summary.num_kept)
    return summary


class _Unfit(Exception):
    """An utterance that cannot be used: reason and detail."""


def _relative_to(manifest_folder: str) -> Callable[[str], str]:
    """A function that tells where a folder is from the manifest's, as "../corpus/"; worked out once for all of its files.

    Of real folders: with a link on the way, ".." leads elsewhere.
    """
    base = os.path.realpath(manifest_folder)

    @lru_cache(maxsize=1024)
    def relative(folder: str) -> str:
        found = os.path.relpath(os.path.realpath(folder), base)
        return "" if found == os.curdir else found + os.sep

    return relative


def _check(
    utterance: Utterance, folder: str, audio: str, max_seconds: float | None, verify: bool
) -> tuple[Utterance, list[str], tuple[tuple[str, str], ...], float]:
    """The utterance with its length measured and its audio hashed; how reading changed it; what is odd in it, with its
    detail; and the seconds of its file, 0 where they are not known.

    `audio` is relative to `folder`, the manifest's: it is looked into by the path that later stages take.
    """
    if not utterance.text.strip():
        raise _Unfit("no text", "")
    try:
        (to_line(utterance) + audio).encode()
    except UnicodeEncodeError as error:
        raise _Unfit("text is not Unicode", ascii(error.object[error.start - 10 : error.end + 10])) from error
    except TypeError as error:  # a date among the labels
        raise _Unfit("label is not plain", str(error)) from error
    if not (utterance.start >= 0 and utterance.seconds > 0):  # NaN is neither
        raise _Unfit("times", f"starts at {utterance.start:g} s and lasts {utterance.seconds:g} s")
    path = os.path.join(folder, audio)
    size = _size(path)
    whole = math.isinf(utterance.seconds)
    seconds, facts, odd, there = utterance.seconds, {}, (), 0.0
    if whole or verify:
        there, rate, channels = describe_audio(path)
        seconds = there - utterance.start if whole else seconds
        facts[f"resampled to {SAMPLE_RATE} Hz"] = rate != SAMPLE_RATE
        facts[AVERAGED] = channels > 1
    if max_seconds is not None and seconds > max_seconds:  # before it is read: it may be a day long
        raise _Unfit(f"longer than {max_seconds:g} s", f"{seconds:.2f} s")
    if verify:
        heard = hear(path, start=utterance.start, seconds=None if whole else seconds)
        samples, odd, there = heard.samples, heard.notes, heard.file_seconds
        facts[AVERAGED] = channels > 1 and OPPOSITE not in dict(odd)
        digest = hashlib.blake2b(samples.tobytes(), digest_size=8).hexdigest()
        seconds = len(samples) / SAMPLE_RATE if whole else seconds
    elif seconds <= 0:
        raise _Unfit("bad audio", f"{path}: holds no samples from {utterance.start:g} s on")
    else:
        digest = f"{size} bytes"
    found = dataclasses.replace(utterance, audio=audio, seconds=seconds, audio_hash=digest)
    return found, [note for note, true in facts.items() if true], odd, there


def _size(path: str) -> int:
    """Bytes of a file; raises _Unfit where there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError as error:
        raise _Unfit("no such file", path) from error
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise _Unfit("no such file", f"{path}: {getattr(error, 'strerror', error)}") from error
    if not stat.S_ISREG(found.st_mode):
        raise _Unfit("no such file", f"{path}: not a file")
    return found.st_size


def noted_path(path) -> Path:
    """Beside `train.jsonl` stands `train.noted.jsonl`, if there is something in it."""
    return Path(path).with_suffix(".noted.jsonl")


def rejected_path(path) -> Path:
    """Beside `train.jsonl` stands `train.rejected.jsonl`."""
    return Path(path).with_suffix(".rejected.jsonl")
