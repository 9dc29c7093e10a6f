"""BLSP-KD: distil what the LLM says next, both of the answer and of the speech itself."""

from dataclasses import dataclass, replace

from auralign.layout import SPEECH, STUDENT, TARGET, TEACHER, Layout, Speech, View, fill
from auralign.method import AlignmentMethod, Needs
from auralign.records import Choice


@dataclass(frozen=True)
class BLSPKD(AlignmentMethod):
    """Match the LLM's next-token distributions on the response, and, token by token, on what is said.

    BLSP-KD (arXiv:2405.19041). Continuous integrate-and-fire cuts the speech into as many embeddings as its text has tokens,
    so that the positions of the input can be distilled too; LoRA that adapts the positions of speech alone (`lora` with
    `lora_scope: speech`) leaves the LLM that reads as it was.

    Faithful to the paper and its family's code: the continuation written by the same frozen LLM, greedy (48 tokens there); the
    divergence from teacher to student at temperature 2 without the square of the temperature, on response and input; on the
    input at the spoken tokens themselves, what the LLM expects after each; the error of the number of tokens,
    |predicted / true - 1|; all terms weigh 1 (src/modeling_blsp2.py of https://github.com/cwang621/blsp-emo). Not faithful:
    the wording of the request is ours; on the response the distributions are those that predict its tokens, the first one
    included, while that code takes those after them; our connector (`auralign.models.connectors.ContinuousIntegrateAndFire`,
    needed here while `input_weight` is not 0) has the transformer layers around the firing by option alone. The values
    of the code: `as_published/blsp_kd.yaml`.

    Arguments
    ---------
    instruction : str
        A template with one `{speech}` slot.
    temperature : float
        Divides the logits of both.
    response_weight, input_weight, quantity_weight : float
        Of the three terms. With `input_weight` 0 there is the response alone, and any connector will do.
    refusals : list of str, optional
        Phrases by which an answer is rejected as a refusal, () for none; default: the toolkit's.
    """

    instruction: str = "Go on with this text, fluently, in fewer than forty words:\n{speech}"
    temperature: float = 2.0
    response_weight: float = 1.0
    input_weight: float = 1.0
    quantity_weight: float = 1.0
    refusals: tuple[str, ...] | None = None

    name = "blsp_kd"
    paper = "2405.19041"
    added = {"refusals": None}
    fidelity = "mechanism"
    examples = ({}, {"input_weight": 0.0})
    not_distances = ("quantity",)

    @property
    def version(self):
        """1 compared the input's distributions before each spoken token, the first of which are always equal."""
        return "2" if self.input_weight else "1"

    @property
    def needs(self):
        """The teacher, and with the input's term a connector that counts."""
        return Needs(teacher=True, num_tokens=bool(self.input_weight))

    def choices(self, utterance, rng):
        """The one choice: continue."""
        yield Choice(task="continue", instruction=self.instruction)

    def layout(self, utterance, choice, response):
        """The request with the speech in its slot, then the LLM's own continuation."""
        return Layout.of(View((*fill(choice.instruction, Speech(utterance.text)), response)))

    def loss(self, views):
        """Divergence over the response, divergence over the input, error of the number of tokens."""
        from auralign.losses import quantity_error

        student, teacher = views[STUDENT], views[TEACHER]
        response = student.divergence(teacher, TARGET, temperature=self.temperature)
        terms = {"response_divergence": replace(response, weight=self.response_weight)}
        if self.input_weight:
            spoken = student.divergence(teacher, SPEECH, temperature=self.temperature, at_tokens=True)
            terms["input_divergence"] = replace(spoken, weight=self.input_weight)
            error = quantity_error(student.extras["quantity"], student.extras["num_tokens"])
            terms["quantity"] = replace(error, weight=self.quantity_weight)
        return terms
