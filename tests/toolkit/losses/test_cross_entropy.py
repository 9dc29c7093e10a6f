"""Chunked cross-entropy equals the plain one, in value and gradient."""

import math

import pytest
import torch

from auralign.losses import cross_entropy, naming_loss


def test_uniform_logits_cost_the_log_of_the_vocabulary():
    term = cross_entropy(torch.zeros(3, 4), torch.tensor([0, 1, 2]), lambda hidden: hidden)
    assert math.isclose(term.sum.item(), 3 * math.log(4), rel_tol=1e-6)
    assert term.count == 3


def test_chunks_change_neither_value_nor_gradient():
    head = torch.nn.Linear(8, 11)
    labels = torch.randint(11, (17,))
    results = []
    for max_logits in (2**24, 40):
        hidden = torch.randn(17, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
        loss = cross_entropy(hidden, labels, head, max_logits=max_logits).sum
        loss.backward()
        results.append((loss.detach(), hidden.grad))
    torch.testing.assert_close(results[0], results[1])


def test_no_labels_cost_nothing_but_keep_the_graph():
    hidden = torch.randn(0, 8, requires_grad=True)
    term = cross_entropy(hidden, torch.zeros(0, dtype=torch.long), torch.nn.Linear(8, 11))
    term.sum.backward()
    assert term.sum.item() == 0.0


def test_the_nearest_token_is_the_likeliest():
    rivals = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])  # at a mean squared distance of 1 from their centre
    hidden = torch.tensor([[0.5, 0.0]])  # 0.25 from the first, 2.25 from the second
    term = naming_loss(hidden, rivals[:1], torch.tensor([0]), rivals, rivals.mean(0), sharpness=1.0)
    assert term.sum.item() == pytest.approx(math.log(1 + math.exp(0.25 - 2.25)), rel=1e-5)
    assert term.count == 1


@pytest.mark.parametrize("num_rivals", [50, 20])  # with 20 two of the labels are no rivals themselves
@pytest.mark.parametrize("max_logits", [2**24, 100])
def test_naming_is_the_cross_entropy_of_negative_squared_distances(num_rivals, max_logits):
    torch.manual_seed(0)
    table, hidden, labels = (
        2 + torch.randn(50, 8),
        (2 + torch.randn(5, 8)).requires_grad_(),
        torch.tensor([3, 49, 7, 30, 3]),
    )
    rivals, centre = table[:num_rivals], table.mean(0)
    scale = 10 / (rivals - centre).square().sum(1).mean()
    expected = 0
    for embedding, label in zip(hidden, labels.tolist(), strict=True):
        among = torch.cat([table[label : label + 1], rivals[torch.arange(num_rivals) != label]])
        expected -= (-scale * (among - embedding).square().sum(1)).log_softmax(0)[0]
    term = naming_loss(hidden, table[labels], labels, rivals, centre, max_logits=max_logits)
    torch.testing.assert_close(term.sum, expected)
    found, wanted = (torch.autograd.grad(value, hidden)[0] for value in (term.sum, expected))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_no_embeddings_name_nothing_but_keep_the_graph():
    hidden = torch.randn(0, 8, requires_grad=True)
    term = naming_loss(hidden, hidden, torch.zeros(0, dtype=torch.long), torch.randn(4, 8), torch.zeros(8))
    term.sum.backward()
    assert (term.sum.item(), term.count) == (0.0, 0)
