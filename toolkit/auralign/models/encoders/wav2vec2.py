"""The encoder of any Hugging Face wav2vec2, HuBERT or WavLM folder, frozen, with right masks.

    encoder = load_wav2vec2("models/wavlm-large")
    frames, lengths = encoder([waveform, another])        # (B, T, 1024), (B,)

Base models normalise each channel of their first convolution over the whole batch row, padding included (group norm):
an utterance padded to its batch mates comes out up to 68 % off. Here the convolutions see each utterance alone, and only
the transformer, in which padding can be masked, gets a batch.

Axes: B batch, T frames, D width, C channels of the convolutions.
"""

import math

import numpy as np
import torch
from torch import nn

from auralign.files import hash_path, hash_value
from auralign.hub import resolve
from auralign.models.encoders.encoder import SpeechEncoder, model_type
from auralign.models.folder import check_complete, check_finite, loading, torch_dtype
from auralign.models.identity import encoder_base
from auralign.models.masks import is_within
from auralign.models.sending import send

MODEL_TYPES = ("wav2vec2", "hubert", "wavlm")
PARTS = ("feature_extractor", "feature_projection", "encoder", "masked_spec_embed")


class Wav2Vec2Encoder(SpeechEncoder):
    """Waveforms in, frames out; see `SpeechEncoder`.

    Arguments
    ---------
    model : transformers.Wav2Vec2Model, HubertModel or WavLMModel
    extractor : transformers.Wav2Vec2FeatureExtractor
    """

    def __init__(self, model, extractor, **options):
        config = model.config
        super().__init__(
            extractor, hidden_width=config.hidden_size, num_layers=config.num_hidden_layers, **options
        )
        self.model = model
        self.freeze()

    @property
    def frames_per_second(self):
        return self.sample_rate / math.prod(self.model.config.conv_stride)

    @property
    def min_samples(self) -> int:
        """Of one frame; what is shorter is padded to it."""
        samples = 1
        config = self.model.config
        for kernel, stride in zip(reversed(config.conv_kernel), reversed(config.conv_stride), strict=True):
            samples = (samples - 1) * stride + kernel
        return samples

    def num_chunk_frames(self, num_samples):
        num = max(num_samples, self.min_samples)
        for kernel, stride in zip(self.model.config.conv_kernel, self.model.config.conv_stride, strict=True):
            num = (num - kernel) // stride + 1
        return num

    def feature(self, waveform):
        """Normalised samples (1, num_samples)."""
        samples = np.asarray(waveform, dtype=np.float32)
        samples = np.pad(samples, (0, max(0, self.min_samples - len(samples))))
        return self.extractor(samples, sampling_rate=self.sample_rate, return_tensors="pt").input_values

    def encode(self, features):
        weight = next(self.model.parameters())
        convolved = [
            self.model.feature_extractor(send(samples.to(weight.dtype), weight.device))[0].T  # (T, C)
            for samples in features
        ]
        sizes = torch.tensor([len(row) for row in convolved])
        padded = nn.utils.rnn.pad_sequence(convolved, batch_first=True)  # (B, T, C)
        projected = self.model.feature_projection(padded)
        hidden = projected[0] if isinstance(projected, tuple) else projected
        within = is_within(sizes, hidden.shape[1])
        mask = None if within.all() else send(within, hidden.device)
        return self.join(self._transform(hidden, mask)), send(sizes, hidden.device)

    def _transform(self, hidden, within):
        """Hidden states 0 to `num_layers`, each (B, T, D), of projected features (B, T, D)."""
        found = []
        hooks = [
            layer.register_forward_pre_hook(lambda _, args: found.append(args[0]))
            for layer in self.model.encoder.layers
        ]
        try:
            output = self.model.encoder(hidden, attention_mask=within).last_hidden_state
        finally:
            for hook in hooks:
                hook.remove()
        return [*found, output]


def _name_in_encoder(name):
    """The name of a tensor of a folder within the encoder; None for those of a head on top of it."""
    first, _, rest = name.partition(".")
    return rest if first in MODEL_TYPES else name if first in PARTS else None


def load_wav2vec2(path, *, layers=None, chunk_seconds=None, dtype="float32"):
    """Load a wav2vec2, HuBERT or WavLM folder.

    Arguments
    ---------
    path : str or Path
        A Hugging Face folder with preprocessor_config.json, or an id of the hub; heads on top of the encoder are not loaded.
    layers : "all", sequence of int, or None
        See `SpeechEncoder`, as for chunk_seconds.
    chunk_seconds : float, optional
        Attention over long audio takes memory with the square of its length.
    dtype : str
        "float32", "bfloat16" or "float16".

    Raises
    ------
    FileNotFoundError : no such folder, or one that lacks a needed file.
    ValueError : a model of another kind, or encoder weights are missing.
    """
    from transformers import AutoModel, Wav2Vec2FeatureExtractor

    path = resolve(path)
    model_type(path, MODEL_TYPES)
    with loading(path):
        model, info = AutoModel.from_pretrained(
            path, local_files_only=True, dtype=torch_dtype(dtype), output_loading_info=True
        )
        extractor = Wav2Vec2FeatureExtractor.from_pretrained(path, local_files_only=True)
    missing = [name for name in info["missing_keys"] if "masked_spec_embed" not in name]
    check_complete(path, missing, what="encoder weights")
    check_finite(path, model)
    encoder = Wav2Vec2Encoder(model, extractor, layers=layers, chunk_seconds=chunk_seconds)
    options = [dtype, *encoder.options]
    encoder.set_base(
        encoder_base(
            path,
            model.config,
            extractor,
            options,
            rename=_name_in_encoder,
            earlier=lambda folder: hash_value([hash_path(folder), *options]),
        )
    )
    return encoder
