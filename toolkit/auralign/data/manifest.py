"""Write a manifest of utterances whose audio was checked; rejected utterances are listed with their reason."""

import dataclasses
import hashlib
import math
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from auralign.data import tars
from auralign.data.audio import (
    OPPOSITE,
    SAMPLE_RATE,
    AudioError,
    check_rate,
    describe_audio,
    hear,
    may_hold_floats,
)
from auralign.data.rejected import Item, Listed, Note, Rejected, Rejection, noted_path, rejected_path
from auralign.files import PathLike
from auralign.progress import track
from auralign.records import Utterance, to_line, write_records

AVERAGED = "averaged over their channels"
SHORTER = "shorter than their file, of which nothing else is used"
AHEAD = 8  # utterances for each thread that are checked ahead of those that are written
TOLERANCE_SECONDS = 0.05  # a length may be rounded, or a segment end before its file, by this much


@dataclass
class Summary:
    """Numbers of utterances that were kept, rejected and noted; `str` formats them as one line."""

    path: Path
    num_kept: int = 0
    seconds: float = 0.0
    rejected: str = ""
    notes: Counter[str] = field(default_factory=Counter)
    listed: Path | None = None  # file that lists the utterances with a note
    verified: bool = True  # whether audio was read through

    def __str__(self) -> str:
        hours = f"{self.seconds / 3600:.2f} h" if self.seconds >= 360 else f"{self.seconds:.1f} s"
        notes = "".join(f"; {count} {note}" for note, count in sorted(self.notes.items()))
        notes += f"; odd audio is listed in {self.listed}" if self.listed else ""
        unread = "" if self.verified else "; headers only: no audio was read through"
        return f"{self.num_kept} utterances, {hours}, in {self.path}; {self.rejected}{notes}{unread}"


