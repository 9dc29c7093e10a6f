"""Rates over a test set, with intervals by a paired bootstrap over utterances, and McNemar's test.

    >>> exact_match(["three five", "nine"], ["three  five", "nein"]).tolist()
    [1, 0]
    >>> word_error_rate(["three five nine", ""], ["three nine", "one"])  # 1 deletion, 1 insertion, 3 words
    0.6666666666666666
    >>> bootstrap_interval([1, 1, 1], clusters=["a", "a", "b"], seed=1)
    Estimate(value=1.0, low=1.0, high=1.0)
    >>> mcnemar([1, 1, 1, 1, 0], [0, 0, 0, 1, 0])  # three coins on one side: 2 / 2**3
    0.25

Legend: N items, K columns scored on the same items, C clusters, R resamples.
"""

from dataclasses import dataclass

import jiwer
import numpy as np

from auralign.text.characters import compose

NUM_RESAMPLES = 1000
CONFIDENCE = 0.95
LEAST_SPAN = 0.1
"""Least distance of the ceiling from the floor for a recovery, in scores from 0 to 1."""
ROUNDING = 1e-9
DRAWS_IN_MEMORY = 2**22  # counts held at a time, which bounds the memory to 32 MB


@dataclass(frozen=True)
class Estimate:
    """A value and its interval; None means undefined."""

    value: float | None
    low: float | None
    high: float | None


def exact_match(references, hypotheses) -> np.ndarray:
    """int64 (N,): 1 if a hypothesis has exactly the words of its reference (up to white space and Unicode form), else 0."""
    _check_counts(references, hypotheses)
    matches = [
        compose(reference).split() == compose(hypothesis).split()
        for reference, hypothesis in zip(references, hypotheses, strict=True)
    ]
    return np.array(matches, dtype=np.int64)


def word_error_rate(references, hypotheses) -> float:
    """Corpus-level word error rate, as a fraction: all edits / all reference words.

    Only the form of Unicode is normalised: normalise both sides first. Words of a hypothesis with an empty reference count as
    insertions.

    Raises ValueError if the references hold no word, or if the numbers of texts differ.
    """
    return _error_rate(references, hypotheses, process=jiwer.process_words, unit="word")


def character_error_rate(references, hypotheses) -> float:
    """Corpus-level character error rate, as a fraction; spaces between words are characters too."""
    return _error_rate(references, hypotheses, process=jiwer.process_characters, unit="character")


def _error_rate(references, hypotheses, *, process, unit):
    references, hypotheses = [compose(text) for text in references], [compose(text) for text in hypotheses]
    _check_counts(references, hypotheses)
    if not any(reference.strip() for reference in references):
        raise ValueError(
            f"{len(references)} references hold no {unit}: an error rate over them is undefined; "
            "check the manifest's text"
        )
    counts = process(references, hypotheses)
    edits = counts.substitutions + counts.deletions + counts.insertions
    return edits / (counts.hits + counts.substitutions + counts.deletions)


def bootstrap_interval(
    scores, *, clusters, seed, num_resamples=NUM_RESAMPLES, confidence=CONFIDENCE
) -> Estimate:
    """The mean of scores (N,) with its percentile interval; `clusters` (N,) gives each item's utterance or speaker.

    The interval of a single cluster is undefined.
    """
    if len(set(clusters)) == 1:
        return Estimate(float(np.mean(scores)), None, None)
    means = resample_means([scores], clusters=clusters, seed=seed, num_resamples=num_resamples)[:, 0]
    return _estimate(np.mean(scores), means, confidence)


def bootstrap_difference(
    scores, others, *, clusters, seed, num_resamples=NUM_RESAMPLES, confidence=CONFIDENCE
) -> Estimate:
    """mean(scores) - mean(others), both (N,), on the same items and resampled together; no interval for one cluster."""
    if len(set(clusters)) == 1:
        return Estimate(float(np.mean(scores) - np.mean(others)), None, None)
    means = resample_means([scores, others], clusters=clusters, seed=seed, num_resamples=num_resamples)
    return _estimate(np.mean(scores) - np.mean(others), means[:, 0] - means[:, 1], confidence)


def bootstrap_recovery(
    speech, floor, ceiling, *, clusters, seed, num_resamples=NUM_RESAMPLES, confidence=CONFIDENCE
) -> Estimate:
    """(speech - floor) / (ceiling - floor) of three means over the same items, resampled together.

    Undefined if the ceiling is less than `LEAST_SPAN` above the floor: there is too little to recover, and the ratio of two small
    differences is noise. The interval is undefined if the ceiling of a resample is not above its floor, as a ratio whose
    denominator may be zero has no bounds.
    """
    span = np.mean(ceiling) - np.mean(floor)
    if span < LEAST_SPAN - ROUNDING:
        return Estimate(None, None, None)
    value = (np.mean(speech) - np.mean(floor)) / span
    means = resample_means(
        [speech, floor, ceiling], clusters=clusters, seed=seed, num_resamples=num_resamples
    )
    spans = means[:, 2] - means[:, 1]
    if np.any(spans <= 0):
        return Estimate(float(value), None, None)
    return _estimate(value, (means[:, 0] - means[:, 1]) / spans, confidence)


