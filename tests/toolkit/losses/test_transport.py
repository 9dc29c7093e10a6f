"""Transport against values computed by hand; marginals; padding and batch mates change nothing."""

import math

import pytest
import torch

from auralign.losses import ipot_costs, ipot_distance, ipot_plan, sinkhorn_distance

both = pytest.mark.parametrize("loss", [sinkhorn_distance, ipot_distance])


def rows(*vectors):
    """One sequence (1, U, D) and its length (1,)."""
    return torch.tensor([vectors], dtype=torch.float), torch.tensor([len(vectors)])


def batch(*, seed=0):
    """Two pairs of random sequences, padded: (2, 5, 8) and (2, 4, 8)."""
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.randn(2, 5, 8, generator=generator), torch.randn(2, 4, 8, generator=generator)
    return x, torch.tensor([5, 2]), y, torch.tensor([3, 4])


def test_sinkhorn_of_equal_sequences_is_exactly_zero():
    x, lengths, *_ = batch()
    assert sinkhorn_distance(x, lengths, x.clone(), lengths).sum.item() == 0.0


def test_ipot_of_equal_sequences_is_zero():
    x, lengths, *_ = batch()
    assert ipot_distance(x, lengths, x.clone(), lengths).sum.item() == pytest.approx(0.0, abs=1e-5)


def test_sinkhorn_between_two_points_is_half_the_squared_distance():
    term = sinkhorn_distance(*rows([1.0, 1.0]), *rows([4.0, 5.0]))
    assert (term.sum.item(), term.count, term.unit) == (12.5, 1, "sequences")


def test_ipot_between_two_vectors_is_one_minus_the_cosine():
    term = ipot_distance(*rows([1.0, 0.0]), *rows([3.0, 4.0]))
    assert term.sum.item() == pytest.approx(0.4, rel=1e-6)
    assert (term.count, term.unit) == (1, "sequences")


def test_sinkhorn_of_two_points_to_one_by_hand():
    # All plans to one point are the same: the mean of 1/2 and 9/2. Two points far apart stay where they are, which
    # costs them entropy, log 2 times the squared blur; half of it is taken off.
    loss = sinkhorn_distance(*rows([1.0], [3.0]), *rows([0.0]), blur=0.5).sum
    assert loss.item() == pytest.approx(2.5 - 0.25 * math.log(2) / 2, rel=1e-3)


def test_sinkhorn_of_points_on_a_line_is_that_of_the_sorted_ones():
    # 0 to 1, 10 to 12, 20 to 23: the mean of 1/2, 4/2 and 9/2.
    loss = sinkhorn_distance(*rows([20.0], [0.0], [10.0]), *rows([1.0], [12.0], [23.0]), scaling=0.9).sum
    assert loss.item() == pytest.approx(14 / 6, rel=1e-3)


def test_sinkhorn_moves_each_point_towards_its_partner():
    x, lengths = rows([20.0], [0.0], [10.0])
    sinkhorn_distance(x.requires_grad_(), lengths, *rows([1.0], [12.0], [23.0]), scaling=0.9).sum.backward()
    torch.testing.assert_close(x.grad[0, :, 0], torch.tensor([-3.0, -1.0, -2.0]) / 3, atol=1e-3, rtol=0)


def test_ipot_finds_the_permutation():
    x, lengths = torch.eye(4)[None], torch.tensor([4])
    permutation = torch.tensor([2, 0, 3, 1])
    plan = ipot_plan(1 - x @ x[:, permutation].mT, lengths, lengths)
    torch.testing.assert_close(plan[0], torch.eye(4)[permutation].T / 4)
    assert ipot_distance(x, lengths, x[:, permutation], lengths).sum.item() == pytest.approx(0.0, abs=1e-6)


def test_ipot_spreads_the_mass_of_true_vectors_evenly():
    _, x_lengths, _, y_lengths = batch()
    cost = 2 * torch.rand(2, 5, 4, generator=torch.Generator().manual_seed(0))
    plan = ipot_plan(cost, x_lengths, y_lengths)
    by_row = torch.tensor([[0.2] * 5, [0.5, 0.5, 0.0, 0.0, 0.0]])
    by_column = torch.tensor([[1 / 3] * 3 + [0.0], [0.25] * 4])
    torch.testing.assert_close(plan.sum(2), by_row, atol=1e-3, rtol=0)
    torch.testing.assert_close(plan.sum(1), by_column)


@both
@pytest.mark.parametrize("garbage", [1e6, math.nan])
def test_padding_is_not_read_and_gets_no_gradient(loss, garbage):
    results = []
    for padding in (0.0, garbage):
        x, x_lengths, y, y_lengths = batch()
        x[1, 2:], y[0, 3:] = padding, padding
        total = loss(x.requires_grad_(), x_lengths, y.requires_grad_(), y_lengths).sum
        total.backward()
        results.append((total.detach(), x.grad, y.grad))
    torch.testing.assert_close(results[1], results[0], atol=0, rtol=0)
    assert not x.grad[1, 2:].any() and not y.grad[0, 3:].any()
    assert x.grad[1, :2].any() and y.grad[0, :3].any()


@both
def test_an_utterance_costs_in_a_batch_what_it_costs_alone(loss):
    x, x_lengths, y, y_lengths = batch()
    alone = [
        loss(
            x[row : row + 1, : x_lengths[row]],
            x_lengths[row : row + 1],
            y[row : row + 1, : y_lengths[row]],
            y_lengths[row : row + 1],
        ).sum
        for row in (0, 1)
    ]
    term = loss(x, x_lengths, y, y_lengths)
    torch.testing.assert_close(term.sum, sum(alone))
    assert term.count == 2


