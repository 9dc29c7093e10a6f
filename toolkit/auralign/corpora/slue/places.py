"""The times of quoted words: SLUE asks for spans of audio, but an LLM writes text.

    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "test.speech.places.jsonl"
    >>> known = {}
    >>> write_places(path, {"a": ["malta", "oz"]}, lambda utt_id, quotes: [(0.5, 1.0, -0.1), None], known)
    >>> read_places(path) == known == {("a", "malta"): (0.5, 1.0), ("a", "oz"): None}
    True

Each quote is located once in an utterance, however many answers contain it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from auralign.files import partial_path
from auralign.progress import track
from auralign.records import Records, write_records
from auralign.store import Store
from auralign.text.characters import compose

Span = tuple[float, float] | None


@dataclass(frozen=True)
class Located:
    """Quotes in an utterance, and the [start, end] of each in seconds; None if it could not be located."""

    key: str  # the utterance's id
    quotes: tuple[str, ...]
    places: tuple


def places_path(path) -> Path:
    """`test.speech.places.jsonl` of `test.speech.jsonl`."""
    return Path(path).with_suffix(".places.jsonl")


def write_places(
    path,
    wanted: dict[str, list[str]],
    locate: Callable,
    known: dict[tuple[str, str], Span],
    *,
    partial: Path | None = None,
) -> None:
    """Locate quotes and write a Located for each utterance; a run that was killed resumes.

    Arguments
    ---------
    wanted : dict of str -> list of str
        Utterance id to quotes.
    locate : callable (utterance id, list of str) -> list of (start, end, score) or None
        Such as `auralign.align.locator` returns; called only for quotes that are not in `known`.
    known : dict
        (utterance id, quote) -> span; new spans are added.
    partial : Path, optional
        File of the spans so far, from which a run that was killed continues; the caller removes it. Default:
        `<name>.partial.jsonl` beside `path`, which is removed at the end.
    """
    located = partial or partial_path(path)
    with Store(located, Located) as store:
        for utt_id in store.keys:
            known.update(_pairs(store.read(utt_id)))
        pending = [utt_id for utt_id in wanted if utt_id not in store.keys]
        for utt_id in track(pending, "prepare: locating quotes", unit="utterance"):
            quotes = list(dict.fromkeys(wanted[utt_id]))
            unknown = [quote for quote in quotes if (utt_id, quote) not in known]
            if unknown:
                found = zip(unknown, locate(utt_id, unknown), strict=True)
                known.update({(utt_id, quote): span and (span[0], span[1]) for quote, span in found})
            places = tuple(known[utt_id, quote] for quote in quotes)
            store.append([Located(utt_id, tuple(quotes), places)])
        write_records(path, (store.read(utt_id) for utt_id in wanted), kind=Located)
    if partial is None:
        located.unlink()


def read_places(path) -> dict[tuple[str, str], Span]:
    """(utterance id, quote) -> span."""
    found = {}
    for located in Records(path, Located):
        found.update(_pairs(located))
    return found


def _pairs(located: Located):
    for quote, span in zip(located.quotes, located.places, strict=True):
        yield (located.key, compose(quote)), None if span is None else tuple(span)
