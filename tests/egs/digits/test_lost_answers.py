import pytest

import lost_answers
from auralign.records import Question

BARE = Question("u:bare", "u", "no instruction", "none", None, "okay you gave me one two")
REVERSE = Question(
    "u:reverse", "u", "unseen tasks", "reverse", "{speech} backwards", "backwards that is two one"
)
CASCADE = {"u:reverse": REVERSE.reference}


@pytest.mark.parametrize(
    "bare, reverse, heard, speech, as_heard",
    [
        ("okay you gave me one two", "backwards that is two one", 1, 1, 1),
        ("okay you gave me one two", "backwards that is two", 1, 0, 0),  # heard, and then not done
        ("okay you gave me one five", "backwards that is five one", 0, 0, 1),  # done on what was not said
        ("okay you gave me one five", "backwards that is two one", 0, 1, 0),
        ("i heard one two", "backwards that is two one", 0, 1, 0),  # not the reply to bare speech
    ],
)
def test_a_lost_answer_is_lost_in_hearing_or_in_the_task(bare, reverse, heard, speech, as_heard):
    found = lost_answers.share_out([BARE, REVERSE], {"u:bare": bare, "u:reverse": reverse}, CASCADE)
    assert found == {"questions": 1, "cascade": 1, "heard": heard, "speech": speech, "as heard": as_heard}


def test_more_digits_than_can_be_counted_have_no_right_answer():
    assert lost_answers.answer_to("count", ("one",) * 10) is None


def test_an_utterance_without_the_question_that_says_what_was_heard_is_named():
    with pytest.raises(ValueError, match="u: no question of the group 'no instruction'"):
        lost_answers.share_out([REVERSE], {"u:reverse": ""}, CASCADE)
