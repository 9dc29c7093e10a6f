"""DiVA: no answers at all, only what the LLM is about to say."""

from dataclasses import dataclass, replace

from auralign.layout import DEFAULT, FIRST, SPEECH, STUDENT, TEACHER, Layout, Speech, View, fill
from auralign.method import AlignmentMethod, Needs
from auralign.records import Choice


@dataclass(frozen=True)
class DiVA(AlignmentMethod):
    """Distilled voice assistant: match the state that predicts the first word of the answer, and the transcript's embeddings.

    DiVA (Held et al., ACL 2025, arXiv:2410.02678). The output matrix is frozen, so that equal hidden states mean equal
    distributions of the first token; the distance of the states replaces their divergence, and no answer is ever generated.

    Faithful to the paper and its code (levanter, commit 7c2e7f9): the speech alone as the user's turn; the Euclidean distance,
    without the square, of the hidden states that predict the first token of the answer; the same between the last embeddings of
    the speech and the transcript's token embeddings, both with weight 1; the LLM frozen. Not faithful: its connector starts
    from Whisper's decoder with 448 learned queries, ours is the recipe's; if the speech has fewer embeddings than the
    transcript has tokens, the last of both are matched; the paper's prompt is the bare headers of Llama 3, without a system
    prompt, here by option. The last commit of the authors' branch returns the second term alone, an ablation. The paper's
    values: `as_published/diva.yaml`.

    Arguments
    ---------
    instruction : str, optional
        A template with one `{speech}` slot; None, as in the paper, asks nothing.
    first_weight, input_weight : float
        Of the two terms.
    no_system_prompt : bool
        True, as in the paper; default False, the recipe's.
    """

    instruction: str | None = None
    first_weight: float = 1.0
    input_weight: float = 1.0
    no_system_prompt: bool = False

    name = "diva"
    paper = "2410.02678"
    added = {"no_system_prompt": False}
    needs = Needs(target=False, teacher=True)
    expected_failures = {
        "check_terms_count_their_unit": "if the speech has fewer embeddings than its text has tokens, the last are matched",
    }

    def choices(self, utterance, rng):
        """The one choice."""
        yield Choice(task="none", instruction=self.instruction)

    def layout(self, utterance, choice, response):
        """The speech; the target stays empty."""
        system = None if self.no_system_prompt else DEFAULT
        return Layout.of(View((*fill(choice.instruction, Speech(utterance.text)), response), system=system))

    def loss(self, views):
        """The two distances."""
        from auralign.losses import SEQUENCES, distance, join, read_unit

        student, teacher = views[STUDENT], views[TEACHER]
        first = distance(student.predicting(FIRST), teacher.predicting(FIRST))
        pairs = zip(student.each(SPEECH, 0), teacher.each(SPEECH, 0), strict=True)
        inputs = join(distance(spoken[-len(read) :], read[-len(spoken) :]) for spoken, read in pairs)
        return {
            "first_token": replace(first, weight=self.first_weight, unit=SEQUENCES),
            "input": replace(inputs, weight=self.input_weight, unit=read_unit(SPEECH)),
        }
