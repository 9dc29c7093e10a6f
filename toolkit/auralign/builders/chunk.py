"""The builder `chunk`: long recordings cut at pauses, into pieces of at most some seconds, with the words said in each.

Speech is found by energy: a frame is loud if it is nearer, in dB, to the recording's loud frames than to its soft ones. What is
said in a piece comes from the word times of the row (`auralign align`), or from a recognizer. Silence between pieces is left out,
and its seconds are counted.
"""

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from auralign.builders.builder import Rows, Step
from auralign.builders.listen import describe_listener, open_listener
from auralign.data.audio import SAMPLE_RATE, AudioError, hear
from auralign.data.rejected import Item, Note, Rejection
from auralign.records import Utterance

FRAME = SAMPLE_RATE // 50  # samples of a frame of 20 ms
QUIET, LOUD = 10, 95  # percentiles of the frames' levels that are taken for noise and for speech
MIN_SPREAD = 6.0  # dB between them; a recording of less has no pause that energy could find
LOWEST, SILENT = 1e-10, -60.0  # power of digital silence; level in dB below which nothing is speech
Timed = Sequence[tuple[str, float, float]]
Span = tuple[int, int]  # first frame, and the one behind the last


@dataclass(frozen=True)
class Chunk:
    """Cut recordings.

    Arguments
    ---------
    max_seconds : float
        Of a piece. A stretch of speech without a pause that is longer is cut at its softest frame, and noted.
    min_silence : float
        Seconds; a shorter pause cuts nothing.
    margin : float
        Seconds of the pause that a piece keeps on each side, at most half of the pause.
    min_seconds : float
        Shorter stretches of sound, such as a click, are left out.
    recognizer : str, optional
        Folder or hub id of a Whisper, which writes the text of pieces whose row has no word times.
    device : str
        Of the recognizer. Default: cpu.
    """

    max_seconds: float = 20.0
    min_silence: float = 0.3
    margin: float = 0.1
    min_seconds: float = 0.2
    recognizer: str | None = None
    device: str = "cpu"
    name = "chunk"

    def __post_init__(self) -> None:
        if not (
            0 < self.min_seconds < self.max_seconds - 2 * self.margin
            and self.min_silence > 0
            and self.margin >= 0
        ):
            raise ValueError(
                f"--max-seconds {self.max_seconds:g}, --min-seconds {self.min_seconds:g}, --min-silence {self.min_silence:g}, "
                f"--margin {self.margin:g}: give positive seconds; a piece without its margins must have room for the least"
            )

    def describe(self) -> dict[str, Any]:
        seconds = {
            name: getattr(self, name) for name in ("max_seconds", "min_silence", "margin", "min_seconds")
        }
        return {**seconds, "recognizer": describe_listener(self.recognizer)}

    def steps(self, rows: Rows, folder: Path) -> Iterator[Step]:
        listen = open_listener(self.recognizer, self.device)
        for utterance in rows:
            yield utterance.id, partial(self._cut, utterance, listen)

    def _cut(self, utterance: Utterance, listen: Callable[[np.ndarray], str] | None) -> list[Item]:
        if not utterance.words and listen is None:
            return [
                Rejection(
                    utterance.id,
                    "no word times",
                    "run auralign align first, or name a recognizer (--recognizer)",
                )
            ]
        if not utterance.audio:
            return [Rejection(utterance.id, "no audio", "a document has nothing to cut")]
        try:
            samples = hear(utterance.audio, start=utterance.start, seconds=utterance.seconds).samples
        except (AudioError, FileNotFoundError) as error:
            return [Rejection(utterance.id, "bad audio", str(error))]
        spans, num_forced = self.find(samples, utterance.words or ())
        if not spans:
            return [Rejection(utterance.id, "no speech", "nothing is louder than the background")]
        items: list[Item] = [Note("cuts within speech, as it has no pause", num_forced)] * (num_forced > 0)
        left_out = round(len(samples) / SAMPLE_RATE - sum(end - start for start, end in spans))
        items += [Note("seconds of silence left out", left_out)] * (left_out > 0)
        for number, (start, end) in enumerate(spans, start=1):
            items += self._piece(utterance, samples, f"{utterance.id}-{number:04d}", start, end, listen)
        return items

    def _piece(
        self,
        utterance: Utterance,
        samples: np.ndarray,
        identity: str,
        start: float,
        end: float,
        listen: Callable[[np.ndarray], str] | None,
    ) -> list[Item]:
        """One piece, from `start` to `end` seconds of its row; rejected if nothing is said in it."""
        part = samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
        said = None
        if utterance.words:  # a word belongs to the piece that holds its middle
            inside = [word for word in utterance.words if start <= (word[1] + word[2]) / 2 < end]
            text = " ".join(word for word, _, _ in inside)
            length = round(end - start, 3)
            said = tuple(
                (word, round(max(0.0, first - start), 3), round(min(last - start, length), 3))
                for word, first, last in inside
            )
        else:
            text = listen(part).strip() if listen else ""
        if not text:
            return [Rejection(identity, "no words", f"{start:.2f} to {end:.2f} s of {utterance.id}")]
        return [
            replace(
                utterance,
                id=identity,
                start=round(utterance.start + start, 3),
                seconds=round(end - start, 3),
                text=text,
                words=said,
                labels={**utterance.labels, "recording": utterance.labels.get("recording", utterance.id)},
                audio_hash=hashlib.blake2b(part.tobytes(), digest_size=8).hexdigest(),
            )
        ]

    def find(self, samples: np.ndarray, words: Timed = ()) -> tuple[list[tuple[float, float]], int]:
        """The pieces (start, end) in seconds of samples at 16 kHz, and the number of cuts within speech.

        `words` are (word, start, end) in seconds; they are speech however soft they are.
        """
        levels = _levels(samples)
        margin, most = _frames(self.margin), _frames(self.max_seconds - 2 * self.margin)
        known = [(math.floor(_frames(start)), math.ceil(_frames(end))) for _, start, end in words]
        spans = find_speech(levels, _frames(self.min_silence), _frames(self.min_seconds), known)
        parts = [part for span in spans for part in split(levels, span, most)]
        pieces = join(parts, most)
        ends = [end for _, end in pieces]
        starts = [start for start, _ in pieces]
        found = []
        for start, end, before, after in zip(
            starts, ends, [-starts[0], *ends[:-1]] if pieces else [], [*starts[1:], math.inf], strict=False
        ):
            first = start - min(margin, (start - before) / 2)
            last = end + min(margin, (after - end) / 2)
            found.append((_seconds(first), min(_seconds(last), len(samples) / SAMPLE_RATE)))
        return found, len(parts) - len(spans)


