"""Copies from memory to a device that nothing waits for."""

import torch


def send(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A tensor on a device. To a GPU it is copied from pinned memory, while the program goes on."""
    if device.type != "cuda" or tensor.is_cuda:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
