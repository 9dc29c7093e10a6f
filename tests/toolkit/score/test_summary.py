"""ROUGE as it is counted by hand."""

import pytest

from auralign.score.metrics import Estimate
from auralign.score.summary import rouge_scores, score_summaries


def rouge(reference, hypothesis, **options):
    return rouge_scores([reference], [hypothesis], utt_ids=["a"], **options)[0].tolist()


@pytest.mark.parametrize(
    ("reference", "hypothesis", "scores"),
    [
        # 3 of 6 and of 4 words; "the cat" of 5 and of 3 pairs; "the cat mat" in order
        ("the cat sat on the mat", "the cat ate mat", (6 / 10, 2 / 8, 6 / 10)),
        # both words, but no pair, and one at a time in order
        ("maps old", "old maps", (1, 0, 1 / 2)),
        # a word counts as often as both have it: 1 of 1 and of 3
        ("ears", "ears ears ears", (2 / 4, 0, 2 / 4)),
        ("Ears, and hearts!", "ears and hearts", (1, 1, 1)),
        ("ears", "", (0, 0, 0)),
        ("ears", "maps", (0, 0, 0)),
    ],
)
def test_f1_is_that_counted_by_hand(reference, hypothesis, scores):
    assert rouge(reference, hypothesis) == pytest.approx(scores)


def test_stems_are_compared_only_where_asked_for():
    assert rouge("old maps", "old map") == pytest.approx([1 / 2, 0, 1 / 2])
    assert rouge("old maps", "old map", stem=True) == pytest.approx([1, 1, 1])


def test_a_test_set_has_the_mean_of_its_talks_with_its_interval():
    score = score_summaries(["old maps", "ears"], ["old maps", "noses"], utt_ids=["a", "b"], seed=1)
    assert score.rouge1 == Estimate(0.5, 0.0, 1.0)
    assert score.rouge2 == Estimate(0.5, 0.0, 1.0)
    assert (score.num_utterances, score.empty_hypotheses) == (2, ())


def test_talks_of_a_speaker_come_and_go_together():
    options = {"utt_ids": ["a", "b"], "seed": 1}
    score = score_summaries(["maps", "ears"], ["maps", "noses"], clusters=["Ann", "Ann"], **options)
    assert score.rouge1 == Estimate(0.5, None, None)  # one speaker: no spread between speakers is known


def test_the_signature_says_how_it_was_counted():
    plain, stemmed = (
        score_summaries(["maps"], ["maps"], utt_ids=["a"], seed=1, stem=stem) for stem in (False, True)
    )
    assert plain.signature.startswith("rouge:f1|stem:no|version:")
    assert stemmed.signature.startswith("rouge:f1|stem:porter|version:")


def test_empty_hypotheses_score_nothing_and_are_named():
    score = score_summaries(["maps", "ears"], [" ", "ears"], utt_ids=["a", "b"], seed=1)
    assert (score.rougeL.value, score.empty_hypotheses) == (0.5, ("a",))


def test_what_cannot_be_scored_is_named():
    with pytest.raises(ValueError, match="1 references, 2 hypotheses and 1 ids: each talk needs one of each"):
        rouge_scores(["a"], ["a", "b"], utt_ids=["1"])
    with pytest.raises(ValueError, match="0 references, 0 hypotheses and 0 ids"):
        rouge_scores([], [], utt_ids=[])
    with pytest.raises(ValueError, match="talk 7: the reference '不客气' holds no word to compare"):
        rouge_scores(["不客气"], ["welcome"], utt_ids=["talk 7"])
