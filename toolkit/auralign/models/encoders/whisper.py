"""The encoder of any Hugging Face Whisper folder, frozen, with its own masking.

    encoder = load_whisper("models/whisper-small")
    frames, lengths = encoder([waveform, another])        # (B, T, 768), (B,)

Whisper was trained on audio padded to 30 s. Encoding at true length is several times cheaper and gives other
numbers: the choice is part of the model, and of its `fingerprint`.

Axes: B batch, T frames, M mel frames (two to a frame), D width.
"""

import numpy as np
import torch
from torch.nn import functional
from transformers import WhisperFeatureExtractor
from transformers.models.whisper import modeling_whisper

from auralign.files import hash_path, hash_value
from auralign.hub import resolve
from auralign.models.encoders.encoder import SpeechEncoder, model_type
from auralign.models.folder import check_complete, check_finite, loading, torch_dtype
from auralign.models.identity import encoder_base
from auralign.models.masks import is_within
from auralign.models.sending import send

PADDINGS = ("true_length", "30_seconds", "whole_window", "masked_window")
TRUE_LENGTH, CUT_WINDOW, WHOLE_WINDOW, MASKED_WINDOW = PADDINGS
MEL_FRAMES_PER_FRAME = 2  # the stride of the second convolution


class WeightsOfEncoder(modeling_whisper.WhisperEncoder):
    """Loads without a warning about the decoder weights that stay on disk."""

    _keys_to_ignore_on_load_unexpected = [r"^(model\.)?decoder\.", r"^proj_out\."]


