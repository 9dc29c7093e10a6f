"""Rates over a test set with intervals by a paired bootstrap over speakers, McNemar's test, and Holm's correction.

    >>> exact_match(["three five", "nine"], ["three  five", "nein"]).tolist()
    [1, 0]
    >>> word_error_rate(["three five nine", ""], ["three nine", "one"])  # 1 deletion, 1 insertion, 3 words
    0.6666666666666666
    >>> bootstrap_interval([1, 0, 1], clusters=["a", "a", "b"], seed=1)
    Estimate(value=0.6666666666666666, low=0.5, high=1.0, num_clusters=2)
    >>> mcnemar([1, 1, 1, 1, 0], [0, 0, 0, 1, 0])  # three coins on one side: 2 / 2**3
    0.25
    >>> holm([0.01, 0.04, None])  # the smaller of two times 2, the larger times 1
    [0.02, 0.04, None]

Answers about one speaker resemble each other, and so do those about one utterance, so the bootstrap draws speakers (`clusters`),
then within each drawn speaker the utterances (`within`), and, for several training seeds, the runs (`runs`), crossed with both
(Davison and Hinkley 1997, section 3.8). Every item of a drawn unit is kept.

Legend: N items, K columns scored on the same items, C clusters, R resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import jiwer
import numpy as np

from auralign.text.characters import compose

NUM_RESAMPLES = 1000
CONFIDENCE = 0.95
LEAST_SPAN = 0.1
"""Least distance of the ceiling from the floor for a recovery, in scores from 0 to 1."""
ROUNDING = 1e-9
MIN_SPEAKERS = 10
"""With fewer speakers no interval over speakers is given, as it would be far too narrow: 12 cover 0.91 instead of 0.95."""
OTHER_RUNS = 3  # `runs_stream` of the second column of a difference; draws within clusters use 2
DRAWS_IN_MEMORY = 2**22  # counts held at a time, which bounds the memory to 32 MB


@dataclass(frozen=True)
class Estimate:
    """A value and its interval; None means undefined. `num_clusters`: how many clusters, such as speakers, it is of."""

    value: float | None
    low: float | None
    high: float | None
    num_clusters: int | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Resampling:
    """What the bootstrap of N items draws.

    Arguments
    ---------
    clusters : sequence of N
        The cluster of each item, such as its speaker.
    seed : int
        The same units and seed always give the same draws.
    within : sequence of N, optional
        The unit of each item within its cluster, such as its utterance, drawn anew in each drawn cluster; by default all items
        of a drawn cluster are kept.
    runs : sequence of N, optional
        The run of each item, such as its training seed, drawn independently of the clusters.
    min_clusters : int
        With fewer clusters the interval is undefined.
    runs_stream : int
        Another number draws other runs, and the same clusters.
    """

    clusters: Sequence
    seed: int
    within: Sequence | None = None
    runs: Sequence | None = None
    min_clusters: int = 2
    num_resamples: int = NUM_RESAMPLES
    confidence: float = CONFIDENCE
    runs_stream: int = 1

    @property
    def num_clusters(self) -> int:
        return len(set(self.clusters))

    @property
    def has_interval(self) -> bool:
        return self.num_clusters >= self.min_clusters

    def estimate(self, value, resampled) -> Estimate:
        """The percentile interval of a value over the resamples that define one (no NaN).

        None if they do not differ, which tells nothing of other clusters.
        """
        low, high = np.nanquantile(resampled, [(1 - self.confidence) / 2, (1 + self.confidence) / 2])
        if not high - low > ROUNDING:
            return self.point(value)
        return Estimate(float(value), float(low), float(high), self.num_clusters)

    def point(self, value) -> Estimate:
        """A value without an interval."""
        return Estimate(None if value is None else float(value), None, None, self.num_clusters)

    def at_bound(self, value) -> Estimate:
        """The interval of a share that is 0 or 1 in every cluster: Wilson's, of as many trials as there are clusters."""
        from scipy.stats import binomtest  # imported here, as it takes a second

        found = binomtest(round(value) * self.num_clusters, self.num_clusters).proportion_ci(
            self.confidence, method="wilson"
        )
        return Estimate(float(value), float(found.low), float(found.high), self.num_clusters)


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


