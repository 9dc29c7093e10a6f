"""Q-Formers with a fixed number of queries."""

import pytest
import torch

from auralign.models.connectors import (
    MultiLayerQFormer,
    WindowedQFormer,
)

SMALL = {"width": 8, "num_layers": 2, "num_heads": 2}


def test_windows_last_fixed_seconds():
    connector = WindowedQFormer(6, 5, **SMALL)  # a third of a second of 50 frames: 17
    assert [connector.num_embeddings(n) for n in (1, 17, 18, 1500)] == [1, 1, 2, 89]


def test_a_window_shorter_than_a_frame_is_refused():
    with pytest.raises(ValueError, match="less than one frame"):
        WindowedQFormer(6, 5, window_seconds=0.005, **SMALL)


def test_the_queries_of_all_layers_are_mixed_one_by_one():
    torch.manual_seed(0)
    connector = MultiLayerQFormer(6, 5, num_encoder_layers=2, num_queries=3, **SMALL).eval()
    frames, lengths = torch.randn(1, 9, 6), torch.tensor([9])
    with torch.no_grad():  # the second query hears the first layer alone, the others the second
        connector.layer_scores.copy_(torch.tensor([[-1e4, 1e4, -1e4], [0.0, 0.0, 0.0]]))
    before, _, _ = connector(frames, lengths)
    frames[..., 3:] += 1.0
    after, _, _ = connector(frames, lengths)
    assert (before == after).all(dim=-1).tolist() == [[False, True, False]]
