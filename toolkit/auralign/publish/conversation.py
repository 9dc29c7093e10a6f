"""Conversations with a loaded model: earlier turns, spoken or written, stay in its context.

conversation = auralign.load("my_model").chat()
conversation.say("a.wav")                      # speech
conversation.say("What did I say first?")      # text; the LLM still hears a.wav
conversation.turns
"""

import dataclasses
import os
import shlex
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from auralign.data.speech_input import name_speech, split_list
from auralign.layout import DEFAULT, System, View
from auralign.publish.asking import Question
from auralign.publish.options import as_text, parse_options

if TYPE_CHECKING:
    from auralign.publish.pretrained import PretrainedModel

SUFFIXES = (
    ".wav",
    ".flac",
    ".mp3",
    ".ogg",
    ".opus",
    ".aiff",
    ".aif",
    ".aac",
    ".m4a",
    ".webm",
    ".mp4",
    ".wma",
)


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation.

    Arguments
    ---------
    prompt : str, optional
        What the user wrote; None if they only spoke.
    speech : str, optional
        The name of what the user said, such as its path; None if they only wrote.
    answer : str
        The LLM's answer.
    """

    prompt: str | None
    speech: str | None
    answer: str


@dataclass(frozen=True)
class _Said:
    """What the user says in a turn: its view, the embeddings (U, D) of its spans of speech, and the speech's seconds."""

    view: View
    embeddings: list[torch.Tensor]
    seconds: float | None
    prompt: str | None
    name: str | None