def write_manifest(
    path: PathLike,
    utterances: Iterable[Item],
    *,
    audio_folder: PathLike = "",
    limit: float = 0.01,
    max_seconds: float | None = None,
    verify: bool = True,
    num_threads: int | None = None,
) -> Summary:
    """Check every utterance's audio; write those that pass to `path`, and list the others in `<name>.rejected.jsonl`.

    Utterances that are kept although their audio is odd (silent, for example) are also listed in `<name>.noted.jsonl`.

    Arguments
    ---------
    path : Path
        The manifest to write. Its audio paths are relative to its folder.
    utterances : iterable of Utterance, Rejection or Note
        `audio` is absolute, as the readers of corpora give it, or relative to `audio_folder`; infinite `seconds` mean up to the
        end of the file. A document has neither audio nor seconds, but others. An utterance that names one that comes behind it is
        written last, and rejected if one of its others is not in the manifest. A Rejection is listed as rejected; a Note is
        shown in the summary.
    audio_folder : path, optional
        By default the working folder.
    limit : float
        Share of rejected utterances above which TooManyRejectedError is raised; see `Rejected`.
    max_seconds : float, optional
        Longer utterances are rejected; none by default.
    verify : bool
        Whether all audio is read. If not, finite `seconds` are trusted if the file exists, and infinite ones are read from the
        file's header. That is quick, but misses truncated files, and `audio_hash` is the file's size, which does not change if
        samples are replaced by others of the same size. Floats, whose range no header tells, are read all the same.
    num_threads : int, optional
        Threads that read audio; the manifest does not depend on their number. Default: with `verify` one for each core.

    Returns Summary.

    Raises RecordError if an id is used twice, TooManyRejectedError if too many utterances are rejected or none is kept.
    """
    rejected, noted = Rejected(limit=limit), Listed()
    summary = Summary(Path(path), verified=verify)
    shorter: dict[
        str, tuple[str, str]
    ] = {}  # audio path -> (id, both lengths) of an utterance that ends before its file
    users: Counter[int] = Counter()  # utterances of each audio file, by the hash of its path to save memory
    kept_ids: set[str] = set()
    waiting: list[Utterance] = []  # for others that may come

    manifest_folder = str(Path(path).parent)
    relative = _relative_to(manifest_folder)

    def check(item: Item) -> _Checked | None:
        if isinstance(item, Rejection | Note):
            return None
        file, inside = tars.split(os.path.join(audio_folder, item.audio))
        folder, name = os.path.split(file)
        audio = "" if item.is_document else relative(folder) + name
        if inside:
            audio += f"?{tars.locate(f'{file}?{inside}').inside}"
        return _check(item, manifest_folder, audio, max_seconds, verify)

    def sound() -> Iterator[Utterance]:
        checked = _in_order(check, utterances, (num_threads or _num_cores()) if verify else 1)
        total = len(utterances) if isinstance(utterances, Sized) else None
        for utterance, outcome in track(
            checked, f"prepare: checking {Path(path).stem}", unit="utterance", total=total
        ):
            if isinstance(utterance, Rejection):
                rejected.add(utterance.id, utterance.reason, utterance.detail)
                continue
            if isinstance(utterance, Note):
                summary.notes[utterance.text] += utterance.count
                continue
            try:
                utterance, changes, odd, whole_seconds = outcome()
            except AudioError as error:
                rejected.add(utterance.id, "bad audio", str(error))
            except _Unfit as error:
                rejected.add(utterance.id, *error.args)
            else:
                summary.notes.update(changes)
                for reason, detail in odd:
                    noted.add(utterance.id, reason, detail)
                audio = utterance.audio
                users[hash(audio)] += bool(audio)
                if audio and not utterance.start and utterance.seconds < whole_seconds - TOLERANCE_SECONDS:
                    shorter[audio] = utterance.id, f"{utterance.seconds:.2f} s of {whole_seconds:.2f} s"
                if not kept_ids.issuperset(utterance.others):
                    waiting.append(utterance)
                    continue
                kept_ids.add(utterance.id)
                summary.num_kept += 1
                summary.seconds += utterance.seconds
                yield utterance
        for utterance in _with_known_others(waiting, kept_ids, rejected):
            summary.num_kept += 1
            summary.seconds += utterance.seconds
            yield utterance
        # If several utterances share a recording, each is a part of it.
        for audio, (identity, detail) in shorter.items():
            if users[hash(audio)] == 1:
                noted.add(identity, SHORTER, detail)
        summary.notes.update(item["reason"] for item in noted.items)
        noted_path(path).unlink(missing_ok=True)
        if noted.items:
            summary.listed = noted_path(path)
            noted.write_list(summary.listed)
        # This raises before the manifest gets its name if too many are rejected.
        rejected.write(rejected_path(path), num_kept=summary.num_kept)

    write_records(path, sound(), kind=Utterance)
    summary.rejected = rejected.summary(num_kept=summary.num_kept)
    return summary


def _with_known_others(
    utterances: list[Utterance], kept_ids: set[str], rejected: Rejected
) -> list[Utterance]:
    """Those of which every other is kept, or is one of them; each rejected one may cause more."""
    while True:
        known = kept_ids.union(utterance.id for utterance in utterances)
        lost = {one.id: other for one in utterances for other in one.others if other not in known}
        if not lost:
            return utterances
        for identity, other in lost.items():
            rejected.add(identity, "names an utterance that is not in the manifest", other)
        utterances = [utterance for utterance in utterances if utterance.id not in lost]


class _Unfit(Exception):
    """An utterance that cannot be used: reason and detail."""


_Checked = tuple[Utterance, list[str], tuple[tuple[str, str], ...], float]  # what `_check` returns


def _in_order(
    check: Callable[[Item], _Checked | None], items: Iterable[Item], num_threads: int
) -> Iterator[tuple[Item, Callable[[], Any]]]:
    """Each item, in order, with a function that returns what `check` returned for it, or raises what it raised.

    Threads check a bounded number of items ahead: libsndfile, numpy and the hash release Python's lock.
    """
    if num_threads < 2:
        yield from ((item, partial(check, item)) for item in items)
        return
    waiting: deque[tuple[Item, Callable[[], Any]]] = deque()
    with ThreadPoolExecutor(num_threads, thread_name_prefix="auralign-check") as pool:
        try:
            for item in items:
                waiting.append((item, pool.submit(check, item).result))
                if len(waiting) >= AHEAD * num_threads:
                    yield waiting.popleft()
            yield from waiting
        finally:
            pool.shutdown(cancel_futures=True)


