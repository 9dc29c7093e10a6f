"""The surprise of a target, compared with hand-computed values and with a plain forward of transformers."""

import math

import pytest
import torch

from auralign.audit.surprise import Surprise, _measure, read_surprises
from auralign.layout import Response, Text, View


def test_one_prediction_by_hand():
    logits = torch.tensor([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]]).log()
    nll, gap, entropy, variance = _measure(logits, torch.tensor([1, 0])).T.tolist()
    ln2 = math.log(2)
    assert nll == pytest.approx([2 * ln2, 0])
    assert gap == pytest.approx([ln2, 0])
    assert entropy == pytest.approx([1.5 * ln2, 0])
    assert variance == pytest.approx([0.25 * ln2**2, 0], abs=1e-9)


def rendered(renderer, said, response, **options):
    return renderer.render(View((Text("repeat "), Text(said), Response(response, **options))))


def by_transformers(llm, view):
    """nll, gap and entropy of a view's target, token by token, with the whole model in one forward."""
    ids = torch.tensor([view.ids])
    logs = llm.model(ids).logits[0].double().log_softmax(-1)
    size = len(view.pieces[-1].ids)
    logs, labels = logs[-size - 1 : -1], ids[0, -size:]
    nll = -logs[torch.arange(size), labels]
    return nll, nll + logs.max(-1).values, -(logs.exp() * logs).sum(-1)


def test_sums_over_a_target_are_those_of_a_plain_forward(llm, renderer):
    views = [rendered(renderer, "three five", "i heard three five"), rendered(renderer, "nine", "nine")]
    for view, found in zip(views, read_surprises(llm, views, about="test"), strict=True):
        nll, gap, entropy = by_transformers(llm, view)
        assert found.num_tokens == len(nll)
        assert found.nll == pytest.approx(float(nll.sum()), rel=1e-4)
        assert found.gap == pytest.approx(float(gap.sum()), rel=1e-4)
        assert found.entropy == pytest.approx(float(entropy.sum()), rel=1e-4)
        assert found.end_gap == pytest.approx(float(gap[-view.pieces[-1].num_end]), rel=1e-4, abs=1e-4)


def test_the_greedy_answer_has_no_gap_and_is_not_foreign(llm, renderer):
    prompt = renderer.render(View((Text("repeat three"),)))
    ids = list(prompt.ids)
    for _ in range(6):
        ids.append(int(llm.model(torch.tensor([ids])).logits[0, -1].argmax()))
    answer = Response("", finished=False, ids=tuple(ids[len(prompt.ids) :]))
    (found,) = read_surprises(llm, [renderer.render(View((Text("repeat three"), answer)))], about="test")
    assert found.num_tokens == 6
    assert found.gap == pytest.approx(0, abs=1e-4)
    assert not found.is_foreign()


def test_a_target_that_was_cut_off_has_no_end(llm, renderer):
    (found,) = read_surprises(llm, [rendered(renderer, "nine", "nine", finished=False)], about="test")
    assert found.end_gap is None
    assert not found.stops_falsely


def test_what_cannot_be_read_is_none(llm, renderer):
    views = [
        rendered(renderer, "nine", "", finished=False),
        rendered(renderer, "nine " * 300, "nine"),
        rendered(renderer, "nine", "nine"),
    ]
    empty, beyond, read = read_surprises(llm, views, about="test")
    assert (empty, beyond) == (None, None)
    assert read is not None


@pytest.mark.parametrize(
    ("nll", "entropy", "spread", "foreign"),
    [
        (3.0, 1.0, 0.1, False),  # 2 nats above a draw: less than ln 10
        (4.0, 1.0, 0.1, True),
        (40.0, 30.0, 4.0, False),  # 10 nats, but within three deviations
        (43.0, 30.0, 4.0, True),
    ],
)
def test_foreign_is_beyond_ten_to_one_and_three_deviations(nll, entropy, spread, foreign):
    assert Surprise(10, nll, 0.0, entropy, spread, None).is_foreign(drawn=True) is foreign


def test_answers_that_the_llm_draws_are_not_foreign(llm, renderer):
    """Of 40 answers of 12 tokens, drawn at temperature 1, three deviations leave about one in two hundred."""
    generator = torch.Generator().manual_seed(1)
    prompt = renderer.render(View((Text("repeat three"),)))
    views = []
    for _ in range(40):
        ids = list(prompt.ids)
        for _ in range(12):
            chances = llm.model(torch.tensor([ids])).logits[0, -1].softmax(-1)
            ids.append(int(torch.multinomial(chances, 1, generator=generator)))
        drawn = Response("", finished=False, ids=tuple(ids[len(prompt.ids) :]))
        views.append(renderer.render(View((Text("repeat three"), drawn))))
    assert sum(one.is_foreign(drawn=True) for one in read_surprises(llm, views, about="test")) <= 2


@pytest.mark.parametrize(("gap", "foreign"), [(2.2, False), (2.4, True)])
def test_of_greedy_targets_the_gap_decides(gap, foreign):
    assert Surprise(10, 5.0, gap, 30.0, 1.0, None).is_foreign() is foreign
