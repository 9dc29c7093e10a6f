"""Which utterances the benchmark asks about, and its questions.

The utterances of each speaker are taken in the order of the hashes of their ids, so that any manifest of the same corpus gives
the same ones. Every task is asked about every utterance in every wording, so that tasks and wordings are compared on the same
speech.

If the targets hold a seen task in none of the five wordings, it is also asked in the run's own (at most three), as otherwise
there would be no seen wording to compare with. `Part.fingerprint` is that of the fixed questions alone: it does not depend on
the model.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from auralign.files import hash_value
from auralign.generalisation import VERSION, digits, sentences
from auralign.generalisation.exposure import Exposure
from auralign.generalisation.task import Task, wording_key
from auralign.layout import SLOT, Speech, fill
from auralign.records import Question, Utterance

SENTENCES, DIGITS = "sentences", "digits"
TASKS: Mapping[str, Mapping[str, Task]] = {SENTENCES: sentences.TASKS, DIGITS: digits.TASKS}
CORPUS = {SENTENCES: sentences.CORPUS, DIGITS: digits.CORPUS}
UTTS_PER_SPEAKER = {SENTENCES: sentences.UTTS_PER_SPEAKER, DIGITS: digits.UTTS_PER_SPEAKER}
SEEN, UNSEEN_PHRASINGS, UNSEEN_TASKS, UNKNOWN = "seen tasks", "unseen phrasings", "unseen tasks", "all tasks"
OWN_WORDINGS = 3  # of the training, asked in addition
FIRST_OWN = 100  # the number of the first of them
MAX_UTTS = 200


@dataclass(frozen=True)
class Part:
    """One part of the benchmark: SENTENCES or DIGITS, its utterances, and what the source holds in all."""

    name: str
    utterances: tuple[Utterance, ...]
    num_source: int
    is_reduced: bool

    @property
    def tasks(self) -> Mapping[str, Task]:
        return TASKS[self.name]

    @property
    def fingerprint(self) -> str:
        """A hash of the fixed questions, the texts and the seconds of the utterances: equal for all models."""
        asked = [list(task.phrasings) for task in self.tasks.values()]
        heard = [[one.id, one.text, round(one.seconds, 2)] for one in self.utterances]
        return hash_value([VERSION, self.name, asked, heard])[:12]

    @property
    def note(self) -> str:
        """Why this is not the whole set; "" if it is, or if that cannot be known."""
        if self.is_reduced:
            return f"a trial with {len(self.utterances)} utterances, not the benchmark"
        if self.name == SENTENCES and self.num_source != sentences.NUM_UTTS_OF_CORPUS:
            return (
                f"{self.num_source:,} utterances were found, and {CORPUS[self.name]} has {sentences.NUM_UTTS_OF_CORPUS:,}: "
                "this is another set than the benchmark's"
            )
        return ""


def choose(utterances: Iterable[Utterance], place: Path, num_utts: int | None = None) -> Part:
    """The part of the benchmark that some utterances belong to, ordered by id and with their texts in lower case.

    Arguments
    ---------
    utterances : iterable of Utterance
    place : Path
        The manifest, or the folder of the corpus, for errors.
    num_utts : int, optional
        Only as many utterances, for a trial; default: all of the set.

    Raises ValueError if there is no utterance, or there are too few that the benchmark can ask about.
    """
    found = [replace(one, text=" ".join(one.text.lower().split())) for one in utterances]
    if not found:
        raise ValueError(f"{place}: holds no utterance; run stage 1 (prepare) again")
    spoken = [one for one in found if digits.find_digits(one.text) is not None]
    # Some strings of digits begin with a spoken command, so that not all utterances of such a corpus are digits alone.
    commands = [one for one in found if digits.spoken_command(one.text) is not None]
    name = DIGITS if len(spoken) + len(commands) > len(found) / 2 else SENTENCES
    if name == SENTENCES:
        subset = [one for one in found if one.labels.get("subset") == sentences.SUBSET]
        found = subset or found
        fit = [one for one in found if sentences.is_fit(one.text, one.seconds)]
    else:
        fit = [one for one in spoken if digits.is_fit(one.text)]
    chosen = _first_of_each_speaker(fit, UTTS_PER_SPEAKER[name])
    whole = len(chosen)
    chosen = chosen[: num_utts or MAX_UTTS]
    if len({one.text for one in chosen}) < 2:
        raise ValueError(
            f"{place}: {len(chosen)} utterances that the benchmark can ask about, it needs 2 with different texts: "
            + (
                f"sentences of {sentences.MIN_WORDS} to {sentences.MAX_WORDS} English words"
                if name == SENTENCES
                else f"strings of {digits.MIN_DIGITS} to {digits.MAX_DIGITS} digit words, neither sorted nor all even or odd"
            )
        )
    is_reduced = num_utts is not None and num_utts < min(whole, MAX_UTTS)
    return Part(name, tuple(sorted(chosen, key=lambda one: one.id)), len(found), is_reduced)


def _first_of_each_speaker(utterances: Iterable[Utterance], number: int) -> list[Utterance]:
    """The first utterances of each speaker by the hashes of their ids, round by round, so that a part has all speakers first."""
    by_speaker: dict[str, list[Utterance]] = {}
    for one in sorted(utterances, key=lambda one: (hash_value(one.id), one.id)):
        by_speaker.setdefault(one.speaker or one.id, []).append(one)
    speakers = sorted(by_speaker, key=lambda speaker: (hash_value(speaker), speaker))
    return [
        by_speaker[speaker][turn]
        for turn in range(number)
        for speaker in speakers
        if turn < len(by_speaker[speaker])
    ]


def relocate(utterances: Iterable[Utterance], before: Path, folder: Path) -> Iterator[Utterance]:
    """The utterances with their audio relative to another folder than the one before."""
    for one in utterances:
        place = os.path.realpath(before / one.audio)
        yield replace(one, audio=os.path.relpath(place, os.path.realpath(folder)))


def wordings_of(task: Task, exposure: Exposure) -> dict[int, str]:
    """The wordings in which a task is asked, by number: the fixed ones, and those of the training if none of these is in it."""
    fixed = dict(enumerate(task.phrasings))
    if not exposure.is_seen(task.name):
        return fixed
    known = set(map(wording_key, task.phrasings))
    own = exposure.tasks[task.name].wordings
    if any(wording_key(wording) in known for wording in own):
        return fixed
    usable = [wording for wording in own if wording.count(SLOT) == 1]
    return fixed | {FIRST_OWN + number: wording for number, wording in enumerate(usable[:OWN_WORDINGS])}


def group_of(task: Task, wording: str, exposure: Exposure) -> str:
    """The group of a question, one of SEEN, UNSEEN_PHRASINGS, UNSEEN_TASKS and UNKNOWN."""
    if not exposure.is_known:
        return UNKNOWN
    if not exposure.is_seen(task.name):
        return UNSEEN_TASKS
    return SEEN if exposure.has_wording(task.name, wording) else UNSEEN_PHRASINGS


def make_questions(part: Part, exposure: Exposure) -> Iterator[Question]:
    """Every task about every utterance in every wording."""
    for task in part.tasks.values():
        for number, wording in wordings_of(task, exposure).items():
            fill(wording, Speech(""))  # raises if there is no slot
            group = group_of(task, wording, exposure)
            for one in part.utterances:
                yield Question(
                    key=f"{one.id}:{task.name}:{number}:{hash_value([wording, group])[:8]}",
                    utt_id=one.id,
                    group=group,
                    task=task.name,
                    instruction=wording,
                    reference=None if task.rule is None else task.meaning,
                    phrasing=number,
                )