class WhisperEncoder(SpeechEncoder):
    """Waveforms in, frames out; see `SpeechEncoder`.

    Arguments
    ---------
    encoder : transformers.models.whisper.modeling_whisper.WhisperEncoder
    extractor : transformers.WhisperFeatureExtractor
    padding : str
        "true_length" (default) encodes the audio without padding; "30_seconds" pads as in Whisper's training, and gives the
        frames of the audio; "whole_window" gives those of the padding too: 1,500 for each 30 s or part of it.
        "masked_window" pads like "30_seconds" and hides the padding from attention, as Qwen2-Audio (arXiv:2407.10759) and
        Audio Flamingo 3 (arXiv:2507.08128) do.
    pool : int
        The mean of so many neighbouring frames becomes one, before the last norm: 2 in Qwen2-Audio and Audio Flamingo 3.
        Frames beyond a multiple are discarded. Default 1.
    """

    def __init__(self, encoder, extractor, *, padding="true_length", pool: int = 1, **options):
        config = encoder.config
        super().__init__(extractor, hidden_width=config.d_model, num_layers=config.encoder_layers, **options)
        if padding not in PADDINGS:
            raise ValueError(f"Whisper padding {padding!r}: use {', '.join(PADDINGS)}")
        if pool < 1:
            raise ValueError(f"pool {pool}: a frame is the mean of at least one")
        self.encoder = encoder
        self.padding = padding
        self.pool = pool
        self.freeze()

    @property
    def frames_per_second(self):
        return self.sample_rate / self.extractor.hop_length / MEL_FRAMES_PER_FRAME / self.pool

    @property
    def options(self):
        return [*super().options, *([f"pool of {self.pool}"] if self.pool > 1 else [])]

    @property
    def suits_decoder(self) -> bool:
        """Whether Whisper's own decoder can read these frames: at its frame rate, in chunks that their number determines."""
        return self.pool == 1 and self.padding != MASKED_WINDOW

    @property
    def window_seconds(self):
        return self.extractor.chunk_length

    def num_mel_frames(self, num_samples):
        if self.padding == MASKED_WINDOW:  # as the extractor's own attention mask counts them
            return -(-num_samples // self.extractor.hop_length)
        # Audio shorter than an analysis window is padded to one: the Fourier transform needs it.
        return max(num_samples, self.extractor.n_fft) // self.extractor.hop_length

    def num_chunk_frames(self, num_samples):
        if self.padding == WHOLE_WINDOW:
            num_samples = self.window_seconds * self.sample_rate
        return -(-self.num_mel_frames(num_samples) // MEL_FRAMES_PER_FRAME) // self.pool

    def seconds_at(self, frame, *, seconds, num_frames):
        if self.padding != WHOLE_WINDOW:
            return super().seconds_at(frame, seconds=seconds, num_frames=num_frames)
        each = self.num_chunk_frames(0)
        chunk, index = divmod(frame, each)
        chunk_seconds = seconds / (num_frames // each)
        return chunk * chunk_seconds + min(index / self.frames_per_second, chunk_seconds)

    def features(self, waveforms):
        """Log-mel features, each utterance's from itself alone.

        Arguments
        ---------
        waveforms : list of float32 arrays (num_samples,) at `sample_rate`

        Returns
        -------
        mel : torch.Tensor (B, number of mel bands, M), zero behind each utterance's end
        lengths : torch.Tensor (B,), in mel frames, of the audio without padding
        """
        return self._stack([self.feature(waveform) for waveform in waveforms])

    def feature(self, waveform):
        return self._log_mel(waveform), self.num_mel_frames(len(waveform))

    def _stack(self, features):
        mels, counts = zip(*features, strict=True)
        num_frames = max(-(-mel.shape[1] // MEL_FRAMES_PER_FRAME) for mel in mels)
        batch = torch.zeros(len(mels), mels[0].shape[0], num_frames * MEL_FRAMES_PER_FRAME)
        for row, mel in enumerate(mels):
            batch[row, :, : mel.shape[1]] = mel
        return batch, torch.tensor(counts)

    def _log_mel(self, waveform):
        """Features (number of mel bands, M) of one waveform. The extractor clamps at 8 below the maximum: one
        by one, that maximum is the utterance's own."""
        waveform = np.asarray(waveform, dtype=np.float32)
        missing = self.extractor.n_fft - len(waveform)
        if missing > 0:
            waveform = np.pad(waveform, (0, missing))
        to = (
            {"padding": False, "truncation": False}
            if self.padding == TRUE_LENGTH
            else {"padding": "max_length"}
        )
        features = self.extractor([waveform], sampling_rate=self.sample_rate, return_tensors="pt", **to)
        return features.input_features[0]

    def encode(self, features):
        mel, mel_lengths = self._stack(features)
        weight = self.encoder.conv1.weight
        mel = send(mel.to(weight.dtype), weight.device)
        if self.padding == TRUE_LENGTH:
            frames, lengths = self.transform(mel, mel_lengths), count_frames(mel_lengths) // self.pool
        else:
            whole = torch.full_like(mel_lengths, mel.shape[2])
            attended = mel_lengths if self.padding == MASKED_WINDOW else None
            lengths = count_frames(whole if self.padding == WHOLE_WINDOW else mel_lengths) // self.pool
            frames = self.transform(mel, whole, attended=attended)[:, : int(lengths.max())]
        return frames, send(lengths, weight.device)

    def transform(self, mel, mel_lengths, *, attended=None):
        """Features to frames, with everything behind an utterance's end masked.

        Hugging Face's own forward takes 3,000 mel frames only and ignores masks. Here positions are sliced,
        padding is zero before each convolution (as the convolution's own edge is) and invisible to attention.

        Arguments
        ---------
        mel : torch.Tensor (B, number of mel bands, M)
        mel_lengths : torch.Tensor (B,), in mel frames
            In memory, if nothing is to wait for a GPU.
        attended : torch.Tensor (B,), in mel frames, optional
            Those that attention sees; default `mel_lengths`.

        Returns
        -------
        frames : torch.Tensor (B, T, D) with T = M / 2, divided by `pool`
        """
        encoder = self.encoder
        audible = send(is_within(mel_lengths.cpu(), mel.shape[2]), mel.device)  # (B, M)
        hidden = functional.gelu(encoder.conv1(mel * audible[:, None]))
        hidden = functional.gelu(encoder.conv2(hidden * audible[:, None]))
        hidden = hidden.permute(0, 2, 1)
        hidden = hidden + encoder.embed_positions.weight[: hidden.shape[1]]
        mask = attention_mask(count_frames(mel_lengths if attended is None else attended), hidden)
        states = [hidden]
        for layer in encoder.layers:
            states.append(layer(states[-1], mask))
        if self.pool > 1:
            num_frames = hidden.shape[1] // self.pool
            states = [
                state[:, : num_frames * self.pool].unflatten(1, (num_frames, self.pool)).mean(2)
                for state in states
            ]
        states[-1] = encoder.layer_norm(states[-1])
        return self.join(states)


def _name_in_encoder(name):
    """The name of a tensor of a Whisper folder within the encoder; None for those of the decoder."""
    name = name.removeprefix("model.")
    return name.removeprefix("encoder.") if name.startswith("encoder.") else None


def count_frames(mel_lengths):
    """Mel frames (B,) -> frames (B,): the second convolution takes every other position, beginning with the first."""
    return (mel_lengths + MEL_FRAMES_PER_FRAME - 1) // MEL_FRAMES_PER_FRAME


def attention_mask(lengths, hidden):
    """Additive mask (B, 1, 1, T) for hidden states (B, T, D), or None if there is no padding to hide."""
    within = is_within(lengths.cpu(), hidden.shape[1])
    if within.all():
        return None
    within = send(within, hidden.device)
    hide = torch.zeros_like(within, dtype=hidden.dtype).masked_fill(~within, torch.finfo(hidden.dtype).min)
    return hide[:, None, None]


def load_whisper(
    path, *, padding="true_length", pool: int = 1, layers=None, chunk_seconds=None, dtype="float32"
):
    """Load the encoder of a Whisper folder; the decoder's weights are never read.

    Arguments
    ---------
    path : str or Path
        A Hugging Face folder (WhisperForConditionalGeneration or WhisperModel) with preprocessor_config.json, or an id of the
        hub (see `auralign.hub.resolve`).
    padding : str
        One of PADDINGS; see `WhisperEncoder`.
    pool : int
        Neighbouring frames whose mean is one frame; default 1. See `WhisperEncoder`.
    layers : "all", sequence of int, or None
        See `SpeechEncoder`, as for chunk_seconds.
    chunk_seconds : float, optional
        At most 30.
    dtype : str
        "float32", "bfloat16" or "float16".

    Raises
    ------
    FileNotFoundError : no such folder, or one that lacks a needed file.
    ValueError : another kind of model, or encoder weights are missing.
    """
    path = resolve(path)
    model_type(path, ("whisper",))
    with loading(path):
        encoder, info = WeightsOfEncoder.from_pretrained(
            path,
            key_mapping={r"^model\.encoder\.": "", r"^encoder\.": ""},
            output_loading_info=True,
            local_files_only=True,
            dtype=torch_dtype(dtype),
        )
        extractor = WhisperFeatureExtractor.from_pretrained(path, local_files_only=True)
    check_complete(path, info["missing_keys"], what="encoder weights")
    check_finite(path, encoder)
    whisper = WhisperEncoder(
        encoder, extractor, padding=padding, pool=pool, layers=layers, chunk_seconds=chunk_seconds
    )
    options = [padding, dtype, *whisper.options]
    whisper.set_base(
        encoder_base(
            path,
            encoder.config,
            extractor,
            options,
            rename=_name_in_encoder,
            earlier=lambda folder: hash_value([hash_path(folder), *options]),
        )
    )
    return whisper
