"""Answers to questions, batched and resumable, from speech, from another's speech, and from text.

More than 300 lines, as the questions are batched, kept and checked in one way for all models that answer.
"""

import contextlib
import itertools
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from auralign.data.frames import LiveFrames
from auralign.files import partial_path
from auralign.generate.engine import Engine
from auralign.layout import MAIN, Text, View, fill
from auralign.method import AlignmentMethod, in_slot, is_assisted
from auralign.models.build import own_encoder
from auralign.models.builds import describe_builds
from auralign.models.llm import Answer, Decoding
from auralign.models.speech_llm import Frames, SpeechLLM, on_device
from auralign.progress import Progress
from auralign.records import Hypothesis, Question, Records, write_records
from auralign.render import Rendered, Renderer
from auralign.run_folder import OTHER_TEXT, TEXT_TRAINED
from auralign.store import Store
from auralign.text.words import normalise

FROM_TEXT = ("text", "normalised", "transcript", OTHER_TEXT)
FLOOR_SEED = 1
"""Draws whose text is read instead: of all runs of an LLM the same, whatever their seeds, so that they have one floor."""
READ = (*FROM_TEXT, TEXT_TRAINED)  # inputs without speech
INPUTS = ("speech", "shuffled", *READ)


class Found(NamedTuple):
    """An utterance in the manifest: its row, and its duration."""

    row: int
    seconds: float


