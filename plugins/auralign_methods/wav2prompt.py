"""Wav2Prompt: speech as the very token embeddings of its transcript."""

from dataclasses import dataclass, replace

from auralign.layout import SPEECH, STUDENT, TARGET, TEACHER, Layout, Speech, View, fill
from auralign.method import AlignmentMethod, Needs
from auralign.records import Choice

STAGES = JOINT, ALIGN, DISTIL = ("joint", "align", "distil")


@dataclass(frozen=True)
class Wav2Prompt(AlignmentMethod):
    """Match the LLM's own embeddings of the transcript, token by token, and have the LLM say the transcript.

    Wav2Prompt (arXiv:2406.00522, NAACL 2025): speech is cut into as many embeddings as its transcript has tokens, by continuous
    integrate-and-fire, so that each has one to match; whatever the LLM does with the prompt's text follows. Its successor ACIF
    ("Align, Integrate and Fire") has two stages: "align" gathers the frames that dynamic time warping gives to each token and
    runs no LLM at all; "distil" goes on from there (`init_from`) with the LLM's first layer, read by its own head.

    Faithful to the paper: transcripts alone, no generated answers; a connector that fires once a token
    (`auralign.models.connectors.ContinuousIntegrateAndFire`, needed here; `project_first: True` for ACIF); the squared distance
    to the token embeddings; cross-entropy of the transcript through the frozen LLM; of ACIF's first stage the weights, 0.01 of
    the normalised squared distance, 10 of the cosine, 1 of the quantity. Not faithful: the weights of the joint terms and the
    request to repeat are ours, and the quantity loss is that of BLSP-KD (arXiv:2405.19041); training details of Wav2Prompt were
    not checked against the source. Of ACIF, our reading: distances are divided by the squared norm of the token's embedding,
    the cosine is taken from the mean of all token embeddings; the whole LLM is run for its first layer. An addition of ours,
    off by default, is `naming_weight`: a squared distance alone leaves an embedding between tokens, and the LLM reads none.

    Arguments
    ---------
    instruction : str
        A template with one `{speech}` slot, after which the LLM is to say the transcript.
    stage : str
        "joint", or of ACIF "align" or "distil".
    embedding_weight, quantity_weight, cross_entropy_weight, naming_weight : float
        Of the terms of "joint"; the quantity's also of "distil". Without cross-entropy the LLM is not run: it helps if the
        LLM, asked to repeat, says the bare transcript, and is a command to do so if it would not. Naming
        is the cross-entropy of each token among all, the nearest to its embedding being the likeliest
        (`auralign.losses.naming_loss`).
    num_rivals : int, optional
        Of naming: only the tokens with ids below this, and the right one, compete, which saves time; the default is all.
    """

    instruction: str = "{speech}\nRepeat the above."
    stage: str = JOINT
    embedding_weight: float = 1.0
    quantity_weight: float = 1.0
    cross_entropy_weight: float = 1.0
    naming_weight: float = 0.0
    num_rivals: int | None = None

    name = "wav2prompt"
    paper = "2406.00522"
    added = {"naming_weight": 0.0, "num_rivals": None}
    fidelity = "mechanism"
    examples = ({}, {"naming_weight": 0.5, "num_rivals": 20}, {"stage": "align"}, {"stage": "distil"})
    not_distances = ("quantity", "naming")

    def __post_init__(self):
        if self.stage not in STAGES:
            raise ValueError(f"stage {self.stage!r}: use {', '.join(STAGES)}")

    @property
    def version(self):
        """Of "distil", 1 compared the distributions before each spoken token, the first of which are always equal."""
        return "2" if self.stage == DISTIL else "1"

    @property
    def needs(self):
        """A connector that counts; the LLM for cross-entropy, and for "distil" its first layer in both views."""
        if self.stage == DISTIL:
            return Needs(num_tokens=True, layers=(1,))
        says = self.stage == JOINT and self.cross_entropy_weight
        return Needs(num_tokens=True, llm_views=(STUDENT,) if says else ())

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
        """The terms of the stage."""
        from auralign.losses import quantity_error

        student, teacher = views[STUDENT], views[TEACHER]
        error = quantity_error(student.extras["quantity"], student.extras["num_tokens"])
        if self.stage == ALIGN:
            return {**_align(student, teacher.each(SPEECH, 0)), "quantity": error}
        quantity = replace(error, weight=self.quantity_weight)
        if self.stage == DISTIL:
            first = student.divergence(teacher, SPEECH, layer=1, at_tokens=True)
            return {"first_layer": first, "quantity": quantity}
        embedding = student.distance(teacher, SPEECH, layer=0, squared=True)
        terms = {"embedding": replace(embedding, weight=self.embedding_weight), "quantity": quantity}
        if self.naming_weight:
            named = student.naming_loss(teacher, SPEECH, num_rivals=self.num_rivals)
            terms["naming"] = replace(named, weight=self.naming_weight)
        if self.cross_entropy_weight:
            said = student.cross_entropy(TARGET)
            terms["cross_entropy"] = replace(said, weight=self.cross_entropy_weight)
        return terms


def _align(student, read):
    """Distance and cosine of what each token's frames gather, by their weights."""
    from auralign.losses import cosine_distance, distance, join, read_unit, warp

    extras, centre = student.extras, student.llm.mean_embedding
    if "frames" not in extras:
        raise ValueError(
            'the stage "align" needs the connector ContinuousIntegrateAndFire with project_first: True'
        )
    distances, cosines = [], []
    for frames, weights, length, tokens in zip(
        extras["frames"], extras["weights"], extras["lengths"].tolist(), read, strict=True
    ):
        taken = warp(frames[:length], tokens) * weights[:length]
        gathered = (taken / taken.sum(1, keepdim=True)) @ frames[:length]
        norm = tokens.norm(dim=-1, keepdim=True)
        distances.append(distance(gathered / norm, tokens / norm, squared=True))
        cosines.append(cosine_distance(gathered - centre, tokens - centre))
    return {
        "distance": replace(join(distances), weight=0.01, unit=read_unit(SPEECH)),
        "cosine": replace(join(cosines), weight=10.0, unit=read_unit(SPEECH)),
    }