def _num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _relative_to(manifest_folder: str) -> Callable[[str], str]:
    """A function from a folder to its path relative to the manifest's folder, such as "../corpus/"; results are cached.

    Links are resolved first, as ".." after a link leads elsewhere.
    """
    base = os.path.realpath(manifest_folder)

    @lru_cache(maxsize=1024)
    def relative(folder: str) -> str:
        found = os.path.relpath(os.path.realpath(folder), base)
        return "" if found == os.curdir else found + os.sep

    return relative


def _check(
    utterance: Utterance, folder: str, audio: str, max_seconds: float | None, verify: bool
) -> "_Checked":
    """The utterance with its length and audio hash; how reading changes its audio; notes (reason, detail) about what is odd;
    and the seconds of its file, 0 if unknown.

    `audio` is relative to `folder`, the manifest's folder: the file is opened by the path that later stages use.

    Raises _Unfit or AudioError if the utterance cannot be used.
    """
    if not utterance.text.strip():
        raise _Unfit("no text", "")
    try:
        # The times are checked below: an infinite length means all of the file.
        (to_line(dataclasses.replace(utterance, start=0.0, seconds=0.0)) + audio).encode()
    except UnicodeEncodeError as error:
        raise _Unfit("text is not Unicode", ascii(error.object[error.start - 10 : error.end + 10])) from error
    except (TypeError, ValueError) as error:  # a date or a NaN among the labels
        raise _Unfit("label is not plain", str(error)) from error
    if utterance.id in utterance.others:
        raise _Unfit("names itself among its others", "")
    if len({*utterance.others}) < len(utterance.others):
        twice = max(utterance.others, key=utterance.others.count)
        raise _Unfit("names an utterance twice among its others", twice)
    if utterance.is_document:
        if not utterance.others or utterance.start or utterance.seconds:
            raise _Unfit(
                "no audio",
                "text without audio is a document: it has others that are heard, and no start or seconds",
            )
        return utterance, [], (), 0.0
    if not (utterance.start >= 0 and utterance.seconds > 0):  # NaN is neither
        raise _Unfit("times", f"starts at {utterance.start:g} s and lasts {utterance.seconds:g} s")
    path = os.path.join(folder, audio)
    size = _size(path)
    whole = math.isinf(utterance.seconds)
    seconds, there = utterance.seconds, 0.0
    facts: dict[str, bool] = {}
    odd: tuple[tuple[str, str], ...] = ()
    if whole or verify:
        there, rate, channels = describe_audio(path)
        check_rate(path, rate)
        seconds = there - utterance.start if whole else seconds
        facts[f"resampled to {SAMPLE_RATE} Hz"] = rate != SAMPLE_RATE
        facts[AVERAGED] = channels > 1
    if max_seconds is not None and seconds > max_seconds:  # before it is read: it may be a day long
        raise _Unfit(f"longer than {max_seconds:g} s", f"{seconds:.2f} s")
    if verify:
        checked = hear(path, start=utterance.start, seconds=None if whole else seconds)
        samples, odd, there = checked.samples, checked.notes, checked.file_seconds
        facts[AVERAGED] = channels > 1 and OPPOSITE not in dict(odd)
        digest = hashlib.blake2b(np.ascontiguousarray(samples).data, digest_size=8).hexdigest()
        seconds = len(samples) / SAMPLE_RATE if whole else seconds
    elif seconds <= 0:
        raise _Unfit("bad audio", f"{path}: holds no samples from {utterance.start:g} s on")
    else:
        if may_hold_floats(path):  # they have no range of their own: all that matter are read
            hear(path, start=utterance.start, seconds=None if whole else seconds)
        digest = f"{size} bytes"
    found = dataclasses.replace(utterance, audio=audio, seconds=seconds, audio_hash=digest)
    return found, [note for note, true in facts.items() if true], odd, there


def _size(path: str) -> int:
    """Bytes of a file; raises _Unfit if there is none."""
    try:
        return tars.size_of(path)
    except AudioError:
        raise
    except FileNotFoundError as error:
        raise _Unfit("no such file", path) from error
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise _Unfit("no such file", f"{path}: {getattr(error, 'strerror', error)}") from error
