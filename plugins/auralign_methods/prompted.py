"""PCP: continue pre-training on the task's own template, with the LLM's answers in the place of labels."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from auralign.layout import SLOT, STUDENT, TARGET, Layout, Speech, Text, View
from auralign.method import AlignmentMethod
from auralign.records import Choice
from auralign.text.words import plain

TEMPLATE = "template"  # tag of the template's words behind the speech, which are learnt


@dataclass(frozen=True)
class Prompted(AlignmentMethod):
    """Ask one task's question about much speech without labels, learn question and answer, then learn from few labels.

    PCP, prompt-based continued pre-training (Don't Stop Pretraining? Make Prompt-based Fine-tuning Powerful Learner, NeurIPS
    2023, arXiv:2305.01711), as a pair of recipes. The first asks the LLM about the transcripts under the task's template, and
    teaches template and answer from the speech. The second, with `label` and `init_from` the first, teaches what the corpus
    holds, of as few utterances as its `num_train_utts` says.

    Faithful to the paper: pseudo-labels of task texts; template and label are part of what is predicted; then fine-tuning with
    the same template. Not faithful: the pseudo-labels are the frozen LLM's own, without a round of fine-tuning on the few labels
    before; they are of the splits train and valid, never of test (the code labels its development set too, and tests on it);
    the masked-language objective is the causal LLM's cross-entropy, on what stands behind the speech alone, as
    the rest could teach a connector nothing; the LLM stays frozen, unless `lora` or `train_llm` of the recipe train it.

    Arguments
    ---------
    template : str
        With one `{speech}` slot. What stands behind the slot is learnt; so begin with the slot.
    answers : dict of str to list of str
        The task's labels, each with the words that say it; an answer of the LLM that is none of these, in any case and
        punctuation, is rejected. The default, none, takes all answers.
    label : str, optional
        The key of the utterance's `labels` that is taught, in the first words of `answers` for it; utterances without it are
        passed over. Default: the LLM is asked.
    template_weight : float
        Of the template's term; default 1.0. With 0 only the answer is learnt.
    """

    template: str = (
        "{speech}\nWhat is the sentiment of the speaker? Answer with one word: Positive, Neutral or Negative."
    )
    answers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    label: str | None = None
    template_weight: float = 1.0

    name = "prompted"
    paper = "2305.01711"
    examples = (
        {"template": "{speech} how was that?", "answers": {"good": ("good", "fine"), "bad": ("bad",)}},
        {"template": "listen: {speech}", "template_weight": 0.0},
    )

    def __post_init__(self):
        if self.template.count(SLOT) != 1:
            raise ValueError(
                f"template {self.template!r} needs exactly one {SLOT}, which the speech replaces"
            )
        if self.template_weight and not self._behind.strip():
            raise ValueError(
                f"template {self.template!r}: nothing stands behind {SLOT}, and what stands before it can teach a connector "
                "nothing: put the speech first, or set template_weight: 0.0"
            )
        said: dict[str, str] = {}
        for label, words in self.answers.items():
            if not words:
                raise ValueError(f"answers: {label!r} has no words that say it; give at least one")
            for one in words:
                if said.setdefault(plain(one), label) != label:
                    raise ValueError(f"answers: {one!r} says both {said[plain(one)]!r} and {label!r}")

    @property
    def _behind(self) -> str:
        return self.template.partition(SLOT)[2]

    def choices(self, utterance, rng):
        """The one question; nothing about an utterance without the label."""
        if self.label is None or utterance.labels.get(self.label) is not None:
            yield Choice(task=self.label or "pseudo-label", instruction=self.template)

    def given_response(self, utterance, choice):
        """The label in words; None asks the LLM."""
        if self.label is None:
            return None
        label = str(utterance.labels[self.label])
        if self.answers and label not in self.answers:
            raise ValueError(
                f"label {self.label!r} of {utterance.id} is {label!r}; answers has {', '.join(self.answers)}"
            )
        return self.answers[label][0] if self.answers else label

    def layout(self, utterance, choice, response):
        """The template with the speech in its slot; what stands behind it has a tag of its own."""
        before, _, behind = choice.instruction.partition(SLOT)
        read = (Text(before), Speech(utterance.text), Text(behind, TEMPLATE))
        return Layout.of(
            View((*(segment for segment in read if segment.text or segment is read[1]), response))
        )

    def reject(self, utterance, choice, response):
        """An answer that says no label."""
        said = {plain(one) for words in self.answers.values() for one in words}
        return None if not said or plain(response) in said else "says none of the labels"

    def loss(self, views):
        """Cross-entropy of the answer, and of the template behind the speech."""
        terms = {"cross_entropy": views[STUDENT].cross_entropy(TARGET)}
        if self.template_weight:
            template = views[STUDENT].cross_entropy(TEMPLATE)
            terms["template"] = replace(template, weight=self.template_weight)
        return terms
