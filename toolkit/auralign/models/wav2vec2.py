"""The encoder of any Hugging Face wav2vec2, HuBERT or WavLM folder, frozen, with right masks.

    encoder = load_wav2vec2("models/wavlm-large")
    frames, lengths = encoder([waveform, another])        # (B, T, 1024), (B,)

Base models normalise each channel of their first convolution over the whole batch row, padding included (group norm):
an utterance padded to its batch mates comes out up to 68 % off. Here the convolutions see each utterance alone, and only
the transformer, where padding can be masked, sees a batch.

Axes: B batch, T frames, D width, C channels of the convolutions.
"""

import math
from pathlib import Path

import numpy as np
import torch
from torch import nn

from auralign.files import hash_path, hash_value
from auralign.models.encoder import SpeechEncoder, is_within

MODEL_TYPES = ("wav2vec2", "hubert", "wavlm")


class Wav2Vec2Encoder(SpeechEncoder):
    """Waveforms in, frames out; see `SpeechEncoder`.

    Arguments
    ---------
    model : transformers.Wav2Vec2Model, HubertModel or WavLMModel
    extractor : transformers.Wav2Vec2FeatureExtractor
    """

    def __init__(self, model, extractor, *, layers=None, fingerprint=""):
        super().__init__(
            extractor,
            hidden_width=model.config.hidden_size,
            num_layers=model.config.num_hidden_layers,
            layers=layers,
            fingerprint=fingerprint,
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

    def num_frames(self, num_samples):
        num = max(num_samples, self.min_samples)
        for kernel, stride in zip(self.model.config.conv_kernel, self.model.config.conv_stride, strict=True):
            num = (num - kernel) // stride + 1
        return num

    @torch.no_grad()
    def forward(self, waveforms):
        self.check(waveforms)
        features = [self._convolve(waveform) for waveform in waveforms]
        lengths = torch.tensor([len(row) for row in features], device=features[0].device)
        padded = nn.utils.rnn.pad_sequence(features, batch_first=True)  # (B, T, C)
        projected = self.model.feature_projection(padded)
        hidden = projected[0] if isinstance(projected, tuple) else projected
        within = is_within(lengths, hidden.shape[1])
        return self.join(self._transform(hidden, None if within.all() else within)), lengths

    def _convolve(self, waveform) -> torch.Tensor:
        """Features (T, C) of one waveform."""
        samples = np.asarray(waveform, dtype=np.float32)
        samples = np.pad(samples, (0, max(0, self.min_samples - len(samples))))
        inputs = self.extractor(samples, sampling_rate=self.sample_rate, return_tensors="pt").input_values
        weight = next(self.model.parameters())
        return self.model.feature_extractor(inputs.to(weight.device, weight.dtype))[0].T

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


def load_wav2vec2(path, *, layers=None, dtype="float32"):
    """Load a wav2vec2, HuBERT or WavLM folder.

    Arguments
    ---------
    path : str or Path
        A local Hugging Face folder with preprocessor_config.json; heads on top of the encoder are left on disk.
    layers : "all", sequence of int, or None
        See `SpeechEncoder`.
    dtype : str
        "float32", "bfloat16" or "float16".

    Raises
    ------
    FileNotFoundError : no such folder, or one that lacks a needed file.
    ValueError : a model of another kind, or encoder weights are missing.
    """
    from transformers import AutoConfig, AutoModel, Wav2Vec2FeatureExtractor
    from transformers.utils.logging import disable_progress_bar

    path = Path(path)
    for name in ("config.json", "preprocessor_config.json"):
        if not (path / name).is_file():
            raise FileNotFoundError(f"no {name} in {path}; give a downloaded Hugging Face folder")
    config = AutoConfig.from_pretrained(path, local_files_only=True)
    if config.model_type not in MODEL_TYPES:
        raise ValueError(f"{path} holds a {config.model_type}; this loads {', '.join(MODEL_TYPES)}")
    disable_progress_bar()
    model, info = AutoModel.from_pretrained(
        path, config=config, local_files_only=True, dtype=getattr(torch, dtype), output_loading_info=True
    )
    missing = sorted(name for name in info["missing_keys"] if "masked_spec_embed" not in name)
    if missing:
        raise ValueError(
            f"{path} lacks {len(missing)} encoder weights, such as {missing[0]}; download it again"
        )
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(path, local_files_only=True)
    encoder = Wav2Vec2Encoder(model, extractor, layers=layers)
    encoder.fingerprint = hash_value([hash_path(path), dtype, *encoder.chosen_layers])
    return encoder
