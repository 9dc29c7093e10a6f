"""The time of each word: read from existing alignments and matched to the words of a transcript.

    >>> timed = [("three", 0.2, 0.5), ("five", 0.5, 0.9)]
    >>> match_words("Three, five!", timed, seconds=1.0)
    (('Three,', 0.2, 0.5), ('five!', 0.5, 0.9))

Times are in seconds from the utterance's start. Silence is left out. `<unk>`, the label of a word that the aligner does not
know, is kept and matches any word of the transcript.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from auralign.files import PathLike
from auralign.records import RecordError
from auralign.text.words import plain

UNKNOWN = "<unk>"
# Labels of intervals without a word; `spn` is spoken noise, such as a cough.
SILENCE = frozenset(("", "sil", "<sil>", "sp", "spn", "<eps>"))
# Aligners round to steps of 10 ms: an end this far after the audio's, or an overlap this long, is clipped.
TOLERANCE_SECONDS = 0.05

Timed = list[tuple[str, float, float]]


class NoWordTimes(Exception):
    """The alignment does not fit the utterance: a reason, by which such cases are counted, and a detail."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


def match_words(text: str, timed: Timed, *, seconds: float) -> tuple[tuple[str, float, float], ...]:
    """The words of a transcript, as `text.split()` gives them, with the times of an alignment.

    Case and punctuation are ignored. A word that the alignment holds in parts (well-known: well, known) spans all of them; a word
    of punctuation alone has no duration, at the end of the word before it.

    Arguments
    ---------
    text : str
    timed : list of (str, float, float)
        Word, start and end in seconds, in the order of the words.
    seconds : float
        Length of the utterance.

    Returns a tuple of (word, start, end).

    Raises
    ------
    NoWordTimes : if the words differ ("other words") or there are none ("no words"); if a word ends before it starts, starts
        before the previous word ends, or ends after the audio, by more than rounding explains ("times").
    """
    aligned = [(UNKNOWN if word == UNKNOWN else plain(word), start, end) for word, start, end in timed]
    aligned = [item for item in aligned if item[0]]
    if not aligned:
        raise NoWordTimes("no words", "the alignment holds silence alone")
    found, index = [], 0
    for number, word in enumerate(text.split(), start=1):
        wanted, first, said = plain(word), index, ""
        while said != wanted and wanted.startswith(said) and index < len(aligned):
            part = aligned[index][0]
            said = wanted if part == UNKNOWN and not said else said + part
            index += 1
        if said != wanted:
            there = "ends before it" if first == len(aligned) else f"has {aligned[first][0]!r}"
            raise NoWordTimes("other words", f"word {number} is {word!r}, but the alignment {there}")
        if index > first:
            found.append((word, aligned[first][1], aligned[index - 1][2]))
        else:
            end = found[-1][2] if found else 0.0
            found.append((word, end, end))
    if index < len(aligned):
        raise NoWordTimes(
            "other words", f"the alignment continues after the text, with {aligned[index][0]!r}"
        )
    return tuple(_mend(found, seconds))


def _mend(words: Timed, seconds: float) -> Iterator[tuple[str, float, float]]:
    """The words with rounded times clipped to be in order; raises NoWordTimes("times") if rounding does not explain them."""
    before = 0.0
    for word, start, end in words:
        if not start <= end:  # NaN is neither
            raise NoWordTimes("times", f"{word!r} starts at {start:g} s and ends at {end:g} s")
        if start < before - TOLERANCE_SECONDS:
            raise NoWordTimes(
                "times", f"{word!r} starts at {start:g} s, what is before it ends at {before:g} s"
            )
        if end > seconds + TOLERANCE_SECONDS:
            raise NoWordTimes("times", f"{word!r} ends at {end:g} s, the audio at {seconds:g} s")
        start = min(max(start, before), seconds)
        before = min(max(start, end), seconds)
        yield word, start, before


