"""Connectors that lower the frame rate by a fixed factor: sizes, order and remainder."""

import pytest
import torch

from auralign.models.connectors import (
    ConvolveAndProject,
    StackAndProject,
)


def test_the_adapter_of_blsp_has_the_papers_number_of_parameters():
    with torch.device("meta"):
        connector = ConvolveAndProject(768, 4096)
    # three convolutions with bias, two linear layers without, one layer norm
    convolutions = 2 * (768 * 1536 * 5 + 1536) + 768 * 8192 * 5 + 8192
    assert sum(p.numel() for p in connector.parameters()) == convolutions + 2 * 4096 * 512 + 2 * 4096
    assert round(sum(p.numel() for p in connector.parameters()) / 1e6, 1) == 47.5


def test_has_the_papers_number_of_parameters():
    with torch.device("meta"):
        connector = StackAndProject(768, 3584, stride=4)
    assert sum(parameter.numel() for parameter in connector.parameters()) == 23_862_272


def test_stacks_frames_in_order():
    connector = StackAndProject(1, 1, stride=2, hidden_width=2)
    with torch.no_grad():
        connector.project[0].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 10.0]]))
        connector.project[2].weight.fill_(1.0)
        for layer in (0, 2):
            connector.project[layer].bias.zero_()
    embeddings, lengths, extras = connector(torch.tensor([[[1.0], [2.0], [3.0], [4.0]]]), torch.tensor([4]))
    assert embeddings.flatten().tolist() == [21.0, 43.0]
    assert lengths.tolist() == [2]
    assert extras == {}


def test_a_projector_without_bias_by_another_activation():
    connector = StackAndProject(1, 1, stride=2, hidden_width=2, bias=False, activation="gelu")
    with torch.no_grad():
        connector.project[0].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, -1.0]]))
        connector.project[2].weight.fill_(1.0)
    embeddings, _, _ = connector(torch.tensor([[[1.0], [2.0]]]), torch.tensor([2]))
    # gelu(x) = x Phi(x): gelu(1) = 0.8413, gelu(-2) = -2 * 0.02275 = -0.0455
    assert embeddings.item() == pytest.approx(0.8413 - 0.0455, abs=1e-4)
    assert [name for name, _ in connector.named_parameters()] == ["project.0.weight", "project.2.weight"]


def test_a_single_layer_is_linear():
    connector = StackAndProject(3, 5, stride=2, num_layers=1)
    frames = torch.randn(1, 4, 3)
    expected = frames.reshape(1, 2, 6) @ connector.project[0].weight.T + connector.project[0].bias
    torch.testing.assert_close(connector(frames, torch.tensor([4]))[0], expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation": "tanh"}, "activation 'tanh': use relu, gelu, silu"),
        ({"num_layers": 3}, "num_layers 3"),
        ({"num_layers": 1, "hidden_width": 8}, "hidden_width 8: a single linear layer has none"),
    ],
)
def test_a_projector_that_does_not_exist_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        StackAndProject(3, 5, **options)


@pytest.mark.parametrize(("keep", "expected"), [(False, [2, 1]), (True, [3, 2])])
def test_remainder_is_discarded_or_completed(keep, expected):
    connector = StackAndProject(3, 5, stride=4, keep_remainder=keep)
    _, lengths, _ = connector(torch.randn(2, 11, 3), torch.tensor([11, 5]))
    assert lengths.tolist() == expected
    assert connector.num_embeddings(11) == expected[0]


def test_what_stands_in_the_padding_changes_nothing():
    connector = StackAndProject(3, 5, stride=4, keep_remainder=True)
    frames = torch.randn(1, 12, 3)
    other = frames.clone()
    other[:, 6:] = 1e6
    first, second = (connector(f, torch.tensor([6]))[0][:, :2] for f in (frames, other))
    assert torch.equal(first, second)


def test_stride_below_one_is_refused():
    with pytest.raises(ValueError, match="stride 0"):
        StackAndProject(3, 5, stride=0)
