"""Kaldi data folders."""

from pathlib import Path

from auralign.data.sources.rows import Row, Rows
from auralign.data.sources.text_files import open_text, read_lines
from auralign.records import RecordError


def read_kaldi(source: Path) -> Rows:
    """Read a Kaldi data folder: wav.scp and text, and segments, utt2spk and utt2lang if they exist.

    wav.scp:  recording-1 /corpus/a.flac
    segments: utterance-1 recording-1 0.50 2.75, and perhaps a channel
    text:     utterance-1 THREE FIVE
    """
    recordings = _read_pairs(source / "wav.scp")
    for recording, (position, path) in recordings.items():
        if path.rstrip().endswith("|"):
            raise RecordError(
                f"{position}: the audio of {recording} comes from a command, and auralign runs none from data; write it to "
                "files first"
            )
    texts = _read_pairs(source / "text")
    optional: dict[str, dict[str, tuple[str, str]]] = {}
    for name, column in (("utt2spk", "speaker"), ("utt2lang", "language")):
        if (source / name).is_file():
            optional[column] = _read_pairs(source / name)
    segments = _read_pairs(source / "segments") if (source / "segments").is_file() else None
    strangers = [utt_id for utt_id in texts if utt_id not in (segments or recordings)]
    if strangers:
        raise RecordError(
            f"{texts[strangers[0]][0]}: {strangers[0]} has text but no audio, as have {len(strangers) - 1} others; mend the "
            "folder (Kaldi: utils/fix_data_dir.sh)"
        )
    for utt_id in segments or recordings:
        position, rest = (segments or recordings)[utt_id]
        row: Row = {"id": utt_id, "audio": rest, "text": texts[utt_id][1] if utt_id in texts else ""}
        if segments is not None:
            parts = rest.split()
            if len(parts) not in (3, 4) or parts[0] not in recordings:
                raise RecordError(
                    f"{position}: expected: {utt_id} RECORDING START END, with a recording of wav.scp"
                )
            row["audio"] = recordings[parts[0]][1]
            try:
                row["start"], end = float(parts[1]), float(parts[2])
            except ValueError as error:
                raise RecordError(f"{position}: start and end must be seconds; found {rest!r}") from error
            row["seconds"] = end - row["start"]
            if len(parts) == 4:
                row["channel"] = parts[3]
        row |= {column: pairs[utt_id][1] for column, pairs in optional.items() if utt_id in pairs}
        yield position, {**row, **{column: row.get(column, "") for column in optional}}


def _read_pairs(path: Path) -> dict[str, tuple[str, str]]:
    """The lines of a file: key -> (position, rest of the line)."""
    if not path.is_file():
        raise FileNotFoundError(f"no {path}; a Kaldi data folder needs it")
    found: dict[str, tuple[str, str]] = {}
    with open_text(path) as file:
        for number, line in enumerate(read_lines(file, path), start=1):
            position = f"{path}:{number}"
            if line[0].isspace():
                raise RecordError(f"{position}: begins with no id")
            key, *rest = line.split(None, 1)  # by a space or a tab
            if key in found:
                raise RecordError(
                    f"{position}: the id {key!r} is used twice, first at {found[key][0]}; ids must be unique"
                )
            found[key] = (position, rest[0].strip() if rest else "")
    return found
