"""LibriSpeech as utterances, from the folder of its release; mini_librispeech has the same form.

    LibriSpeech/SPEAKERS.TXT                                    84   | F | dev-clean        |  8.02 | Christie Nowak
    LibriSpeech/dev-clean/84/121123/84-121123.trans.txt         84-121123-0000 GO DO YOU HEAR
    LibriSpeech/dev-clean/84/121123/84-121123-0000.flac
    LibriSpeech/dev-clean/84/121123/84-121123.alignment.txt     if word times were added

Anything else in the folder is yielded as a Rejection or a Note, which `write_manifest` reports.
"""

import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from auralign.data.audio import AudioError, describe_audio, read_audio
from auralign.data.rejected import Item, Note, Rejection
from auralign.data.sources.text_files import no_newline
from auralign.data.word_times import NoWordTimes, Timed, match_words, without_silence
from auralign.records import RecordError, Utterance, shorten

# Utterances of each subset. An incompletely unpacked release lacks whole readers, which no rejection would show.
PUBLISHED = {
    "train-clean-100": 28_539,
    "train-clean-360": 104_014,
    "train-other-500": 148_688,
    "dev-clean": 2_703,
    "dev-other": 2_864,
    "test-clean": 2_620,
    "test-other": 2_939,
}
MINI = ("train-clean-5", "dev-clean-2")  # the subsets of mini_librispeech
GENDERS = {"F": "female", "M": "male"}
AUDIO, TRANSCRIPT, ALIGNMENT = ".flac", ".trans.txt", ".alignment.txt"
ID = re.compile(r"(\d+-\d+)-\d+")
ALIGNMENT_LINE = re.compile(r'(\S+)\s+"([^"]*)"\s+"([^"]*)"')


def read_librispeech(
    folder, subset: str, *, verify: bool = False, num_threads: int = 8
) -> Iterator[Utterance | Rejection | Note]:
    """Yield the utterances of a subset, ordered by reader, chapter and line; the speaker is the reader.

    Rejected are: a line without its file ("no such file"), a file without its line ("no line"), a line that does not begin with
    an id ("broken line") or whose id belongs to another chapter or was used before, and a file without a header ("bad audio").
    If a chapter has an alignment, its utterances get word times; if these do not match, () and a Note with the reason.

    Arguments
    ---------
    folder : path
        The folder LibriSpeech of the release.
    subset : str
        Such as "train-clean-100", or "dev-clean-2" of mini_librispeech.
    verify : bool
        Whether whole files are read. By default only the header is, which gives the seconds but does not reveal a truncated
        file; `write_manifest` reads whole files by default.
    num_threads : int
        Number of chapters that are read in parallel.

    Raises FileNotFoundError if the subset or SPEAKERS.TXT does not exist; RecordError if SPEAKERS.TXT or an alignment is broken.
    """
    folder = Path(folder)
    if not (folder / subset).is_dir():
        there = sorted(path.name for path in folder.glob("*") if path.is_dir())
        raise FileNotFoundError(
            f"no folder {folder / subset}; give the folder LibriSpeech of the release, and one of its subsets (there: "
            f"{', '.join(there) or 'none'})"
        )
    genders = read_genders(folder / "SPEAKERS.TXT")
    num_aligned = num_without = 0
    with ThreadPoolExecutor(num_threads) as pool:
        chapters = (
            (folder, subset, Path(path), names, verify) for path, names in _walk_chapters(folder / subset)
        )
        for chapter in _in_batches(pool, _look_into, chapters, size=num_threads):
            reader = chapter.path.parent.name
            attributes = {"gender": genders[reader]} if reader in genders else {}
            chapter_folder = os.path.abspath(chapter.path)
            yield from chapter.others
            for identity, text, seconds in chapter.measured:
                if isinstance(seconds, AudioError):
                    yield Rejection(identity, "bad audio", str(seconds))
                    continue
                words = None
                if chapter.timed is None:
                    num_without += 1
                else:
                    num_aligned += 1
                    try:
                        words = _match(identity, text, chapter.timed, seconds)
                    except NoWordTimes as error:
                        words = ()
                        yield Note(f"without word times ({error.reason})")
                if reader not in genders:
                    yield Note("of readers that SPEAKERS.TXT does not list")
                yield Utterance(
                    id=identity,
                    audio=f"{chapter_folder}/{identity}{AUDIO}",
                    seconds=seconds,
                    text=text,
                    language="en",
                    speaker=reader,
                    attributes=dict(attributes),
                    words=words,
                )
    if num_aligned and num_without:
        yield Note("without word times (no alignment of the chapter)", num_without)


@dataclass(frozen=True)
class _Chapter:
    """The content of one folder."""

    path: Path
    measured: list[tuple[str, str, float | AudioError]]  # id, text, and seconds or the error
    others: list[Item]
    timed: dict[str, Timed] | None


