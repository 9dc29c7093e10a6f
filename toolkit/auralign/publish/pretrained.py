"""A loaded model: answers to speech and text, at once or piece by piece.

model = auralign.load("my_model")
model.answer("a.wav", "repeat {speech}", temperature=0.7, top_p=0.9)
for piece in model.stream((16_000, samples)):
    print(piece, end="", flush=True)
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from auralign.data.speech_input import name_speech
from auralign.layout import DEFAULT, System
from auralign.publish.asking import Asker
from auralign.publish.options import as_list, as_texts, parse_options, repeat

if TYPE_CHECKING:
    from auralign.publish.conversation import Conversation

TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(repr=False)
class PretrainedModel(Asker):
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

        Raises ValueError if torch knows no such device here, or the type is not float32, bfloat16 or float16.
        """
        for one in where:
            if isinstance(one, torch.dtype) or (isinstance(one, str) and one in TYPES):
                dtype = one
            else:
                device = one
        wanted = TYPES.get(dtype, dtype)
        try:
            if wanted not in (None, *TYPES.values()):
                raise TypeError(f"a model computes in {', '.join(TYPES)}")
            if device is not None:
                self.model.to(torch.device(device))
            if wanted is not None:
                for module in (self.model.llm, *self.model.encoders.values()):
                    module.to(wanted)
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
        what `answer` returns; with a temperature, rounding may seldom draw another token. Beam search knows its answer only at
        its end, which is then the only piece. If the iterator is closed, decoding ends.
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
