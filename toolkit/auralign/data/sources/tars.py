"""Folders of tar files: WebDataset's, and lhotse's Shar. Members are named by their places, and read when they are needed."""

import os
from collections.abc import Iterator
from pathlib import Path

from auralign.data import tars
from auralign.data.audio import COMPRESSED
from auralign.data.sources.columns import COLUMNS, NUMBERS
from auralign.data.sources.rows import Row, Rows
from auralign.data.sources.text_files import open_text, read_lines
from auralign.json_lines import RecordError, parse_object

AUDIO = (".wav", ".aiff", ".sph", *COMPRESSED)
OF_THE_CLIP = (*COLUMNS["audio"], *(name for field in (*NUMBERS, "id", "channel") for name in COLUMNS[field]))


def read_webdataset(source: Path) -> Rows:
    """Read a tar file of WebDataset, or a folder of them: the files of a sample share a key, their name before the first dot.

    a/000123.flac     the audio
    a/000123.txt      its text, or
    a/000123.json     {"text": "three five", "speaker": "s1"}

    The id is that of the tar file and the key. What the JSON says of the audio, such as a path or a duration, is not used, as the
    file is the whole clip; `--column` reads it by names such as `json.duration`.

    Raises RecordError on a sample without audio or with several, and on a file that its tar file holds twice.
    """
    folder = source if source.is_dir() else source.parent
    for tar in sorted(source.rglob("*.tar")) if source.is_dir() else [source]:
        samples: dict[str, dict[str, tars.Member]] = {}
        for member in tars.members(tar):
            head, name = os.path.split(member.name)
            key, dot, ending = name.partition(".")
            files = samples.setdefault((Path(head) / key).as_posix(), {})
            if files.setdefault(f"{dot}{ending}".lower(), member) is not member:
                raise RecordError(
                    f"{member}: the tar file holds two files of this key and ending; make it anew"
                )
        place = tar.relative_to(folder)
        for key, files in samples.items():
            audio = [member for ending, member in files.items() if ending.endswith(AUDIO)]
            if len(audio) != 1:
                raise RecordError(
                    f"{tar}?{key}: {len(audio)} audio files ({', '.join(AUDIO)}) among {', '.join(files)}; a sample has one"
                )
            row: Row = {
                "id": f"{place.with_suffix('').as_posix()}/{key}",
                "audio": f"{place.as_posix()}?{audio[0].inside}",
            }
            if ".json" in files:
                row["json"] = parse_object(
                    files[".json"].read(),
                    position=str(files[".json"]),
                    wrong="no JSON object",
                    repair="make it anew",
                )
                row |= {
                    name: value
                    for name, value in row["json"].items()
                    if name not in OF_THE_CLIP and name != "json"
                }
            if ".txt" in files:
                row["text"] = _text(files[".txt"])
            yield str(audio[0]), row


def read_shar(source: Path) -> Rows:
    """Read lhotse's Shar: `cuts.000000.jsonl.gz`, and beside it `recording.000000.tar` with the audio of each cut in order.

    A cut's audio is the member of its id; each of its supervisions is an utterance.

    Raises RecordError if a cut has no audio there, or is made of several.
    """
    for cuts in sorted(source.glob("cuts.*.jsonl*")):
        tar = source / f"recording.{cuts.name.split('.')[1]}.tar"
        if not tar.is_file():
            raise RecordError(
                f"{cuts}: no {tar.name} beside it; the form shar needs audio in tar files, field by field"
            )
        audio: dict[str, tars.Member] = {}
        for member in tars.members(tar):
            name, ending = os.path.splitext(member.name)
            if ending.lower() in AUDIO and audio.setdefault(name, member) is not member:
                raise RecordError(
                    f"{member}: the tar file holds two audio files of the cut {name!r}; make it anew"
                )
        with open_text(cuts) as file:
            for number, line in enumerate(read_lines(file, cuts), start=1):
                position = f"{cuts}:{number}"
                cut = parse_object(line, position=position, wrong="no JSON object", repair="make it anew")
                if cut.get("id") not in audio:
                    raise RecordError(f"{position}: {tar.name} has no audio of the cut {cut.get('id')!r}")
                yield from _supervisions(cut, f"{tar.name}?{audio[cut['id']].inside}", position)


def _supervisions(cut: Row, audio: str, position: str) -> Iterator[tuple[str, Row]]:
    """A row for each supervision of a cut, whose times count from the start of the cut."""
    if not isinstance(cut.get("supervisions"), list):
        raise RecordError(
            f"{position}: is no cut with its own supervisions; a Shar folder of mixed cuts is not read"
        )
    for supervision in cut["supervisions"] or [{"id": cut["id"]}]:  # one without a text is rejected later
        yield (
            position,
            {
                "id": supervision.get("id"),
                "audio": audio,
                "text": supervision.get("text") or "",
                "start": (cut.get("start") or 0.0) + (supervision.get("start") or 0.0),
                "seconds": supervision.get("duration"),
                "speaker": supervision.get("speaker"),
                "language": supervision.get("language"),
                "custom": supervision.get("custom") or {},
            },
        )


def _text(member: tars.Member) -> str:
    try:
        return member.read().decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise RecordError(f"{member}: not UTF-8 ({error.reason}); make it anew") from error
