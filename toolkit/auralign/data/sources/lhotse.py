"""Lhotse's manifests of cuts."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from auralign.data.sources.rows import Rows, import_extra
from auralign.records import RecordError


def read_lhotse(source: Path) -> Rows:
    """The supervisions of a lhotse manifest of cuts; columns reach into nested values, as `custom.texts.0`."""
    lhotse = import_extra("lhotse", "lhotse")
    for cut in _cuts(lhotse, source):
        place = f"{source}: cut {cut.id}"
        if not isinstance(cut, lhotse.MonoCut):
            raise RecordError(
                f"{place} is a {type(cut).__name__}; give cuts of one recording and channel (MonoCut)"
            )
        sources = cut.recording.sources if cut.recording else []
        if len(sources) != 1 or sources[0].type != "file" or cut.recording.num_channels != 1:
            raise RecordError(
                f"{place}: its recording is not one file of one channel; save it as such first (cuts.save_audios(...))"
            )
        if cut.recording.transforms:
            raise RecordError(
                f"{place}: its audio is changed on reading; save it as it is heard (cuts.save_audios(...))"
            )
        if not cut.supervisions:  # listed among the rejected, as without text
            yield (
                place,
                {
                    "id": cut.id,
                    "audio": sources[0].source,
                    "text": "",
                    "start": cut.start,
                    "seconds": cut.duration,
                },
            )
        for supervision in cut.supervisions:
            yield (
                place,
                {
                    "id": supervision.id,
                    "audio": sources[0].source,
                    "text": supervision.text or "",
                    "start": cut.start + supervision.start,
                    "seconds": supervision.duration,
                    "speaker": supervision.speaker,
                    "language": supervision.language,
                    "custom": supervision.custom or {},
                },
            )


def _cuts(lhotse: ModuleType, source: Path) -> Iterator[Any]:
    try:
        yield from lhotse.CutSet.from_file(str(source))
    except (
        KeyError,
        TypeError,
        AttributeError,
        AssertionError,
    ) as error:  # lhotse's own words on a file of another kind
        raise RecordError(
            f"{source}: no manifest of lhotse's cuts ({type(error).__name__}: {error})"
        ) from error
