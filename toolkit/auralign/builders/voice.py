"""The builder `voice`: documents of which spans are spoken, so that a connector can be trained from a text corpus alone.

InSerter (arXiv:2503.02769) speaks random spans of a text corpus, of words (at least 5) or of whole sentences. A document becomes
a row without audio, whose `others` are its spoken spans and whose label "spans" says which letters each one is:
{id: [start, end]}. Each span is a row of its own, with its audio, its words, and the voice as its speaker.
"""

import hashlib
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from auralign.builders.builder import Rows, Step
from auralign.builders.listen import describe_listener, open_listener
from auralign.builders.negate import refuse_others
from auralign.builders.voices import Voice, make_voice
from auralign.data.audio import SAMPLE_RATE, hear, resample
from auralign.data.rejected import Item, Note, Rejection
from auralign.files import write_atomically
from auralign.records import Utterance
from auralign.score.metrics import word_error_rate
from auralign.text.words import normalise, plain

WORDS, SENTENCES = "words", "sentences"
SENTENCE_END = re.compile(r"[.!?]+[\"'”’)]*(?=\s)|[。！？]+[」”]*")
Letters = tuple[int, int]  # first letter, and the one behind the last


@dataclass(frozen=True)
class VoiceSpans:
    """Speak spans of documents.

    Arguments
    ---------
    spans : str
        "words": spans of at least `min_words` words, between which at least one word is read; or "sentences".
    share : float
        Of a document's words that are spoken, above 0, up to 1.
    min_words : int
        Of a span of words; a document that has fewer is left out.
    engine : str
        "espeak", "hibari", or "module:Class" with the members of `auralign.builders.voices.Voice`.
    voices : tuple of str
        Of the engine, one is drawn for each span. Default: all that the engine lists.
    seed : int
    recognizer : str, optional
        Folder or hub id of a Whisper: a span in which it hears more than `max_wer` of the words wrong is left as text.
    max_wer : float
    device : str
        Of the recognizer. Default: cpu.
    """

    spans: str = WORDS
    share: float = 0.3
    min_words: int = 5
    engine: str = "espeak"
    voices: tuple[str, ...] = ()
    seed: int = 1
    recognizer: str | None = None
    max_wer: float = 0.2
    device: str = "cpu"
    name = "voice"

    def __post_init__(self) -> None:
        if self.spans not in (WORDS, SENTENCES):
            raise ValueError(f"--spans {self.spans}: speak {WORDS} or {SENTENCES}")
        if not 0 < self.share <= 1 or self.min_words < 1:
            raise ValueError(
                f"--share {self.share:g}, --min-words {self.min_words}: give a share above 0, up to 1, and at least 1 word"
            )

    def describe(self) -> dict[str, Any]:
        voice = make_voice(self.engine)
        return {
            "spans": self.spans,
            "share": self.share,
            "min_words": self.min_words,
            "engine": [self.engine, voice.fingerprint],
            "voices": list(self.voices or voice.voices),
            "seed": self.seed,
            "recognizer": describe_listener(self.recognizer),
            "max_wer": self.max_wer if self.recognizer else None,
        }

    def steps(self, rows: Rows, folder: Path) -> Iterator[Step]:
        voice, listen = make_voice(self.engine), open_listener(self.recognizer, self.device)
        for document in rows:
            refuse_others(document)
            yield document.id, partial(self._voice, document, folder, voice, listen)

    def _voice(
        self, document: Utterance, folder: Path, voice: Voice, listen: Callable[[np.ndarray], str] | None
    ) -> list[Item]:
        rng = Random(f"{self.seed}:{document.id}")
        chosen = self._choose(document.text, rng)
        if not chosen:
            least = self.min_words if self.spans == WORDS else 1
            return [Rejection(document.id, f"fewer than {least} words", document.text[:80])]
        items: list[Item] = []
        spoken: dict[str, Letters] = {}
        for number, (start, end) in enumerate(chosen, start=1):
            identity, said = f"{document.id}-{number:02d}", document.text[start:end]
            name, seed = rng.choice(self.voices or voice.voices), rng.randrange(2**31)
            made = self._speak(
                identity, said, folder, partial(voice.speak, said, voice=name, seed=seed), listen
            )
            if isinstance(made, Utterance):
                made = replace(made, language=document.language, speaker=name)
                spoken[identity] = start, end
            items.append(made)
        if not spoken:
            return [*items, Rejection(document.id, "no span was spoken")]
        num_spoken = sum(len(document.text[start:end].split()) for start, end in spoken.values())
        notes = [Note("words of documents", len(document.text.split())), Note("words spoken", num_spoken)]
        labels = {**document.labels, "spans": {one: list(letters) for one, letters in spoken.items()}}
        row = Utterance(
            id=document.id,
            audio="",
            seconds=0.0,
            text=document.text,
            language=document.language,
            attributes=document.attributes,
            labels=labels,
            others=tuple(spoken),
        )
        return [row, *items, *notes]

    def _choose(self, text: str, rng: Random) -> list[Letters]:
        """The letters of the spans that are spoken, in order; none starts at the end of another."""
        words = [match.span() for match in re.finditer(r"\S+", text)]
        if self.spans == WORDS:
            found = draw_spans(len(words), self.share, self.min_words, rng)
        else:
            ends = [match.end() for match in SENTENCE_END.finditer(text)]
            found = draw_sentences(_by_sentence(words, ends), self.share, rng)
        return [(words[first][0], words[last - 1][1]) for first, last in found]

    def _speak(
        self,
        identity: str,
        said: str,
        folder: Path,
        speak: Callable[[], tuple[np.ndarray, int]],
        listen: Callable[[np.ndarray], str] | None,
    ) -> Utterance | Rejection:
        if not plain(said):
            return Rejection(identity, "nothing to speak", said)
        path = folder / f"{identity}.flac"
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"{identity!r} leads out of the folder {folder}; give the document another id")
        try:
            samples, rate = speak()
        except (ValueError, OSError):
            raise
        except Exception as error:
            raise ValueError(
                f"{identity}: the voice could not speak {said!r}: {type(error).__name__}: {error}"
            ) from error
        samples = np.asarray(samples)
        is_rate = isinstance(rate, (int, np.integer)) and rate > 0
        if samples.ndim != 1 or samples.dtype.kind != "f" or not is_rate:
            raise ValueError(
                f"{identity}: the voice gave {samples.dtype} samples of shape {samples.shape} at {rate!r} Hz; it must give "
                "floats between -1 and 1 (num_samples,), and a whole number of Hz"
            )
        if not len(samples) or not np.isfinite(samples).all() or not np.any(samples):
            return Rejection(identity, "no sound", said)
        loudest = max(1.0, float(np.abs(samples).max()))
        write_flac(path, resample((samples / loudest).astype(np.float32), rate, SAMPLE_RATE))
        heard = hear(path).samples
        if listen is not None:
            transcript = listen(heard)
            if word_error_rate([normalise(said)], [normalise(transcript)]) > self.max_wer:
                path.unlink()
                return Rejection(identity, "misheard", f"{said!r} as {transcript!r}")
        return Utterance(
            id=identity,
            audio=str(path),
            seconds=len(heard) / SAMPLE_RATE,
            text=said,
            audio_hash=hashlib.blake2b(heard.tobytes(), digest_size=8).hexdigest(),
        )


