"""Shares, CKA and forgetting over questions and speakers, against values by hand."""

import json
from dataclasses import replace

import numpy as np
import pytest

from auralign.ledger.picture import overlapping_labels
from auralign.probe.flow import Flow
from auralign.probe.inputs import ORDERS
from auralign.probe.page import (
    LEGEND,
    describe_result,
    format_html,
    format_markdown,
    format_text,
    overall_table,
)
from auralign.probe.picture import make_figure
from auralign.probe.summary import (
    Probe,
    summarise_flows,
    summarise_forgetting,
    summarise_states,
    units_of,
)

SPEAKERS = [f"s{number:02}" for number in range(12)]


@pytest.fixture
def units():
    return units_of(SPEAKERS, [f"u{number}" for number in range(12)], seed=1)


def flow(speech, instruction, num_speech=4, num_instruction=2):
    return Flow(np.array(speech), np.array(instruction), num_speech, num_instruction)


@pytest.fixture
def shares(units):
    """Two layers. Half of the speakers: 3 of 4 to the speech in both; the others 1 of 4. Text: half and half."""
    speech = [flow([3.0, 3.0], [1.0, 1.0])] * 6 + [flow([1.0, 1.0], [3.0, 3.0])] * 6
    return [
        share
        for order in ORDERS
        for share in summarise_flows(order, speech, [flow([1.0, 1.0], [1.0, 1.0])] * 12, units)
    ]


def find(shares, weight, layer):
    return next(one for one in shares if (one.weight, one.layer) == (weight, layer))


def test_shares_are_means_over_questions(shares):
    one = find(shares, "summed", 1)
    assert (one.speech.value, one.text.value, one.difference.value) == pytest.approx((0.5, 0.5, 0))
    edge = find(shares, "mean", None)
    per_edge = ((3 / 4) / (3 / 4 + 1 / 2), (1 / 4) / (1 / 4 + 3 / 2))
    assert edge.speech.value == pytest.approx(sum(per_edge) / 2)
    assert edge.text.value == pytest.approx((1 / 4) / (1 / 4 + 1 / 2))


def test_shares_have_intervals_over_speakers(shares):
    one = find(shares, "summed", None)
    assert one.speech.num_clusters == 12
    assert 0.25 < one.speech.low < 0.5 < one.speech.high < 0.75
    assert one.difference.low == pytest.approx(one.speech.low - 0.5)


def test_a_question_without_saliency_in_a_layer_is_left_out_there_and_counted(units):
    speech = [flow([0.0, 1.0], [0.0, 1.0])] + [flow([3.0, 1.0], [1.0, 1.0])] * 11
    found = summarise_flows(ORDERS[0], speech, [flow([1.0, 1.0], [1.0, 1.0])] * 12, units)
    assert (find(found, "summed", 1).num_questions, find(found, "summed", 2).num_questions) == (11, 12)
    assert find(found, "summed", 1).speech.value == pytest.approx(0.75)
    nothing = summarise_flows(ORDERS[0], [flow([0.0], [0.0])] * 12, speech, units)
    assert nothing == []


def test_few_speakers_have_no_interval():
    units = units_of(["a", "b"] * 6, [f"u{number}" for number in range(12)], seed=1)
    found = summarise_flows(ORDERS[0], [flow([3.0], [1.0])] * 12, [flow([1.0], [1.0])] * 12, units)
    assert (found[0].speech.low, found[0].speech.num_clusters) == (None, 2)


def test_forgetting_by_hand(units):
    """Half of the answers changed; 2 nats of 4 tokens before, and 4 nats after, but of one answer of 1 token 1 nat each."""
    found = summarise_forgetting(
        [True, False] * 6, [2.0] * 11 + [1.0], [4.0] * 11 + [1.0], [4] * 11 + [1], units
    )
    assert found.changed.value == 0.5
    assert found.before.value == pytest.approx((22 + 1) / 45)
    assert found.after.value == pytest.approx((44 + 1) / 45)
    assert found.difference.value == pytest.approx(0.5 * 11 / 12)
    assert found.changed.low < 0.5 < found.changed.high and found.difference.num_clusters == 12


@pytest.fixture
def found(shares, units):
    rng = np.random.default_rng(0)
    states = rng.normal(size=(12, 3, 5))
    similarities = summarise_states(
        states, states + rng.normal(size=(12, 3, 5)) / 10, units["clusters"], seed=1
    )
    forgetting = summarise_forgetting([True, False] * 6, [1.0] * 12, [2.0] * 12, [2] * 12, units)
    return Probe({"run": "<sift>", "questions": 12}, tuple(shares), tuple(similarities), forgetting, ("a",))


def test_similarities_are_by_layer_with_a_chance_level(found):
    assert [one.layer for one in found.similarities] == [0, 1, 2]
    for one in found.similarities:
        assert one.chance < one.cka.low < one.cka.value <= 1 and one.cka.num_clusters == 12


def test_a_connector_that_ignores_the_speech_has_no_cka_and_a_page_all_the_same(found, units):
    same = np.ones((12, 3, 5))
    dead = summarise_states(same, np.random.default_rng(0).normal(size=(12, 3, 5)), units["clusters"], seed=1)
    assert all(one.cka.value is None and one.chance is None for one in dead)
    found = replace(found, similarities=tuple(dead))
    assert "CKA of speech and text is - at the input (chance -)" in format_markdown(found)
    make_figure(found)


def test_the_json_is_read_again(found):
    assert Probe.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_the_page_defines_and_shows_everything_with_intervals(found):
    markdown, html = format_markdown(found), format_html(found, b"")
    for name in LEGEND:
        assert f"**{name}**" in markdown and f"<dt>{name}</dt>" in html
    assert "<sift>" not in html
    assert [row[3] for row in overall_table(found).rows] == ["12"] * 4  # speakers
    assert "| instruction first | summed | 12 | 12 | 0.50 | 0." in markdown
    assert "nll after - before" in format_text(found)
    assert "chance may explain the difference" in describe_result(found)


def test_no_labels_of_the_picture_overlap(found):
    assert overlapping_labels(make_figure(found)) == []
