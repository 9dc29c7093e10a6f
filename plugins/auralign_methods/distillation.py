"""Distillation: the LLM that reads teaches itself to hear, distribution by distribution."""

from dataclasses import dataclass, replace

from auralign.layout import END, STUDENT, TARGET, TEACHER, Layout, Speech, View, fill
from auralign.method import AlignmentMethod, Needs
from auralign.records import Choice


@dataclass(frozen=True)
class Distillation(AlignmentMethod):
    """Knowledge distillation: match the next-token distributions of the same LLM reading the transcript.

    Ultravox's training (https://github.com/fixie-ai/ultravox), whose authors name the response loss of BLSP-KD
    (arXiv:2405.19041) as its source. A distribution says more of what the LLM made of the text than the one answer drawn from it.

    Faithful to the paper, by the code of its family (src/modeling_blsp2.py of https://github.com/cwang621/blsp-emo): a request
    to continue, the continuation written by the same frozen LLM, greedy; the divergence from teacher to student at temperature 2
    without the square of the temperature; only the connector trained. Faithful to Ultravox (ultravox/model/ultravox_model.py):
    the same divergence, at the positions that predict the response, the first token's included, which the code of BLSP-KD
    leaves out; a second term at the position that predicts the end of the turn; the teacher reads the transcript without
    quotation marks. Not faithful: the wording of the request is ours (in ultravox/tools/ds_tool it names 50 words); Ultravox's
    data come with their continuations, and mix transcription and translation in; its later versions train LoRA on the encoder.
    Ultravox's values: `as_published/distillation.yaml`.

    Arguments
    ---------
    instruction : str
        A template with one `{speech}` slot.
    temperature : float
        Divides the logits of both.
    end_weight : float
        Of the term at the end of the turn; 0 leaves it out.
    top_k : int, optional
        Compute the teacher once, in stage 2, and keep its `top_k` largest logits at each token; the rest of the vocabulary counts
        as one token. Default: the teacher is computed in every step.
    refusals : list of str, optional
        Phrases by which an answer is rejected as a refusal, () for none; default: the toolkit's.
    """

    instruction: str = "Continue this text in fewer than 50 words:\n{speech}"
    temperature: float = 2.0
    end_weight: float = 1.0
    top_k: int | None = None
    refusals: tuple[str, ...] | None = None

    name = "distillation"
    paper = "2405.19041"
    added = {"refusals": None}
    examples = ({}, {"top_k": 16})

    @property
    def needs(self):
        """The teacher, computed or kept."""
        if not self.top_k:
            return Needs(teacher=True)
        return Needs(top_k=self.top_k, temperature=self.temperature)

    def choices(self, utterance, rng):
        """The one choice: continue."""
        yield Choice(task="continue", instruction=self.instruction)

    def layout(self, utterance, choice, response):
        """The request with the speech in its slot, then the LLM's own continuation."""
        return Layout.of(View((*fill(choice.instruction, Speech(utterance.text)), response)))

    def loss(self, views):
        """The divergence over the response, and once more at its end."""
        student, teacher = views[STUDENT], views[TEACHER]
        terms = {"divergence": student.divergence(teacher, TARGET, temperature=self.temperature)}
        if self.end_weight:
            end = student.divergence(teacher, END, temperature=self.temperature)
            terms["end_divergence"] = replace(end, weight=self.end_weight)
        return terms
