import gzip
import math
from pathlib import Path

import numpy as np
import pytest

from auralign.score.metrics import (
    Estimate,
    bootstrap_difference,
    bootstrap_interval,
    bootstrap_ratio,
    bootstrap_recovery,
    character_error_rate,
    exact_match,
    mcnemar,
    resample_means,
    word_error_rate,
)

FIXTURES = Path(__file__).parents[2] / "fixtures"


def test_exact_match_ignores_white_space_only():
    assert exact_match(["a b", "a b", "a b"], [" a  b\n", "a B", "ab"]).tolist() == [1, 0, 0]


def test_exact_match_refuses_unequal_counts():
    with pytest.raises(ValueError, match="2 references but 1 hypotheses"):
        exact_match(["a", "b"], ["a"])


def test_word_error_rate_is_all_edits_over_all_reference_words():
    # 1 substitution of 1 word, 1 deletion of 4 words: 2 / 5, not the mean of 1 and 1/4
    assert word_error_rate(["a", "b c d e"], ["x", "b c d"]) == 2 / 5


def test_words_against_an_empty_reference_are_insertions():
    assert word_error_rate(["", "a b"], ["x y", "a b"]) == 2 / 2


def test_no_reference_word_at_all_is_an_error():
    with pytest.raises(ValueError, match="hold no word"):
        word_error_rate(["", " "], ["x", ""])


def test_word_error_rate_refuses_unequal_counts():
    with pytest.raises(ValueError, match="1 references but 2 hypotheses"):
        word_error_rate(["a"], ["a", "b"])


def test_character_error_rate_counts_spaces():
    assert character_error_rate(["ab c"], ["abc"]) == 1 / 4


