"""What every frozen speech encoder is: waveforms in, frames out.

    encoder = load_encoder("models/wavlm-large", layers="all")       # auralign.models.encoders
    frames, lengths = encoder([waveform, another])                   # (B, T, width), (B,)

Axes: B batch, T frames, D width.
"""

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import nn

ALL = "all"


class SpeechEncoder(nn.Module, ABC):
    """A speech encoder of transformers: always in eval mode, no parameter trained, no utterance touched by its batch mates.

    Arguments
    ---------
    extractor : transformers.FeatureExtractionMixin
        The folder's own feature extractor.
    hidden_width : int
        D of one layer.
    num_layers : int
        Transformer layers; hidden state 0 is what the first of them reads, hidden state `num_layers` the output.
    layers : "all", sequence of int, or None
        Which hidden states a frame holds, end to end; negative ones count from the output. None: the output alone.
    fingerprint : str
        Names weights and options; frames of equal fingerprints are equal.
    """

    def __init__(self, extractor, *, hidden_width: int, num_layers: int, layers=None, fingerprint: str = ""):
        super().__init__()
        self.extractor = extractor
        self.hidden_width, self.num_layers = hidden_width, num_layers
        self.layers = _resolve(layers, num_layers)
        self.fingerprint = fingerprint

    def freeze(self) -> None:
        """Call at the end of a subclass's `__init__`."""
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True):
        """Stay in eval mode: a frozen encoder gives the same frames whatever is trained behind it."""
        return super().train(False)

    @property
    def width(self) -> int:
        """Of a frame: D times the number of layers in it."""
        return self.hidden_width * len(self.layers)

    @property
    def chosen_layers(self) -> tuple[int, ...]:
        """The layers, as far as they are not simply the output: for the fingerprint."""
        return () if self.layers == (self.num_layers,) else self.layers

    @property
    def sample_rate(self) -> int:
        """Hz, of the waveforms."""
        return self.extractor.sampling_rate

    @property
    @abstractmethod
    def frames_per_second(self) -> float:
        """Frames in a second of audio, on average."""

    @property
    def max_seconds(self) -> float | None:
        """The longest waveform that it hears, or None where there is no limit."""
        return None

    @abstractmethod
    def num_frames(self, num_samples: int) -> int:
        """Frames of a waveform of so many samples."""

    @abstractmethod
    def forward(self, waveforms: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
        """Encode waveforms.

        Arguments
        ---------
        waveforms : list of float32 arrays (num_samples,) at `sample_rate`

        Returns
        -------
        frames : torch.Tensor (B, T, width)
        lengths : torch.Tensor (B,), in frames, of the audio without padding

        Raises
        ------
        ValueError : for audio that is empty, not finite, not one-dimensional, or longer than `max_seconds`.
        """

    def check(self, waveforms) -> None:
        """Raise the ValueErrors of `forward`."""
        for row, waveform in enumerate(waveforms):
            place = f"waveform {row} of the batch"
            if np.ndim(waveform) != 1 or len(waveform) == 0:
                raise ValueError(
                    f"{place} has shape {np.shape(waveform)}; give one channel with at least one sample"
                )
            if not np.isfinite(waveform).all():
                raise ValueError(f"{place} holds values that are not finite; repair or remove the audio")
            seconds = len(waveform) / self.sample_rate
            if self.max_seconds is not None and seconds > self.max_seconds:
                raise ValueError(
                    f"{place} lasts {seconds:.2f} s, this encoder hears at most {self.max_seconds:g} s; "
                    "cut it into utterances"
                )

    def join(self, hidden_states) -> torch.Tensor:
        """Frames (B, T, width) of hidden states 0 to `num_layers`, each (B, T, D)."""
        return torch.cat([hidden_states[layer] for layer in self.layers], dim=-1)


def is_within(lengths: torch.Tensor, size: int) -> torch.Tensor:
    """Lengths (B,) -> (B, size): true before each length.

    Frames beyond an utterance's length are whatever its batch mates made them: nothing may read them.
    """
    return torch.arange(size, device=lengths.device)[None] < lengths[:, None]


def _resolve(layers, num_layers: int) -> tuple[int, ...]:
    if layers is None:
        return (num_layers,)
    if layers == ALL:
        return tuple(range(num_layers + 1))
    found = tuple(layer + num_layers + 1 if layer < 0 else layer for layer in layers)
    if not found or not all(0 <= layer <= num_layers for layer in found):
        raise ValueError(
            f"layers {list(layers)}: name one or more of 0 to {num_layers}, negative ones counting from the output, or 'all'"
        )
    return found
