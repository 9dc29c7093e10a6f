"""A learned sum of encoder layers before another connector."""

import pytest
import torch

from auralign.models.connectors import (
    MultiLayerQFormer,
    StackAndProject,
    WeightedLayers,
)


def test_layers_are_weighted_by_a_softmax():
    connector = WeightedLayers(
        2, 1, num_encoder_layers=2, connector=lambda *widths: StackAndProject(*widths, stride=1)
    )
    seen = []
    connector.connector.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    with torch.no_grad():
        connector.layer_scores.copy_(torch.tensor([0.0, 3.0]).log())  # weights 0 and 1: log 0 is -inf
    connector(torch.tensor([[[10.0, 20.0]]]), torch.tensor([1]))
    assert seen[0].item() == 20.0


@pytest.mark.parametrize("make", [MultiLayerQFormer, WeightedLayers])
def test_a_wrong_number_of_layers_is_refused(make):
    with pytest.raises(ValueError, match="frames of width 7 do not hold 2 layers"):
        make(7, 5, num_encoder_layers=2)