def write_flac(path: Path, samples: np.ndarray) -> None:
    """Write samples (num_samples,) at 16 kHz as FLAC of 16 bits."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    with write_atomically(path, "wb") as file:
        file.write(buffer.getvalue())


def draw_spans(num_words: int, share: float, min_words: int, rng: Random) -> list[Letters]:
    """Spans (first, behind the last) of words: of `min_words` to about twice as many each, with words between them.

    The number of draws is at most the number of spans twice, whatever the share. [] if there are fewer words than a span has.
    """
    if num_words < min_words:
        return []
    room = max(min_words, round(share * num_words))
    lengths: list[int] = []
    while room:
        length = min(room, rng.randint(min_words, 2 * min_words))
        length = room if room - length < min_words else length
        lengths.append(length)
        room -= length
    while sum(lengths) + len(lengths) - 1 > num_words:  # no word is left to be read between them
        lengths[-2:] = [sum(lengths[-2:])]
    free = num_words - sum(lengths) - (len(lengths) - 1)
    spans = []
    place = 0
    for length, shift in zip(lengths, sorted(rng.randint(0, free) for _ in lengths), strict=True):
        spans.append((place + shift, place + shift + length))
        place += length + 1
    return spans


def _by_sentence(words: list[Letters], ends: list[int]) -> list[Letters]:
    """The words (first, behind the last) of each sentence, of which `ends` are the letters behind all but perhaps the last."""
    found = []
    first = 0
    for end in [*ends, words[-1][1] if words else 0]:
        last = first + sum(1 for word in words[first:] if word[1] <= end)
        if last > first:
            found.append((first, last))
        first = last
    return found


def draw_sentences(sentences: list[Letters], share: float, rng: Random) -> list[Letters]:
    """Sentences drawn until they hold the share of the words; neighbours that were both drawn are one span."""
    wanted = share * sum(last - first for first, last in sentences)
    drawn: list[Letters] = []
    for sentence in rng.sample(sentences, len(sentences)):
        if sum(last - first for first, last in drawn) < wanted:
            drawn.append(sentence)
    spans: list[Letters] = []
    for first, last in sorted(drawn):
        if spans and spans[-1][1] == first:
            spans[-1] = spans[-1][0], last
        else:
            spans.append((first, last))
    return spans
