"""The miniature experiments on tags and grades: what is spoiled, and under which tag it is taught."""

from random import Random

import experiment_tags
from auralign.layout import Code, Response
from auralign.records import Utterance

UTTERANCES = [Utterance(f"u{number}", "u.flac", 1.0, "three five") for number in range(500)]


def test_a_share_of_the_replies_is_the_bare_digits_which_are_taught_under_the_bad_tag():
    method, spoiled = experiment_tags.Graded(share_untagged=0.0), 0
    for utterance in UTTERANCES:
        (choice,) = method.choices(utterance, Random(0))
        said = method.given_response(utterance, choice)
        tag = method.layout(utterance, choice, Response(said)).student.contents[0]
        is_bare = said == "three five"
        assert is_bare or said == "okay you gave me three five"
        assert tag == Code("quality", ("bad" if is_bare else "good",))
        spoiled += is_bare
    assert 0.2 < spoiled / len(UTTERANCES) < 0.4


def test_the_form_of_an_utterance_is_a_coin():
    forms = [experiment_tags.form_of(utterance) for utterance in UTTERANCES]
    assert 0.4 < forms.count("spanish") / len(forms) < 0.6
