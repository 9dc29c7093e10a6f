"""Ask a model that others made the questions of a test set, as `auralign.decode.answers` asks one of ours."""

from typing import Any

from auralign.adapters.other_model import OtherModel, Prompt
from auralign.data.audio import audio_path, read_audio
from auralign.decode.answers import FROM_TEXT, Answerer
from auralign.layout import SLOT
from auralign.reasoning import Reasoning
from auralign.records import Hypothesis, Question, Records

REASONING = Reasoning()  # of tags that need no declaration, as the model's template is not known


class OtherAnswerer(Answerer):
    """Answers questions with a model behind an adapter. Text is read by the same model, without speech; reasoning is left out.

    Arguments
    ---------
    model : OtherModel
    manifest : Records
        Records of Utterance.
    """

    def __init__(self, model: OtherModel, manifest: Records):
        super().__init__(manifest, batch_size=model.batch_size, name=model.name)
        self.model = model

    def _answer(
        self, questions: list[Question], rows: list[int], given: str, partners: Any
    ) -> list[Hypothesis]:
        if given in FROM_TEXT:
            texts = self._read_texts([self.manifest[row].text for row in rows], rows, given, partners)
            prompts = [
                Prompt((question.instruction or SLOT).replace(SLOT, text), None)
                for question, text in zip(questions, texts, strict=True)
            ]
        else:
            texts = [""] * len(rows)
            heard = rows if partners is None else [int(partners[row]) for row in rows]
            prompts = [self._speak(question, row) for question, row in zip(questions, heard, strict=True)]
        replies = self.model.answer(prompts)
        return [
            Hypothesis(
                key=question.key,
                utt_id=question.utt_id,
                input=given,
                text=REASONING.split(reply.text)[0],
                finish_reason=reply.finish_reason,
                transcript=text if given == "transcript" else None,
            )
            for question, reply, text in zip(questions, replies, texts, strict=True)
        ]

    def _speak(self, question: Question, row: int) -> Prompt:
        """The question with the speech of a row of the manifest."""
        utterance = self.manifest[row]
        samples = read_audio(
            audio_path(self.manifest.path, utterance), start=utterance.start, seconds=utterance.seconds
        )
        before, _, after = (question.instruction or SLOT).partition(SLOT)
        return Prompt(before, samples, after)