def bootstrap_interval(scores, **units) -> Estimate:
    """The mean of scores (N,) with its percentile interval; `units` are the arguments of `Resampling`.

    If all scores are 0, or all are 1, every resample equals the value, so the interval is Wilson's (1927) with the clusters as
    trials. The interval is undefined with fewer than `min_clusters` clusters.
    """
    units = Resampling(**units)
    _check_some(units)
    value = float(np.mean(scores))
    if not units.has_interval:
        return units.point(value)
    if _is_at_bound(scores):
        return units.at_bound(value)
    return units.estimate(value, _resample([scores], units)[:, 0])


def bootstrap_difference(scores, others, *, other_units=None, **units) -> Estimate:
    """mean(scores) - mean(others), both (N,), on the same items and resampled together; arguments as of `bootstrap_interval`.

    If all resamples have the same difference, as where each column is all right (1) or all wrong (0), that tells nothing of other
    clusters: there is no interval. With `other_units`, a dict of `clusters`, `within` and `runs` of the others (M,), both columns
    hold the items of several runs: clusters and what is within them are drawn together, the runs of each column on their own.
    """
    units = Resampling(**units)
    value = np.mean(scores) - np.mean(others)
    if not units.has_interval:
        return units.point(value)
    return units.estimate(value, _resample_difference(scores, others, units, other_units))


def _resample_difference(scores, others, units: Resampling, other_units: dict | None) -> np.ndarray:
    """Differences of the means of two columns for resampled units: float64 (R,)."""
    if other_units is None:
        means = _resample([scores, others], units)
        return means[:, 0] - means[:, 1]
    theirs = replace(units, runs_stream=OTHER_RUNS, **other_units)
    return _resample([scores], units)[:, 0] - _resample([others], theirs)[:, 0]


def difference_p_value(scores, others, *, other_units=None, **units) -> float | None:
    """Two-sided p-value that the means of two columns over the same items are equal; None with too few clusters.

    Arguments as of `bootstrap_difference`.

    Student's t of the difference over its bootstrap standard error, with C - 1 degrees of freedom. If all clusters have the same
    difference, the standard error is 0 and the p-value is that of a sign test over the clusters: 2 / 2**C.
    """
    from scipy.stats import t

    units = Resampling(**units)
    if not units.has_interval:
        return None
    value = float(np.mean(scores) - np.mean(others))
    if abs(value) < ROUNDING:
        return 1.0
    error = float(np.std(_resample_difference(scores, others, units, other_units), ddof=1))
    if error < ROUNDING:
        return 2.0 / 2**units.num_clusters
    return float(2 * t.sf(abs(value) / error, units.num_clusters - 1))


