"""Wav2Prompt: speech as the very token embeddings of its transcript."""

from dataclasses import dataclass, replace

from auralign.layout import Layout, Speech, View, fill
from auralign.method import AlignmentMethod, Needs
from auralign.records import Choice


@dataclass(frozen=True)
class Wav2Prompt(AlignmentMethod):
    """Match the LLM's own embeddings of the transcript, token by token, and have the LLM say the transcript.

    Wav2Prompt (arXiv:2406.00522, NAACL 2025): speech is cut into as many embeddings as its transcript has tokens, by continuous
    integrate-and-fire, so that each has one to match; whatever the LLM does with the prompt's text follows.

    Faithful to the paper: transcripts alone, no generated answers; a connector that fires once a token
    (`auralign.models.connectors.ContinuousIntegrateAndFire`, needed here); the squared distance to the token embeddings;
    cross-entropy of the transcript through the frozen LLM; the LLM frozen. Not faithful: the weights of the terms and the
    request to repeat are ours, and the quantity loss is that of BLSP-KD (arXiv:2405.19041); training details of the paper were
    not checked against the source.

    Arguments
    ---------
    instruction : str
        A template with one `{speech}` slot, after which the LLM is to say the transcript.
    embedding_weight, quantity_weight, cross_entropy_weight : float
        Of the three terms.
    """

    instruction: str = "{speech}\nRepeat the above."
    embedding_weight: float = 1.0
    quantity_weight: float = 1.0
    cross_entropy_weight: float = 1.0

    name = "wav2prompt"
    paper = "2406.00522"
    needs = Needs(num_tokens=True)
    not_distances = ("cross_entropy", "quantity")

    def choices(self, utterance, rng):
        """The one choice: repeat."""
        yield Choice(task="repeat", instruction=self.instruction)

    def given_response(self, utterance, choice):
        """The transcript; the LLM is not asked."""
        return utterance.text

    def layout(self, utterance, choice, response):
        """The instruction with the speech in its slot, then the transcript."""
        return Layout.of(View((*fill(choice.instruction, Speech(utterance.text)), response)))

    def loss(self, views):
        """Distance of the embeddings, error of their number, cross-entropy."""
        from auralign.losses import Term, distance

        student, teacher = views["student"], views["teacher"]
        embedding = distance(student.at("speech", 0), teacher.at("speech", 0), squared=True)
        spoken = student.extras["quantity"].new_tensor([len(read) for read in teacher.each("speech", 0)])
        error = (student.extras["quantity"] / spoken - 1).abs()
        return {
            "embedding": replace(embedding, weight=self.embedding_weight, unit="read speech"),
            "quantity": Term(error.sum(), len(error), self.quantity_weight, "sequences"),
            "cross_entropy": replace(student.cross_entropy("target"), weight=self.cross_entropy_weight),
        }