def _walk_chapters(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield every folder below `folder`, sorted, with its file names."""
    for path, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        yield path, sorted(names)


def _in_batches(
    pool: ThreadPoolExecutor, function: Callable, calls: Iterator[tuple], *, size: int
) -> Iterator:
    """Yield the results of `function(*call)` in the order of the calls, computed in batches of `size`.

    A batch is complete before its first result is used: as only one thread runs Python at a time, readers that run beside the
    writer of the manifest would halve its speed.
    """
    while batch := list(islice(calls, size)):
        yield from [future.result() for future in [pool.submit(function, *call) for call in batch]]


def _look_into(folder: Path, subset: str, path: Path, names: list[str], verify: bool) -> _Chapter:
    """Read one chapter and the lengths of its files."""
    is_chapter = len(path.relative_to(folder / subset).parts) == 2
    measured, others = [], []
    for item in _read_chapter(path, names, is_chapter=is_chapter):
        if isinstance(item, tuple):
            identity, text = item
            measured.append((identity, text, _measure(f"{path}/{identity}{AUDIO}", verify)))
        else:
            others.append(item)
    return _Chapter(path, measured, others, _read_alignment(path))


def _read_chapter(chapter: Path, names: list[str], *, is_chapter: bool) -> Iterator[tuple[str, str] | Item]:
    """Yield (id, text) of the lines that have a file, and a Rejection or Note for everything else."""
    name = f"{chapter.parent.name}-{chapter.name}"
    audio = {item.removesuffix(AUDIO) for item in names if item.endswith(AUDIO) and not item.startswith("._")}
    ours = {name + TRANSCRIPT, name + ALIGNMENT} if is_chapter else set()
    for item in names:
        if item.startswith("._"):  # metadata that macOS stores beside a file
            yield Note("files of macOS (._*) ignored")
        elif not item.endswith(AUDIO) and item not in ours:
            yield Note("files of other kinds ignored")
    path, listed = chapter / (name + TRANSCRIPT), set()
    if is_chapter and path.name in names:
        # Read as bytes: a line that is not UTF-8 keeps its id and is rejected under it.
        content = path.read_bytes().removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
        lines = content.split("\n")
        for number, line in enumerate(lines, start=1):
            position = f"{path}:{number}"
            identity, *rest = line.split(None, 1) or [""]
            if not identity:
                continue
            match = ID.fullmatch(identity)
            if number == len(lines):
                yield no_newline(path)
            if not match:
                yield Rejection(position, "broken line", f"expected: ID TEXT; found {ascii(line[:60])}")
            elif match[1] != name:
                yield Rejection(identity, "line of another chapter", position)
            elif identity in listed:
                yield Rejection(identity, "id used twice", position)
            elif identity not in audio:
                yield Rejection(identity, "no such file", str(chapter / f"{identity}{AUDIO}"))
            else:
                yield identity, rest[0].strip() if rest else ""
            listed.add(identity)
    for identity in sorted(audio - listed):
        detail = f"not in {path}" if is_chapter else f"{chapter} is not a chapter's folder"
        yield Rejection(identity, "no line", detail)


def _read_alignment(chapter: Path) -> dict[str, Timed] | None:
    path = chapter / f"{chapter.parent.name}-{chapter.name}{ALIGNMENT}"
    return read_alignments(path) if path.is_file() else None


def _match(identity: str, text: str, timed: dict[str, Timed], seconds: float):
    if identity not in timed:
        raise NoWordTimes("not in its chapter")
    return match_words(text, timed[identity], seconds=seconds)


def _measure(path: str, verify: bool) -> float | AudioError:
    """Seconds of a file, or the error."""
    try:
        if verify:
            read_audio(path)
        return describe_audio(path)[0]
    except AudioError as error:
        return error


def read_genders(path) -> dict[str, str]:
    """Reader -> "female" or "male", from SPEAKERS.TXT: `ID | SEX | SUBSET | MINUTES | NAME`; comments begin with `;`.

    Raises FileNotFoundError if the file does not exist, and RecordError, which names the line, if a line has another form.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"no {path}, which lists the readers' sex; every archive of the release holds it"
        )
    found = {}
    # Only names may hold characters outside ASCII, and they are not used.
    lines = path.read_text(encoding="utf-8-sig", errors="replace").split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith(";"):
            continue
        values = [value.strip() for value in line.split("|", maxsplit=4)]  # |CBW|Simon is a name
        if len(values) < 5 or values[1] not in GENDERS:
            raise RecordError(
                f"{path}:{number}: expected: ID | SEX | SUBSET | MINUTES | NAME, with F or M; found "
                f"{shorten(repr(line.strip()))}; copy the "
                "file again"
            )
        found[values[0]] = GENDERS[values[1]]
    return found


def read_alignments(path) -> dict[str, Timed]:
    """Utterance id -> timed words of one chapter, from `<speaker>-<chapter>.alignment.txt`.

    A line is an id, the quoted words and the quoted times at which they end, separated by commas; an empty word is silence:
    84-121123-0000 ",GO,,DO," "0.490,0.890,1.270,1.380,2.09"

    Raises RecordError, which names the line, if a line has another form or an id is used twice.
    """
    found: dict[str, Timed] = {}
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise RecordError(f"{path}: not UTF-8 ({error.reason}); copy the file again") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        match = ALIGNMENT_LINE.fullmatch(line.strip())
        words, ends = (match[2].split(","), match[3].split(",")) if match else ((), ())
        try:
            ends = [float(end) for end in ends]
        except ValueError:
            words = ()
        if not words or len(words) != len(ends):
            raise RecordError(
                f'{path}:{number}: expected: ID "WORD,WORD" "END,END", with as many ends, in seconds, as words; was the file '
                "cut? copy it again"
            )
        if match[1] in found:
            raise RecordError(f"{path}:{number}: the id {match[1]!r} is used twice; ids must be unique")
        found[match[1]] = without_silence(list(zip(words, [0.0, *ends], ends, strict=False)))
    return found
