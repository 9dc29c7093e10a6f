"""Scores of labels, against the values of the official scorer and values by hand."""

import ast
import json
from pathlib import Path

import pytest

from auralign.corpora.slue.answers import read_marked
from auralign.corpora.slue.labels import COMBINED_MARKS, DIALOG_ACTS, entities_from_spans
from auralign.corpora.slue.scoring import (
    Scores,
    combine_tags,
    score_dialog_acts,
    score_entities,
    score_sentiment,
)
from auralign.corpora.slue.spans import score_spans

FILE = Path(__file__).parents[3] / "fixtures" / "slue_golden.json"
GOLDEN = json.loads(FILE.read_text(encoding="utf-8"))

ZERO = Scores(0.0, 0.0, 0.0)


def count_repeats(entities, phrase=None):
    """[[tag, phrase, k], ...]: the k-th of its kind."""
    pairs = [(tag, phrase or text) for tag, text in entities]
    return [[*pair, pairs[: n + 1].count(pair)] for n, pair in enumerate(pairs)]


def in_order(scores):
    return [scores.precision, scores.recall, scores.f1]


@pytest.mark.parametrize("kind", ["raw/standard", "raw/label", "combined/standard", "combined/label"])
def test_published_slue_entity_scores(kind):
    sides = {
        side: [read_marked(line).found for line in GOLDEN["ner_scoring"][side]] for side in ("ref", "hyp")
    }
    if kind.startswith("combined"):
        sides = {side: [combine_tags(entities) for entities in lines] for side, lines in sides.items()}
    expected = GOLDEN["ner_scoring"]["results"][kind]
    phrase = "phrase" if kind.endswith("label") else None
    for side, lines in sides.items():
        assert [count_repeats(entities, phrase) for entities in lines] == expected[f"{side}_tuples"]

    found = score_entities(sides["ref"], sides["hyp"], label_only=phrase is not None)
    metrics = found.labels | {"overall_micro": found.micro, "overall_macro": found.macro}
    assert {name: in_order(scores) for name, scores in metrics.items()} == {
        name: [scores["precision"], scores["recall"], scores["fscore"]]
        for name, scores in expected["metrics"].items()
    }


def test_published_slue_label_cells_hold_the_entities_of_the_marked_sentences():
    for row in GOLDEN["ner_prep"]:
        entities = entities_from_spans(row["text"], ast.literal_eval(row["ner"]))
        if row["label_type"] == "combined":
            assert entities_from_spans(row["text"], row["labels"]) == combine_tags(entities)
            assert read_marked(row["wrd"], COMBINED_MARKS).found == tuple(combine_tags(entities))
        else:
            assert entities_from_spans(row["text"], row["labels"]) == entities
            assert read_marked(row["wrd"]).found == tuple(entities)


def test_published_slue_sentiment_scores():
    for case in GOLDEN["sentiment"]:
        found = score_sentiment(case["gt"], case["pred"], union=True)
        assert list(found.labels) == case["labels"]
        assert [100 * value for value in in_order(found.macro)] == [
            case[name] for name in ("precision", "recall", "f1")
        ]
        assert [100 * scores.f1 for scores in found.labels.values()] == case["per_class"]


def test_combined_tags_leave_out_what_has_none():
    raw = [("TIME", "noon"), ("FAC", "the louvre"), ("LOC", "europe"), ("MONEY", "a euro"), ("ORG", "eu")]
    assert combine_tags(raw) == [("WHEN", "noon"), ("PLACE", "europe"), ("QUANT", "a euro"), ("ORG", "eu")]


def test_tags_combined_before_are_refused():
    with pytest.raises(ValueError, match="'may' has the tag 'WHEN', not one of the raw tags"):
        combine_tags([("WHEN", "may")])


def test_a_repeat_is_right_as_often_as_it_is_expected():
    # 2 of the 3 found are right, 2 of the 2 expected are found
    found = score_entities([[("GPE", "eu")] * 2], [[("GPE", "eu")] * 3])
    assert found.micro == Scores(2 / 3, 1.0, pytest.approx(4 / 5))


def test_repeats_of_another_utterance_do_not_count():
    assert score_entities([[("GPE", "eu")], []], [[], [("GPE", "eu")]]).micro == ZERO