def read_textgrid(path: PathLike, tier: str = "words") -> Timed:
    """Read the words of a Praat TextGrid: a text file in the long or the short form, in UTF-8 or UTF-16.

    Arguments
    ---------
    path : path
    tier : str
        Name of an interval tier, or what follows " - " in it: "words" also finds "speaker - words".

    Returns a list of (word, start, end) in seconds, without silence.

    Raises RecordError, which names file and line, if the file is broken or does not have exactly one such tier.
    """
    tiers = _read_tiers(_Values(path))
    names = [name for name in tiers if name == tier or name.endswith(f" - {tier}")]
    if len(names) != 1:
        problem = f"{len(names)} tiers {tier!r}" if names else f"no tier {tier!r}"
        raise RecordError(
            f"{path}: has {problem}; say which holds the words: --tier NAME (tiers are {', '.join(tiers) or 'none'})"
        )
    intervals = tiers[names[0]]
    if intervals is None:
        raise RecordError(f"{path}: the tier {names[0]!r} holds points; words need intervals")
    return without_silence(intervals)


def without_silence(intervals: Timed) -> Timed:
    """The intervals that hold a word."""
    found = []
    for label, start, end in intervals:
        word = label.strip()
        if word.casefold() not in SILENCE:
            found.append((UNKNOWN if word.casefold() == UNKNOWN else word, start, end))
    return found


# The long form only adds names around the values (`xmin = 0`, `intervals [1]:`), which are skipped: a value is a token of its
# own. `!` begins a comment.
TOKEN = re.compile(
    r"""
    "(?P<text>(?:[^"]|"")*)"
    | (?P<flag><exists>|<absent>)(?!\S)
    | (?P<number>[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)(?!\S)
    | (?P<quote>")
    | !.*
    | [^\s"]+
    """,
    re.VERBOSE,
)


class _Values:
    """The values of a TextGrid, one by one; a RecordError names the file and line of an unexpected one."""

    def __init__(self, path: PathLike) -> None:
        self.path, self.text = path, _decode(path)
        self.matches = (match for match in TOKEN.finditer(self.text) if match.lastgroup)
        self.position = 0  # of the last value, in characters from the start

    def take(self, kind: str) -> str:
        """The next value, which is a "text", a "number" or a "flag"."""
        match = next(self.matches, None)
        self.position = match.start() if match else len(self.text)
        if match is None or match.lastgroup != kind:
            found = repr(match[0][:40]) if match else "the end"
            found = "a quote that is not closed" if match and match.lastgroup == "quote" else found
            self.fail(f"expected a {kind}, found {found}")
        return match[kind].replace('""', '"')

    def numbers(self, count: int) -> list[float]:
        return [float(self.take("number")) for _ in range(count)]

    def size(self) -> int:
        found = self.take("number")
        if not found.isdigit():
            self.fail(f"expected how many follow, found {found}")
        return int(found)

    def fail(self, problem: str) -> NoReturn:
        line = self.text.count("\n", 0, self.position) + 1
        raise RecordError(
            f"{self.path}:{line}: not a whole TextGrid: {problem}; write it again, as a text file"
        )


def _decode(path: PathLike) -> str:
    raw = Path(path).read_bytes()
    encoding = "utf-16" if raw[:2] in (b"\xfe\xff", b"\xff\xfe") else "utf-8-sig"
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise RecordError(
            f"{path}: not {encoding.removesuffix('-sig').upper()} ({error.reason} at byte {error.start}); save it as a text "
            "file in UTF-8"
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _read_tiers(values: _Values) -> dict[str, Timed | None]:
    """Tier name -> list of (label, start, end), or None if it is a tier of points."""
    form, what = values.take("text"), values.take("text")
    if not (form.startswith("ooTextFile") and what == "TextGrid"):
        values.fail(f"its head says {form!r}, {what!r}")
    values.numbers(2)
    tiers: dict[str, Timed | None] = {}
    for _ in range(values.size() if values.take("flag") == "<exists>" else 0):
        kind = values.take("text")
        if kind not in ("IntervalTier", "TextTier"):
            values.fail(f"a tier of the kind {kind!r}")
        name = values.take("text")
        if name in tiers:
            values.fail(f"a second tier {name!r}")
        values.numbers(2)
        intervals: Timed = []
        for _ in range(values.size()):
            start, *end = values.numbers(2 if kind == "IntervalTier" else 1)
            label = values.take("text")
            intervals += [(label, start, end[0])] if end else []
        tiers[name] = intervals if kind == "IntervalTier" else None
    behind = next(values.matches, None)
    if behind is not None:
        values.position = behind.start()
        values.fail(f"{behind[0][:40]!r} behind the last of what it announces")
    return tiers
