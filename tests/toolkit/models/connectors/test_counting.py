"""Connectors that make one embedding for each token: CIF against its recurrence, and counted queries."""

import pytest
import torch

from auralign.models.connectors import (
    ContinuousIntegrateAndFire,
    CountedQFormer,
    fire,
)

SMALL = {"width": 8, "num_layers": 2, "num_heads": 2}


def fire_one_by_one(weights, num_tokens):
    """The recurrence of the paper, frame by frame."""
    taken = torch.zeros(num_tokens, len(weights))
    token, missing = 0, 1.0
    for frame, weight in enumerate(weights.tolist()):
        while weight > 1e-9 and token < num_tokens:
            part = min(weight, missing)
            taken[token, frame] += part
            weight, missing = weight - part, missing - part
            if missing < 1e-9:
                token, missing = token + 1, 1.0
    return taken


def test_what_fires_is_what_the_recurrence_fires():
    weights = torch.tensor(
        [[0.2, 0.9, 0.3, 2.5, 0.1, 1.0]]
    )  # 5 in all; the fourth frame fires more than once
    torch.testing.assert_close(fire(weights, 5)[0], fire_one_by_one(weights[0], 5), rtol=0, atol=1e-5)


def test_each_token_takes_one_and_each_frame_is_taken_whole():
    weights = torch.rand(3, 40)
    weights *= 7 / weights.sum(1, keepdim=True)
    taken = fire(weights, 7)
    torch.testing.assert_close(taken.sum(2), torch.ones(3, 7))
    torch.testing.assert_close(taken.sum(1), weights)


def test_firing_has_the_gradient_of_its_values():
    weights = torch.tensor([[0.37, 0.81, 0.55, 0.27]], dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda given: fire(given, 2), (weights,))


@pytest.fixture
def integrate():
    torch.manual_seed(0)
    return ContinuousIntegrateAndFire(6, 5, tokens_per_frame=0.3).eval()


def test_in_training_there_are_as_many_embeddings_as_tokens(integrate):
    num_tokens = torch.tensor([7, 2, 4])
    embeddings, lengths, extras = integrate(torch.randn(3, 20, 6), torch.tensor([20, 9, 5]), num_tokens)
    assert lengths.tolist() == [7, 2, 4]
    assert embeddings.shape == (3, 7, 5)
    assert extras["quantity"].shape == (3,)


def test_in_use_the_weights_say_how_many(integrate):
    frames, lengths = torch.randn(2, 20, 6), torch.tensor([20, 1])
    _, found, extras = integrate(frames, lengths)
    assert found.tolist() == [max(1, round(quantity)) for quantity in extras["quantity"].tolist()]


