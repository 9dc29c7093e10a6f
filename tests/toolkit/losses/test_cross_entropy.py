"""Chunked cross-entropy equals the plain one, in value and gradient."""

import math

import pytest
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


def frozen_head(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Linear(8, 11).requires_grad_(False)


@pytest.mark.parametrize("max_logits", [2**24, 40])
def test_a_frozen_head_gives_the_gradient_of_torch(max_logits):
    head, labels, found = frozen_head(), torch.arange(11).repeat(2), []
    for is_ours in (True, False):
        hidden = torch.randn(22, 8, generator=torch.Generator().manual_seed(1)).requires_grad_()
        loss = (
            cross_entropy(hidden, labels, head, max_logits=max_logits).sum
            if is_ours
            else torch.nn.functional.cross_entropy(head(hidden), labels, reduction="sum")
        )
        (loss / 7).backward()
        found.append((loss.detach(), hidden.grad))
    torch.testing.assert_close(*found)


def test_a_frozen_head_is_applied_once_to_each_position():
    head, num_positions = frozen_head(), 0

    def counted(hidden):
        nonlocal num_positions
        num_positions += len(hidden)
        return head(hidden)

    hidden = torch.randn(22, 8, requires_grad=True)
    cross_entropy(hidden, torch.zeros(22, dtype=torch.long), counted, max_logits=40).sum.backward()
    assert num_positions == 22


def test_a_trained_head_gets_its_gradient_in_chunks():
    labels, found = torch.arange(11), []
    hidden = torch.randn(11, 8, generator=torch.Generator().manual_seed(1)).requires_grad_()
    for max_logits in (2**24, 40):
        head = frozen_head().requires_grad_(True)
        cross_entropy(hidden, labels, head, max_logits=max_logits).sum.backward()
        found.append(head.weight.grad)
    torch.testing.assert_close(*found)
