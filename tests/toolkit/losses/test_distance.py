"""Distances against values computed by hand."""

import pytest
import torch

from auralign.losses import cosine_distance, distance, join, quantity_error

HIDDEN, TEACHER = torch.tensor([[3.0, 4.0], [1.0, 1.0]]), torch.tensor([[0.0, 0.0], [1.0, 1.0]])


def test_euclidean_distances_add_up():
    term = distance(HIDDEN, TEACHER)
    assert (term.sum.item(), term.count) == (5.0, 2)


def test_squared_distances_add_up():
    assert distance(HIDDEN, TEACHER, squared=True).sum.item() == 25.0


def test_gradient_is_the_direction_and_nothing_where_they_are_equal():
    hidden = HIDDEN.clone().requires_grad_()
    distance(hidden, TEACHER).sum.backward()
    torch.testing.assert_close(hidden.grad, torch.tensor([[0.6, 0.8], [0.0, 0.0]]))


def test_cosine_distance_of_right_angles_is_one():
    term = cosine_distance(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[0.0, 3.0], [0.0, 1.0]]))
    assert (term.sum.item(), term.count) == (1.0, 2)


@pytest.mark.parametrize("loss", [distance, cosine_distance])
def test_what_is_not_paired_is_refused(loss):
    with pytest.raises(ValueError, match="give them in pairs"):
        loss(torch.zeros(2, 3), torch.zeros(1, 3))


def test_joined_terms_add_sums_and_counts():
    term = join([distance(HIDDEN, TEACHER), distance(HIDDEN[:1], TEACHER[:1])])
    assert (term.sum.item(), term.count) == (10.0, 3)


def test_quantity_error_is_relative():
    term = quantity_error(torch.tensor([3.0, 10.0]), torch.tensor([4, 5]))
    assert (term.sum.item(), term.count, term.unit) == (0.25 + 1.0, 2, "places")


def test_quantities_of_other_places_are_refused():
    with pytest.raises(ValueError, match="2 quantities, 1 numbers of tokens"):
        quantity_error(torch.tensor([3.0, 10.0]), torch.tensor([4]))
