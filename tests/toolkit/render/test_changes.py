"""What differs between two records of prompts: also what a chat template writes only if there are several turns."""

import pytest

from auralign.render import Renderer, describe_conversation_change
from auralign.testing.tiny.llm import CHATML, GEMMA, make_tokenizer

LATER_TURN = CHATML.replace("<|im_start|>{{", "{% if loop.index0 == 4 %}~{% endif %}<|im_start|>{{", 1)
ONE_TURN = "{%- if messages | length > 2 %}{{ raise_exception('one turn') }}{% endif %}" + CHATML


def record(template):
    return Renderer(make_tokenizer(template)).describe()


def test_a_template_that_differs_in_the_third_turn_only_has_the_same_frame_hash_and_is_named():
    before, now = record(CHATML), record(LATER_TURN)
    assert before["frame_hash"] == now["frame_hash"]
    assert describe_conversation_change(before, now) == (
        " (between the second answer and the third turn, in a conversation, was '<|im_end|>\\n<|im_start|>user\\n', "
        "is '<|im_end|>\\n~<|im_start|>user\\n')"
    )


def test_a_template_that_takes_one_turn_alone_is_another():
    assert "several turns were taken, are refused" in describe_conversation_change(
        record(CHATML), record(ONE_TURN)
    )


@pytest.mark.parametrize("template", [CHATML, GEMMA, ONE_TURN])
def test_the_text_of_a_template_does_not_count(template):
    changed = "{#- a comment -#}" + template.replace("messages[0]", "messages[ 0 ]")
    assert describe_conversation_change(record(template), record(changed)) == ""


def test_a_record_of_an_earlier_auralign_says_nothing_of_conversations():
    now = record(CHATML)
    earlier = {name: value for name, value in now.items() if name != "conversation"}
    assert describe_conversation_change(earlier, record(LATER_TURN)) == ""
