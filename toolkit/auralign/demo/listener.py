"""One model asked in three ways: from speech, from what its recognizer reads off the speech (the cascade), and from text."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from auralign.layout import SLOT, Text, View, fill
from auralign.models.encoders.encoder import model_type
from auralign.models.recognizers import load_whisper_recognizer
from auralign.publish.asking import check_slot
from auralign.publish.model_folder import CONFIG, constructor_of
from auralign.publish.options import parse_options
from auralign.publish.pretrained import PretrainedModel
from auralign.publish.streaming import stream_text


class Listener:
    """A model with its recognizer.

    Arguments
    ---------
    model : PretrainedModel
    recognizer : WhisperRecognizer, optional
        With an `encoder` of its own; default None, no cascade.
    without : str
        Why there is no recognizer.
    """

    def __init__(self, model: PretrainedModel, recognizer: Any = None, *, without: str = ""):
        self.model, self.recognizer, self.without = model, recognizer, without

    def read(self, audio: Any) -> Any:
        """The samples (num_samples,) of speech in any form that `PretrainedModel.answer` takes. Raises AudioError."""
        return self.model.read(audio)

    @torch.no_grad()
    def recognize(self, samples: Any) -> str:
        """The recognizer's transcript of samples (num_samples,) at the encoder's rate; "" without a recognizer."""
        if self.recognizer is None:
            return ""
        frames, lengths = self.recognizer.encoder([samples])
        return str(self.recognizer.transcribe(frames, lengths)[0]).strip()

    def from_speech(self, samples: Any, prompt: str | None) -> Iterator[str]:
        """The answer to speech, in pieces."""
        return self.model.stream(samples, prompt or None)

    def from_text(self, text: str, prompt: str | None, samples: Any = None) -> Iterator[str]:
        """The answer of the LLM as it was before training to the same prompt with text instead of the speech, in pieces.

        If the text is what samples (num_samples,) say, the answer has the same limit as that to them."""
        check_slot(prompt)
        if prompt and SLOT not in prompt:
            prompt = f"{SLOT}\n{prompt}"
        decoding, sampling = parse_options(self.model.decoding, {})
        (question,) = self.model.ask([View(fill(prompt or None, Text(text)))], [None], ["the text"])
        question = replace(question, seconds=self.model.seconds(samples))

        def decode(streamer: Any) -> Any:
            with self.model.model.llm.original():
                return self.model.decode([question], decoding, sampling, streamer)[0]

        return stream_text(self.model.renderer, decode, decoding.stop_strings)


def find_recognizer(
    model: PretrainedModel, folder: Path, *, encoder: str | None, language: str, device: str
) -> tuple[Any, str]:
    """The recognizer in the encoder's own folder, and "", or None and the reason why there is none.

    Arguments
    ---------
    model : PretrainedModel
    folder : Path
        The model folder.
    encoder : str, optional
        The encoder's folder now; default that of the model folder.
    language : str
        Of the speech, such as "en".
    device : str
        "cpu" or "cuda:N".
    """
    arguments = constructor_of(
        model.config["encoder"], folder / CONFIG, path_now=encoder, what="encoder"
    ).keywords
    path = arguments["path"]
    try:
        model_type(path, ("whisper",))
        return load_whisper_recognizer(path, language=language).to(device), ""
    except (ValueError, FileNotFoundError) as error:
        return None, str(error)
