"""Which frames of a padded batch belong to an utterance."""

import torch


def is_within(lengths: torch.Tensor, size: int) -> torch.Tensor:
    """Lengths (B,) -> (B, size): true before each length.

    Frames beyond an utterance's length are whatever its batch mates made them: nothing may read them.
    """
    return torch.arange(size, device=lengths.device)[None] < lengths[:, None]
