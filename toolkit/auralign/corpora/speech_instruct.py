"""SpeechInstructBench (InSerter, arXiv:2503.02769): spoken instructions, English and Chinese, as its files have them.

    closed_standard_en.jsonl   {"key": 1000, "prompt": "...", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}],
                                "audio_path": "..."}
    open_ended_en.jsonl        {"key": 1, "prompt": "...", "decomposed_questions": "...", "audio_path": "..."}
    adjustment_en.jsonl        {"key": 1, "prompt": "...", "audio_path": "..."}

A row with `instruction_id_list` is closed-ended, one with `decomposed_questions` open-ended; any other row is one of adjustment
if the name of its file says so. Rows are known by their key and line, since several rows of one prompt are several rows.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from auralign.data.rejected import Rejection
from auralign.files import PathLike
from auralign.json_lines import RecordError, parse_object
from auralign.records import Utterance
from auralign.score.ifeval import check_arguments

CLOSED, OPEN, ADJUSTMENT = "closed-ended", "open-ended", "adjustment"
LANGUAGE = re.compile(r"(?:^|[_-])(en|zh|cn)(?:$|[_-])")


@dataclass(frozen=True)
class Instruction:
    """One row: its speech, its kind, and what its answer is judged by.

    `instructions` are the names of verifiable instructions with the `arguments` of each, or the questions that a judge answers.
    """

    utterance: Utterance
    kind: str
    instructions: tuple[str, ...] = ()
    arguments: tuple[Mapping[str, Any], ...] = ()


def read_speech_instruct(
    path: PathLike, audio_folder: PathLike | None = None
) -> Iterator[Instruction | Rejection]:
    """The rows of a file of the benchmark.

    Arguments
    ---------
    path : path
        Such as closed_standard_en.jsonl.
    audio_folder : path, optional
        The folder that `audio_path` starts from; default: that of the file.

    Yields Instruction, with the absolute path of its audio, or Rejection for a row without audio.

    Raises RecordError, naming the line, on a row that is not as described above.
    """
    path = Path(path)
    folder = Path(audio_folder or path.parent).absolute()
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise RecordError(f"{path}: not UTF-8 ({error.reason}); fetch the file again") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _read(parse_object(line, position=f"{path}:{number}"), path, number, folder)


def _read(row: Mapping[str, Any], path: Path, number: int, folder: Path) -> Instruction | Rejection:
    position = f"{path}:{number}"
    for name in ("prompt", "audio_path"):
        if not isinstance(row.get(name), str) or not row[name].strip():
            raise RecordError(f"{position}: {name} is {row.get(name)!r}; expected text")
    identity = f"{path.stem}-{row.get('key', 'row')}-{number}"
    kind, instructions, arguments = _judged_by(row, path, position)
    audio = _find(folder, row["audio_path"])
    if audio is None:
        return Rejection(identity, "no such file", row["audio_path"])
    language = LANGUAGE.search(path.stem)
    utterance = Utterance(
        id=identity,
        audio=str(audio),
        seconds=inf,
        text=row["prompt"],
        language={"cn": "zh"}.get(language[1], language[1]) if language else "",
        labels={"subset": path.stem, "task": kind},
    )
    return Instruction(utterance, kind, instructions, arguments)


def _judged_by(
    row: Mapping[str, Any], path: Path, position: str
) -> tuple[str, tuple[str, ...], tuple[Mapping[str, Any], ...]]:
    """The kind of a row, its instructions or questions, and their arguments."""
    if "instruction_id_list" in row:
        names, arguments = row["instruction_id_list"], row.get("kwargs")
        is_list = isinstance(names, list) and isinstance(arguments, list)
        if not is_list or not all(isinstance(values, dict) for values in arguments):
            raise RecordError(
                f"{position}: instruction_id_list and kwargs must be lists, the latter of objects"
            )
        try:
            check_arguments(names, arguments)
        except ValueError as error:
            raise RecordError(f"{position}: {error}") from error
        return CLOSED, tuple(names), tuple(arguments)
    if "decomposed_questions" in row:
        asked = row["decomposed_questions"]
        questions = asked if isinstance(asked, list) else str(asked).splitlines()
        questions = tuple(str(question).strip() for question in questions if str(question).strip())
        if not questions:
            raise RecordError(f"{position}: decomposed_questions holds no question")
        return OPEN, questions, ()
    if "adjust" in path.stem:
        return ADJUSTMENT, (), ()
    raise RecordError(
        f"{position}: has neither instruction_id_list nor decomposed_questions, and the file's name does not say that it is of "
        "adjustment; is it a file of SpeechInstructBench?"
    )


def _find(folder: Path, name: str) -> Path | None:
    """The audio of a row: its path, in the folder or absolute, or a file of its last name in the folder."""
    for place in (folder / name, folder / Path(name).name):
        if place.is_file():
            return place
    return None
