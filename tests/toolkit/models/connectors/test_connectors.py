"""Connectors: the papers' sizes, lengths, and no influence of padding or of batch mates."""

import pytest
import torch

from auralign.models.connectors import (
    ConvolveAndProject,
    MultiLayerQFormer,
    StackAndProject,
    WeightedLayers,
    WindowedQFormer,
)

SMALL = {"width": 8, "num_layers": 2, "num_heads": 2}
CONNECTORS = {
    "stack": lambda: StackAndProject(6, 5, stride=4),
    "stack and keep": lambda: StackAndProject(6, 5, stride=4, keep_remainder=True),
    "convolve": lambda: ConvolveAndProject(6, 5, bottleneck_width=3),
    "windows": lambda: WindowedQFormer(6, 5, window_seconds=0.1, num_queries=2, **SMALL),
    "multi-layer": lambda: MultiLayerQFormer(6, 5, num_encoder_layers=2, num_queries=3, **SMALL),
    "weighted layers": lambda: WeightedLayers(6, 5, num_encoder_layers=2),
}


@pytest.fixture(params=CONNECTORS)
def connector(request):
    torch.manual_seed(0)
    return CONNECTORS[request.param]().eval()


def test_an_utterance_alone_equals_itself_in_a_batch(connector):
    frames, lengths = 1e3 * torch.randn(3, 37, 6), torch.tensor([37, 11, 8])
    batched, num_batched, _ = connector(frames, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone, num_alone, _ = connector(frames[row : row + 1, :length], lengths[row : row + 1])
        assert num_alone.item() == num_batched[row].item() == connector.num_embeddings(length)
        torch.testing.assert_close(
            batched[row, : num_alone.item()], alone[0, : num_alone.item()], atol=1e-5, rtol=1e-5
        )


def test_every_weight_learns(connector):
    frames, lengths = torch.randn(2, 12, 6), torch.tensor([12, 9])
    embeddings, lengths, _ = connector(frames, lengths)
    sum(
        row[:length].square().sum() for row, length in zip(embeddings, lengths.tolist(), strict=True)
    ).backward()
    idle = [name for name, weight in connector.named_parameters() if weight.grad is None]
    assert idle == []
