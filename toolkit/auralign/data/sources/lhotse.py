"""Lhotse's manifests of cuts."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from auralign.data.sources.rows import Rows, import_extra
from auralign.records import RecordError


def read_lhotse(source: Path) -> Rows:
    """Read the supervisions of a lhotse cut manifest; columns may be nested, such as `custom.texts.0`."""
    lhotse = import_extra("lhotse", "lhotse")
    for cut in _cuts(lhotse, source):
        position = f"{source}: cut {cut.id}"
        if not isinstance(cut, lhotse.MonoCut):
            raise RecordError(
                f"{position} is a {type(cut).__name__}; give cuts of one recording and channel (MonoCut)"
            )
        sources = cut.recording.sources if cut.recording else []
        if len(sources) != 1 or sources[0].type != "file" or cut.recording.num_channels != 1:
            raise RecordError(
                f"{position}: its recording is not one file of one channel; save it as such first (cuts.save_audios(...))"
            )
        if cut.recording.transforms:
            raise RecordError(
                f"{position}: its audio is transformed on reading; save the transformed audio first (cuts.save_audios(...))"
            )
        if not cut.supervisions:  # rejected later, as it has no text
            yield (
                position,
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
                position,
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
    ) as error:  # what lhotse raises on a file of another kind
        raise RecordError(
            f"{source}: no manifest of lhotse's cuts ({type(error).__name__}: {error})"
        ) from error
