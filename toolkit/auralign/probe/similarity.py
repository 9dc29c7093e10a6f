"""How alike speech and text are to the LLM: linear CKA of their representations, with an interval by speaker.

    >>> same = linear_cka([[1.0], [2.0], [4.0]], [[3.0, 0.0], [5.0, 0.0], [9.0, 0.0]])   # up to a shift and a scale
    >>> round(same, 6)
    1.0

Centred kernel alignment with a linear kernel (Kornblith et al. 2019, arXiv:1905.00414, section 3): for representations X (N, D)
and Y (N, E) of the same N examples, with the mean of each column subtracted,

    CKA(X, Y) = ||Y'X||^2 / (||X'X|| ||Y'Y||)          (Frobenius norms)

It is from 0 to 1, and does not change if a representation is rotated, shifted or scaled as a whole. An example here is an
utterance, and its representation the mean over its positions, which speech and text have in different numbers; this choice is
ours. With fewer utterances than dimensions even unrelated representations have a high CKA, so it is shown beside its chance
level: the CKA if the utterances of the texts are permuted.

Legend: N utterances, D and E widths, C speakers.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from auralign.score.metrics import CONFIDENCE, MIN_SPEAKERS, Estimate

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

NUM_PERMUTATIONS = 20  # whose mean is the chance level
ROUNDING = 1e-12  # of a Gram matrix: what is left of equal examples after centring


def linear_cka(x: "ArrayLike", y: "ArrayLike") -> float:
    """Linear CKA of two representations, array-like (N, D) and (N, E), of the same N examples.

    Returns float: NaN if all examples of a representation are equal, such as those of a connector that ignores its input.

    Raises ValueError if the numbers of examples differ, or there are fewer than 2.
    """
    return _align(_gram(x), _gram(y))


def estimate_cka(
    x: "ArrayLike", y: "ArrayLike", clusters: Sequence[Any], *, confidence: float = CONFIDENCE
) -> Estimate:
    """Linear CKA with an interval over clusters, such as speakers.

    The interval is the jackknife's (Efron and Tibshirani 1993, chapter 11): each cluster in turn is left out, and Student's t
    with C - 1 degrees of freedom multiplies the standard error. A bootstrap would draw utterances several times, which raises
    CKA.

    Arguments
    ---------
    x, y : array-like (N, D) and (N, E)
    clusters : sequence of N
        The cluster of each example.
    confidence : float
        Default 0.95.

    Returns Estimate: undefined if CKA is; without an interval if there are fewer than `MIN_SPEAKERS` clusters, or if CKA is
    undefined without one of them. The interval is cut at 0 and 1.

    Raises ValueError as `linear_cka` does.
    """
    from scipy.stats import t  # imported here, as it takes a second

    grams = _gram(x), _gram(y)
    value = _align(*grams)
    names = list(dict.fromkeys(clusters))
    if np.isnan(value):
        return Estimate(None, None, None, len(names))
    if len(names) < MIN_SPEAKERS:
        return Estimate(value, None, None, len(names))
    labels = np.array([names.index(name) for name in clusters])
    kept = [np.flatnonzero(labels != number) for number in range(len(names))]
    values = np.array([_align(*(gram[np.ix_(rows, rows)] for gram in grams)) for rows in kept])
    if np.isnan(values).any():
        return Estimate(value, None, None, len(names))
    error = np.sqrt((len(names) - 1) / len(names) * np.sum((values - values.mean()) ** 2))
    margin = float(t.ppf((1 + confidence) / 2, len(names) - 1) * error)
    return Estimate(value, max(0.0, value - margin), min(1.0, value + margin), len(names))


def chance_cka(x: "ArrayLike", y: "ArrayLike", *, seed: int) -> float | None:
    """The mean CKA over permutations of the examples of `y`: what unrelated pairs have. None if CKA is undefined."""
    first, second = _gram(x), _gram(y)
    draws = np.random.default_rng(seed)
    orders = (draws.permutation(len(second)) for _ in range(NUM_PERMUTATIONS))
    value = float(np.mean([_align(first, second[np.ix_(order, order)]) for order in orders]))
    return None if np.isnan(value) else value


def _gram(values: "ArrayLike") -> np.ndarray:
    """Inner products (N, N) of the examples."""
    rows = np.asarray(values, dtype=np.float64)
    if rows.ndim != 2 or len(rows) < 2:
        raise ValueError(
            f"a representation of shape {rows.shape}: CKA needs one row for each of at least 2 examples"
        )
    found: np.ndarray = rows @ rows.T
    return found


def _align(x: np.ndarray, y: np.ndarray) -> float:
    """CKA of two Gram matrices, or NaN: centring them centres the columns of the representations, and ||Y'X||^2 = <XX', YY'>."""
    if len(x) != len(y):
        raise ValueError(f"{len(x)} and {len(y)} examples: CKA compares representations of the same examples")
    centred = [gram - gram.mean(0) - gram.mean(1)[:, None] + gram.mean() for gram in (x, y)]
    norms = [float(np.linalg.norm(gram)) for gram in centred]
    for norm, gram in zip(norms, (x, y), strict=True):
        if not norm > ROUNDING * np.linalg.norm(gram):
            return float("nan")
    return float(np.sum(centred[0] * centred[1]) / (norms[0] * norms[1]))