def bootstrap_ratio(
    numerators, denominators, *, clusters, seed, num_resamples=NUM_RESAMPLES, confidence=CONFIDENCE
) -> Estimate:
    """sum(numerators) / sum(denominators), both (N,) and resampled together: an error rate is edits over words.

    This is not the mean of N ratios, in which a short item would weigh as much as a long one. `clusters` (N,) gives each item's
    cluster, such as its speaker. The interval is undefined for a single cluster, or if the denominators of a resample sum to 0.

    Raises ValueError if the denominators sum to zero.
    """
    if not np.sum(denominators) > 0:
        raise ValueError(f"the denominators of {len(denominators)} items sum to 0: their ratio is undefined")
    value = float(np.sum(numerators) / np.sum(denominators))
    if len(set(clusters)) == 1:
        return Estimate(value, None, None)
    means = resample_means(
        [numerators, denominators], clusters=clusters, seed=seed, num_resamples=num_resamples
    )
    if np.any(means[:, 1] <= 0):
        return Estimate(value, None, None)
    return _estimate(value, means[:, 0] / means[:, 1], confidence)


def mcnemar(right, others) -> float:
    """Exact two-sided p-value that two systems are right equally often (McNemar 1947): outcomes 0 or 1, both (N,).

    Only items on which the systems disagree count: under the null hypothesis each favours either system like a fair coin. The
    value is 1.0 if they never disagree. Items are assumed to be independent; for several questions about one utterance, which
    are not, use `bootstrap_difference` with clusters.

    Raises ValueError if the numbers of outcomes differ, or if an outcome is neither 0 nor 1.
    """
    from scipy.stats import binomtest  # imported here, as it takes a second

    right, others = np.asarray(right), np.asarray(others)
    if right.shape != others.shape or right.ndim != 1:
        raise ValueError(
            f"outcomes of shapes {right.shape} and {others.shape}: give one for each item, twice"
        )
    odd = [value for value in np.unique(np.concatenate([right, others])).tolist() if value not in (0, 1)]
    if odd:
        raise ValueError(
            f"outcome {odd[0]!r} is neither 0 nor 1; McNemar's test compares right and wrong answers"
        )
    only_right, only_others = int(np.sum(right > others)), int(np.sum(others > right))
    if not only_right + only_others:
        return 1.0
    return float(binomtest(only_right, only_right + only_others, 0.5).pvalue)


def bootstrap_sums(
    columns, compute, *, clusters, seed, num_resamples=NUM_RESAMPLES, confidence=CONFIDENCE
) -> Estimate:
    """Any value that is computed of sums over the items, such as a corpus BLEU, with its percentile interval.

    The interval of a single cluster is undefined.

    Arguments
    ---------
    columns : array-like (K, N)
        The numbers that are summed.
    compute : callable (float64 (K,)) -> float
        The value of the sums of the K columns.
    clusters : sequence of N
        The cluster of each item, such as its speaker.
    seed : int
    """
    columns = np.asarray(columns, dtype=np.float64)
    value = float(compute(columns.sum(axis=1)))
    if len(set(clusters)) == 1:
        return Estimate(value, None, None)
    sums, _ = _resample_sums(columns, clusters, seed, num_resamples)
    return _estimate(value, [compute(row) for row in sums], confidence)


def resample_means(columns, *, clusters, seed, num_resamples=NUM_RESAMPLES) -> np.ndarray:
    """Means of the columns for resampled clusters, such as all questions about one utterance.

    Arguments
    ---------
    columns : array-like (K, N)
        Scores of N items in K columns, which are resampled together, so that their differences are paired.
    clusters : sequence of N
        The cluster of each item. The same clusters and seed always give the same draws.
    seed : int

    Returns
    -------
    means : float64 (R, K)
    """
    sums, sizes = _resample_sums(columns, clusters, seed, num_resamples)
    return sums / sizes[:, None]


def _resample_sums(columns, clusters, seed, num_resamples):
    """Sums of the columns (R, K) for resampled clusters, and the number of items in each resample (R,)."""
    columns = np.asarray(columns, dtype=np.float64)
    if columns.ndim != 2 or columns.shape[1] != len(clusters):
        raise ValueError(f"scores of shape {columns.shape} do not fit {len(clusters)} items")
    if not len(clusters):
        raise ValueError("no item to resample: a mean over nothing is undefined")
    names, member_of = np.unique(np.asarray(list(clusters)), return_inverse=True)
    sums = np.stack(
        [np.bincount(member_of, weights=column, minlength=len(names)) for column in columns], axis=1
    )
    sizes = np.bincount(member_of, minlength=len(names)).astype(np.float64)
    blocks = [(counts @ sums, counts @ sizes) for counts in _draw_clusters(len(names), num_resamples, seed)]
    return np.concatenate([block for block, _ in blocks]), np.concatenate([size for _, size in blocks])


def _draw_clusters(num_clusters, num_resamples, seed):
    """Yield blocks (R', C) of how often each cluster is drawn; the block size does not change the result."""
    rng = np.random.default_rng(seed)
    at_once = max(1, DRAWS_IN_MEMORY // num_clusters)
    for start in range(0, num_resamples, at_once):
        size = min(at_once, num_resamples - start)
        yield rng.multinomial(num_clusters, np.full(num_clusters, 1 / num_clusters), size=size).astype(
            np.float64
        )


def _estimate(value, resampled, confidence):
    low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(float(value), float(low), float(high))


def _check_counts(references, hypotheses):
    if len(references) != len(hypotheses):
        raise ValueError(f"{len(references)} references but {len(hypotheses)} hypotheses: each needs its own")
