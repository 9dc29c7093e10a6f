"""Internal alignment: hear as read, layer by layer, while the answer stays what counts."""

from dataclasses import dataclass, replace

from auralign.layout import SPEECH, STUDENT, TARGET, TEACHER, Layout, Speech, View, fill
from auralign.method import AlignmentMethod, Needs
from auralign.records import Choice

INSTRUCTIONS = (
    "Repeat what is said here: {speech}",
    "Put this in other words: {speech}",
    "Name the key words: {speech}",
    "What does the speaker want? {speech}",
    "How does the speaker feel? {speech}",
    "Continue from here: {speech}",
    "{speech}\nWhat is this about?",
    "{speech}\nGive a short reply.",
)


@dataclass(frozen=True)
class InternalAlignment(AlignmentMethod):
    """Teach the LLM's own answers, and pull the hidden states at each token of the speech towards those at the token read.

    "Do SLMs Hear Speech as They Read Text?" (2026), with dynamic queries (DQA). The connector makes as many embeddings as the
    transcript has tokens, so that each hidden state has one to be compared with
    (`auralign.models.connectors.CountedQFormer`, needed here).

    Faithful to the paper: one of many instructions drawn for each utterance, the answer written by the same frozen LLM;
    cross-entropy on it, plus 0.1 times the cosine distance at the embedding layer and at the quarters of the depth; in
    training as many queries as tokens, in use a small predictor of their rate. Not faithful: the paper has 18 instructions,
    ours are eight and of our wording; the distances of the layers are averaged, which was not checked against the source; the
    loss of the predictor is that of BLSP-KD (arXiv:2405.19041).

    Arguments
    ---------
    instructions : list of str
        Templates with one `{speech}` slot; one is drawn for each utterance.
    weight : float
        Of the cosine distance. Too much of it hurts: what is aligned best does not answer best (the paper's Figure 3).
    depths : list of float
        Of the layers beside the embedding and the last one, between 0.0 and 1.0.
    quantity_weight : float
        Of the error of the predicted number of tokens.
    refusals : list of str, optional
        Phrases by which an answer is rejected as a refusal, () for none; default: the toolkit's.
    """

    instructions: tuple[str, ...] = INSTRUCTIONS
    weight: float = 0.1
    depths: tuple[float, ...] = (0.25, 0.5, 0.75)
    quantity_weight: float = 1.0
    refusals: tuple[str, ...] | None = None

    name = "internal_alignment"
    paper = "Do SLMs Hear Speech as They Read Text? (2026)"
    added = {"refusals": None}
    not_distances = ("quantity",)

    @property
    def needs(self):
        """The teacher's hidden states, and a connector that counts."""
        return Needs(teacher=True, layers=tuple(self.depths), num_tokens=True)

    def choices(self, utterance, rng):
        """One instruction, drawn at random."""
        yield Choice(task="instruction", instruction=rng.choice(list(self.instructions)))

    def layout(self, utterance, choice, response):
        """The instruction with the speech in its slot, then the LLM's own answer."""
        return Layout.of(View((*fill(choice.instruction, Speech(utterance.text)), response)))

    def loss(self, views):
        """Cross-entropy of the answer, cosine distance by layers, error of the number of tokens."""
        from auralign.losses import quantity_error

        student, teacher = views[STUDENT], views[TEACHER]
        layers = (0, *self.depths, -1)
        distances = [student.cosine_distance(teacher, SPEECH, layer=layer) for layer in layers]
        error = quantity_error(student.extras["quantity"], student.extras["num_tokens"])
        return {
            "cross_entropy": student.cross_entropy(TARGET),
            "cosine": replace(
                distances[0],
                sum=sum(distance.sum for distance in distances) / len(layers),
                weight=self.weight,
            ),
            "quantity": replace(error, weight=self.quantity_weight),
        }
