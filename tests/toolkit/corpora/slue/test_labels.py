"""Entities of label cells as they are compared."""

import pytest

from auralign.corpora.slue.labels import entities_from_spans, normalise_phrase


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
    with pytest.raises(ValueError, match=r"is not a phrase of 'in may', of 6 characters"):
        entities_from_spans("in may", [span])


def test_normalising_twice_changes_nothing():
    once = normalise_phrase("The EU\N{RIGHT SINGLE QUOTATION MARK}s  seat: Brussels.")
    assert once == normalise_phrase(once) == "the eu 's seat: brussels"