@pytest.mark.parametrize("num_tokens", [None, torch.tensor([3, 2])])
@pytest.mark.parametrize("stride", [1, 2])
def test_integration_alone_equals_in_a_batch(num_tokens, stride):
    torch.manual_seed(0)
    integrate = ContinuousIntegrateAndFire(6, 5, tokens_per_frame=0.3, stride=stride).eval()
    frames, lengths = 10 * torch.randn(2, 20, 6), torch.tensor([20, 9])
    frames[1, 9:] = 1e6
    together, counts, _ = integrate(frames, lengths, num_tokens)
    for row in range(2):
        given = None if num_tokens is None else num_tokens[row : row + 1]
        alone, count, _ = integrate(frames[row : row + 1, : lengths[row]], lengths[row : row + 1], given)
        assert count.item() == counts[row].item()
        torch.testing.assert_close(together[row, : count.item()], alone[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("stride", [1, 5])
def test_weights_begin_at_the_expected_rate(stride):
    connector = ContinuousIntegrateAndFire(6, 5, tokens_per_frame=0.1, stride=stride)
    torch.nn.init.zeros_(connector.weigh.weight)
    _, _, extras = connector(torch.randn(1, 50, 6), torch.tensor([50]))
    assert extras["quantity"].item() == pytest.approx(5.0, rel=1e-5)
    assert connector.num_embeddings(50) == 6


@pytest.fixture
def counted():
    torch.manual_seed(0)
    return CountedQFormer(6, 5, tokens_per_frame=0.3, **SMALL).eval()


def test_counted_queries_are_as_many_as_tokens(counted):
    num_tokens = torch.tensor([7, 2, 9])
    embeddings, lengths, extras = counted(torch.randn(3, 20, 6), torch.tensor([20, 9, 5]), num_tokens)
    assert lengths.tolist() == [7, 2, 9]
    assert embeddings.shape == (3, 9, 5)
    assert extras["quantity"].shape == (3,)


def test_counted_queries_alone_equal_themselves_in_a_batch(counted):
    frames, lengths = torch.randn(3, 37, 6), torch.tensor([37, 11, 8])
    num_tokens = torch.tensor([5, 4, 11])
    batched, _, extras = counted(frames, lengths, num_tokens)
    for row, (length, number) in enumerate(zip(lengths.tolist(), num_tokens.tolist(), strict=True)):
        alone, _, its = counted(
            frames[row : row + 1, :length], lengths[row : row + 1], num_tokens[row : row + 1]
        )
        torch.testing.assert_close(batched[row, :number], alone[0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(extras["quantity"][row : row + 1], its["quantity"])


def test_a_counted_query_reads_its_own_window_alone(counted):
    frames, lengths, three = torch.randn(1, 12, 6), torch.tensor([12]), torch.tensor([3])
    before, _, _ = counted(frames, lengths, three)
    frames[0, 4:8] = torch.randn(4, 6)
    after, _, _ = counted(frames, lengths, three)
    assert [bool(torch.equal(*pair)) for pair in zip(before[0], after[0], strict=True)] == [True, False, True]


def test_counted_queries_begin_with_the_rate_that_they_are_told(counted):
    _, lengths, extras = counted(torch.randn(2, 50, 6), torch.tensor([50, 1]))
    torch.testing.assert_close(extras["quantity"], torch.tensor([15.0, 0.3]))
    assert lengths.tolist() == [15, 1]


def test_every_weight_of_counted_queries_learns(counted):
    embeddings, _, extras = counted(torch.randn(2, 12, 6), torch.tensor([12, 9]), torch.tensor([3, 2]))
    (embeddings.square().sum() + extras["quantity"].sum()).backward()
    assert [name for name, weight in counted.named_parameters() if weight.grad is None] == []


def test_projecting_first_gathers_the_projected_frames():
    torch.manual_seed(0)
    connector = ContinuousIntegrateAndFire(6, 5, tokens_per_frame=0.3, project_first=True)
    embeddings, lengths, extras = connector(torch.randn(1, 20, 6), torch.tensor([20]), torch.tensor([4]))
    scaled = extras["weights"] * 4 / extras["quantity"]
    torch.testing.assert_close(embeddings, fire(scaled, 4) @ extras["frames"])
    assert extras["lengths"].tolist() == [20]


def test_counted_queries_are_never_more_than_frames_in_use():
    torch.manual_seed(0)
    connector = CountedQFormer(6, 5, tokens_per_frame=30.0, **SMALL).eval()
    _, lengths, extras = connector(torch.randn(2, 9, 6), torch.tensor([9, 4]))
    assert lengths.tolist() == [9, 4]
    assert extras["quantity"].tolist() == pytest.approx([270.0, 120.0])


def test_frames_are_counted_exactly_in_bfloat16():
    torch.manual_seed(0)
    connector = ContinuousIntegrateAndFire(6, 5, tokens_per_frame=0.3, project_first=True)
    frames, lengths, num_tokens = torch.randn(1, 400, 6), torch.tensor([400]), torch.tensor([100])
    with torch.autocast("cpu", torch.bfloat16):
        _, _, extras = connector(frames, lengths, num_tokens)
    assert extras["weights"].dtype == extras["quantity"].dtype == torch.float32


@pytest.mark.parametrize("stride, rate", [(0, 0.08), (4, 0.25)])
def test_a_stride_that_is_no_stride_is_refused(stride, rate):
    with pytest.raises(ValueError, match=f"stride {stride}, tokens_per_frame {rate}"):
        ContinuousIntegrateAndFire(6, 5, stride=stride, tokens_per_frame=rate)


@pytest.mark.parametrize("layers", ["num_layers_before", "num_layers_after"])
def test_layers_alone_equal_themselves_in_a_batch(layers):
    torch.manual_seed(0)
    integrate = ContinuousIntegrateAndFire(
        6, 5, hidden_width=8, num_heads=2, tokens_per_frame=0.3, **{layers: 2}
    )
    frames, lengths, counts = torch.randn(2, 20, 6), torch.tensor([20, 9]), torch.tensor([6, 3])
    together, _, _ = integrate(frames, lengths, counts)
    alone, _, _ = integrate(frames[1:, :9], lengths[1:], counts[1:])
    torch.testing.assert_close(together[1, :3], alone[0], rtol=0, atol=1e-5)


def test_layers_after_tell_the_same_embedding_in_another_place():
    torch.manual_seed(0)
    integrate = ContinuousIntegrateAndFire(6, 5, hidden_width=8, num_heads=2, num_layers_after=1).eval()
    frames = torch.randn(1, 1, 6).expand(
        1, 40, 6
    )  # one frame again and again, whose tokens differ at most at the edges
    found, _, _ = integrate(frames, torch.tensor([40]), torch.tensor([8]))
    assert (found[0, 3] - found[0, 4]).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_width": 6, "num_layers_after": 1, "num_heads": 4}, "hidden_width 6 is no multiple"),
        (
            {"project_first": True, "num_layers_after": 1, "hidden_width": 8},
            "num_layers_after 1 with project_first",
        ),
    ],
)
def test_layers_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ContinuousIntegrateAndFire(6, 5, **options)
