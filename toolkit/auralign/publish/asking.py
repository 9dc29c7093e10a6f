"""How questions are put to a loaded model: speech is read and embedded, prompts are rendered, answers are decoded and read.

`answer`, `stream` and conversations share these steps, so that the same question has the same ids and embeddings in each.
"""

import difflib
import re
import sys
import warnings
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from auralign.data.audio import AudioError
from auralign.data.speech_input import name_speech, read_speech
from auralign.layout import SLOT, Code, Speech, Text, View, fill
from auralign.models.llm import Answer, Decoding, Sampling
from auralign.models.speech_llm import SpeechLLM
from auralign.publish.model_folder import segments_of_slot
from auralign.publish.streaming import stream_text
from auralign.records import shorten
from auralign.render import ENDLESS, Reading, Rendered, Renderer

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Question:
    """What the LLM is asked: a rendered prompt, the embeddings (U, D) of each span of its speech, and the speech's seconds."""

    prompt: Rendered
    speech: list[torch.Tensor] | None
    seconds: float | None


@dataclass(repr=False)
class Asker:
    """The parts of a loaded model, and the steps of an answer. Arguments as of `auralign.publish.pretrained.PretrainedModel`."""

    model: SpeechLLM
    renderer: Renderer
    decoding: Decoding
    config: dict

    def read(self, speech: Any, sample_rate: int | None = None, name: str | None = None) -> "np.ndarray":
        """The samples (num_samples,) of one speech at the encoder's rate; errors and warnings as of `answer`."""
        name = name or name_speech(speech)
        encoder = self.model.encoder
        found = read_speech(speech, sample_rate=sample_rate, wanted_rate=encoder.sample_rate, name=name)
        for note, detail in found.notes:
            print(f"warning: {name} is {note}{f' ({detail})' if detail else ''}", file=sys.stderr)
        seconds = len(found.samples) / encoder.sample_rate
        for one in self.model.encoders.values():
            if not one.hears(seconds):
                raise AudioError(f"{name} {one.too_long(seconds)}")
        return found.samples

    def view(self, prompt: str | None, has_speech: bool, transcript: str | None = None) -> View:
        """The user's turn of a prompt, with speech or without.

        Raises ValueError if there is neither prompt nor speech, or the prompt or the transcript does not fit the speech.
        """
        check_slot(prompt)
        if has_speech:
            if prompt is not None and SLOT not in prompt:
                prompt = f"{SLOT}\n{prompt}"
            return View(fill(prompt, *self.slot(transcript)))
        if not prompt:
            raise ValueError("neither speech nor a prompt is given; give one of them, or both")
        if SLOT in prompt:
            raise ValueError(
                f"the prompt {shorten(repr(prompt))} holds {SLOT}, but no speech is given; give the speech"
            )
        if transcript:
            raise ValueError(
                "a transcript is given without its speech; give the speech, or ask about the text in the prompt"
            )
        return View((Text(prompt),))

    def slot(self, transcript: str | None) -> list[Speech | Text | Code]:
        """The segments that replace `{speech}` in a prompt."""
        if transcript and "assisted_slot" not in self.config:
            raise ValueError("this model was trained without a transcript beside the speech; leave it out")
        return segments_of_slot(self.config["assisted_slot" if transcript else "slot"], transcript or "")

    def ask(self, views: list[View], waveforms: Sequence[Any], names: Sequence[str]) -> list[Question]:
        """The question of each view, with the speech of its waveform (None if it has none) embedded.

        Raises AudioError, with the name of the speech, if a question does not fit into the LLM's context.
        """
        prompts = [self.renderer.render(view) for view in views]
        embedded = self.embed(prompts, waveforms)
        for prompt, of_one, name in zip(prompts, embedded, names, strict=True):
            self.check_fits(prompt, of_one, name)
        return [
            Question(prompt, of_one, self.seconds(waveform))
            for prompt, of_one, waveform in zip(prompts, embedded, waveforms, strict=True)
        ]

    def seconds(self, waveform: Any) -> float | None:
        """The duration of a waveform; None of none."""
        return None if waveform is None else len(waveform) / self.model.encoder.sample_rate

    @torch.no_grad()
    def embed(self, prompts: list[Rendered], waveforms: Sequence[Any]) -> list[list[torch.Tensor] | None]:
        """The embeddings (U, D) of each span of speech in prompts; None for a prompt without a waveform."""
        spoken = [row for row, waveform in enumerate(waveforms) if waveform is not None]
        if not spoken:
            return [None] * len(prompts)
        # Several prompts may share one speech, which is then encoded once.
        distinct = {id(waveforms[row]): waveforms[row] for row in spoken}
        index = [list(distinct).index(id(waveforms[row])) for row in spoken]
        encoded = self.model.encode(list(distinct.values()))
        frames = {name: (of_one[index], lengths[index]) for name, (of_one, lengths) in encoded.items()}
        heard, _ = self.model.listen([prompts[row] for row in spoken], frames)
        found = dict(zip(spoken, heard, strict=True))
        return [found.get(row) for row in range(len(prompts))]

    def check_fits(self, prompt: Rendered, speech: list[torch.Tensor] | None, name: str) -> None:
        """Raise AudioError, with the name of the speech, if there is no room for an answer, or the speech is too short.

        Without speech the error is a plain ValueError.
        """
        try:
            self.model.check_fits(prompt, speech)
        except ValueError as error:
            if speech is None:
                raise
            raise AudioError(f"{name}: {error}") from error

    def decode(
        self, questions: list[Question], decoding: Decoding, sampling: Sampling, streamer: Any = None
    ) -> list[Answer]:
        """The LLM's answers to questions, decoded together."""
        return self.model.answer(
            [question.prompt for question in questions],
            [question.speech for question in questions],
            decoding=decoding,
            stop_ids=self.renderer.stop_ids,
            seconds=[question.seconds for question in questions],
            sampling=sampling,
            streamer=streamer,
        )

    def take(self, answer: Answer, decoding: Decoding, name: str) -> str:
        """The text of an answer; a warning if it is incomplete."""
        reading = self.renderer.read(answer.ids, stop_strings=decoding.stop_strings)
        _warn(reading, name)
        return reading.text

    def stream_answer(
        self, question: Question, decoding: Decoding, sampling: Sampling, name: str
    ) -> Generator[str, None, None]:
        """Yield the answer to one question piece by piece; see `stream`."""
        if decoding.num_beams > 1:
            (answer,) = self.decode([question], decoding, sampling)
            yield self.take(answer, decoding, name)
            return
        answers: list[Answer] = []

        def decode(streamer: Any) -> Answer:
            answers.extend(self.decode([question], decoding, sampling, streamer))
            return answers[0]

        yield from stream_text(self.renderer, decode, decoding.stop_strings)
        self.take(answers[0], decoding, name)


def check_slot(prompt: str | None) -> None:
    """Raise ValueError if a prompt has what may be meant as `{speech}`: in another case, with spaces, other braces, misspelt."""
    for word in re.findall(r"\{+\s*\w+\s*\}*|\w+\s*\}+", prompt or ""):
        bare = "{" + word.strip("{} \t\n").lower() + "}"
        if word != SLOT and difflib.get_close_matches(bare, [SLOT], cutoff=0.75):
            raise ValueError(f"the prompt holds {word}; did you mean {SLOT}?")


def _warn(reading: Reading, name: str) -> None:
    """Warn of an answer that is incomplete, with the repair."""
    if reading.reason == ENDLESS:
        warnings.warn(f"{name}: the LLM never came out of its reasoning; raise max_new_tokens", stacklevel=4)
    elif reading.reason:
        warnings.warn(f"{name}: the answer was cut off before a {reading.reason}", stacklevel=4)
