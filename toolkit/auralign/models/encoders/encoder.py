"""The base class of frozen speech encoders: waveforms in, frames out.

    encoder = load_encoder("models/wavlm-large", layers="all")
    frames, lengths = encoder([waveform, another])                   # (B, T, width), (B,)

Axes: B batch, T frames, D width.
"""

import contextlib
import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from auralign.models.folder import check_files, check_sound, read_object
from auralign.models.identity import Base

ALL = "all"


class Prepared(np.ndarray):
    """A waveform (num_samples,) with its `features` by an encoder (`SpeechEncoder.prepare`); to all others it is a waveform.

    What numpy computes of it has no features.
    """

    features: list
    by: "SpeechEncoder | None" = None


class SpeechEncoder(nn.Module, ABC):
    """A speech encoder: frozen, always in eval mode; no utterance depends on its batch mates.

    Arguments
    ---------
    extractor : transformers.FeatureExtractionMixin
        The folder's own feature extractor; or any object with `sampling_rate`, in Hz, which is all that this class reads of it.
    hidden_width : int
        D of one layer.
    num_layers : int
        Transformer layers; hidden state 0 is the input of the first, hidden state `num_layers` the output.
    layers : "all", sequence of int, or None
        Which hidden states a frame holds, concatenated; negative numbers count from the output. Default: the output alone.
    chunk_seconds : float, optional
        Longer audio is cut into equal chunks of at most this duration, each is encoded alone, and their frames are joined.
        Default: audio longer than `window_seconds` is refused.

    Attributes
    ----------
    fingerprint : str
        Hash of weights and options: encoders of equal fingerprints give equal frames. The loader sets it; an encoder without
        one is refused.
    """

    def __init__(
        self,
        extractor,
        *,
        hidden_width: int,
        num_layers: int,
        layers=None,
        chunk_seconds: float | None = None,
    ):
        super().__init__()
        self.extractor = extractor
        self.hidden_width, self.num_layers = hidden_width, num_layers
        self.layers = _resolve(layers, num_layers)
        window = self.window_seconds
        if chunk_seconds is not None and not 1 <= chunk_seconds <= (window or np.inf):
            raise ValueError(
                f"chunk_seconds {chunk_seconds:g}: give at least 1"
                + (f" and at most the {window:g} s that this encoder hears at once" if window else "")
            )
        self.chunk_seconds = chunk_seconds
        self.fingerprint = ""
        self.base: Base | None = None

    def set_base(self, base: Base) -> None:
        """Record what the encoder was loaded from; its fingerprint is the revision of that."""
        self.base, self.fingerprint = base, base.revision

    def freeze(self) -> None:
        """Call at the end of a subclass's `__init__`."""
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True):
        """Stay in eval mode: the frames of a frozen encoder do not change in training."""
        return super().train(False)

    @property
    def width(self) -> int:
        """Width of a frame: D times the number of layers in it."""
        return self.hidden_width * len(self.layers)

    @property
    def frame_dtype(self) -> torch.dtype:
        """The type that frames are computed in, that of the weights; caches keep them in it."""
        return next((weight.dtype for weight in self.parameters()), torch.float32)

    @property
    def options(self) -> list:
        """Options that differ from their default, for the fingerprint."""
        layers = [] if self.layers == (self.num_layers,) else [*self.layers]
        return layers if self.chunk_seconds is None else [*layers, f"chunks of {self.chunk_seconds:g} s"]

    @property
    def sample_rate(self) -> int:
        """Sampling rate of the waveforms, in Hz."""
        return self.extractor.sampling_rate

    @property
    @abstractmethod
    def frames_per_second(self) -> float:
        """Frames in a second of audio, on average."""

    @property
    def window_seconds(self) -> float | None:
        """Duration of the longest audio that can be encoded at once; None if there is no limit."""
        return None

    def hears(self, seconds: float) -> bool:
        """Whether audio of this duration can be encoded, in chunks or at once."""
        return self.chunk_seconds is not None or seconds <= (self.window_seconds or np.inf)

    def seconds_at(self, frame: int, *, seconds: float, num_frames: int) -> float:
        """When a frame begins, in seconds from the start of audio that lasts `seconds` and gave `num_frames` frames."""
        return frame * seconds / num_frames

    @abstractmethod
    def num_chunk_frames(self, num_samples: int) -> int:
        """Number of frames of a waveform of `num_samples` that is encoded at once."""

    def feature(self, waveform: np.ndarray) -> Any:
        """What `encode` is given of a waveform that is encoded at once: all that needs no weights, such as a log-mel spectrogram.
        Threads call this, several at once. Default: the waveform."""
        return waveform

    @abstractmethod
    def encode(self, features: list) -> tuple[torch.Tensor, torch.Tensor]:
        """`forward` for the features of waveforms that were checked and are short enough to be encoded at once."""

    def prepare(self, waveform: np.ndarray) -> "Prepared":
        """The waveform with the features of its chunks: `forward` does the rest, and gives the same bits as without them."""
        prepared = np.array(waveform).view(Prepared)
        prepared.flags.writeable = False  # its features would no longer be those of its samples
        prepared.features, prepared.by = [self._feature(chunk) for chunk in self._cut(waveform)], self
        return prepared

    def num_frames(self, num_samples: int) -> int:
        """Number of frames of a waveform of `num_samples`."""
        return sum(
            self.num_chunk_frames(end - start) for start, end in itertools.pairwise(self._edges(num_samples))
        )

    @torch.no_grad()
    def forward(self, waveforms: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
        """Encode waveforms.

        Arguments
        ---------
        waveforms : list of float32 arrays (num_samples,) at `sample_rate`

        Returns
        -------
        frames : torch.Tensor (B, T, width), fp32 whatever the weights are
        lengths : torch.Tensor (B,), in frames, of the audio without padding

        Raises
        ------
        ValueError : for audio that is empty, not finite, not one-dimensional, or too long (see `hears`).
        """
        self.check(waveforms)
        device = next((weight.device for weight in self.parameters()), torch.device("cpu"))
        with in_own_precision(device):
            return self._forward(waveforms)

    def _forward(self, waveforms: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
        cut = [self._cut(waveform) for waveform in waveforms]
        chunks = [chunk for of_one in cut for chunk in of_one]
        if len(chunks) == len(waveforms):
            frames, lengths = self.encode([self._feature(chunk) for chunk in chunks])
            return frames.float(), lengths
        parts = iter(self._encode_each(chunks, at_once=len(waveforms)))
        joined = [torch.cat(list(itertools.islice(parts, len(of_one)))) for of_one in cut]
        lengths = torch.tensor([len(frames) for frames in joined], device=joined[0].device)
        return nn.utils.rnn.pad_sequence(joined, batch_first=True).float(), lengths

    def _encode_each(self, chunks, *, at_once: int):
        """Frames (T, width) of each chunk, `at_once` chunks in a batch: an hour takes no more memory than a chunk."""
        for start in range(0, len(chunks), at_once):
            features = [self._feature(chunk) for chunk in chunks[start : start + at_once]]
            frames, lengths = self.encode(features)
            yield from (one[:length] for one, length in zip(frames, lengths.tolist(), strict=True))

    def _cut(self, waveform) -> list:
        """The chunks of a waveform, or their features if this encoder has prepared it."""
        if isinstance(waveform, Prepared) and waveform.by is self:
            return waveform.features
        samples = np.asarray(waveform)
        return np.split(samples, self._edges(len(samples))[1:-1])

    def _feature(self, chunk):
        return self.feature(chunk) if isinstance(chunk, np.ndarray) else chunk

    def _edges(self, num_samples: int) -> list[int]:
        """Edges of a waveform's chunks, in samples: equal parts, so that none is very short."""
        num_chunks = 1
        if self.chunk_seconds is not None:
            num_chunks = max(1, -(-num_samples // int(self.chunk_seconds * self.sample_rate)))
        return [number * num_samples // num_chunks for number in range(num_chunks + 1)]

    def check(self, waveforms) -> None:
        """Raise the ValueErrors of `forward`."""
        for row, waveform in enumerate(waveforms):
            name = f"waveform {row} of the batch"
            if np.ndim(waveform) != 1 or len(waveform) == 0:
                raise ValueError(
                    f"{name} has shape {np.shape(waveform)}; give one channel with at least one sample"
                )
            if not np.isfinite(waveform).all():
                raise ValueError(f"{name} has values that are not finite; repair or remove the audio")
            seconds = len(waveform) / self.sample_rate
            if not self.hears(seconds):
                raise ValueError(f"{name} {self.too_long(seconds)}")

    def too_long(self, seconds: float) -> str:
        """An error message for audio that is too long, with the repair."""
        return (
            f"lasts {seconds:.2f} s, this encoder hears {self.window_seconds:g} s at once; cut it into utterances, or give "
            f"the encoder chunk_seconds: {self.window_seconds:g}"
        )

    def join(self, hidden_states) -> torch.Tensor:
        """Frames (B, T, width) of hidden states 0 to `num_layers`, each (B, T, D)."""
        return torch.cat([hidden_states[layer] for layer in self.layers], dim=-1)


@contextlib.contextmanager
def in_own_precision(device: torch.device) -> Iterator[None]:
    """Context manager: all is computed in the precision of the weights, without autocast and TF32.

    SpeechBrain, which only training loads, switches TF32 on: an encoder would give other frames in training than in decoding.
    """
    with torch.autocast(device.type, enabled=False):
        if device.type != "cuda":
            yield
            return
        matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
        before = matmul.allow_tf32, cudnn.allow_tf32
        matmul.allow_tf32 = cudnn.allow_tf32 = False
        try:
            yield
        finally:
            matmul.allow_tf32, cudnn.allow_tf32 = before


def model_type(path, known) -> str:
    """The `model_type` of a folder's model.

    Raises FileNotFoundError if a file that an encoder needs is absent, ValueError if the type is not among `known`.
    """
    check_files(path, ("config.json",), what="an encoder")
    found = read_object(Path(path) / "config.json").get("model_type")
    if found not in known:
        raise ValueError(f"{path} holds a model of type {found!r}; expected {', '.join(known)}")
    if not (Path(path) / "processor_config.json").is_file():  # where transformers 5 writes both
        check_files(path, ("preprocessor_config.json",), what="an encoder")
    check_sound(path)
    return found


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
