"""A loaded model: answers to speech and text, at once or piece by piece.

model = auralign.load("my_model")
model.answer("a.wav", "repeat {speech}", temperature=0.7, top_p=0.9)
for piece in model.stream((16_000, samples)):
    print(piece, end="", flush=True)
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
from auralign.layout import DEFAULT, SLOT, Speech, System, Text, View, fill
from auralign.models.llm import Answer, Decoding, Sampling
from auralign.models.speech_llm import SpeechLLM
from auralign.publish.model_folder import segments_of_slot
from auralign.publish.options import as_list, as_texts, parse_options, repeat
from auralign.publish.streaming import stream_text
from auralign.records import shorten
from auralign.render import ENDLESS, Reading, Rendered, Renderer

if TYPE_CHECKING:
    import numpy as np

    from auralign.publish.conversation import Conversation

TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Question:
    """What the LLM is asked: a rendered prompt, the embeddings (U, D) of each span of its speech, and the speech's seconds."""

    prompt: Rendered
    speech: list[torch.Tensor] | None
    seconds: float | None


@dataclass(repr=False)
class PretrainedModel:
    """An LLM with speech input: `answer` speech with it.

    Arguments
    ---------
    model : SpeechLLM
    renderer : Renderer
        Renders the LLM's prompts.
    decoding : Decoding
        The default decoding of answers.
    config : dict
        The content of `auralign.json`.
    """

    model: SpeechLLM
    renderer: Renderer
    decoding: Decoding
    config: dict

    def __repr__(self) -> str:
        encoders = "+".join(type(encoder).__name__ for encoder in self.model.encoders.values())
        llm = self.model.llm
        dtype = str(llm.model.dtype).removeprefix("torch.")
        connector = type(self.model.connector).__name__
        return f"PretrainedModel({llm.name} with {encoders} and {connector}, {dtype} on {llm.device})"

    def to(self, *where: Any, device: Any = None, dtype: Any = None) -> "PretrainedModel":
        """Move the model to a device, change the precision of LLM and encoders, or both; connectors compute in float32.

        Arguments
        ---------
        where : str, torch.device or torch.dtype
            Devices ("cpu", "cuda:0") and floating-point types ("bfloat16", torch.float16) in any order, as of
            `torch.nn.Module.to`; or by keyword.

        Returns the model itself.

        Raises ValueError if torch knows no such device or floating-point type here.
        """
        for one in where:
            if isinstance(one, torch.dtype) or (isinstance(one, str) and one in TYPES):
                dtype = one
            else:
                device = one
        try:
            if device is not None:
                self.model.to(torch.device(device))
            if dtype is not None:
                for module in (self.model.llm, *self.model.encoders.values()):
                    module.to(TYPES.get(dtype, dtype))
        except (RuntimeError, TypeError, AssertionError) as error:
            shown = ", ".join(str(one) for one in (device, dtype) if one is not None)
            raise ValueError(
                f"to({shown}): {str(error).splitlines()[0]}; give a device such as cpu or cuda:0, a floating-point type such as "
                "torch.float32, or both"
            ) from error
        return self

    def answer(
        self,
        speech: Any,
        prompt: str | Sequence[str] | None = None,
        *,
        sample_rate: int | None = None,
        transcript: str | Sequence[str] | None = None,
        **options: Any,
    ) -> Any:
        """Answer a prompt about speech.

        Arguments
        ---------
        speech
            A path, the bytes of an audio file, or a file opened in binary mode; an array or a tensor of floats between -1 and 1
            or of integers, of one channel or several; `(rate, samples)`; a dict with `array` and `sampling_rate`; or a list of
            these. None: the LLM is asked the prompt alone, without speech.
        prompt : str or list of str, optional
            The question. `{speech}` marks the position of the speech; without it the speech comes first. A list has a prompt for
            each speech, or several prompts about one. Default: no question.
        sample_rate : int, optional
            Sampling rate of arrays that are given without one, in Hz; default the encoder's.
        transcript : str or list of str, optional
            Transcript of each speech, if the model was trained with one beside the speech; default none.
        options
            `max_new_tokens`, `num_beams` and the other fields of `auralign.models.llm.Decoding`, default the recipe's; and
            `temperature`, `top_p`, `top_k` and `seed` of `auralign.models.llm.Sampling`, default none: the likeliest token is
            taken. None means the default.

        Returns str for one speech and one prompt, otherwise list of str.

        Raises
        ------
        AudioError
            If speech cannot be used, or is longer than the encoder or the LLM takes; it is a ValueError. A warning on stderr
            names what is unusual in the speech, or was changed on reading.
        ValueError
            If there is nothing to answer, a list has another length than the rest, or an option is unknown or out of its range.
        """
        decoding, sampling = parse_options(self.decoding, options)
        speeches, is_list = as_list(speech)
        prompts, are_prompts = as_texts(prompt, "prompt")
        transcripts, are_transcripts = as_texts(transcript, "transcript")
        number = len(speeches) if is_list else len(prompts)
        names = [name_speech(one, index if is_list else None) for index, one in enumerate(speeches)]
        prompts = repeat(prompts, number, "prompts", are_prompts)
        transcripts = repeat(transcripts, number, "transcripts", are_transcripts)
        waveforms = [
            None if one is None else self.read(one, sample_rate, name)
            for one, name in zip(speeches, names, strict=True)
        ]
        waveforms = repeat(waveforms, number, "speeches", is_list)
        names = repeat(names, number, "speeches", is_list)
        views = [
            self.view(one_prompt, waveform is not None, one_transcript)
            for waveform, one_prompt, one_transcript in zip(waveforms, prompts, transcripts, strict=True)
        ]
        questions = self.ask(views, waveforms, names) if number else []
        answers = self.decode(questions, decoding, sampling)
        texts = [self.take(answer, decoding, name) for answer, name in zip(answers, names, strict=True)]
        return texts if is_list or are_prompts else texts[0]

    def stream(
        self,
        speech: Any,
        prompt: str | None = None,
        *,
        sample_rate: int | None = None,
        transcript: str | None = None,
        **options: Any,
    ) -> Generator[str, None, None]:
        """Yield the answer to one speech piece by piece, as the LLM decodes it.

        Arguments and errors as for `answer`, except that there are no lists; wrong input raises at once. The joined pieces are
        what `answer` returns. Beam search knows its answer only at its end, which is then the only piece. If the iterator is
        closed, decoding ends.
        """
        decoding, sampling = parse_options(self.decoding, options)
        speeches, is_list = as_list(speech)
        if is_list or as_texts(prompt, "prompt")[1]:
            number = len(speeches) if is_list else len(prompt or ())
            raise ValueError(
                f"a stream is the answer to one speech and one prompt, not to {number}; use answer"
            )
        waveform = None if speech is None else self.read(speech, sample_rate)
        (question,) = self.ask(
            [self.view(prompt, waveform is not None, transcript)], [waveform], [name_speech(speech)]
        )
        return self.stream_answer(question, decoding, sampling, name_speech(speech))

    def chat(self, system: System | str | None = DEFAULT) -> "Conversation":
        """Begin a conversation, whose turns are kept.

        Arguments
        ---------
        system : DEFAULT, None or str
            The system prompt: the one that the model was trained with (default), none, or this text.

        Returns Conversation of `auralign.publish.conversation`. Raises ValueError if the template cannot express the prompt.
        """
        from auralign.publish.conversation import Conversation

        return Conversation(self, system=system)

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
        for word in re.findall(r"\{\w+\}", prompt or ""):
            if word != SLOT and difflib.get_close_matches(word, [SLOT], cutoff=0.75):
                raise ValueError(f"the prompt holds {word}; did you mean {SLOT}?")
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

    def slot(self, transcript: str | None) -> list[Speech | Text]:
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
        distinct = {
            id(waveforms[row]): waveforms[row] for row in spoken
        }  # several prompts may share one speech
        index = [list(distinct).index(id(waveforms[row])) for row in spoken]
        encoded = self.model.encode(list(distinct.values()))
        frames = {name: (of_one[index], lengths[index]) for name, (of_one, lengths) in encoded.items()}
        heard, _ = self.model.listen([prompts[row] for row in spoken], frames)
        found = dict(zip(spoken, heard, strict=True))
        return [found.get(row) for row in range(len(prompts))]

    def check_fits(self, prompt: Rendered, speech: list[torch.Tensor] | None, name: str) -> None:
        """Raise AudioError, with the name of the speech, if there is no room for an answer, or the speech is too short."""
        try:
            self.model.check_fits(prompt, speech)
        except ValueError as error:
            raise AudioError(f"{name}: {error}" if speech else str(error)) from error

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


def _warn(reading: Reading, name: str) -> None:
    """Warn of an answer that is incomplete, with the repair."""
    if reading.reason == ENDLESS:
        warnings.warn(f"{name}: the LLM never came out of its reasoning; raise max_new_tokens", stacklevel=4)
    elif reading.reason:
        warnings.warn(f"{name}: the answer was cut off before a {reading.reason}", stacklevel=4)
