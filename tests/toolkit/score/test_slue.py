import ast
import json
import math
from pathlib import Path

import pytest

from auralign.score.slue import (
    COMBINED_MARKS,
    COMBINED_TAGS,
    DIALOG_ACTS,
    Scores,
    combine_tags,
    entities_from_spans,
    frame_f1,
    normalise_phrase,
    read_dialog_acts,
    read_entities,
    read_marked,
    read_sentiment,
    score_dialog_acts,
    score_entities,
    score_entity_frames,
    score_entity_words,
    score_sentiment,
    score_spans,
)

FILE = Path(__file__).parents[2] / "fixtures" / "slue_golden.json"
GOLDEN = json.loads(FILE.read_text(encoding="utf-8"))

ZERO = Scores(0.0, 0.0, 0.0)


def count_repeats(entities, phrase=None):
    """[[tag, phrase, k], ...]: the k-th of its kind."""
    pairs = [(tag, phrase or text) for tag, text in entities]
    return [[*pair, pairs[: n + 1].count(pair)] for n, pair in enumerate(pairs)]


def in_order(scores):
    return [scores.precision, scores.recall, scores.f1]


# published values


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


@pytest.mark.parametrize("case", ["exact", "shifted", "missed_utt", "absent_key"])
def test_published_slue_entity_times(case):
    expected = GOLDEN["nel"]["cases"][case]
    spans = {utt: [(start, end) for _, start, end in entities] for utt, entities in expected["pred"].items()}
    words = {
        utt: [(start, end, word.startswith("#")) for word, start, end in line if word]
        for utt, line in GOLDEN["nel"]["word_alignments"].items()
    }
    gold = {
        utt: [(start, end) for _, start, end in GOLDEN["nel"]["gt_entities"].get(utt, [])] for utt in words
    }
    assert in_order(score_entity_frames(gold, spans).scores) == expected["frame"]
    for tolerance, scores in expected["word"].items():
        found = score_entity_words(words, spans, tolerance=float(tolerance), forgive_tail=True)
        assert in_order(found.scores) == scores


# entities of a sentence


def test_adjacent_equal_entities_are_as_many():
    assert read_marked("! two ] ! two ]").found == (("CARDINAL", "two"), ("CARDINAL", "two"))


def test_an_entity_may_stand_at_both_ends():
    assert read_marked("% paris ] in @ may ]").found == (("GPE", "paris"), ("DATE", "may"))


def test_an_unclosed_entity_is_discarded_and_listed():
    reading = read_marked("in % paris and rome")
    assert (reading.found, reading.discarded) == ((), ("% paris and rome",))


def test_an_opener_inside_an_entity_discards_the_outer_one():
    reading = read_marked("& article % twenty ] one ]")
    assert (reading.found, reading.discarded) == ((("GPE", "twenty"),), ("& article", "]"))


def test_an_empty_entity_is_discarded_and_listed():
    reading = read_marked("in % ] and @ may ]")
    assert (reading.found, reading.discarded) == ((("DATE", "may"),), ("% ]",))


def test_a_closing_mark_alone_closes_nothing():
    assert read_marked("in paris ]").discarded == ("]",)


def test_the_two_maps_read_one_mark_differently():
    assert read_marked("& may ]").found == (("LAW", "may"),)
    assert read_marked("& may ]", COMBINED_MARKS).found == (("WHEN", "may"),)


def test_a_mark_of_the_other_map_alone_stays_in_the_sentence():
    assert read_marked("( ten euros ] ! law ]", COMBINED_MARKS).found == (("LAW", "law"),)


def test_combined_tags_leave_out_what_has_none():
    raw = [("TIME", "noon"), ("FAC", "the louvre"), ("LOC", "europe"), ("MONEY", "a euro"), ("ORG", "eu")]
    assert combine_tags(raw) == [("WHEN", "noon"), ("PLACE", "europe"), ("QUANT", "a euro"), ("ORG", "eu")]


def test_tags_combined_before_are_refused():
    with pytest.raises(ValueError, match="'may' has the tag 'WHEN', none of the raw tags"):
        combine_tags([("WHEN", "may")])


def test_spans_give_phrases_as_they_are_compared():
    text = "the Union's Budget, in may"
    assert entities_from_spans(text, [["ORG", 4, 14], ["DATE", 23, 3]]) == [
        ("ORG", "union 's budget"),
        ("DATE", "may"),
    ]


