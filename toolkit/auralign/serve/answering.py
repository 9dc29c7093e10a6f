"""What a model folder answers to a request."""

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from auralign.data.audio import AudioError, describe_audio
from auralign.layout import DEFAULT, Text, View
from auralign.models.llm import Answer
from auralign.publish.asking import Question
from auralign.publish.options import parse_options
from auralign.publish.pretrained import PretrainedModel
from auralign.publish.streaming import stream_text
from auralign.serve.checks import RequestError
from auralign.serve.gate import Outcome
from auralign.serve.request import ChatRequest

AUDIO = "input_audio"  # the name of the speech in errors


class ModelAnswers:
    """A loaded model that answers requests.

    Arguments
    ---------
    model : PretrainedModel
    name : str
        Its id in requests.
    max_audio_seconds : float
        Limit of the audio of one turn.
    """

    def __init__(self, model: PretrainedModel, name: str, *, max_audio_seconds: float):
        self.model, self.name, self.max_audio_seconds = model, name, max_audio_seconds

    def answer(self, request: ChatRequest, say: Callable[[str], None], check: Callable[[], None]) -> Outcome:
        """Answer the last turn of a request; see `auralign.serve.app.Answers`."""
        try:
            decoding, sampling = parse_options(self.model.decoding, request.options)
        except ValueError as error:  # which names the option: `messages` are in order
            raise RequestError(str(error)) from error
        try:
            question = self._ask(request)
        except ValueError as error:
            raise RequestError(str(error), param="messages") from error
        check()
        answers: list[Answer] = []

        def decode(streamer: Any = None) -> Answer:
            checked = _Checked(streamer, check) if streamer else None
            answers.extend(self.model.decode([question], decoding, sampling, checked))
            return answers[0]

        if decoding.num_beams > 1:  # beam search knows its answer only at its end
            decode()
        else:
            for piece in stream_text(self.model.renderer, decode, decoding.stop_strings):
                say(piece)
        reading = self.model.renderer.read(answers[0].ids, stop_strings=decoding.stop_strings)
        if decoding.num_beams > 1:
            say(reading.text)
        return Outcome(
            finish_reason="stop" if reading.ended else answers[0].finish_reason,
            num_prompt_tokens=_count_positions(question),
            num_tokens=len(answers[0].ids),
        )

    def _ask(self, request: ChatRequest) -> Question:
        """The question of a request, after its earlier turns. Raises ValueError if the model cannot take it."""
        system = DEFAULT if request.system is None else request.system
        views: list[View] = []
        spans: list[torch.Tensor] = []
        for turn in request.turns[::2]:
            waveform = None if turn.audio is None else self._read(turn.audio)
            # Text is a segment as it is: in a turn without speech, `{speech}` is a word.
            view = View((Text(turn.text),)) if waveform is None else self.model.view(turn.text, True)
            views.append(dataclasses.replace(view, system=system))
            (of_one,) = self.model.embed([self.model.renderer.render(views[-1])], [waveform])
            spans += of_one or []
        answers = [turn.text for turn in request.turns[1::2]]
        prompt = self.model.renderer.render_conversation(views, answers)
        self.model.check_fits(prompt, spans or None, AUDIO)
        return Question(prompt, spans or None, self.model.seconds(waveform))

    def _read(self, content: bytes) -> Any:
        """The samples of an audio file. Its length is checked before it is decoded: a small file may hold hours."""
        with tempfile.TemporaryDirectory(prefix="auralign") as folder:
            path = Path(folder) / "audio"
            path.write_bytes(content)
            try:
                seconds = describe_audio(path)[0]
                if seconds > self.max_audio_seconds:
                    raise AudioError(
                        f"{AUDIO} lasts {seconds:.1f} s, the limit of this server is {self.max_audio_seconds:g} s; send a "
                        "shorter part, or start the server with a higher --max-audio-seconds"
                    )
                return self.model.read(path, name=AUDIO)
            except AudioError as error:
                raise AudioError(str(error).replace(str(path), AUDIO)) from error


def _count_positions(question: Question) -> int:
    """Token ids and embeddings of speech."""
    return question.prompt.num_ids + sum(len(span) for span in question.speech or ())


class _Checked:
    """A streamer of transformers in front of another, that calls `check` with every token."""

    def __init__(self, streamer: Any, check: Callable[[], None]):
        self.streamer, self.check = streamer, check

    def put(self, value: Any) -> None:
        self.check()
        self.streamer.put(value)

    def end(self) -> None:
        self.streamer.end()
