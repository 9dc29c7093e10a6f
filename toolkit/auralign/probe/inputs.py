"""The sequences that the probe reads: a question with speech or with text in its place, the instruction first or last."""

from dataclasses import dataclass, replace

import torch

from auralign.decode.answers import Decoder
from auralign.layout import SLOT, SPEECH, Response, Segment, Speech, Text, View, fill
from auralign.method import in_slot, is_assisted
from auralign.models.speech_llm import on_device
from auralign.models.views import Pack
from auralign.probe.flow import stretch
from auralign.records import Hypothesis, Question
from auralign.render import Rendered

FIRST, LAST = "instruction first", "instruction last"
ORDERS = (FIRST, LAST)
BESIDE = "beside"  # tag of the text that a method puts beside the speech, such as a marker or a transcript


def words_of(instruction: str | None) -> str:
    """The words of an instruction around its slot; "" if nothing is asked.

    >>> words_of("take {speech} and sort it")
    'take and sort it'
    """
    parts = (part.strip() for part in (instruction or SLOT).split(SLOT))
    return " ".join(part for part in parts if part)


def move_slot(question: Question, order: str) -> Question:
    """The question with all words of its instruction before the speech (`FIRST`) or behind it (`LAST`).

    An instruction that has this order stays as it is, letter for letter.

    >>> question = Question("q", "u", "g", "sort", "take {speech} and sort it", None)
    >>> move_slot(question, FIRST).instruction, move_slot(question, LAST).instruction
    ('take and sort it {speech}', '{speech} take and sort it')
    """
    instruction = question.instruction or ""
    before, _, after = (part.strip() for part in instruction.partition(SLOT))
    if not (after if order == FIRST else before):
        return question
    words = words_of(instruction)
    return replace(question, instruction=f"{words} {SLOT}" if order == FIRST else f"{SLOT} {words}")


@dataclass(frozen=True)
class Inputs:
    """The sequences of one model.

    Arguments
    ---------
    decoder : Decoder
        The model with the utterances of its manifest, as stage 4 makes it.
    """

    decoder: Decoder

    def with_speech(
        self, utt_id: str, instruction: str | None = None, answer: Hypothesis | None = None
    ) -> Pack:
        """One sequence of an utterance's speech, as the trained model is given it at inference.

        The speech has the tag `SPEECH`, the words of the instruction `INSTRUCTION`, and what the method puts beside the speech
        `BESIDE`.
        """
        decoder = self.decoder
        row, _ = decoder.manifest.find(utt_id)
        transcript = decoder.transcribe([row])[0] if is_assisted(decoder.method) else ""
        slot = [_retag(segment) for segment in in_slot(decoder.method, transcript)]
        view = self._render(instruction, slot, answer)
        frames = on_device(decoder.frames.get([row]), decoder.model.llm.device)
        with torch.no_grad():
            speech, _ = decoder.model.listen([view], frames)
            return decoder.model.pack([view], speech)

    def with_text(
        self,
        text: str,
        instruction: str | None = None,
        answer: Hypothesis | None = None,
        *,
        num_positions: int = 0,
        trained: bool = False,
    ) -> Pack:
        """One sequence with a text in the place of the speech.

        Arguments
        ---------
        text : str
            It has the tag `SPEECH`.
        instruction : str, optional
            Default: nothing is asked.
        answer : Hypothesis, optional
            The answer that follows; default none.
        num_positions : int
            The text is stretched to this number of positions if it has fewer; default 0, as it is.
        trained : bool
            Whether the trained LLM embeds it; default False, the original one.
        """
        view = stretch(self._render(instruction, [Text(text, tag=SPEECH)], answer), num_positions)
        model = self.decoder.model
        if not trained:
            return model.pack_text([view])
        with torch.no_grad():
            return model.pack([view], [None])

    def _render(self, instruction: str | None, slot: list[Segment], answer: Hypothesis | None) -> Rendered:
        segments = fill(instruction, *slot)
        if answer is not None:
            segments += (Response(answer.text, finished=answer.finish_reason == "stop"),)
        return self.decoder.renderer.render(View(segments))


def _retag(segment: Segment) -> Segment:
    return replace(segment, tag=SPEECH if isinstance(segment, Speech) else BESIDE)