class Conversation:
    """Turns of a user and a model. The prompt is the chat template's own form of all turns.

    Arguments
    ---------
    model : PretrainedModel
    system : DEFAULT, None or str
        The system prompt: that of the model (default), none, or this text.

    Attributes
    ----------
    turns : tuple of Turn
        The turns that were answered. A turn that failed or was interrupted is not kept.
    """

    def __init__(self, model: "PretrainedModel", *, system: System | str | None = DEFAULT):
        self.model = model
        self.system = system
        self._kept: list[tuple[_Said, str]] = []

    def __repr__(self) -> str:
        return f"Conversation({len(self._kept)} turns, {self.model!r})"

    @property
    def system(self) -> System | str | None:
        """The system prompt; a new one counts from the next answer on. Raises ValueError if the template cannot express it."""
        return self._system

    @system.setter
    def system(self, system: System | str | None) -> None:
        if system is not DEFAULT and system is not None and not isinstance(system, str):
            raise ValueError(
                f"system is {type(system).__name__} {system!r}; give a text, or None for no system prompt"
            )
        if isinstance(system, str):
            as_text(system, "system prompt")
        self.model.renderer.chat_frame(system)
        self._system = system

    @property
    def turns(self) -> tuple[Turn, ...]:
        return tuple(Turn(said.prompt, said.name, answer) for said, answer in self._kept)

    def say(
        self,
        speech_or_text: Any,
        prompt: str | None = None,
        *,
        sample_rate: int | None = None,
        transcript: str | None = None,
        **options: Any,
    ) -> str:
        """Take a turn, and return the model's answer.

        Arguments
        ---------
        speech_or_text
            Speech in any form that `PretrainedModel.answer` takes, or text. A str is speech if it is the path of a file, or if a
            prompt is given too; otherwise it is text.
        prompt : str, optional
            Words beside the speech; `{speech}` marks its position. Default none.
        sample_rate, transcript, options
            As for `PretrainedModel.answer`.

        Returns str.

        Raises
        ------
        AudioError
            If the speech cannot be used, or the conversation does not fit into the LLM's context any more.
        ValueError
            As of `PretrainedModel.answer`; also if text looks like the path of an audio file that is not there.
        """
        decoding, sampling = parse_options(self.model.decoding, options)
        said = self._listen(speech_or_text, prompt, sample_rate, transcript)
        (answer,) = self.model.decode([self._ask(said)], decoding, sampling)
        text = self.model.take(answer, decoding, said.name or "the conversation")
        self._kept.append((said, text))
        return text

    def stream(
        self,
        speech_or_text: Any,
        prompt: str | None = None,
        *,
        sample_rate: int | None = None,
        transcript: str | None = None,
        **options: Any,
    ) -> Generator[str, None, None]:
        """As `say`, but yield the answer piece by piece. The turn is kept when the last piece has been read."""
        decoding, sampling = parse_options(self.model.decoding, options)
        said = self._listen(speech_or_text, prompt, sample_rate, transcript)
        question = self._ask(said)

        def pieces() -> Generator[str, None, None]:
            whole = []
            for piece in self.model.stream_answer(
                question, decoding, sampling, said.name or "the conversation"
            ):
                whole.append(piece)
                yield piece
            self._kept.append((said, "".join(whole)))

        return pieces()

    def remember(
        self,
        speech_or_text: Any,
        prompt: str | None = None,
        *,
        answer: str,
        sample_rate: int | None = None,
        transcript: str | None = None,
    ) -> None:
        """Add a turn with this answer, as if the model had given it. Arguments and errors as for `say`."""
        if not isinstance(answer, str):
            raise ValueError(
                f"answer is {type(answer).__name__} {answer!r}; give the text that the model is to have said"
            )
        as_text(answer, "answer")
        self._kept.append((self._listen(speech_or_text, prompt, sample_rate, transcript), answer))

    def reset(self) -> None:
        """Forget all turns; the system prompt stays."""
        self._kept.clear()

    def _listen(
        self, speech_or_text: Any, prompt: str | None, sample_rate: int | None, transcript: str | None
    ) -> _Said:
        as_text(prompt, "prompt")
        as_text(transcript, "transcript")
        speech, prompt = _tell_apart(speech_or_text, prompt)
        as_text(prompt, "text")
        if split_list(speech) is not None:
            raise ValueError("a turn has one speech, not a list; say them one after the other")
        name = None if speech is None else name_speech(speech)
        waveform = None if speech is None else self.model.read(speech, sample_rate)
        view = self.model.view(prompt, waveform is not None, transcript)
        rendered = self.model.renderer.render(view)
        (embeddings,) = self.model.embed([rendered], [waveform])
        if name is not None:
            self.model.check_fits(rendered, embeddings, name)
        return _Said(view, embeddings or [], self.model.seconds(waveform), prompt, name)

    def _ask(self, said: _Said) -> Question:
        """The question of this turn after all earlier ones."""
        all_said = [*(earlier for earlier, _ in self._kept), said]
        views = [dataclasses.replace(one.view, system=self.system) for one in all_said]
        prompt = self.model.renderer.render_conversation(views, [answer for _, answer in self._kept])
        device = self.model.model.llm.device
        speech = [embeddings.to(device) for one in all_said for embeddings in one.embeddings]
        try:
            self.model.check_fits(prompt, speech or None, said.name or "the conversation")
        except ValueError as error:
            if not self._kept:
                raise
            raise type(error)(f"{error}; reset() forgets the earlier turns of the conversation") from error
        return Question(prompt, speech or None, said.seconds)


def _tell_apart(said: Any, prompt: str | None) -> tuple[Any, str | None]:
    """(speech, text) of what a user says."""
    if not isinstance(said, str) or prompt is not None:
        return said, prompt
    path = find_path(said)
    return (path, None) if path is not None else (None, said)


def find_path(text: str) -> str | None:
    """The path of a file that a text is, plain or as a shell quotes it; None if it is words.

    Raises FileNotFoundError if a text of one word ends like an audio file, and there is no such file.
    """
    text = text.strip()
    forms = [text]
    try:
        quoted = shlex.split(text)
    except ValueError:  # an apostrophe of a sentence
        quoted = []
    if len(quoted) == 1:
        forms.append(quoted[0])
    for form in forms:
        path = os.path.expanduser(form)
        if os.path.isfile(path):
            return path
    if len(forms) == 2 and forms[1].lower().endswith(SUFFIXES):
        raise FileNotFoundError(f"no audio file at {forms[1]}; if it is text, write more than one word")
    return None