def agree(*verdicts: bool | None) -> bool:
    """Whether some verdict is known, and none of the known ones is False: an interval and a p-value, either of them None."""
    known = [verdict for verdict in verdicts if verdict is not None]
    return bool(known) and all(known)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """p-values adjusted by Holm (1979), so that the chance of any false one among them stays at the level; None stays None.

    The i-th smallest of m, from 0, is multiplied by m - i; an adjusted value is at least that of any smaller one, at most 1.
    """
    order = sorted((value, place) for place, value in enumerate(p_values) if value is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    least = 0.0
    for rank, (value, place) in enumerate(order):
        least = max(least, min(1.0, (len(order) - rank) * value))
        adjusted[place] = least
    return adjusted


def bootstrap_recovery(speech, floor, ceiling, **units) -> Estimate:
    """(speech - floor) / (ceiling - floor) of three means over the same items, resampled together.

    Undefined if the ceiling is less than `LEAST_SPAN` above the floor: there is too little to recover, and the ratio of two small
    differences is noise. The interval is undefined with too few clusters, and if the ceiling of a resample is not above its
    floor, as a ratio whose denominator may be zero has no bounds. Where the floor is 0 and the ceiling 1 for every item, recovery
    is the mean of the speech scores, and so is its interval. Arguments as of `bootstrap_interval`.
    """
    if _is_constant(floor, 0) and _is_constant(ceiling, 1):
        return bootstrap_interval(speech, **units)
    units = Resampling(**units)
    span = np.mean(ceiling) - np.mean(floor)
    if span < LEAST_SPAN - ROUNDING:
        return units.point(None)
    value = (np.mean(speech) - np.mean(floor)) / span
    if not units.has_interval or all(map(_is_at_bound, (speech, floor, ceiling))):
        return units.point(value)
    means = _resample([speech, floor, ceiling], units)
    spans = means[:, 2] - means[:, 1]
    if np.any(spans <= 0):
        return units.point(value)
    return units.estimate(value, (means[:, 0] - means[:, 1]) / spans)


def bootstrap_ratio(numerators, denominators, *, is_share: bool = True, **units) -> Estimate:
    """sum(numerators) / sum(denominators), both (N,) and resampled together: an error rate is edits over words.

    This is not the mean of N ratios, in which a short item would weigh as much as a long one. A ratio that is 0 or 1 for every
    item has Wilson's interval, as in `bootstrap_interval`, whose arguments it takes; with `is_share` False, as for a difference
    of error rates, it has not. The interval is undefined with too few clusters, or if the denominators of a resample sum to 0.

    Raises ValueError if the denominators sum to zero.
    """
    units = Resampling(**units)
    if not np.sum(denominators) > 0:
        raise ValueError(f"the denominators of {len(denominators)} items sum to 0: their ratio is undefined")
    value = float(np.sum(numerators) / np.sum(denominators))
    if not units.has_interval:
        return units.point(value)
    if is_share and (_is_constant(numerators, 0) or np.array_equal(numerators, denominators)):
        return units.at_bound(value)
    means = _resample([numerators, denominators], units)
    if np.any(means[:, 1] <= 0):
        return units.point(value)
    return units.estimate(value, means[:, 0] / means[:, 1])


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


def bootstrap_sums(columns, compute, **units) -> Estimate:
    """Any value that is computed of sums over the items, such as a corpus BLEU, with its percentile interval.

    Arguments
    ---------
    columns : array-like (K, N)
        The numbers that are summed.
    compute : callable (float64 (K,)) -> float
        The value of the sums of the K columns.
    units
        As of `bootstrap_interval`.
    """
    units = Resampling(**units)
    columns = np.asarray(columns, dtype=np.float64)
    value = float(compute(columns.sum(axis=1)))
    if not units.has_interval:
        return units.point(value)
    sums, _ = _resample_sums(columns, units)
    return units.estimate(value, [compute(row) for row in sums])


def resample_means(columns, **units) -> np.ndarray:
    """Means of the columns, array-like (K, N), for resampled units: float64 (R, K).

    The columns are resampled together, so that their differences are paired. `units` are the arguments of `Resampling`.
    """
    return _resample(columns, Resampling(**units))


def _resample(columns, units: Resampling) -> np.ndarray:
    sums, sizes = _resample_sums(columns, units)
    return sums / sizes[:, None]


def _resample_sums(columns, units: Resampling):
    """Sums of the columns (R, K) for resampled units, and the number of items in each resample (R,)."""
    columns = np.asarray(columns, dtype=np.float64)
    if columns.ndim != 2 or columns.shape[1] != len(units.clusters):
        raise ValueError(f"scores of shape {columns.shape} do not fit {len(units.clusters)} items")
    _check_some(units)
    columns = np.concatenate([columns, np.ones((1, columns.shape[1]))])
    clusters = _number(units.clusters)
    # A unit is never shared by two clusters: two speakers may read the same sentence.
    pairs = None if units.within is None else list(zip(clusters.tolist(), units.within, strict=True))
    members = clusters if pairs is None else _number(pairs)
    runs = None if units.runs is None else _number(units.runs)
    num_units = members.max() + 1
    # The cluster of each unit, as all items of a unit are in one cluster.
    cluster_of = np.zeros(num_units, dtype=np.int64)
    cluster_of[members] = clusters
    by_run = [
        np.stack([np.bincount(members, weights=row * mask, minlength=num_units) for row in columns], axis=1)
        for mask in ([1.0] if runs is None else [runs == run for run in range(runs.max() + 1)])
    ]
    blocks = []
    draw_runs = np.random.default_rng([units.seed, units.runs_stream])
    for counts in _draw_units(cluster_of, units, is_nested=pairs is not None):
        found = np.stack([counts @ sums for sums in by_run])  # (runs, R', K + 1)
        if runs is not None:
            number = len(by_run)
            drawn = draw_runs.multinomial(number, np.full(number, 1 / number), size=len(counts))
            found = found * drawn.T[:, :, None]
        blocks.append(found.sum(axis=0))
    drawn_sums = np.concatenate(blocks)
    return drawn_sums[:, :-1], drawn_sums[:, -1]


def mean_of_defined(values, axis: int = -1):
    """The mean along an axis of the values that are defined (no NaN); NaN if none is."""
    values = np.asarray(values, dtype=np.float64)
    number = np.sum(~np.isnan(values), axis=axis)
    total = np.nansum(values, axis=axis)
    return np.divide(total, number, out=np.full_like(total, np.nan), where=number > 0)


def choose_units(units: dict, rows) -> dict:
    """The arguments of `Resampling` for some of the items alone."""
    names = ("clusters", "within", "runs")
    return {
        name: [value[row] for row in rows] if name in names and value is not None else value
        for name, value in units.items()
    }


def _number(labels) -> np.ndarray:
    """Each label as the number of its first occurrence among the sorted different ones, int64 (N,)."""
    labels = list(labels)
    places = {label: place for place, label in enumerate(sorted(set(labels)))}
    return np.array([places[label] for label in labels], dtype=np.int64)


def _draw_units(cluster_of, units: Resampling, *, is_nested: bool):
    """Yield blocks (R', U) of how often each unit is drawn; the block size does not change the result."""
    rng = np.random.default_rng(units.seed)
    num_clusters = int(cluster_of.max()) + 1
    inner = {}
    if is_nested:
        inner = {
            cluster: (np.flatnonzero(cluster_of == cluster), np.random.default_rng([units.seed, 2, cluster]))
            for cluster in range(num_clusters)
        }
    at_once = max(1, DRAWS_IN_MEMORY // len(cluster_of))
    for start in range(0, units.num_resamples, at_once):
        size = min(at_once, units.num_resamples - start)
        drawn = rng.multinomial(num_clusters, np.full(num_clusters, 1 / num_clusters), size=size)
        if not is_nested:
            yield drawn.astype(np.float64)
            continue
        counts = np.zeros((size, len(cluster_of)))
        for cluster, (places, draw) in inner.items():
            # Each copy of a drawn cluster draws as many units as it has: all copies together are one multinomial draw.
            number = len(places)
            counts[:, places] = draw.multinomial(drawn[:, cluster] * number, np.full(number, 1 / number))
        yield counts


def _check_some(units: Resampling) -> None:
    if not len(units.clusters):
        raise ValueError("no item to resample: a mean over nothing is undefined")


def _is_constant(scores, value) -> bool:
    return bool(np.all(np.asarray(scores) == value))


def _is_at_bound(scores) -> bool:
    return _is_constant(scores, 0) or _is_constant(scores, 1)


def _check_counts(references, hypotheses):
    if len(references) != len(hypotheses):
        raise ValueError(f"{len(references)} references but {len(hypotheses)} hypotheses: each needs its own")