def test_a_blind_row_has_no_entities():
    assert entities_from_spans("in may", None) == []


@pytest.mark.parametrize("span", [["DATE", 3, 0], ["DATE", 3, 4], ["DATE", -3, 3], ["DATE", 2, 1]])
def test_a_span_that_is_no_phrase_is_refused(span):
    with pytest.raises(ValueError, match=r"is no phrase of 'in may', of 6 characters"):
        entities_from_spans("in may", [span])


def test_normalising_twice_changes_nothing():
    once = normalise_phrase("The EU\N{RIGHT SINGLE QUOTATION MARK}s  seat: Brussels.")
    assert once == normalise_phrase(once) == "the eu 's seat: brussels"


# scores of entities


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


def test_an_unread_answer_misses_every_entity_and_is_counted():
    found = score_entities([[("GPE", "eu")], [("GPE", "un")]], [None, [("GPE", "un")]])
    assert (found.micro.recall, found.num_unparsed) == (1 / 2, 1)


@pytest.mark.parametrize("score", [score_entities, score_sentiment, score_dialog_acts, score_spans])
def test_references_without_their_predictions_are_refused(score):
    with pytest.raises(ValueError, match="1 references but 0 predictions"):
        score([[]], [])
    with pytest.raises(ValueError, match="no reference to score against"):
        score([], [])


# sentiment


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
    with pytest.raises(ValueError, match="label '<mixed>' is none of Negative, Neutral, Positive"):
        score_sentiment(["<mixed>"], ["Neutral"])


@pytest.mark.parametrize(
    "answer",
    [
        "Positive",
        "positive.",
        ' "POSITIVE" ',
        "**Positive**",
        "Sentiment: positive",
        "The sentiment of the speaker is positive.",
        "I think it is positive",
        "It\N{RIGHT SINGLE QUOTATION MARK}s mostly positive.",
        "positive, positive",
    ],
)
def test_a_named_sentiment_is_read(answer):
    assert read_sentiment(answer) == "Positive"


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "not positive",
        "it isn't positive",
        "The sentiment is non-negative.",
        "positive or neutral",
        "Options: Positive, Neutral, Negative",
        "my test came back positive today",
        "the sentiment is mixed",
        "positivity",
        "pos",
    ],
)
def test_a_sentiment_is_not_guessed(answer):
    assert read_sentiment(answer) is None


# dialog acts


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
    with pytest.raises(ValueError, match="label 'greeting' is none of acknowledge, "):
        score_dialog_acts([["greeting"]], [["thanks"]])


@pytest.mark.parametrize(
    "answer",
    [
        "question_check, thanks",
        "Question check and thanks.",
        '["question_check", "thanks"]',
        "Dialog acts: question-check; thanks",
        "The dialog acts are question check and thanks.",
        "- question_check\n- thanks",
        "1. `question_check`\n2. `thanks`",
        '```json\n{"dialog_acts": ["question_check", "thanks"]}\n```',
        "question_check, thanks, thanks",
    ],
)
def test_listed_acts_are_read(answer):
    reading = read_dialog_acts(answer)
    assert (reading.found, reading.discarded) == (("question_check", "thanks"), ())


@pytest.mark.parametrize(
    "answer", ["", "none", "thanks for your call", "question", "other things", "``` ``` ```"]
)
def test_acts_are_not_guessed(answer):
    assert read_dialog_acts(answer) is None


def test_items_that_are_no_act_are_listed():
    assert read_dialog_acts("thanks, greeting").discarded == ("greeting",)


def test_a_lead_hides_no_act():
    assert read_dialog_acts("thanks\nlabels: self").discarded == ("labels: self",)


# entities of an answer

TWO = (("GPE", "new york"), ("WORK_OF_ART", "hamlet"))