def test_librispeech_error_rate_is_the_published_one():
    """Of 2,620 utterances: 1,501 substitutions, 195 insertions and 225 deletions in 52,576 words."""
    with gzip.open(FIXTURES / "librispeech_is21.tsv.gz", "rt", encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    rate = word_error_rate([row[1] for row in rows], [row[-1] for row in rows])
    assert rate == pytest.approx((1501 + 195 + 225) / 52576, abs=1e-12)


def test_interval_of_a_share_is_the_binomial_one():
    scores = np.arange(2000) % 10 < 3  # a share of 0.3
    half_width = 1.96 * math.sqrt(0.3 * 0.7 / 2000)
    found = bootstrap_interval(scores, clusters=range(2000), seed=1)
    assert (found.low, found.high) == pytest.approx((0.3 - half_width, 0.3 + half_width), abs=0.002)


def test_interval_widens_by_the_root_of_the_cluster_size():
    # each utterance asked four times with one fate: as if there were 500 items, so twice as wide
    scores = np.repeat(np.arange(500) % 10 < 3, 4)
    half_width = 1.96 * math.sqrt(0.3 * 0.7 / 500)
    found = bootstrap_interval(scores, clusters=np.repeat(np.arange(500), 4), seed=1, num_resamples=5000)
    assert (found.low, found.high) == pytest.approx((0.3 - half_width, 0.3 + half_width), abs=0.003)


def test_difference_of_identical_answers_is_exactly_zero():
    scores = np.arange(300) % 7 < 2
    found = bootstrap_difference(scores, scores.copy(), clusters=np.arange(300) // 3, seed=1)
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_difference_is_paired():
    # the same 100 items differ whatever else happens: the interval is that of a share of 0.1
    others = np.arange(1000) % 2
    scores = np.where(np.arange(1000) < 200, 1, others)
    half_width = 1.96 * math.sqrt(0.1 * 0.9 / 1000)
    found = bootstrap_difference(scores, others, clusters=range(1000), seed=1)
    assert (found.low, found.high) == pytest.approx((0.1 - half_width, 0.1 + half_width), abs=0.003)


def test_recovery_by_hand():
    # floor 1/4, speech 2/4, ceiling 4/4: (1/4) / (3/4)
    found = bootstrap_recovery([1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1], clusters="abcd", seed=1)
    assert found.value == pytest.approx(1 / 3)


def test_recovery_is_one_without_doubt_where_speech_equals_the_text():
    text, floor = np.ones(200), np.arange(200) % 4 == 0
    found = bootstrap_recovery(text, floor, text, clusters=range(200), seed=1)
    assert (found.value, found.low, found.high) == (1, 1, 1)


def test_recovery_is_undefined_where_the_text_is_not_above_the_floor():
    found = bootstrap_recovery([1, 0], [1, 0], [0, 1], clusters="ab", seed=1)
    assert (found.value, found.low, found.high) == (None, None, None)


def test_recovery_has_no_interval_where_a_resample_closes_the_gap():
    # the only item that sets text apart from the floor is missing from a third of the resamples
    found = bootstrap_recovery([1, 0, 0], [0, 0, 0], [1, 0, 0], clusters="abc", seed=1)
    assert (found.value, found.low, found.high) == (1, None, None)


def test_same_seed_draws_the_same_utterances():
    first, second = (resample_means([[0, 1, 2]], clusters="abc", seed=7) for _ in range(2))
    assert np.array_equal(first, second)


def test_blocks_do_not_change_the_draws(monkeypatch):
    whole = resample_means([[0, 1, 2]], clusters="abc", seed=7)
    monkeypatch.setattr("auralign.score.metrics.DRAWS_IN_MEMORY", 10)
    assert np.array_equal(resample_means([[0, 1, 2]], clusters="abc", seed=7), whole)


def test_nothing_to_resample_is_an_error():
    with pytest.raises(ValueError, match="no item"):
        bootstrap_interval([], clusters=[], seed=1)


def test_ratio_is_of_sums_and_not_a_mean_of_ratios():
    # 1 edit of 1 word, 0 of 3: 1/4; the mean of the rates would be 1/2
    assert bootstrap_ratio([1, 0], [1, 3], clusters="ab", seed=1).value == 1 / 4


def test_interval_of_a_ratio_is_that_of_the_words_spread_over_clusters():
    # 2000 utterances of 5 words, all wrong or all right: a share of 0.3 of 2000, not of 10,000
    wrong = np.arange(2000) % 10 < 3
    half_width = 1.96 * math.sqrt(0.3 * 0.7 / 2000)
    found = bootstrap_ratio(5 * wrong, np.full(2000, 5), clusters=range(2000), seed=1)
    assert (found.low, found.high) == pytest.approx((0.3 - half_width, 0.3 + half_width), abs=0.002)


def test_resamples_of_a_ratio_carry_their_own_denominators():
    # of two clusters, drawn twice: (0, 0), (0, 1) or (1, 1), so 1/1, 1/4 or 0/3, the outer ones a quarter each
    found = bootstrap_ratio([1, 0], [1, 3], clusters="ab", seed=1)
    assert (found.low, found.high) == (0, 1)


def test_one_cluster_gives_no_interval_of_a_ratio():
    found = bootstrap_ratio([1, 0], [1, 3], clusters="aa", seed=1)
    assert (found.value, found.low, found.high) == (1 / 4, None, None)


def test_ratio_has_no_interval_where_a_resample_holds_no_denominator():
    found = bootstrap_ratio([1, 1], [4, 0], clusters="ab", seed=1)
    assert (found.value, found.low, found.high) == (1 / 2, None, None)


def test_ratio_without_a_denominator_is_an_error():
    with pytest.raises(ValueError, match="2 items sum to 0"):
        bootstrap_ratio([1, 1], [0, 0], clusters="ab", seed=1)


def test_mcnemar_is_the_binomial_tail_of_the_disagreements():
    # 5 items only the first gets right, 1 only the second: 2 * (C(6,0) + C(6,1)) / 2**6 = 14/64
    right, others = [1] * 5 + [0] + [1] * 9, [0] * 5 + [1] + [1] * 9
    assert mcnemar(right, others) == mcnemar(others, right) == pytest.approx(14 / 64)


def test_mcnemar_of_systems_that_never_disagree_is_one():
    assert mcnemar([1, 0], [True, False]) == 1


def test_mcnemar_of_an_even_split_is_one():
    assert mcnemar([1, 0], [0, 1]) == 1


def test_mcnemar_refuses_unequal_counts():
    with pytest.raises(ValueError, match=r"shapes \(2,\) and \(1,\)"):
        mcnemar([1, 0], [1])


def test_mcnemar_refuses_shares():
    with pytest.raises(ValueError, match="outcome 0.5 is neither 0 nor 1"):
        mcnemar([1, 0.5], [1, 0])


def test_one_speaker_tells_nothing_of_the_spread_between_speakers():
    assert bootstrap_interval([0, 1], clusters=["a", "a"], seed=1) == Estimate(0.5, None, None)
    assert bootstrap_difference([1, 1], [0, 1], clusters=["a", "a"], seed=1) == Estimate(0.5, None, None)


def test_texts_are_compared_in_one_form_of_unicode():
    assert exact_match(["schön"], ["scho\u0308n"]).tolist() == [1]
    assert word_error_rate(["schön"], ["scho\u0308n"]) == 0
    assert character_error_rate(["scho\u0308n"], ["schon"]) == 1 / 5


@pytest.mark.parametrize(
    ("num_text", "num_floor", "value"),
    [
        (37, 30, None),  # 45 points of speech over 7 of text would be 6.43
        (30, 37, None),  # reading is below the floor
        (39, 30, None),
        (40, 30, 4.5),  # (0.75 - 0.30) / (0.40 - 0.30)
        (80, 30, 0.9),  # (0.75 - 0.30) / (0.80 - 0.30)
    ],
)
def test_recovery_needs_a_text_that_is_a_tenth_above_the_floor(num_text, num_floor, value):
    speech, floor, text = ([1] * count + [0] * (100 - count) for count in (75, num_floor, num_text))
    found = bootstrap_recovery(speech, floor, text, clusters=range(100), seed=1)
    assert found.value == (None if value is None else pytest.approx(value))
    assert value is not None or (found.low, found.high) == (None, None)