def _frames(seconds: float) -> float:
    return seconds * SAMPLE_RATE / FRAME


def _seconds(frames: float) -> float:
    return round(frames * FRAME / SAMPLE_RATE, 3)


def _levels(samples: np.ndarray) -> np.ndarray:
    """The level of each frame (num_frames,), in dB; the last frame may be short."""
    num_frames = -(-len(samples) // FRAME)
    padded = np.zeros(num_frames * FRAME)
    padded[: len(samples)] = samples
    return 10 * np.log10(np.square(padded.reshape(num_frames, FRAME)).mean(axis=1) + LOWEST)


def find_speech(
    levels: np.ndarray, min_silence: float, min_frames: float, known: Iterable[Span] = ()
) -> list[Span]:
    """Stretches of loud frames: stretches below `min_frames` are left out, pauses shorter than `min_silence` frames are filled.

    `known` are spans that are speech however soft and short they are.
    """
    quiet, loud = np.percentile(levels, (QUIET, LOUD))
    if loud - quiet >= MIN_SPREAD:
        is_loud = levels > (quiet + loud) / 2
    else:  # one level all along: speech without a pause, or none at all
        is_loud = np.full(len(levels), loud > SILENT)
    for start, end in _stretches(is_loud):
        if end - start < min_frames:
            is_loud[start:end] = False
    for start, end in known:
        is_loud[start:end] = True
    spans: list[Span] = []
    for start, end in _stretches(is_loud):
        if spans and start - spans[-1][1] < min_silence:
            spans[-1] = spans[-1][0], end
        else:
            spans.append((start, end))
    return spans


def _stretches(is_loud: np.ndarray) -> list[Span]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_loud, [False]]).astype(int)))
    return [(start, end) for start, end in edges.reshape(-1, 2).tolist()]


def split(levels: np.ndarray, span: Span, most: float) -> list[Span]:
    """A span in parts of at most `most` frames, each cut at the softest frame of the second half that a part may have."""
    start, end = span
    parts = []
    while end - start > most:
        first, last = start + max(1, int(most / 2)), start + max(1, int(most))
        cut = first + int(np.argmin(levels[first : last + 1]))
        parts.append((start, cut))
        start = cut
    return [*parts, (start, end)]


def join(spans: list[Span], most: float) -> list[Span]:
    """Neighbouring spans as one, with the pause between them, as long as it has at most `most` frames."""
    joined: list[Span] = []
    for start, end in spans:
        if joined and end - joined[-1][0] <= most:
            joined[-1] = joined[-1][0], end
        else:
            joined.append((start, end))
    return joined