@pytest.mark.parametrize(
    "answer",
    [
        "GPE: new york\nWORK_OF_ART: hamlet",
        "- gpe: New York.\n- work of art: 'Hamlet'",
        "1. **GPE**: New York\n2. **Work-of-Art:** Hamlet",
        "GPE: new york, WORK_OF_ART: hamlet",
        "GPE: new york; work of art: hamlet\nDATE: none",
        '[{"tag": "GPE", "phrase": "New York"}, {"tag": "WORK_OF_ART", "phrase": "Hamlet"}]',
        '[{"entity": "New York", "type": "GPE"}, {"text": "hamlet", "Label": "work of art", "start": 3}]',
        '[["GPE", "new york"], ["WORK_OF_ART", "hamlet"]]',
        '{"GPE": "new york", "WORK_OF_ART": ["hamlet"], "DATE": [], "ORG": null}',
        '{"entities": [["GPE", "new york"], ["WORK_OF_ART", "hamlet"]]}',
        '```json\n{"GPE": "new york", "WORK_OF_ART": "hamlet"}\n```',
        "```\nGPE: new york\nWORK_OF_ART: hamlet\n```",
    ],
)
def test_listed_entities_are_read(answer):
    reading = read_entities(answer)
    assert (reading.found, reading.discarded) == (TWO, ())


def test_a_tag_may_come_twice_in_an_object():
    assert read_entities('{"GPE": "paris", "GPE": "rome"}').found == (("GPE", "paris"), ("GPE", "rome"))


def test_all_that_follows_a_tag_is_its_phrase():
    assert read_entities("TIME: 10:30\nGPE: paris, rome").found == (("TIME", "10:30"), ("GPE", "paris rome"))


@pytest.mark.parametrize("answer", ["none", "None.", "No entities", "[]", "{}", "GPE: none", '{"GPE": []}'])
def test_an_answer_may_say_that_there_are_none(answer):
    assert read_entities(answer).found == ()


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "we met in paris",
        "CITY: paris",
        "GPE: ",
        "GPE: paris DATE: may",
        '{"GPE": "paris", "DATE": "ma',
        '["paris"]',
        '{"answer": null}',
        '{"GPE": {"a": "b"}}',
        '[{"tag": "GPE", "text": "a", "phrase": "b"}]',
        "```\nGPE: paris\n```\nor\n```\nGPE: rome\n```",
        "[" * 100_000,
    ],
)
def test_entities_are_not_guessed(answer):
    assert read_entities(answer) is None


def test_what_is_no_entry_is_listed():
    reading = read_entities("Here they are:\nGPE: paris\nCITY: rome")
    assert reading.discarded == ("Here they are:", "CITY: rome")


def test_text_around_the_fence_is_listed():
    assert read_entities("Sure!\n```\nGPE: paris\n```").discarded == ("Sure!",)


def test_only_the_tags_asked_for_are_read():
    reading = read_entities("GPE: paris\nPLACE: rome", COMBINED_TAGS)
    assert (reading.found, reading.discarded) == ((("PLACE", "rome"),), ("GPE: paris",))


# spans of time


def test_frame_f1_by_hand():
    # 1 s of overlap, of 2 s predicted and 4 s gold
    assert frame_f1((3.0, 5.0), (0.0, 4.0)) == pytest.approx(2 * (1 / 2) * (1 / 4) / (1 / 2 + 1 / 4))


@pytest.mark.parametrize(
    ("prediction", "gold", "score"),
    [
        ((0, 1), (2, 3), 0),
        ((0, 1), (1, 2), 0),
        ((1, 1), (0, 2), 0),
        ((0, 2), (1, 1), 0),
        ((1, 1), (1, 1), 1),
        ((1, 1), (2, 2), 0),
    ],
)
def test_spans_disjoint_or_without_length_score_zero_unless_identical(prediction, gold, score):
    assert frame_f1(prediction, gold) == score


def test_the_best_gold_span_counts():
    assert score_spans([[(0, 1), (2, 4), (2, 3)]], [(2, 3)]).frame_f1 == 1


def test_a_failed_prediction_scores_zero_and_is_counted():
    found = score_spans([[(0, 1)], [(0, 1)]], [None, (0, 1)])
    assert (found.frame_f1, found.questions.tolist(), found.num_failed) == (1 / 2, [0, 1], 1)


def test_a_question_without_a_gold_span_is_refused():
    with pytest.raises(ValueError, match="question 1 has no gold span"):
        score_spans([[(0, 1)], []], [(0, 1), (0, 1)])


@pytest.mark.parametrize("span", [(2, 1), (0, math.nan), (0, math.inf)])
def test_a_span_that_is_none_is_refused(span):
    with pytest.raises(ValueError, match="give None for a prediction that failed"):
        score_spans([[(0, 1)]], [span])
    with pytest.raises(ValueError, match="give None for a prediction that failed"):
        score_entity_frames({"a": [(0, 1)]}, {"a": [span]})