def test_a_wide_batch_mate_gives_an_utterance_no_more_iterations():
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 20, 1, generator=generator), torch.randn(2, 20, 1, generator=generator)
    x[1] = y[1] = 1000 * torch.randn(20, 1, generator=generator)  # equal: adds nothing itself
    lengths = torch.tensor([20, 20])
    alone = sinkhorn_distance(x[:1], lengths[:1], y[:1], lengths[:1]).sum
    torch.testing.assert_close(sinkhorn_distance(x, lengths, y, lengths).sum, alone)


def test_the_index_tells_a_sequence_from_its_reverse():
    x, lengths = rows([0.0], [3.0])
    plain = sinkhorn_distance(x, lengths, x.flip(1), lengths).sum.item()
    same = sinkhorn_distance(x, lengths, x.clone(), lengths, position_weight=1.0).sum.item()
    turned = sinkhorn_distance(x, lengths, x.flip(1), lengths, position_weight=1.0).sum.item()
    assert (plain, same) == (pytest.approx(0.0, abs=1e-6), 0.0)
    # Each of the two stays and pays for the way from index 0 to 1 or back.
    assert turned == pytest.approx(0.5, rel=1e-3)


def test_the_index_of_a_single_vector_is_zero():
    x, y = rows([1.0, 1.0]), rows([4.0, 5.0])
    assert sinkhorn_distance(*x, *y, position_weight=3.0).sum.item() == 12.5


def test_the_gradient_of_ipot_is_that_of_the_costs_under_a_fixed_plan():
    x, x_lengths, y, y_lengths = batch()
    x.requires_grad_(), y.requires_grad_()
    loss = ipot_distance(x, x_lengths, y, y_lengths).sum
    cost = 1 - torch.nn.functional.cosine_similarity(x[:, :, None], y[:, None], dim=-1)
    plan = ipot_plan(cost, x_lengths, y_lengths)
    assert not plan.requires_grad
    expected = torch.autograd.grad((plan * cost).sum(), (x, y))
    torch.testing.assert_close(torch.autograd.grad(loss, (x, y)), expected)


def test_the_gradient_of_sinkhorn_is_that_of_its_value():
    x, x_lengths, y, y_lengths = batch()
    options = dict(blur=1.0, scaling=0.95)
    loss = sinkhorn_distance(x.requires_grad_(), x_lengths, y.requires_grad_(), y_lengths, **options).sum
    for points, gradient in zip((x, y), torch.autograd.grad(loss, (x, y)), strict=True):
        step = 0.05 * gradient / gradient.norm()
        values = []
        for sign in (1, -1):
            moved = [(other + sign * step if other is points else other).detach() for other in (x, y)]
            values.append(sinkhorn_distance(moved[0], x_lengths, moved[1], y_lengths, **options).sum.item())
        assert (values[0] - values[1]) / 0.1 == pytest.approx(gradient.norm().item(), rel=1e-2)


@both
def test_autocast_changes_nothing(loss):
    expected = loss(*batch()).sum
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(loss(*batch()).sum, expected, atol=0, rtol=0)


@both
@pytest.mark.parametrize("length", [0, 6])
def test_a_length_of_nothing_or_beyond_the_padding_is_refused(loss, length):
    x, x_lengths, y, y_lengths = batch()
    x_lengths[1] = length
    with pytest.raises(ValueError, match=f"row 1 of x has length {length}: give 1 to 5"):
        loss(x, x_lengths, y, y_lengths)


@both
def test_sequences_that_do_not_fit_are_refused(loss):
    x, x_lengths, y, y_lengths = batch()
    with pytest.raises(ValueError, match=r"sequences \(2, 5, 8\) and \(2, 4, 7\)"):
        loss(x, x_lengths, y[..., :7], y_lengths)


@pytest.mark.parametrize("options", [{"blur": 0.0}, {"scaling": 1.0}])
def test_what_would_never_end_is_refused(options):
    with pytest.raises(ValueError, match="give blur above 0, scaling between 0 and 1"):
        sinkhorn_distance(*batch(), **options)


def test_vectors_that_are_no_numbers_give_none_instead_of_hanging():
    for value in (math.nan, math.inf):
        assert not sinkhorn_distance(*rows([value]), *rows([0.0])).sum.isfinite()


@both
def test_no_utterances_cost_nothing_but_keep_the_graph(loss):
    x, none = torch.zeros(0, 3, 4, requires_grad=True), torch.zeros(0, dtype=torch.long)
    term = loss(x, none, torch.zeros(0, 2, 4), none)
    term.sum.backward()
    assert (term.sum.item(), term.count) == (0.0, 0)


def test_the_cost_of_each_sequence_is_that_of_it_alone():
    torch.manual_seed(1)
    x, y, x_lengths, y_lengths = (
        torch.randn(3, 5, 4),
        torch.randn(3, 6, 4),
        torch.tensor([5, 2, 3]),
        torch.tensor([1, 6, 4]),
    )
    costs = ipot_costs(x, x_lengths, y, y_lengths)
    for row in range(3):
        one = slice(row, row + 1)
        alone = ipot_distance(x[one], x_lengths[one], y[one], y_lengths[one])
        assert float(costs[row]) == pytest.approx(float(alone.sum), abs=1e-6)
    assert ipot_costs(x[:0], x_lengths[:0], y[:0], y_lengths[:0]).shape == (0,)