class Answerer(ABC):
    """Answers every question for one kind of input, in batches; what was answered is kept, so that an interrupted run continues.

    Arguments
    ---------
    manifest : Records
        Records of Utterance.
    batch_size : int
        Number of questions that are answered together.
    name : str
        Of what answers, for the progress.
    recognizer : callable, optional
        Its `transcribe` maps frames (B, T, D) and lengths (B,) to transcripts, for the input "transcript"; `encoder` makes the
        frames.
    """

    def __init__(self, manifest: Records, *, batch_size: int, name: str, recognizer=None):
        self.manifest, self.batch_size, self.name, self.recognizer = manifest, batch_size, name, recognizer
        self.assisted = False  # whether the prompt also has a transcript
        self.transcripts: dict[int, str] = {}  # by row of the manifest

    @abstractmethod
    def _answer(self, questions: list[Question], rows: list[int], given: str, partners) -> list[Hypothesis]:
        """The answers to a batch of questions about rows of the manifest; `partners` has the rows of the other utterances."""

    def _check_lengths(self, found: dict[str, "Found"], partners) -> None:
        """Raise ValueError if an utterance whose speech is an input cannot be encoded; by default all can."""
        return

    def _reading(
        self, batches: list[list[int]], given: str, partners
    ) -> contextlib.AbstractContextManager[None]:
        """Context manager: the batches of rows will be answered in this order; by default nothing is read ahead."""
        return contextlib.nullcontext()

    def _is_assisted(self) -> bool:
        """Whether prompts also have a transcript by default."""
        return False

    def about(self) -> dict[str, Any]:
        """Facts about all answers, for the header of their file."""
        return {}

    def write(
        self,
        questions: Iterable[Question],
        path,
        *,
        given: str,
        seed: int = 0,
        assisted: bool | None = None,
        partial: Path | None = None,
    ) -> None:
        """Write one Hypothesis for each question to `path`, in the order of the questions.

        Arguments
        ---------
        given : str
            The input of the LLM: "speech"; "shuffled", the speech of another utterance, drawn by `seed`; "text", the reference
            transcript; "normalised", the reference without case and punctuation; "transcript", the encoder's own; "other_text",
            the reference without case and punctuation of another utterance, drawn by `FLOOR_SEED`; "text_trained", the reference
            transcript, read by the trained LLM.
        assisted : bool, optional
            Whether the prompt also has the encoder's transcript (False: an empty text); default: as the method declares.
        partial : Path, optional
            File of the answers so far, from which an interrupted run continues; the caller removes it. Default:
            `<name>.partial.jsonl` beside `path`, which is removed at the end.

        Text is given to the original LLM, without LoRA, except "text_trained". Raises ValueError if an utterance is too long
        for the encoder, or a prompt for the LLM.
        """
        if given not in INPUTS:
            raise ValueError(f"input {given!r}: use {', '.join(INPUTS)}")
        self.assisted = self._is_assisted() if assisted is None else assisted
        if self.recognizer is None and (given == "transcript" or (self.assisted and given not in READ)):
            what = "the input 'transcript'" if given == "transcript" else f"the method {self.name!r}"
            raise ValueError(
                f"{what} needs a recognizer for the encoder's own transcript: name one in the YAML, or by --recognizer"
            )
        partners = None
        if given in ("shuffled", OTHER_TEXT):
            partners = shuffle_partners(self.manifest, FLOOR_SEED if given == OTHER_TEXT else seed)
        asked = list(questions)
        found = self._find(asked)
        if given not in ("text", "normalised", OTHER_TEXT, TEXT_TRAINED):
            self._check_lengths(found, partners)
        answered = partial or partial_path(path)
        with Store(answered, Hypothesis) as store:
            pending = [question for question in asked if question.key not in store.keys]
            with Progress(
                f"decode {self.name}: answers from {given}",
                unit="answer",
                total=len(asked),
                initial=len(store.keys),
            ) as progress:
                batches = list(self._batches(pending, found))
                rows = [[found[question.utt_id].row for question in batch] for batch in batches]
                with self._reading(rows, given, partners):
                    for batch, of_batch in zip(batches, rows, strict=True):
                        store.append(self._answer(batch, of_batch, given, partners))
                        progress.update(len(batch))
            silent: list[str] = []
            answers = self._in_order(asked, store, silent)
            write_records(path, answers, kind=Hypothesis, about=self.about())
        if silent:
            print(
                f"{path}: {len(silent)} of {len(asked)} answers, such as that to {silent[0]}, are empty at their "
                "length limit, such as those of an LLM that is still reasoning; raise decode_max_new_tokens",
                file=sys.stderr,
            )
        if partial is None:
            answered.unlink()

    def _find(self, questions: list[Question]) -> dict[str, Found]:
        """The row and duration of each utterance in the questions, by its id; each is parsed once."""
        found = {}
        for question in questions:
            if question.utt_id not in found:
                row, utterance = self.manifest.find(question.utt_id)
                found[question.utt_id] = Found(row, utterance.seconds)
        return found

    def _in_order(self, questions: list[Question], store: Store, silent: list[str]) -> Iterator[Hypothesis]:
        """The answers in the order of the questions; adds the keys of those that are empty at the length limit to `silent`."""
        for question in questions:
            answer = store.read(question.key)
            if not answer.text and answer.finish_reason == "length":
                silent.append(question.key)
            yield answer

    def _batches(self, questions: list[Question], found: dict[str, Found]) -> Iterator[list[Question]]:
        """Batches of questions about utterances of similar length, longest first, so that memory runs out at once or never.

        Questions about one utterance come one after another."""
        places = {utt_id: (-one.seconds, one.row) for utt_id, one in found.items()}
        order = sorted(questions, key=lambda question: (*places[question.utt_id], question.key))
        for start in range(0, len(order), self.batch_size):
            yield order[start : start + self.batch_size]

    def _read_texts(self, texts: list[str], rows: list[int], given: str, partners) -> list[str]:
        """What the LLM reads for one of `FROM_TEXT`, about rows of the manifest whose own texts are given."""
        if given == "transcript":
            return self.transcribe(rows)
        if given == OTHER_TEXT:
            texts = [self.manifest[int(partners[row])].text for row in rows]
        return [normalise(text) for text in texts] if given in ("normalised", OTHER_TEXT) else texts

    def transcribe(self, rows: list[int]) -> list[str]:
        """The recognizer's transcripts of manifest rows; each is computed once, whatever the number of its questions."""
        new = [row for row in dict.fromkeys(rows) if row not in self.transcripts]
        if new:
            self.transcripts.update(
                zip(new, self.recognizer.transcribe(*self._frames_to_transcribe(new)), strict=True)
            )
        return [self.transcripts[row] for row in rows]

    def _frames_to_transcribe(self, rows: list[int]):
        """The frames (B, T, D) and lengths (B,) that the recognizer reads."""
        return LiveFrames(self.recognizer.encoder, self.manifest).get(rows)


