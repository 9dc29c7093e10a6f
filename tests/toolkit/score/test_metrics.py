import gzip
import math
from pathlib import Path

import numpy as np
import pytest

from auralign.score.metrics import (
    MIN_SPEAKERS,
    Estimate,
    Resampling,
    bootstrap_difference,
    bootstrap_interval,
    bootstrap_ratio,
    bootstrap_recovery,
    character_error_rate,
    difference_p_value,
    exact_match,
    holm,
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


def test_the_difference_of_identical_answers_is_zero_and_says_nothing_of_other_speakers():
    scores = np.arange(300) % 7 < 2
    found = bootstrap_difference(scores, scores.copy(), clusters=np.arange(300) // 3, seed=1)
    assert (found.value, found.low, found.high) == (0, None, None)


@pytest.mark.parametrize("scores", [np.full(60, 0.5), np.tile([0.3, 0.6, 0.9], 20)])
def test_resamples_that_do_not_differ_are_no_interval_of_no_width(scores):
    found = bootstrap_interval(scores, clusters=np.arange(60) // 3, seed=1)
    assert (found.value, found.low, found.high) == (pytest.approx(scores.mean()), None, None)


def test_resamples_without_a_value_are_left_out_of_the_interval():
    found = Resampling(clusters="ab", seed=1, confidence=0.5).estimate(2, [1, np.nan, 2, 3, np.nan, 4, 5])
    assert (found.low, found.high) == (2, 4)


def test_difference_is_paired():
    # the same 100 items differ whatever else happens: the interval is that of a share of 0.1
    others = np.arange(1000) % 2
    scores = np.where(np.arange(1000) < 200, 1, others)
    half_width = 1.96 * math.sqrt(0.1 * 0.9 / 1000)
    found = bootstrap_difference(scores, others, clusters=range(1000), seed=1)
    assert (found.low, found.high) == pytest.approx((0.1 - half_width, 0.1 + half_width), abs=0.003)


def test_difference_of_all_right_and_all_wrong_has_no_interval():
    found = bootstrap_difference([1] * 12, [0] * 12, clusters=range(12), seed=1)
    assert (found.value, found.low, found.high) == (1, None, None)


def test_recovery_of_everything_has_the_interval_of_the_share():
    # Wilson's of 12 of 12: 12 / (12 + 1.96**2)
    found = bootstrap_recovery([1] * 12, [0] * 12, [1] * 12, clusters=range(12), seed=1)
    assert (found.value, found.low, found.high) == (1, pytest.approx(12 / (12 + 1.96**2), abs=1e-4), 1)


def test_recovery_by_hand():
    # floor 1/4, speech 2/4, ceiling 4/4: (1/4) / (3/4)
    found = bootstrap_recovery([1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1], clusters="abcd", seed=1)
    assert found.value == pytest.approx(1 / 3)


def test_recovery_is_one_without_interval_where_speech_equals_the_text():
    text, floor = np.ones(200), np.arange(200) % 4 == 0
    found = bootstrap_recovery(text, floor, text, clusters=range(200), seed=1)
    assert (found.value, found.low, found.high) == (1, None, None)


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


def test_utterances_are_drawn_anew_within_each_drawn_speaker():
    # 20 speakers of 10 utterances, half of each right: speakers alone do not vary, their utterances do, as 200 coins
    scores = np.tile([0, 1], 100)
    speakers, utterances = np.repeat(np.arange(20), 10), np.arange(200)
    assert bootstrap_interval(scores, clusters=speakers, seed=1).low is None
    found = bootstrap_interval(scores, clusters=speakers, within=utterances, seed=1, num_resamples=5000)
    half_width = 1.96 * math.sqrt(0.25 / 200)
    assert (found.low, found.high) == pytest.approx((0.5 - half_width, 0.5 + half_width), abs=0.006)


def test_questions_about_one_utterance_are_kept_together():
    # one speaker's 50 utterances, each asked twice with one fate: as 50 coins
    scores = np.repeat(np.arange(50) % 2, 2)
    means = resample_means(
        [scores], clusters=["s"] * 100, within=np.repeat(np.arange(50), 2), seed=1, num_resamples=5000
    )
    assert np.std(means) == pytest.approx(math.sqrt(0.25 / 50), rel=0.05)


def test_two_speakers_who_share_the_id_of_a_unit_do_not_share_the_unit():
    scores, speakers = [0, 0, 1, 1], ["a", "a", "b", "b"]
    means = resample_means([scores], clusters=speakers, within=[1, 2, 1, 2], seed=1)
    assert set(means[:, 0]) == {0, 0.5, 1}


def test_runs_are_drawn_too():
    # of two seeds, drawn twice: both the wrong one a quarter of the time, both the right one a quarter
    scores, runs = np.repeat([0, 1], 20), np.repeat(["seed 1", "seed 2"], 20)
    speakers = np.tile(np.arange(20), 2)
    found = bootstrap_interval(scores, clusters=speakers, runs=runs, seed=1)
    assert (found.value, found.low, found.high, found.num_clusters) == (0.5, 0, 1, 20)


def test_blocks_do_not_change_the_draws_within_speakers_and_of_runs(monkeypatch):
    units = {"clusters": [0, 0, 1, 1] * 2, "within": [0, 1, 2, 3] * 2, "runs": [0] * 4 + [1] * 4, "seed": 7}
    whole = resample_means([np.arange(8)], **units)
    monkeypatch.setattr("auralign.score.metrics.DRAWS_IN_MEMORY", 10)
    assert np.array_equal(resample_means([np.arange(8)], **units), whole)


@pytest.mark.parametrize(("score", "low", "high"), [(0, 0, 0.2775), (1, 0.7225, 1)])
def test_all_wrong_or_all_right_has_the_interval_of_wilson_over_speakers(score, low, high):
    # z**2 / (n + z**2) = 3.8415 / 13.8415 for 10 speakers, however many questions each was asked
    found = bootstrap_interval([score] * 500, clusters=np.arange(500) % 10, seed=1)
    assert (found.value, found.low, found.high) == pytest.approx((score, low, high), abs=1e-4)


def test_an_error_rate_of_zero_has_the_interval_of_wilson_too():
    found = bootstrap_ratio([0] * 20, [5] * 20, clusters=np.arange(20) % 10, seed=1)
    assert (found.low, found.high) == pytest.approx((0, 0.2775), abs=1e-4)


@pytest.mark.parametrize("scores", [[0, 1] * 18, [0] * 36])
def test_nine_speakers_give_a_point_and_ten_an_interval(scores):
    for num_speakers, is_there in ((9, False), (10, True)):
        speakers = np.arange(36) % num_speakers
        found = bootstrap_interval(scores, clusters=speakers, seed=1, min_clusters=MIN_SPEAKERS)
        assert (found.low is not None, found.num_clusters) == (is_there, num_speakers)


def test_interval_over_speakers_covers_what_that_over_utterances_does_not():
    # 30 speakers whose rates spread by 0.1 around 0.5, 20 utterances each; evidence: 0.78 against 0.91 for 12 voices
    rng = np.random.default_rng(3)
    covered = {"speakers": 0, "utterances": 0}
    for trial in range(200):
        rates = np.clip(rng.normal(0.5, 0.1, 30), 0, 1)
        scores = (rng.random((30, 20)) < rates[:, None]).astype(float).ravel()
        speakers, utterances = np.repeat(np.arange(30), 20), np.arange(600)
        by = {
            "speakers": {"clusters": speakers, "within": utterances},
            "utterances": {"clusters": utterances},
        }
        for name, units in by.items():
            found = bootstrap_interval(scores, **units, seed=trial, num_resamples=200)
            covered[name] += found.low <= 0.5 <= found.high
    assert covered["utterances"] < 180 < covered["speakers"]


def test_holm_by_hand():
    # sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1: 0.04, 0.06, 0.06, and 0.04, which is raised to 0.06
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, None, 0.9]) == [1.0, None, 1.0]
    assert holm([]) == []


def test_p_value_of_a_difference_is_that_of_students_t_over_speakers():
    # 16 speakers whose differences are 0.3 or -0.1: mean 0.1, standard deviation 0.2, standard error 0.05: t = 2, 15 degrees
    differences = np.tile([0.3, -0.1], 8)
    found = difference_p_value(differences, np.zeros(16), clusters=range(16), seed=1, num_resamples=20000)
    assert found == pytest.approx(0.0639, abs=0.003)


def test_p_value_without_a_difference_or_without_spread():
    assert difference_p_value([1, 0] * 5, [1, 0] * 5, clusters=range(10), seed=1) == 1
    assert difference_p_value([1] * 10, [0] * 10, clusters=range(10), seed=1) == 2 / 2**10
    assert difference_p_value([1] * 9, [0] * 9, clusters=range(9), seed=1, min_clusters=10) is None
