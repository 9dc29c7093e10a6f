"""The single answers as the HTML report lists them: JSON for its script, with a link to the speech of each utterance.

A list of many thousand questions is thinned out evenly, and `AnswerList.note` says so.
"""

import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from auralign.data.tars import split
from auralign.ledger.build import Judged
from auralign.ledger.ledger import CLASSES
from auralign.records import Records, Utterance

READ = {
    "text": "text",
    "normalised": "normalised text",
    "transcript": "cascade",
    "other_text": "floor: another's text",
}
MAX_QUESTIONS = 20_000  # of a page that a browser still opens in a second or two
MAX_ANSWERS = 200_000  # questions x methods
# In JSON within HTML: an answer may hold "</script>" or "<!--"; line separators end a line of older JavaScript.
ESCAPED = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&\u2028\u2029"}


@dataclass(frozen=True)
class AnswerList:
    """`json` for the script, safe within a script element; `note` if questions were left out, else ""."""

    json: str
    note: str


def list_answers(judged: dict[str, list[Judged]], manifest: Records, folder) -> AnswerList:
    """The answers of all columns, side by side.

    Arguments
    ---------
    judged : dict of str -> list of Judged
        Method -> the same questions with the method's answers, as `auralign.ledger.build.judge_answers` returns them.
    manifest : Records of Utterance
    folder : path
        Folder of the report, from which links to audio start.
    """
    columns = list(judged.values())
    total = len(columns[0])
    most = min(MAX_QUESTIONS, max(1, MAX_ANSWERS // len(columns)))
    chosen = range(total) if total <= most else [number * total // most for number in range(most)]
    utt_ids = list(dict.fromkeys(columns[0][index].question.utt_id for index in chosen))
    instructions = list(dict.fromkeys(columns[0][index].question.instruction for index in chosen))
    places = {utt_id: place for place, utt_id in enumerate(utt_ids)}
    numbers = {instruction: number for number, instruction in enumerate(instructions)}
    kinds = [kind for kind in READ if kind in columns[0][0].scores]
    values = {
        "methods": list(judged),
        "classes": CLASSES,
        "kinds": [READ[kind] for kind in kinds],
        "instructions": instructions,
        "utterances": _describe_utterances([manifest[utt_id] for utt_id in utt_ids], manifest.path, folder),
        "rows": [
            _describe_question([column[index] for column in columns], kinds, places, numbers)
            for index in chosen
        ],
    }
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    note = ""
    if len(chosen) < total:
        note = (
            f"The list has {len(chosen):,} of {total:,} questions, taken at equal distances so that the page stays usable; all "
            "answers are in the files of hypotheses, and all measures are of all questions."
        )
    return AnswerList(text.translate(ESCAPED), note)


def _describe_question(judged, kinds, places, numbers) -> dict[str, Any]:
    first = judged[0]
    return {
        "utterance": places[first.question.utt_id],
        "group": first.question.group,
        "task": first.question.task,
        "instruction": numbers[first.question.instruction],
        "expected": first.question.reference,
        "read": [first.item.answers[kind] for kind in kinds],
        "scores": [round(first.scores[kind], 4) for kind in kinds],
        "heard": [
            {
                "speech": one.answer,
                "score": round(one.scores["speech"], 4),
                "class": one.answer_class,
                "floor": one.item.answers["shuffled"],
            }
            for one in judged
        ],
    }


def _describe_utterances(utterances: list[Utterance], manifest_path, folder) -> list[dict[str, Any]]:
    shares = Counter(utterance.audio for utterance in utterances)
    found = []
    for utterance in utterances:
        link, note = link_audio(
            utterance, manifest_path, folder, is_part=utterance.start > 0 or shares[utterance.audio] > 1
        )
        found.append(
            {
                "id": utterance.id,
                "said": utterance.text,
                "speaker": utterance.speaker,
                "seconds": utterance.seconds,
                "attributes": _describe_attributes(utterance),
                "audio": link,
                "note": note,
            }
        )
    return found


def _describe_attributes(utterance) -> dict[str, str]:
    """Attributes that people can choose by: single values, such as gender or a noise condition."""
    return {
        name: str(value)
        for name, value in utterance.attributes.items()
        if isinstance(value, str | int | float | bool) and str(value)
    }


def link_audio(utterance: Utterance, manifest_path, folder, *, is_part: bool = False) -> tuple[str, str]:
    """A relative link from a folder to an utterance's audio, and a note.

    Arguments
    ---------
    utterance : Utterance
    manifest_path : path
        Its audio is relative to the manifest's folder.
    folder : path
        Where the link starts.
    is_part : bool
        Whether the file holds more than the utterance: the link then ends in `#t=START,END`, in seconds.

    Returns the link ("" if the file is absent) and the note ("" if there is nothing to say).
    """
    path = Path(manifest_path).parent / utterance.audio
    if split(path)[1]:
        return "", f"The audio is in a tar file: {utterance.audio}"
    if not path.is_file():
        return "", f"The audio file is absent: {utterance.audio}"
    place = os.path.abspath(path)
    if not os.path.isfile(place):  # ".." after a symbolic link: a browser goes up in the text of the address
        place = os.path.realpath(path)
    link = quote(Path(os.path.relpath(place, os.path.abspath(folder))).as_posix())
    if is_part:
        link += f"#t={utterance.start:g},{utterance.start + utterance.seconds:g}"
    return link, ""
