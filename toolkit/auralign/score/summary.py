"""ROUGE of summaries and titles by Google's rouge-score: the mean over the talks, with an interval.

    >>> score = score_summaries(["On old maps."], ["On new maps."], utt_ids=["1"], seed=1)
    >>> round(score.rouge1.value, 3), score.rouge2.value, round(score.rougeL.value, 3)
    (0.667, 0.0, 0.667)
    >>> score.signature.split("|version")[0]
    'rouge:f1|stem:no'

ROUGE-N (Lin 2004) counts the words, or pairs of words, that a summary shares with its reference; ROUGE-L the longest sequence of
words that both hold in the same order. Text is lower-cased, and every character but a-z and 0-9 separates words, so this is for
English. The score of a talk is the F1; that of a test set is the mean over its talks.

For SLUE-TED (arXiv:2212.10525) the text is a talk's title and abstract together, or either. ESPnet's published figures there
come from Hugging Face's `evaluate` with its defaults, which do not stem; papers on news summaries mostly do (`stem=True`). The
scores differ, so the signature names the choice. METEOR and BERTScore, which SLUE also reports, need WordNet and model weights,
and are not computed.
"""

from dataclasses import dataclass
from importlib import metadata

import numpy as np

from auralign.score.metrics import Estimate, bootstrap_interval
from auralign.text.characters import compose

VARIANTS = ("rouge1", "rouge2", "rougeL")


@dataclass(frozen=True)
class SummaryScore:
    """F1 as fractions: means over the talks with their 95 % intervals, and the signature of the settings."""

    rouge1: Estimate
    rouge2: Estimate
    rougeL: Estimate
    signature: str
    num_utterances: int
    empty_hypotheses: tuple[str, ...]  # ids; they score 0


def score_summaries(references, hypotheses, *, utt_ids, seed, stem=False, clusters=None) -> SummaryScore:
    """ROUGE-1, ROUGE-2 and ROUGE-L of one system on one test set.

    Arguments
    ---------
    references : sequence of N str
    hypotheses : sequence of N str
    utt_ids : sequence of N str
        For error messages.
    seed : int
        Seed of the bootstrap.
    stem : bool
        Whether words of more than three letters are compared by their Porter stems, so that `talks` equals `talk`.
    clusters : sequence of N, optional
        The cluster of each talk, such as its speaker; by default each talk is its own.

    Raises ValueError if the numbers of texts differ, there is none, or a reference holds no word of a-z and 0-9, so that its
    score is undefined.
    """
    scores = rouge_scores(references, hypotheses, utt_ids=utt_ids, stem=stem)
    clusters = list(range(len(utt_ids))) if clusters is None else clusters
    estimates = {
        variant: bootstrap_interval(scores[:, at], clusters=clusters, within=utt_ids, seed=seed)
        for at, variant in enumerate(VARIANTS)
    }
    return SummaryScore(
        **estimates,
        signature=f"rouge:f1|stem:{'porter' if stem else 'no'}|version:{metadata.version('rouge-score')}",
        num_utterances=len(utt_ids),
        empty_hypotheses=tuple(
            utt_id for utt_id, text in zip(utt_ids, hypotheses, strict=True) if not text.strip()
        ),
    )


def rouge_scores(references, hypotheses, *, utt_ids, stem=False) -> np.ndarray:
    """F1 of each talk: float64 (N, 3), by ROUGE-1, ROUGE-2 and ROUGE-L; arguments as of `score_summaries`."""
    counts = {len(references), len(hypotheses), len(utt_ids)}
    if len(counts) > 1 or 0 in counts:
        raise ValueError(
            f"{len(references)} references, {len(hypotheses)} hypotheses and {len(utt_ids)} ids: each talk needs one of each"
        )
    scorer = _make_scorer(stem)
    references, hypotheses = [compose(text) for text in references], [compose(text) for text in hypotheses]
    found = []
    for utt_id, reference, hypothesis in zip(utt_ids, references, hypotheses, strict=True):
        score = scorer.score(reference, hypothesis)
        # A text whose ROUGE-1 with itself is 0 holds no word. ROUGE-2 cannot tell: a single word makes no pair.
        if not scorer.score(reference, reference)["rouge1"].fmeasure:
            raise ValueError(
                f"{utt_id}: the reference {reference[:60]!r} holds no word to compare; leave it out"
            )
        found.append([score[variant].fmeasure for variant in VARIANTS])
    return np.array(found, dtype=np.float64)


def _make_scorer(stem: bool):
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError as error:
        raise ValueError("ROUGE needs rouge-score: pip install 'auralign[summary]'") from error
    return RougeScorer(list(VARIANTS), use_stemmer=stem)
