"""Tokens named by distance: the loss against its definition, and the mixture by hand."""

import math

import pytest
import torch

from auralign.losses import mix_tokens, naming_loss


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


def test_a_mixture_weighs_tokens_by_their_distance():
    tokens = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    mixed = mix_tokens(torch.tensor([[0.5, 0.0]]), tokens, tokens.mean(0), sharpness=1.0)
    nearer = 1 / (1 + math.exp(0.25 - 2.25))
    torch.testing.assert_close(mixed, torch.tensor([[nearer - (1 - nearer), 0.0]]))


def test_a_sharp_mixture_is_the_nearest_token():
    torch.manual_seed(0)
    tokens = torch.randn(30, 8)
    mixed = mix_tokens(tokens[4:6] + 0.1, tokens, tokens.mean(0), sharpness=1e4)
    torch.testing.assert_close(mixed, tokens[4:6])


def test_chunks_do_not_change_a_mixture():
    torch.manual_seed(0)
    hidden, tokens = torch.randn(5, 8), torch.randn(30, 8)
    whole, chunked = (mix_tokens(hidden, tokens, tokens.mean(0), max_logits=most) for most in (2**24, 60))
    torch.testing.assert_close(chunked, whole)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_gradient_of_a_mixture_goes_straight_through_to_the_embedding(dtype):
    torch.manual_seed(0)
    hidden, tokens = torch.randn(5, 8, requires_grad=True), torch.randn(30, 8).to(dtype)
    weights = torch.randn(5, 8)
    (mix_tokens(hidden, tokens, tokens.mean(0)) * weights.to(dtype)).sum().backward()
    torch.testing.assert_close(hidden.grad, weights.to(dtype).float())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_embeddings_may_be_of_another_type_than_the_tokens(dtype):
    torch.manual_seed(0)
    tokens, labels = torch.randn(30, 8), torch.tensor([4, 5])
    hidden, low = (tokens[labels] + 0.1).requires_grad_(), tokens.to(dtype)
    mixed = mix_tokens(hidden, low, low.mean(0))
    assert mixed.dtype == dtype
    torch.testing.assert_close(
        mixed.float(), mix_tokens(hidden, tokens, tokens.mean(0)), rtol=0.03, atol=0.03
    )
    losses = [naming_loss(hidden, table[labels], labels, table, table.mean(0)).sum for table in (low, tokens)]
    torch.testing.assert_close(*losses, rtol=0.1, atol=0.1)
    assert torch.autograd.grad(losses[0], hidden)[0].isfinite().all()
