"""Answers in slots: a slot is never idle while a prompt waits, and families that cannot be decoded so are found."""

import pytest
import torch

from auralign.models.llm import load_llm
from auralign.models.llm.slots import Prompt, Slots, answer_in_slots

TEXTS = ("repeat three", "please sort the above words again three five nine", "nine")


def test_a_slot_is_refilled_in_the_step_after_its_answer_ended(llm, renderer):
    """Two slots, limits of 1, 4 and 2 tokens: the second and third answer are written side by side."""
    rows, forward = (
        [],
        llm.decoder.layers[0].register_forward_pre_hook(lambda _, args: rows.append(args[0].shape[:2])),
    )
    prompts = [
        Prompt(llm.embed(renderer.encode(text)), limit) for text, limit in zip(TEXTS, (1, 4, 2), strict=False)
    ]
    ended = [
        [number for number, _ in finished]
        for finished in answer_in_slots(llm, prompts, num_slots=2, stop_ids=())
    ]
    forward.remove()
    assert ended == [[0], [2], [1]]
    # Two prompts; the third in the place of the first; both answers; what is left alone.
    assert [tuple(shape) for shape in rows if shape[1] == 1] == [(2, 1), (1, 1), (1, 1)]


@pytest.mark.parametrize(("kind", "uses"), [("qwen3", True), ("mamba", False), ("gemma2", False)])
def test_a_family_that_keeps_other_states_than_keys_and_values_gets_batches(make_llm, kind, uses):
    assert load_llm(make_llm(kind)).uses_slots == uses


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_rows_keep_their_logits_when_others_leave_and_come(make_llm, kind):
    """Against one forward of the whole sequence, through growing room and a row that is moved."""
    llm = load_llm(make_llm(kind))
    first, second, third = (
        llm.embed(range(start, start + size)) for start, size in ((5, 4), (9, 7), (3, 90))
    )
    slots = Slots(llm)
    with torch.no_grad():
        slots.add([Prompt(first, 9), Prompt(second, 9)])
        slots.advance([1, 5])
        slots.drop(0)  # the second is now the first
        slots.add([Prompt(third, 9)])
        found = slots.advance([6, 7])
        for row, whole in enumerate(
            (torch.cat([second, llm.embed([5, 6])]), torch.cat([third, llm.embed([7])]))
        ):
            hidden = llm.hidden_states(whole, torch.arange(len(whole)))
            torch.testing.assert_close(found[row], llm.head(hidden)[-1], atol=1e-4, rtol=1e-4)