def test_micro_counts_together_and_macro_averages_the_tags_of_both_sides():
    # GPE 1 of 1, DATE expected only, ORG found only: 1/2 together, 1/3 on average
    found = score_entities([[("GPE", "eu"), ("DATE", "may")]], [[("GPE", "eu"), ("ORG", "un")]])
    assert found.micro == Scores(1 / 2, 1 / 2, 1 / 2)
    assert found.macro == Scores(1 / 3, 1 / 3, 1 / 3)


def test_label_f1_ignores_the_phrase():
    assert score_entities([[("GPE", "eu")]], [[("GPE", "un")]], label_only=True).micro.f1 == 1


def test_no_entity_on_either_side_scores_zero():
    found = score_entities([[]], [[]])
    assert (found.micro, found.macro, found.labels) == (ZERO, ZERO, {})


@pytest.mark.parametrize("score", [score_entities, score_sentiment, score_dialog_acts, score_spans])
def test_references_without_their_predictions_are_refused(score):
    with pytest.raises(ValueError, match="1 references but 0 predictions"):
        score([[]], [])
    with pytest.raises(ValueError, match="no reference to score against"):
        score([], [])


def test_sentiment_is_averaged_over_exactly_three_labels():
    # Neutral is perfect, the other two are 0 / 0
    found = score_sentiment(["Neutral"], ["Neutral"])
    assert (found.macro.f1, found.micro.f1) == (1 / 3, 1)


@pytest.mark.parametrize("answer", [None, "I think it is positive", "positive"])
def test_an_off_vocabulary_sentiment_is_wrong_and_counted_but_no_class(answer):
    # Neutral 1 of 1, Positive 0 of 1, Negative 1 of 1
    found = score_sentiment(["Neutral", "Positive", "Negative"], ["Neutral", answer, "Negative"])
    assert (found.macro.f1, found.macro.recall) == (2 / 3, 2 / 3)
    assert (len(found.labels), found.num_unparsed) == (3, 1)


def test_a_wrong_label_costs_precision_where_it_was_given():
    # Positive: 1 of 2 given, 1 of 1 expected; Neutral: 0 of 1; Negative: 0 / 0
    found = score_sentiment(["Positive", "Neutral"], ["Positive", "Positive"])
    assert in_order(found.macro) == [1 / 6, 1 / 3, pytest.approx(2 / 9)]


def test_the_union_rule_counts_what_is_outside_the_labels():
    found = score_sentiment(["Neutral", "Neutral"], ["Neutral", "so so"], union=True)
    assert (list(found.labels), found.num_unparsed) == (["Neutral", "so so"], 1)


def test_the_union_rule_needs_the_answers_themselves():
    with pytest.raises(ValueError, match="a prediction is None"):
        score_sentiment(["Neutral"], [None], union=True)


def test_a_reference_outside_the_three_labels_is_refused():
    with pytest.raises(ValueError, match="label '<mixed>' is not one of Negative, Neutral, Positive"):
        score_sentiment(["<mixed>"], ["Neutral"])


def test_dialog_acts_are_averaged_over_all_eighteen():
    # thanks: 1 of 2 given, 1 of 1 expected, F1 2/3; self: given never, expected once; 16 acts are 0 / 0
    found = score_dialog_acts([{"thanks", "self"}, {"other"}], [["thanks"], ["thanks", "other"]])
    assert in_order(found.macro) == [
        pytest.approx((1 / 2 + 1) / 18),
        pytest.approx((1 + 1) / 18),
        pytest.approx((2 / 3 + 1) / 18),
    ]
    assert tuple(found.labels) == DIALOG_ACTS


def test_perfect_acts_score_what_the_seen_ones_can():
    assert score_dialog_acts([list(DIALOG_ACTS)], [list(DIALOG_ACTS)]).macro == Scores(1.0, 1.0, 1.0)


def test_an_act_named_twice_counts_once():
    assert score_dialog_acts([["thanks"]], [["thanks", "thanks"]]).labels["thanks"].precision == 1


def test_unread_acts_are_missed_and_counted():
    found = score_dialog_acts([["thanks"], ["thanks"]], [None, ["thanks"]])
    assert (found.labels["thanks"].recall, found.num_unparsed) == (1 / 2, 1)


def test_an_unknown_act_is_refused():
    with pytest.raises(ValueError, match="label 'greeting' is not one of acknowledge, "):
        score_dialog_acts([["greeting"]], [["thanks"]])


def test_an_unread_answer_misses_every_entity_and_is_counted():
    found = score_entities([[("GPE", "eu")], [("GPE", "un")]], [None, [("GPE", "un")]])
    assert (found.micro.recall, found.num_unparsed) == (1 / 2, 1)
