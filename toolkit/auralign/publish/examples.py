"""Right and wrong answers of a run's stage 4, with their recordings; a model folder may hold some, in `examples/`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from auralign.data.audio import audio_path, read_audio
from auralign.files import PathLike, read_json, write_json
from auralign.records import Hypothesis, Question, Records, Utterance
from auralign.run_folder import RunFolder
from auralign.text.words import normalise

NUM_SHOWN = 3  # of each kind
RATE = 16_000  # Hz
FOLDER, LIST = "examples", "examples.json"


@dataclass(frozen=True)
class Example:
    """One answer to speech.

    Arguments
    ---------
    utt_id : str
    audio : (int, numpy.ndarray)
        Rate in Hz, and samples (num_samples,).
    text : str
        The reference transcript.
    prompt : str or None
    answer, expected : str
        `expected` is the question's reference or, if it has none, the LLM's answer to the text.
    """

    utt_id: str
    audio: tuple[int, Any]
    text: str
    prompt: str | None
    answer: str
    expected: str

    @property
    def is_right(self) -> bool:
        """Whether the answer has the words that were expected, without case and punctuation."""
        return is_same(self.answer, self.expected)


def is_same(answer: str, expected: str) -> bool:
    """Whether two texts have the same words, without case and punctuation."""
    return normalise(answer) == normalise(expected)


def read_examples(
    run: str, *, num_shown: int = NUM_SHOWN, overrides: Mapping[str, Any] | None = None
) -> list[Example]:
    """The first wrong and the first right answers of a run, each to another utterance.

    Arguments
    ---------
    run : str
        Output folder of a run, after stage 4.
    num_shown : int
        Of each kind.
    overrides : mapping of str, optional
        Values for keys of the run's recipe. Default: none.

    Returns list of Example.

    Raises FileNotFoundError if stage 4 was not run, ValueError if its files do not fit each other.
    """
    folder = RunFolder.open(run, overrides)
    with folder.working_here():
        from_text = Records(folder.hypotheses("text"), Hypothesis)
        questions = Records(folder.data.questions, Question)
        manifest = Records(folder.data.manifest("test"), Utterance)
        shown: dict[bool, dict[str, Example]] = {False: {}, True: {}}
        # A limited stage 4 answers some of the questions.
        for answer in Records(folder.hypotheses("speech"), Hypothesis):
            question = questions[answer.key]
            expected = (
                from_text[f"text:{answer.key}"].text if question.reference is None else question.reference
            )
            chosen = shown[is_same(answer.text, expected)]
            if len(chosen) < num_shown and question.utt_id not in chosen:
                utterance = manifest[question.utt_id]
                chosen[question.utt_id] = Example(
                    utt_id=utterance.id,
                    audio=(RATE, _read(manifest, utterance)),
                    text=utterance.text,
                    prompt=question.instruction,
                    answer=answer.text,
                    expected=expected,
                )
            if all(len(chosen) == num_shown for chosen in shown.values()):
                break
    return [example for chosen in shown.values() for example in chosen.values()]


def _read(manifest: Records, utterance: Utterance) -> np.ndarray:
    path = audio_path(manifest.path, utterance)
    return read_audio(path, start=utterance.start, seconds=utterance.seconds, sample_rate=RATE)


def write_examples(folder: PathLike, examples: Sequence[Example]) -> None:
    """Write examples into a model folder: `examples/examples.json`, and beside it the recordings as FLAC of 16 bits."""
    import soundfile

    place = Path(folder) / FOLDER
    place.mkdir()
    rows = []
    for number, example in enumerate(examples, start=1):
        rate, samples = example.audio
        soundfile.write(place / f"{number}.flac", samples, rate, subtype="PCM_16")
        rows.append({**asdict(example), "audio": f"{number}.flac"})
    write_json(place / LIST, rows)


def stored_examples(folder: PathLike) -> list[Example]:
    """The examples that `write_examples` wrote into a model folder; empty if it has none. One whose recording was removed is left
    out.

    Raises ValueError if the list is broken or a recording cannot be read.
    """
    place = Path(folder) / FOLDER
    if not (place / LIST).is_file():
        return []
    repair = "export, pull or copy the folder again"
    try:
        return [
            Example(**{**row, "audio": (RATE, read_audio(recording, sample_rate=RATE))})
            for row in read_json(place / LIST, repair=repair)
            if (recording := place / Path(row["audio"]).name).is_file()
        ]
    except (TypeError, KeyError) as error:
        raise ValueError(f"{place / LIST}: not a list of examples ({error}); {repair}") from error
