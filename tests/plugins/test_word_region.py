"""Speech beside a right or a wrong text: what is drawn, what is read, and what the transport costs."""

from dataclasses import replace
from random import Random
from types import SimpleNamespace

import pytest
import torch

from auralign.layout import SPEECH, Response, Speech, Text
from auralign.plugins import load_method
from auralign.records import Utterance
from auralign.testing.world import compute_step_loss, make_examples

TEXTS = {"u": "three  five nine", "same": "Three five nine.", "v": "one two", "w": "eight"}
ROWS = {
    name: Utterance(id=name, audio=f"{name}.flac", seconds=1.0, text=text) for name, text in TEXTS.items()
}
UTTERANCE = replace(ROWS["u"], others=("same", "v", "w"), find_other=ROWS.__getitem__)


def draw(utterance=UTTERANCE, num=200, **options):
    method = load_method("word_region", **options)
    return method, [choice for seed in range(num) for choice in method.choices(utterance, Random(seed))]


def test_half_of_the_pairs_are_wrong_and_none_of_these_has_the_same_words():
    _, choices = draw()
    wrong = [choice.options["text_of"] for choice in choices if choice.task == "wrong"]
    assert 80 < len(wrong) < 120
    assert set(wrong) == {"v", "w"}


def test_words_of_right_pairs_alone_are_masked_and_at_least_one_while_all_is_heard():
    method, choices = draw(replace(UTTERANCE, text="nine " * 20))
    assert {(choice.task, len(choice.options["masked"])) for choice in choices} == {
        ("right", 3),
        ("wrong", 0),
    }
    assert {len(choice.options["masked"]) for choice in draw()[1]} == {0, 1}
    for choice in choices:
        heard = method.layout(UTTERANCE, choice, Response("")).student.segments[0]
        assert heard == Speech(UTTERANCE.text)


def test_the_text_beside_the_speech_is_read_byte_for_byte():
    method, choices = draw(share_masked=0.7)
    for choice in choices:
        _, *read, response = method.layout(UTTERANCE, choice, Response("")).student.segments
        assert all(isinstance(segment, Text) for segment in read)
        text = TEXTS[choice.options.get("text_of", "u")]
        assert "".join(segment.text for segment in read) == "\n" + text
        masked = [word for segment in read if segment.tag == "masked" for word in segment.text.split()]
        assert masked == [text.split()[number] for number in choice.options["masked"]]


def test_without_other_texts_the_builder_is_named():
    with pytest.raises(ValueError, match="u names no others of another text.*auralign build negate"):
        draw(replace(UTTERANCE, others=("same",)))
    assert {choice.task for choice in draw(ROWS["u"], share_wrong=0.0)[1]} == {"right"}


def test_the_loss_of_right_and_wrong_pairs_is_the_same_in_any_packing():
    method = load_method("word_region")
    assert {choice.task for _, choice, _ in make_examples(method)} == {"right", "wrong"}
    whole = float(compute_step_loss(method, [[0, 1, 2]]).detach())
    for packs in ([[0], [1], [2]], [[2, 0], [1]]):
        assert float(compute_step_loss(method, packs).detach()) == pytest.approx(whole, rel=1e-5)


def test_transport_is_that_of_what_was_said_and_a_margin_to_what_was_not():
    one, other = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])

    def transport(*rows):
        """Of rows (task, heard, said, read)."""
        tasks, heard, said, read = map(list, zip(*rows, strict=True))
        student = SimpleNamespace(
            each=lambda tag, layer: heard if tag == SPEECH else read, at=lambda tag, layer: torch.cat(heard)
        )
        teacher = SimpleNamespace(each=lambda tag, layer: said)
        return method._transport(student, teacher, [task == "wrong" for task in tasks])

    method, nothing = load_method("word_region", margin=0.2), torch.zeros(0, 2)
    right, missed = ("right", one, one, nothing), ("right", one, other, nothing)
    far, near = ("wrong", one, one, other), ("wrong", one, one, one)
    for row, cost in ((right, 0.0), (missed, 1.0), (far, 0.0), (near, 0.2)):
        assert float(transport(row).sum) == pytest.approx(cost, abs=1e-6)
    term = transport(missed, near, far)
    assert (float(term.sum), term.count, term.unit) == (pytest.approx(1.2), 3, "sequences")
    left_out = transport(near, ("right", one, nothing, nothing))
    assert (left_out.count, left_out.left_out) == (1, (1,))
    assert (transport(("right", one, nothing, nothing)).count, transport(right).left_out) == (0, ())


@pytest.mark.parametrize("options", [{"share_masked": 0.0}, {"share_wrong": 1.0}, {"share_regions": 1.1}])
def test_shares_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="share_wrong .*, share_masked|share_regions 1.1"):
        load_method("word_region", **options)


WORDS = (("three", 0.1, 0.3), ("-", 0.3, 0.3), ("five", 0.3, 0.5), ("nine", 0.7, 1.0))


def test_words_of_the_speech_are_masked_while_all_of_the_text_is_read():
    timed = replace(UTTERANCE, words=WORDS, seconds=1.0)
    method, choices = draw(timed, share_wrong=0.0, share_regions=0.5)
    regions = [choice for choice in choices if choice.task == "region"]
    assert 80 < len(regions) < 120 and {len(one.options["unheard"]) for one in regions} == {1}
    assert {number for one in regions for number in one.options["unheard"]} == {0, 2, 3}  # "-" takes no time
    (five,) = [one for one in regions if one.options["unheard"] == [2]][:1]
    view = method.layout(timed, five, Response("")).student
    assert view.segments == (
        Text("three  five nine\n", "read"),
        Speech("three", span=(0.0, 0.3)),
        Speech("nine", span=(0.6, 1.0)),
        Text("\n", "read"),
        Text("five", "masked"),
        Response(""),
    )


def test_speech_is_masked_by_word_times_and_one_word_is_never_all_of_it():
    with pytest.raises(
        ValueError, match="no word times to mask speech by: run `auralign align`.*share_regions: 0.0"
    ):
        draw(share_wrong=0.0, share_regions=1.0)
    for words in ((), WORDS[:1]):
        choices = draw(replace(UTTERANCE, words=words), share_wrong=0.0, share_regions=1.0)[1]
        assert {choice.task for choice in choices} == {"right"}
    choices = draw(replace(UTTERANCE, words=WORDS), share_wrong=0.0, share_regions=1.0, share_masked=1.0)[1]
    assert {len(choice.options["unheard"]) for choice in choices} == {2}


def test_a_recipe_without_masked_speech_draws_what_it_drew():
    timed = replace(UTTERANCE, words=WORDS)
    assert draw(timed)[1] == draw(UTTERANCE)[1]
