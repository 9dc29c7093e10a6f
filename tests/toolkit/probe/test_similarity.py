"""Linear CKA against values by hand, and its interval against the jackknife written out."""

import numpy as np
import pytest

from auralign.probe.similarity import chance_cka, estimate_cka, linear_cka


def test_cka_by_hand():
    """X = (-1, 0, 1) centred, Y = (1, -2, 1): orthogonal; Z = (-1, -1, 2): (X'Z)^2 / (X'X Z'Z) = 9 / (2 * 6)."""
    x, y, z = [[0.0], [1.0], [2.0]], [[1.0], [-2.0], [1.0]], [[4.0], [4.0], [7.0]]
    assert linear_cka(x, y) == pytest.approx(0, abs=1e-12)
    assert linear_cka(x, z) == pytest.approx(9 / 12)


def test_cka_of_two_dimensions_by_hand():
    """X'X = diag(4, 4), Y = (2, 0, -2, 0): X'Y = (4, 0): 16 / (sqrt(32) * 8)."""
    x = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]])
    y = np.array([[2], [0], [-2], [0]])
    assert linear_cka(x, y) == pytest.approx(np.sum((x.T @ y) ** 2) / (np.sqrt(32) * 8))
    assert linear_cka(x, y) == pytest.approx(32 / (np.sqrt(32) * 8))


def test_cka_ignores_rotation_shift_and_scale_but_not_the_scale_of_a_dimension():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 5))
    turn, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    assert linear_cka(x, 3 * x @ turn + 7) == pytest.approx(1)
    assert linear_cka(x, x * [10, 1, 1, 1, 1]) < 0.9


def test_the_interval_is_the_jackknifes():
    """12 speakers with two utterances each."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(24, 4))
    y = x + rng.normal(size=(24, 4))
    speakers = [number // 2 for number in range(24)]
    found = estimate_cka(x, y, speakers)
    left_out = []
    for speaker in range(12):
        kept = [row for row in range(24) if speakers[row] != speaker]
        left_out.append(linear_cka(x[kept], y[kept]))
    error = np.sqrt(11 / 12 * np.sum((np.array(left_out) - np.mean(left_out)) ** 2))
    assert found.value == linear_cka(x, y)
    assert found.num_clusters == 12
    assert (found.high - found.low) / 2 == pytest.approx(2.200985 * error, rel=1e-5)  # t of 11 degrees, 0.975


def test_few_speakers_have_no_interval():
    rng = np.random.default_rng(1)
    found = estimate_cka(rng.normal(size=(24, 4)), rng.normal(size=(24, 4)), [n % 3 for n in range(24)])
    assert (found.low, found.high, found.num_clusters) == (None, None, 3)


def test_chance_is_high_if_there_are_fewer_utterances_than_dimensions():
    rng = np.random.default_rng(1)
    wide, narrow = rng.normal(size=(10, 500)), rng.normal(size=(500, 2))
    assert chance_cka(wide, rng.normal(size=(10, 500)), seed=1) > 0.8
    assert chance_cka(narrow, narrow, seed=1) < 0.05
    assert chance_cka(wide, wide, seed=3) == chance_cka(wide, wide, seed=3)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([[1.0], [2.0]], [[1.0]], "at least 2 examples"),
        ([[1.0], [2.0]], [[1.0], [2.0], [3.0]], "2 and 3 examples"),
        ([1.0, 2.0], [[1.0], [2.0]], "shape"),
    ],
)
def test_what_has_no_cka_is_refused(x, y, message):
    with pytest.raises(ValueError, match=message):
        linear_cka(x, y)


def test_cka_of_equal_examples_is_undefined():
    """A connector that ignores what was said: rounding is no difference."""
    equal, other = [[1e6, 0.1]] * 12, np.random.default_rng(0).normal(size=(12, 3))
    assert np.isnan(linear_cka(equal, other))
    assert estimate_cka(other, equal, range(12)).value is None
    assert chance_cka(equal, other, seed=1) is None


def test_cka_that_hangs_on_one_speaker_has_no_interval():
    x = [[0.0]] * 11 + [[1.0]]
    found = estimate_cka(x, np.random.default_rng(0).normal(size=(12, 3)), range(12))
    assert found.value is not None and found.low is None
