"""In-Context Pretraining: predict an utterance's text after its relatives were heard."""

from dataclasses import dataclass

from auralign.layout import NONE, STUDENT, Layout, Speech, Text, Turn, View
from auralign.method import AlignmentMethod, Needs
from auralign.records import Choice

TEXT, CONTEXT = "text", "context"


@dataclass(frozen=True)
class InContext(AlignmentMethod):
    """Predict the text of an utterance of which relatives are heard in the same context, one after the other.

    In-Context Pretraining (Shi et al., ICLR 2024, arXiv:2310.10638) changes nothing but the order of documents: related ones
    share a context, so that one helps to predict the next. Here the documents are utterances. `auralign build relate` writes for
    each row those before it in its context as `others`, by nearest neighbours of the texts, or by recording; the first row of a
    context has none, and nothing is asked about it. A document, which has no audio of its own, is text that its others precede,
    and as a relative it is read instead of heard.

    Faithful to the paper: related documents in one context, in the order of the path, attention from each to all before it, and
    next-token prediction; other contexts are other sequences, which see nothing of it. Not faithful: the relatives are heard,
    and have no loss, as speech is not predicted; the LLM is frozen by default, so that a connector learns what of the speech
    before helps to predict the text (`train_llm` of the recipe trains the LLM too, as the paper does).

    Arguments
    ---------
    relatives : int
        Utterances heard before, at most: the last of `others`. Default 2.
    hear_itself : bool
        Whether the utterance itself is heard too, before its text: transcription in context. Default False.
    """

    relatives: int = 2
    hear_itself: bool = False

    name = "in_context"
    paper = "2310.10638"
    needs = Needs(target=False, others=True, turns=True)
    examples = ({}, {"relatives": 1, "hear_itself": True})

    def __post_init__(self):
        if self.relatives < 1:
            raise ValueError(f"relatives {self.relatives}: give at least 1")

    def choices(self, utterance, rng):
        """Nothing is drawn. Nothing is asked about a row before which nothing is heard, or a document that would hear itself."""
        relatives = map(utterance.other, utterance.others[-self.relatives :])
        if self.hear_itself and utterance.others:
            is_heard = not utterance.is_document
        else:
            is_heard = not all(one.is_document for one in relatives)
        if is_heard:
            yield Choice(task="context")

    def layout(self, utterance, choice, response):
        """A document: the relatives, heard, and the text, each on a line."""
        relatives = map(utterance.other, utterance.others[-self.relatives :])
        before = [
            Text(one.text, CONTEXT) if one.is_document else Speech(one.text, of=one.id) for one in relatives
        ]
        if self.hear_itself:
            before.append(Speech(utterance.text))
        lines = [part for one in before for part in (one, Text("\n", CONTEXT))]
        return Layout(View((Turn((*lines, Text(utterance.text, TEXT)), NONE),)))

    def loss(self, views):
        """Cross-entropy on the text of the utterance itself."""
        return {"text": views[STUDENT].cross_entropy(TEXT)}