def test_entity_frames_by_hand():
    # 100 and 50 gold frames, 100 marked, 50 of them gold
    found = score_entity_frames({"a": [(0, 1)], "b": [(0, 0.5)]}, {"a": [(0.5, 1.5)], "b": []})
    assert in_order(found.scores) == [1 / 2, 1 / 3, pytest.approx(2 / 5)]


def test_a_frame_is_marked_once_however_many_spans_hold_it():
    found = score_entity_frames({"a": [(0, 1), (0.5, 1)]}, {"a": [(0, 0.5), (0.25, 0.5), (0.4, 1)]})
    assert found.scores == Scores(1.0, 1.0, 1.0)


def test_a_time_becomes_the_published_frame():
    # 0.47 / 0.01 is below 47, where 0.47 * 100 is 47
    assert score_entity_frames({"a": [(0, 0.47)]}, {"a": [(0, 0.465)]}).scores.f1 == 1


def test_times_are_cut_to_whole_frames():
    # frames 0 to 9 of the gold, none of the span within a frame
    assert score_entity_frames({"a": [(0, 0.109)]}, {"a": [(0.101, 0.109)]}).scores == ZERO


@pytest.mark.parametrize("predictions", [{"a": [(0, 1)]}, {"a": [(0, 1)], "b": None}])
def test_absent_utterances_are_misses_and_counted(predictions):
    frames = score_entity_frames({"a": [(0, 1)], "b": [(0, 1)]}, predictions)
    words = score_entity_words({"a": [(0, 1, True)], "b": [(0, 1, True)]}, predictions)
    assert frames == words
    assert (in_order(words.scores), words.num_absent) == ([1, 1 / 2, pytest.approx(2 / 3)], 1)


def test_an_entity_after_the_last_span_is_missed_unless_forgiven():
    words = {"a": [(0, 1, True), (1, 2, True)], "b": [(0, 1, True)]}
    predictions = {"a": [(0, 1)], "b": []}
    assert score_entity_words(words, predictions).scores.recall == 1 / 3
    assert score_entity_words(words, predictions, forgive_tail=True).scores.recall == 1 / 2


def test_spans_cover_a_word_together_but_no_part_of_it_twice():
    words = {"a": [(0, 1, True)]}
    assert score_entity_words(words, {"a": [(0.5, 1), (0, 0.5)]}).scores.recall == 1
    assert score_entity_words(words, {"a": [(0, 0.5), (0, 0.5)]}).scores.recall == 0


def test_entity_frames_where_none_are_expected_are_wrong():
    assert (
        score_entity_frames({"a": [(0, 1)], "b": []}, {"a": [(0, 1)], "b": [(0, 1)]}).scores.precision
        == 1 / 2
    )


def test_a_word_is_found_from_the_tolerance_on():
    words = {"a": [(0, 1, True), (1, 2, False)]}
    found = {
        share: score_entity_words(words, {"a": [(0, share)]}).scores.recall for share in (0.75, 0.8, 1.5)
    }
    assert found == {0.75: 0, 0.8: 1, 1.5: 1}


def test_a_found_word_outside_entities_costs_precision():
    found = score_entity_words({"a": [(0, 1, True), (1, 2, False)]}, {"a": [(0, 1.9)]})
    assert found.scores.precision == 1 / 2


def test_a_word_without_length_is_never_found():
    assert score_entity_words({"a": [(1, 1, True)]}, {"a": [(0, 2)]}).scores == ZERO


def test_a_span_without_length_finds_nothing():
    assert score_entity_words({"a": [(0, 1, True)]}, {"a": [(0.5, 0.5)]}).scores == ZERO


@pytest.mark.parametrize("tolerance", [0, 1.1])
def test_a_tolerance_that_is_no_share_is_refused(tolerance):
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        score_entity_words({"a": []}, {}, tolerance=tolerance)


@pytest.mark.parametrize("score", [score_entity_frames, score_entity_words])
def test_a_prediction_for_an_unknown_utterance_is_refused(score):
    with pytest.raises(ValueError, match="utterance 'b', which the references lack"):
        score({"a": []}, {"b": []})
    with pytest.raises(ValueError, match="no utterance to score"):
        score({}, {})
