"""UNITER: align the words of a text with regions of speech, and tell what was said from what was not."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from auralign.layout import SPEECH, STUDENT, TEACHER, Layout, Speech, Text, View
from auralign.method import AlignmentMethod, Needs
from auralign.records import Choice
from auralign.text.words import plain
from auralign_methods.mtbi import cut_words

READ, MASKED = (
    "read",
    "masked",
)  # tags of the words beside the speech: those that are given, and those to be predicted
MATCH = "match"  # the head that tells whether speech and text belong together


@dataclass(frozen=True)
class WordRegion(AlignmentMethod):
    """Read a text beside the speech: move the one's embeddings onto the other's, predict its words, and tell whether it was said.

    UNITER (arXiv:1909.11740), with speech in the place of the image: pre-training on pairs, with no generated answer. Three
    terms: `transport`, the cost of optimal transport between speech embeddings and token embeddings by IPOT, small for what was
    said, and larger by a margin for another utterance's text; `match`, a head behind both that tells the two cases apart;
    `masked`, the cross-entropy of some words behind all of the speech. For connectors that do not count tokens, `transport` is
    what the distance of `wav2prompt` is for those that do.

    The wrong texts are those of `Utterance.others`, which `auralign build negate` draws. Which is read, and which words are
    predicted, is drawn in `choices`: the loss of a pair does not depend on what is in its batch.

    Faithful to the paper and its code (https://github.com/ChenRocks/UNITER): IPOT with the cosine, a step of 0.5 and 50
    iterations, a gradient through the cost alone; a weight of 0.1; half of the pairs are wrong; 15 % of the words are masked,
    at least one, and of right pairs alone, while all of the speech is heard, or 15 % of the speech while all of the text is read
    (conditional masking: one modality at a time).
    Not faithful: the transport is that of the LLM's input, not of its output, in which a causal LLM has not read the words to
    come; of a wrong pair the code subtracts the distance, which has no bound: here it is a hinge against the right text's
    distance; a masked word is not replaced by a mask but hidden by the LLM's causality, so that it is seen by the words
    behind it; one pass serves all terms, where the code draws a task for each batch; a region of speech is that of a word, is
    left out instead of zeroed, and its class is the word, which is written behind what is heard. Left out is the regression of a
    region's features: they are the connector's own outputs, which learn with it, and no detector gives them.

    Arguments
    ---------
    share_wrong : float
        Of the pairs; default 0.5. With 0, no others are needed, and nothing is to be told apart: the term `match` is left out.
    share_masked : float
        Of the words of a right pair; default 0.15, at least one word.
    share_regions : float
        Of the right pairs: how many have words of the speech masked instead of words of the text; default 0.0. Needs word times
        (`auralign align`); of an utterance in which fewer than two words take time, words of the text are masked all the same.
    margin : float
        By which the transport to a wrong text is to cost more than to the right one; default 0.2, of a cost between 0 and 2.
    transport_weight, match_weight, masked_weight : float
        Of the terms; default 0.1, 1 and 1. One with the weight 0 is not computed.
    between : str
        What is read between the speech and the text; default a new line.
    """

    share_wrong: float = 0.5
    share_masked: float = 0.15
    margin: float = 0.2
    transport_weight: float = 0.1
    match_weight: float = 1.0
    masked_weight: float = 1.0
    between: str = "\n"
    share_regions: float = 0.0

    name = "word_region"
    paper = "1909.11740"
    examples = (
        {},
        {"share_wrong": 0.0, "transport_weight": 1.0},
        {"masked_weight": 0.0, "match_weight": 0.0},
        {"share_wrong": 0.0, "share_regions": 1.0},
    )
    added = {"share_regions": 0.0}
    not_distances = ("transport", "match", "masked")
    expected_failures = {
        "check_student_is_not_told": "the transcript is read beside the speech, to be aligned with it"
    }

    def __post_init__(self):
        if not 0 <= self.share_wrong < 1 or not 0 < self.share_masked <= 1:
            raise ValueError(
                f"share_wrong {self.share_wrong}, share_masked {self.share_masked}: give at least 0 and less than 1; above 0 "
                "and at most 1"
            )
        if not 0 <= self.share_regions <= 1:
            raise ValueError(f"share_regions {self.share_regions}: give at least 0 and at most 1")
        if not (self.transport_weight or self.masked_weight or (self.match_weight and self.share_wrong)):
            raise ValueError(
                "all weights are 0, or match_weight alone is not but share_wrong is 0: nothing is learnt"
            )

    @property
    def needs(self):
        """The teacher's embeddings of the transcript; a head, if there are wrong pairs; texts of others for these. The LLM is run
        for the head and for masked words."""
        heads = {MATCH: 2} if self._tells_apart else {}
        runs = (STUDENT,) if heads or self.masked_weight else ()
        return Needs(target=False, teacher=True, llm_views=runs, heads=heads, others=bool(self.share_wrong))

    @property
    def _tells_apart(self) -> bool:
        return bool(self.share_wrong and self.match_weight)

    def choices(self, utterance, rng):
        """Which text is read, and which of its words are predicted."""
        if utterance.is_document:
            return
        num_words = len(utterance.text.split())
        if rng.random() < self.share_wrong:
            yield Choice(task="wrong", options={"text_of": rng.choice(_wrong(utterance)), "masked": []})
            return
        if self.share_regions and rng.random() < self.share_regions:
            lasting = _lasting(utterance)
            if len(lasting) > 1:
                number = min(len(lasting) - 1, max(1, round(self.share_masked * len(lasting))))
                yield Choice(task="region", options={"unheard": sorted(rng.sample(lasting, number))})
                return
        number = min(num_words, max(1, round(self.share_masked * num_words)))
        yield Choice(task="right", options={"masked": sorted(rng.sample(range(num_words), number))})

    def layout(self, utterance, choice, response):
        """The speech, and behind it the text; or the text, behind it the speech in part, and the words that are not heard."""
        if choice.task == "region":
            unheard = choice.options["unheard"]
            said = " ".join(utterance.words[number][0] for number in unheard)
            heard = _heard(utterance, {*unheard})
            return Layout.of(
                View(
                    (
                        Text(utterance.text + self.between, READ),
                        *heard,
                        Text(self.between, READ),
                        Text(said, MASKED),
                        response,
                    )
                )
            )
        other = choice.options.get("text_of")
        text = utterance.other(other).text if other else utterance.text
        words = _tagged(text, choice.options["masked"], self.between)
        return Layout.of(View((Speech(utterance.text), *words, response)))

    def loss(self, views):
        """The terms of which the weight is not 0."""
        student, terms = views[STUDENT], {}
        wrong = [choice.task == "wrong" for choice in student.choices]
        if self.transport_weight:
            moved = self._transport(student, views[TEACHER], wrong)
            terms["transport"] = replace(moved, weight=self.transport_weight)
        if self._tells_apart:
            terms["match"] = replace(_tell_apart(student, wrong), weight=self.match_weight)
        if self.masked_weight:
            terms["masked"] = replace(student.cross_entropy(MASKED), weight=self.masked_weight)
        return terms

    def _transport(self, student, teacher, wrong):
        """The cost of moving speech onto the text that was said; of a wrong pair, what is missing in that of the text read."""
        import torch

        from auralign.losses import SEQUENCES, Term

        heard, said = student.each(SPEECH, 0), teacher.each(SPEECH, 0)
        pairs = zip(wrong, heard, said, student.each(READ, 0), strict=True)
        # Of a wrong pair no word is masked. A right one is given its own text once more, as the batch has to be whole.
        rows = [(one, speech, own, words if one else own) for one, speech, own, words in pairs]
        empty = tuple(index for index, row in enumerate(rows) if not all(map(len, row[1:])))
        rows = [row for index, row in enumerate(rows) if index not in empty]
        if not rows:
            return Term(student.at(SPEECH, 0).sum() * 0.0, 0, unit=SEQUENCES, left_out=empty)
        is_wrong, speech, own, words = map(list, zip(*rows, strict=True))
        costs = _costs(speech, own)
        if any(is_wrong):
            missing = (self.margin + costs - _costs(speech, words)).clamp(min=0.0)
            costs = torch.where(torch.tensor(is_wrong, device=costs.device), missing, costs)
        return Term(costs.sum(), len(rows), unit=SEQUENCES, left_out=empty)


def _costs(heard, read):
    """The cost of optimal transport for each sequence: (B,)."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    from auralign.losses import ipot_costs

    lengths = [torch.tensor([len(one) for one in each]) for each in (heard, read)]
    heard, read = (pad_sequence(each, batch_first=True) for each in (heard, read))
    return ipot_costs(heard, lengths[0], read, lengths[1])


def _tell_apart(student, wrong):
    """Cross-entropy of the head that reads the last state before an answer would begin."""
    import torch

    from auralign.layout import FIRST
    from auralign.losses import SEQUENCES, Term

    logits = student.heads[MATCH](student.predicting(FIRST)).float()
    labels = torch.tensor([not is_wrong for is_wrong in wrong], device=logits.device, dtype=torch.long)
    missed = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
    return Term(sum=missed, count=len(wrong), unit=SEQUENCES)


def _wrong(utterance) -> list[str]:
    """The others of another text. Raises ValueError if there are none."""
    own = plain(utterance.text)
    found = [one for one in utterance.others if plain(utterance.other(one).text) not in ("", own)]
    if not found:
        raise ValueError(
            f"{utterance.id} names no others of another text, which wrong pairs are made of: build a manifest with `auralign "
            "build negate`, or set share_wrong: 0.0"
        )
    return found


def _lasting(utterance) -> list[int]:
    """The numbers of the words that take time. Raises ValueError if there are no word times."""
    if utterance.words is None:
        raise ValueError(
            "no word times to mask speech by: run `auralign align` on the manifest, or set share_regions: 0.0"
        )
    cuts = cut_words(utterance)
    return [number for number in range(len(utterance.words)) if cuts[number] < cuts[number + 1]]


def _heard(utterance, unheard: set[int]) -> Iterator[Speech]:
    """The speech without some words, a span for each run of words that are heard."""
    cuts, words = cut_words(utterance), utterance.words
    for is_heard, run in groupby(_lasting(utterance), key=lambda number: number not in unheard):
        numbers = list(run)
        if is_heard:
            text = " ".join(words[number][0] for number in numbers)
            yield Speech(text, span=(cuts[numbers[0]], cuts[numbers[-1] + 1]))


def _tagged(text: str, masked: list[int], between: str) -> Iterator[Text]:
    """The text behind `between`, in segments of words that are read and words that are masked."""
    run, kind = between, READ
    for number, word in enumerate(re.findall(r"\s*\S+", text.strip())):
        tag = MASKED if number in masked else READ
        if tag != kind:
            if run:
                yield Text(run, kind)
            run, kind = "", tag
        run += word
    yield Text(run, kind)
