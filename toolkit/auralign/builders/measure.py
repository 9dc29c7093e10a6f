"""The builder `measure`: what is known of each row becomes its labels, by which stages select and reports are cut.

| label | meaning |
|---|---|
| snr | signal-to-noise ratio in dB by WADA-SNR (`auralign.builders.snr`); not known of clips below a second |
| clipping | share of the samples that are at full scale |
| seconds_per_word | length by the number of words of the text |
| language_id | language of the text by a small rule (`auralign.text.language.guess_language`) |

What is not known gets no label, and is counted. Functions of the user's add further labels, such as toxicity or the year.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from auralign.builders.builder import Rows, Step
from auralign.builders.snr import wada_snr
from auralign.constructor import describe_function, load_function
from auralign.data.audio import AudioError, hear
from auralign.data.rejected import Item, Note, Rejection
from auralign.records import Utterance
from auralign.text.language import guess_language
from auralign.text.words import words

FULL_SCALE = 0.999
MIN_SECONDS = (
    1.0  # of a clip whose signal-to-noise ratio is estimated: of a shorter one the amplitudes are too few
)
DECIMALS = 4


@dataclass(frozen=True)
class Measure:
    """Label each row.

    Arguments
    ---------
    functions : dict of str -> str
        Further labels: name -> "module:function". The function is given the Utterance, with the absolute path of its audio, and
        its samples (num_samples,) at 16 kHz, empty for a document; it returns a plain value of JSON, or None if it is not
        known. It may also be named "language_id", to replace the rule. Default: none.
    """

    functions: Mapping[str, str] = field(default_factory=dict)
    name = "measure"

    def describe(self) -> dict[str, Any]:
        return {name: describe_function(place, "--label") for name, place in self.functions.items()}

    def steps(self, rows: Rows, folder: Path) -> Iterator[Step]:
        functions = {name: load_function(place, "--label") for name, place in self.functions.items()}
        for utterance in rows:
            yield utterance.id, partial(_measure, utterance, functions)


def _measure(utterance: Utterance, functions: Mapping[str, Callable[..., Any]]) -> list[Item]:
    try:
        samples = _read(utterance)
    except (AudioError, FileNotFoundError) as error:
        return [Rejection(utterance.id, "bad audio", str(error))]
    found: dict[str, Any] = {"language_id": guess_language(utterance.text)}
    if utterance.audio:
        num_words = len(words(utterance.text))
        found["snr"] = wada_snr(samples) if utterance.seconds >= MIN_SECONDS else None
        found["clipping"] = float(np.mean(np.abs(samples) >= FULL_SCALE))
        found["seconds_per_word"] = utterance.seconds / num_words if num_words else None
    for name, function in functions.items():
        found[name] = _call(name, function, utterance, samples)
    known = {
        name: round(value, DECIMALS) if isinstance(value, float) else value
        for name, value in found.items()
        if value is not None
    }
    notes: list[Item] = [Note(f"without a known {name}") for name in found if name not in known]
    notes += [Note(f"whose label {name} was replaced") for name in known if name in utterance.labels]
    labels = {name: value for name, value in utterance.labels.items() if name not in found}
    return [replace(utterance, labels={**labels, **known}), *notes]


def _read(utterance: Utterance) -> np.ndarray:
    if not utterance.audio:
        return np.zeros(0, np.float32)
    return hear(utterance.audio, start=utterance.start, seconds=utterance.seconds).samples


def _call(name: str, function: Callable[..., Any], utterance: Utterance, samples: np.ndarray) -> Any:
    """What a function of the user's says. Raises ValueError, naming the row, if it fails or is no plain value."""
    try:
        value = function(utterance, samples)
        value = value.item() if isinstance(value, np.generic) else value
        json.dumps(value, allow_nan=False)
    except Exception as error:
        raise ValueError(
            f"--label {name}: the function failed for {utterance.id!r}: {type(error).__name__}: {error}; it must return "
            "text, a finite number, a list, or None"
        ) from error
    return value
