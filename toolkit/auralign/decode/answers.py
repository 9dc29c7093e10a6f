"""Answers to questions, batched and resumable, from speech, from another's speech, and from text."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from auralign.layout import Speech, View, fill
from auralign.models.llm import Decoding
from auralign.models.speech_llm import SpeechLLM
from auralign.records import Hypothesis, Question, Records, write_records
from auralign.render import Renderer
from auralign.store import Store, partial_path

FROM_TEXT = ("text", "transcript")
INPUTS = ("speech", "shuffled", *FROM_TEXT)


class Decoder:
    """Answers every question for one kind of input.

    Arguments
    ---------
    model : SpeechLLM
    renderer : Renderer
    manifest : Records
        Of Utterance.
    frames : object
        With `get(rows)`; see `auralign.data.frames`.
    decoding : Decoding
    batch_size : int
    recognizer : callable, optional
        From frames (B, T, D) and lengths (B,) to transcripts: the encoder's own, for the input "transcript".
    """

    def __init__(
        self,
        model: SpeechLLM,
        renderer: Renderer,
        manifest: Records,
        frames,
        *,
        decoding: Decoding,
        batch_size: int,
        recognizer=None,
    ):
        self.model, self.renderer, self.manifest, self.frames = model, renderer, manifest, frames
        self.decoding, self.batch_size, self.recognizer = decoding, batch_size, recognizer

    def write(self, questions: Records, path, *, given: str, seed: int = 0) -> None:
        """Write one Hypothesis for each question to `path`, in the order of the questions.

        Arguments
        ---------
        given : str
            What the LLM is given: "speech"; "shuffled", the speech of another utterance, drawn by `seed`; "text", the reference
            transcript; "transcript", the encoder's own.

        What is answered is kept in `<name>.partial.jsonl` until all is there, so an interrupted run goes on where it was.
        From text the plain LLM answers, without LoRA. Raises ValueError where an utterance is too long for the encoder, or
        a prompt for the LLM.
        """
        if given not in INPUTS:
            raise ValueError(f"input {given!r}: use {', '.join(INPUTS)}")
        if given == "transcript" and self.recognizer is None:
            raise ValueError("the input 'transcript' needs a recognizer: name one in the YAML")
        partners = shuffle_partners(self.manifest, seed) if given == "shuffled" else None
        if given != "text":
            self._check_lengths(questions, partners)
        partial = partial_path(path)
        if Path(path).exists() and not partial.exists():
            return  # killed between the last two steps of this function
        with Store(partial, Hypothesis) as store:
            pending = [question for question in questions if question.key not in store.keys]
            with tqdm(
                total=len(questions),
                initial=len(store.keys),
                desc=f"answers from {given}",
                unit="answer",
                disable=None,
            ) as bar:
                for batch in self._batches(pending):
                    store.append(self._answer(batch, given, partners))
                    bar.update(len(batch))
            write_records(path, (store.read(question.key) for question in questions), kind=Hypothesis)
        partial.unlink()

    def _batches(self, questions: list[Question]) -> Iterator[list[Question]]:
        """Batches of questions about utterances of similar length, longest first: memory runs out at once or never."""
        order = sorted(
            questions, key=lambda question: (-self.manifest[question.utt_id].seconds, question.key)
        )
        for start in range(0, len(order), self.batch_size):
            yield order[start : start + self.batch_size]

    def _check_lengths(self, questions: Records, partners) -> None:
        encoder = self.model.encoder
        rows = {self.manifest.row(question.utt_id) for question in questions}
        heard = [self.manifest[row if partners is None else int(partners[row])] for row in sorted(rows)]
        seconds = {utterance.id: utterance.seconds for utterance in heard}
        too_long = [utt_id for utt_id, length in seconds.items() if not encoder.hears(length)]
        if too_long:
            raise ValueError(
                f"{self.manifest.path}: {len(too_long)} utterances of the test are too long; {too_long[0]} "
                f"{encoder.too_long(seconds[too_long[0]])}"
            )

    def _answer(self, questions: list[Question], given: str, partners) -> list[Hypothesis]:
        utterances = [self.manifest[question.utt_id] for question in questions]
        rows = [self.manifest.row(utterance.id) for utterance in utterances]
        speech: list[torch.Tensor | None] = [None] * len(questions)
        texts = [utterance.text for utterance in utterances]
        if given == "transcript":
            texts = self.recognizer.transcribe(*self.frames.get(rows))
        elif given != "text":
            frames, lengths = self.frames.get(
                rows if partners is None else [int(partners[row]) for row in rows]
            )
            with torch.no_grad():
                speech = self.model.hear(frames.to(self.model.llm.device), lengths.to(self.model.llm.device))
        prompts = [
            self._prompt(question, text, as_text=given in FROM_TEXT)
            for question, text in zip(questions, texts, strict=True)
        ]
        for question, prompt, heard in zip(questions, prompts, speech, strict=True):
            try:
                self.model.check_fits(prompt, heard)
            except ValueError as error:
                raise ValueError(f"{self.manifest.path}: question {question.key}: {error}") from error
        with self.model.llm.plain() if given in FROM_TEXT else contextlib.nullcontext():
            answers = self.model.answer(
                prompts,
                speech,
                decoding=self.decoding,
                stop_ids=self.renderer.stop_ids,
                seconds=[utterance.seconds for utterance in utterances],
            )
        return [
            Hypothesis(
                key=question.key,
                utt_id=question.utt_id,
                input=given,
                text=self.renderer.decode(answer.ids, stop_strings=self.decoding.stop_strings),
                finish_reason=answer.finish_reason,
                transcript=text if given == "transcript" else None,
            )
            for question, answer, text in zip(questions, answers, texts, strict=True)
        ]

    def _prompt(self, question: Question, text: str, *, as_text: bool):
        view = View(fill(question.instruction, Speech(text)))
        return self.renderer.render(view.read() if as_text else view)


def shuffle_partners(manifest: Records, seed: int) -> np.ndarray:
    """For each row of the manifest (num_utterances,), the row of another utterance with another text.

    Raises ValueError where all utterances say the same.
    """
    texts = [utterance.text for utterance in manifest]
    if len(set(texts)) < 2:
        raise ValueError(f"{manifest.path}: all utterances say the same; shuffled speech needs another text")
    order = np.random.default_rng([seed, len(texts)]).permutation(len(texts))
    partners = np.empty(len(texts), dtype=np.int64)
    for place, row in enumerate(order):
        step = 1
        while texts[order[(place + step) % len(order)]] == texts[row]:
            step += 1
        partners[row] = order[(place + step) % len(order)]
    return partners
