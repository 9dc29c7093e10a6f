"""A loaded model: answers to audio, at once or piece by piece."""

import dataclasses
import difflib
import itertools
import os
import queue
import re
import sys
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from auralign.data.audio import AudioError, hear, hear_array
from auralign.layout import SLOT, View, fill
from auralign.models.llm import Decoding
from auralign.models.speech_llm import SpeechLLM
from auralign.publish.model_folder import segments_of_slot
from auralign.render import ENDLESS, Renderer


@dataclass
class PretrainedModel:
    """An LLM with speech input: `answer` audio with it.

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

    def answer(
        self,
        audio,
        prompt: str | None = None,
        *,
        sample_rate: int | None = None,
        transcript: str | list[str] | None = None,
        **decoding,
    ):
        """Answer a prompt about audio.

        Arguments
        ---------
        audio : path, array or tensor, or list of these
            Arrays as `auralign.data.audio.hear_array` takes them: floats between -1 and 1 or integers, of one or more channels.
        prompt : str, optional
            The question. `{speech}` marks the position of the speech; without it the speech comes first. Default: no question.
        sample_rate : int, optional
            Sampling rate of arrays, in Hz; default the encoder's.
        transcript : str or list of str, optional
            Transcript of each audio, if the model was trained with one beside the speech; default none.
        decoding
            `max_new_tokens`, `num_beams` and the other fields of `auralign.models.llm.Decoding`; default the recipe's.

        Returns str for one audio, list of str for a list.

        Raises AudioError if audio cannot be used, or is longer than the encoder or the LLM takes. A warning on stderr names what
        is unusual in the audio, or was changed on reading.
        """
        several = isinstance(audio, (list, tuple))
        if several and not audio:
            return []
        audio = list(audio) if several else [audio]
        transcripts = list(transcript) if isinstance(transcript, (list, tuple)) else [transcript] * len(audio)
        if len(transcripts) != len(audio):
            raise ValueError(f"{len(transcripts)} transcripts for {len(audio)} audios; give one for each")
        asked = self._ask(audio, prompt, sample_rate, transcripts, decoding)
        answers = self.model.answer(**asked)
        strings = asked["decoding"].stop_strings
        readings = [self.renderer.read(answer.ids, stop_strings=strings) for answer in answers]
        for one, reading in zip(audio, readings, strict=True):
            if reading.reason:
                warnings.warn(f"{_name(one)}: {self._tell(reading.reason)}", stacklevel=2)
        texts = [reading.text for reading in readings]
        return texts if several else texts[0]

    def _tell(self, reason: str) -> str:
        """Why an answer is incomplete, and the repair."""
        if reason == ENDLESS:
            return "the LLM never came out of its reasoning; raise max_new_tokens"
        return f"the answer was cut off before a {reason}"

    def stream(
        self,
        audio,
        prompt: str | None = None,
        *,
        sample_rate: int | None = None,
        transcript: str | None = None,
        **decoding,
    ) -> Iterator[str]:
        """Yield the answer to one audio piece by piece, as the LLM decodes it; greedy only.

        Arguments and errors as for `answer`. The joined pieces are what `answer` returns, except for white space around it."""
        from transformers.generation.streamers import BaseStreamer

        class Tokens(BaseStreamer):
            """Queue of the LLM's tokens; the first call of `put` brings the prompt."""

            def __init__(self):
                self.queue: queue.Queue = queue.Queue()
                self.begun = False

            def put(self, value):
                if self.begun:
                    for token in value.flatten().tolist():
                        self.queue.put(token)
                self.begun = True

            def end(self):
                self.queue.put(None)

        if isinstance(audio, (list, tuple)):
            raise ValueError(f"a stream is the answer to one audio, not to {len(audio)}; use answer")
        asked = self._ask([audio], prompt, sample_rate, [transcript], {"num_beams": 1, **decoding})
        streamer = Tokens()
        failed: queue.Queue = queue.Queue()

        def work():
            try:
                self.model.answer(**asked, streamer=streamer)
            except (
                Exception
            ) as error:  # raised in the reader of the stream, which would otherwise wait for ever
                failed.put(error)
                streamer.end()

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        yield from _before(asked["decoding"].stop_strings, self._say(iter(streamer.queue.get, None)))
        thread.join()
        if not failed.empty():
            raise failed.get()

    def _say(self, tokens: Iterator[int]) -> Iterator[str]:
        """Text of the tokens, as soon as it is sure to be part of the answer: reasoning is not."""
        ids, said = [], ""
        for token in itertools.takewhile(lambda token: token not in self.renderer.stop_ids, tokens):
            ids.append(token)
            sure = self.renderer.reasoning.sure(self.renderer.read(ids).text.rstrip("\ufffd"))
            if sure.startswith(said) and sure != said:
                yield sure[len(said) :]
                said = sure
        text = self.renderer.read(ids).text
        yield text.removeprefix(said)

    @torch.no_grad()
    def _ask(self, audio: list, prompt: str | None, sample_rate: int | None, transcripts, decoding) -> dict:
        """The arguments of `SpeechLLM.answer`: prompts, embeddings of the speech that goes into each, and the decoding."""
        decoding = dataclasses.replace(self.decoding, **decoding)
        for word in re.findall(r"\{\w+\}", prompt or ""):
            if word != SLOT and difflib.get_close_matches(word, [SLOT], cutoff=0.75):
                raise ValueError(f"the prompt holds {word}; did you mean {SLOT}?")
        if prompt is not None and SLOT not in prompt:
            prompt = f"{SLOT}\n{prompt}"
        prompts = [self.renderer.render(View(fill(prompt, *self.slot(text)))) for text in transcripts]
        waveforms = [self._read(one, sample_rate) for one in audio]
        speech, _ = self.model.listen(prompts, self.model.encode(waveforms))
        for one, rendered, frames in zip(audio, prompts, speech, strict=True):
            try:
                self.model.check_fits(rendered, frames)
            except ValueError as error:
                raise AudioError(f"{_name(one)}: {error}") from error
        return {
            "prompts": prompts,
            "speech": speech,
            "decoding": decoding,
            "stop_ids": self.renderer.stop_ids,
            "seconds": [len(waveform) / self.model.encoder.sample_rate for waveform in waveforms],
        }

    def slot(self, transcript: str | None) -> list:
        """The segments that replace `{speech}` in a prompt."""
        if transcript and "assisted_slot" not in self.config:
            raise ValueError("this model was trained without a transcript beside the speech; leave it out")
        return segments_of_slot(self.config["assisted_slot" if transcript else "slot"], transcript or "")

    def _read(self, audio, sample_rate: int | None) -> np.ndarray:
        encoder = self.model.encoder
        if isinstance(audio, (str, os.PathLike)):
            found = hear(audio, sample_rate=encoder.sample_rate)
        else:
            rate = encoder.sample_rate
            found = hear_array(audio, sample_rate=sample_rate or rate, wanted_rate=rate)
        for note, detail in found.notes:
            print(f"warning: {_name(audio)} is {note}{f' ({detail})' if detail else ''}", file=sys.stderr)
        waveform = found.samples
        seconds = len(waveform) / encoder.sample_rate
        for one in self.model.encoders.values():
            if not one.hears(seconds):
                raise AudioError(f"{_name(audio)} {one.too_long(seconds)}")
        return waveform


def _before(stop_strings, pieces) -> Iterator[str]:
    """Yield the text of the pieces up to the first stop string, as soon as it cannot be the beginning of one."""
    held, longest = "", max(map(len, stop_strings), default=1)
    for piece in pieces:
        held += piece
        ends = [held.find(string) for string in stop_strings if string in held]
        sure = min(ends, default=max(0, len(held) - longest + 1))
        if held[:sure]:
            yield held[:sure]
        if ends:
            return
        held = held[sure:]
    if held:
        yield held


def _name(audio) -> str:
    return str(audio) if isinstance(audio, (str, os.PathLike)) else "the array"