class Decoder(Answerer):
    """Answers every question for one kind of input.

    Arguments
    ---------
    model : SpeechLLM
    renderer : Renderer
    manifest : Records
        Records of Utterance.
    frames : auralign.data.frames.BranchFrames
    method : AlignmentMethod
        Its `slot` gives the segments that replace a question's `{speech}`.
    decoding : Decoding
    batch_size : int
        Number of questions that are decoded together.
    recognizer : callable, optional
        Its `transcribe` maps frames (B, T, D) and lengths (B,) to the encoder's own transcripts, for the input "transcript"
        and for methods that use a transcript beside the speech. If it has an `encoder`, the frames are that one's.
    """

    def __init__(
        self,
        model: SpeechLLM,
        renderer: Renderer,
        manifest: Records,
        frames,
        *,
        method: AlignmentMethod,
        decoding: Decoding,
        batch_size: int,
        recognizer=None,
        engine: Engine | None = None,
    ):
        if engine is not None and not decoding.in_slots:
            raise ValueError(
                "decode_engine: beams (decode_num_beams) and decode_stop_strings need transformers; leave them out, or use "
                "--decode_engine transformers"
            )
        # Rounding in the connector must not depend on batch mates either.
        batch_size = 1 if model.llm.batch_invariant else batch_size
        super().__init__(manifest, batch_size=batch_size, name=method.name, recognizer=recognizer)
        self.method, self.model, self.renderer, self.frames = method, model, renderer, frames
        self.decoding, self.engine = decoding, engine
        self._frames: dict[int, dict[str, torch.Tensor]] = {}  # of the last batch, by row and branch

    def _is_assisted(self) -> bool:
        return is_assisted(self.method)

    def about(self) -> dict[str, Any]:
        """The prompts, and the builds of the models."""
        return {**self.renderer.describe(), **describe_builds(self.model)}

    def _check_lengths(self, found: dict[str, Found], partners) -> None:
        """Raise ValueError if an encoder cannot encode an utterance whose speech is an input."""
        seconds = {utt_id: one.seconds for utt_id, one in sorted(found.items(), key=lambda item: item[1].row)}
        if partners is not None:
            partner_utterances = (
                self.manifest[int(partners[row])] for row in sorted(one.row for one in found.values())
            )
            seconds = {utterance.id: utterance.seconds for utterance in partner_utterances}
        for encoder in self.model.encoders.values():
            too_long = [utt_id for utt_id, length in seconds.items() if not encoder.hears(length)]
            if too_long:
                raise ValueError(
                    f"{self.manifest.path}: {len(too_long)} test utterances are too long; {too_long[0]} "
                    f"{encoder.too_long(seconds[too_long[0]])}"
                )

    def _reading(
        self, batches: list[list[int]], given: str, partners
    ) -> contextlib.AbstractContextManager[None]:
        if given in READ:
            return contextlib.nullcontext()
        rows = itertools.chain.from_iterable(batches)
        rows = rows if partners is None else (int(partners[row]) for row in rows)
        return self.frames.reading(dict.fromkeys(rows))

    def _frames_of(self, rows: list[int]) -> Frames:
        """Frames of rows by branch: an utterance is encoded once for all questions about it, which come one after another."""
        new = [row for row in dict.fromkeys(rows) if row not in self._frames]
        kept = {row: self._frames[row] for row in rows if row in self._frames} | {row: {} for row in new}
        for branch, (frames, lengths) in (self.frames.get(new) if new else {}).items():
            for row, of_row, length in zip(new, frames, lengths.tolist(), strict=True):
                kept[row][branch] = of_row[:length]
        if new:
            self._frames = kept
        return {
            branch: (
                nn.utils.rnn.pad_sequence([kept[row][branch] for row in rows], batch_first=True),
                torch.tensor([len(kept[row][branch]) for row in rows]),
            )
            for branch in kept[rows[0]]
        }

    def _answer(self, questions: list[Question], rows: list[int], given: str, partners) -> list[Hypothesis]:
        utterances = [self.manifest[row] for row in rows]
        texts = [utterance.text for utterance in utterances]
        if given in FROM_TEXT:
            texts = self._read_texts(texts, rows, given, partners)
        speech: list[list[torch.Tensor] | None] = [None] * len(questions)
        if given in READ:
            prompts = [
                self._prompt(question, Text(text)) for question, text in zip(questions, texts, strict=True)
            ]
        else:
            rows = rows if partners is None else [int(partners[row]) for row in rows]
            frames = self._frames_of(rows)
            spoken = self.transcribe(rows) if self.assisted else [""] * len(rows)
            prompts = [
                self._prompt(question, *in_slot(self.method, transcript))
                for question, transcript in zip(questions, spoken, strict=True)
            ]
            with torch.no_grad():
                speech, _ = self.model.listen(prompts, on_device(frames, self.model.llm.device))
        for question, prompt, of_one in zip(questions, prompts, speech, strict=True):
            try:
                self.model.check_fits(prompt, of_one)
            except ValueError as error:
                raise ValueError(f"{self.manifest.path}: question {question.key}: {error}") from error
        with self.model.llm.original() if given in FROM_TEXT else contextlib.nullcontext():
            answers = self._ask(prompts, speech, [utterance.seconds for utterance in utterances])
        readings = [
            self.renderer.read(answer.ids, stop_strings=self.decoding.stop_strings) for answer in answers
        ]
        return [
            Hypothesis(
                key=question.key,
                utt_id=question.utt_id,
                input=given,
                text=reading.text,
                finish_reason="stop" if reading.ended else answer.finish_reason,
                transcript=text if given == "transcript" else None,
                other_build=" ".join(found["used"] for found in self.model.other_builds.values()),
            )
            for question, answer, reading, text in zip(questions, answers, readings, texts, strict=True)
        ]

    @torch.no_grad()
    def _ask(self, prompts: list[Rendered], speech: list, seconds: list[float]) -> list[Answer]:
        """The answers of the model, or of the engine, to prompts with their speech."""
        if self.engine is None:
            return self.model.answer(
                prompts, speech, decoding=self.decoding, stop_ids=self.renderer.stop_ids, seconds=seconds
            )
        packs = [self.model.pack([prompt], [one]) for prompt, one in zip(prompts, speech, strict=True)]
        embeddings = [pack.embeddings for pack in packs]
        limits = [
            min(self.decoding.limit(length), self.model.llm.room(len(one)))
            for one, length in zip(embeddings, seconds, strict=True)
        ]
        return self.engine.answer_embeddings(embeddings, limits)

    def _frames_to_transcribe(self, rows: list[int]):
        encoder = own_encoder(self.recognizer)
        return LiveFrames(encoder, self.manifest).get(rows) if encoder else self._frames_of(rows)[MAIN]

    def _prompt(self, question: Question, *segments):
        return self.renderer.render(View(fill(question.instruction, *segments)))


def shuffle_partners(manifest: Records, seed: int) -> np.ndarray:
    """For each row of the manifest (num_utterances,), the row of another utterance with another text.

    Raises ValueError if all utterances have the same text.
    """
    texts = [utterance.text for utterance in manifest]
    if len(set(texts)) < 2:
        raise ValueError(
            f"{manifest.path}: all utterances have the same text; shuffled speech needs another one"
        )
    order = np.random.default_rng([seed, len(texts)]).permutation(len(texts))
    partners = np.empty(len(texts), dtype=np.int64)
    for index, row in enumerate(order):
        step = 1
        while texts[order[(index + step) % len(order)]] == texts[row]:
            step += 1
        partners[row] = order[(index + step) % len(order)]
    return partners
