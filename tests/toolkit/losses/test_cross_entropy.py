"""Chunked cross-entropy equals the plain one, in value and gradient."""

import math

import torch

from auralign.losses import cross_entropy


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
