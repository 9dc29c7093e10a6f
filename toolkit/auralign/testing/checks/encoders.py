"""Checks of a frozen speech encoder: an utterance's frames depend on its audio alone, and are never another encoder's."""

from typing import Protocol

import numpy as np
import torch

from auralign.models.encoders import SpeechEncoder
from auralign.testing.checks.failure import Tried, fail
from auralign.testing.tiny.speech import make_speech

SECONDS, LEVELS = (0.7, 1.9, 0.31), (1.0, 3.0, 0.01)
TOLERANCE = 1e-4  # of the largest value of an utterance alone
NUM_SAMPLES = (1, 2, 159, 400, 719, 720, 1601)  # beside seconds: short audio, in samples


class Buildable(Tried, Protocol):
    """An encoder under test; see `auralign.testing.checks.parts.TriedEncoder`."""

    def build(self, seed: int = 0) -> SpeechEncoder:
        """A new encoder."""


def check_output(part: Buildable) -> None:
    """The connector is made for frames of the encoder's `width` and reads them as fp32, as the cache keeps them."""
    encoder = part.build()
    frames, lengths = encoder(make_waveforms(encoder))
    if frames.ndim != 3 or (frames.shape[0], frames.shape[2]) != (len(SECONDS), encoder.width):
        fail(
            part,
            f"its frames have the shape {tuple(frames.shape)} for {len(SECONDS)} utterances, its width is {encoder.width}",
            "return (B, T, width), with hidden_width as it is given to SpeechEncoder.__init__",
        )
    if frames.dtype != torch.float32:
        fail(part, f"its frames are {frames.dtype}", "return fp32, whatever the weights are")
    if lengths.shape != (len(SECONDS),) or lengths.is_floating_point():
        fail(
            part,
            f"its lengths have the shape {tuple(lengths.shape)} and the type {lengths.dtype}",
            "return (B,) integers, the number of frames of each utterance",
        )
    for seconds, length, of_one in zip(SECONDS, lengths.tolist(), frames, strict=True):
        if not 0 < length <= frames.shape[1]:
            fail(
                part,
                f"{seconds} s of audio have {length} frames, of {frames.shape[1]} in the padded batch",
                "return lengths from 1 to T",
            )
        if not torch.isfinite(of_one[:length]).all():
            fail(part, f"frames of {seconds} s of audio are not finite", "guard logarithms and divisions")


def check_num_frames(part: Buildable) -> None:
    """Stage 3 plans packs, and the cache of frames its size, by `num_frames`, before any audio is read. A corpus holds clips of a
    few samples too: they may have no frame, and are then left out, but must not end the run."""
    encoder = part.build()
    sizes = [*NUM_SAMPLES, *(round(seconds * encoder.sample_rate) for seconds in SECONDS)]
    for num_samples in sizes:
        waveform = make_speech(max(SECONDS), sample_rate=encoder.sample_rate)[:num_samples]
        frames, lengths = encoder([waveform])
        actual, expected = int(lengths[0]), encoder.num_frames(num_samples)
        if actual != expected:
            fail(
                part,
                f"num_frames({num_samples}) is {expected}, audio of {num_samples} samples has {actual} frames",
                "compute num_chunk_frames by the rule of encode; pad audio that is shorter than one frame",
            )


def check_alone_equals_batched(part: Buildable) -> None:
    """Frames are cached in whatever batch they were computed, and used in any other."""
    encoder = part.build()
    waveforms = make_waveforms(encoder)
    frames, lengths = encoder(waveforms)
    for row, (waveform, length) in enumerate(zip(waveforms, lengths.tolist(), strict=True)):
        alone, (size,) = encoder([waveform])
        if int(size) != length:
            fail(
                part,
                f"{SECONDS[row]} s of audio have {int(size)} frames alone, {length} in a batch",
                "count the frames of the audio without padding",
            )
        distance = float((alone[0, :length] - frames[row, :length]).abs().max())
        largest = float(alone[0, :length].abs().max())
        if not distance <= TOLERANCE * max(largest, 1e-3):
            fail(
                part,
                f"{SECONDS[row]} s of audio, alone and batched with {max(SECONDS)} s, differ by {distance:.2g}, their largest "
                f"value is {largest:.2g}",
                "mask padding before each layer that reads neighbours, and normalise each utterance by itself",
            )


def check_frozen(part: Buildable) -> None:
    """The encoder is frozen: no weight learns, and dropout never comes on in training."""
    encoder = part.build().train()
    learning = [name for name, weight in encoder.named_parameters() if weight.requires_grad]
    if learning:
        fail(
            part,
            f"{learning[0]!r} and in all {len(learning)} weights have a gradient",
            "end __init__ with self.freeze()",
        )
    active = [name or "itself" for name, module in encoder.named_modules() if module.training]
    if active:
        fail(
            part,
            f"{active[0]} is in training mode",
            "end __init__ with self.freeze(), and do not override train",
        )


def check_deterministic(part: Buildable) -> None:
    """Audio has one set of frames: cached ones equal those that are computed later. Waveforms are not changed."""
    encoder = part.build()
    waveforms = make_waveforms(encoder)
    before = [waveform.copy() for waveform in waveforms]
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        found.append(encoder(waveforms)[0])
    if found[0].shape != found[1].shape or not torch.equal(*found):
        fail(part, "it gives other frames the second time", "draw nothing in encode, and set nothing there")
    if not all(map(np.array_equal, before, waveforms)):
        fail(part, "it changes the waveforms that it is given", "write into a new array, not in place")


def check_fingerprint(part: Buildable) -> None:
    """The fingerprint names cached frames: encoders of equal weights share it, those of other weights must not."""
    first, again, other = (part.build(seed) for seed in (0, 0, 1))
    repair = "self.fingerprint = hash_value([hash_path(path), *self.options]), of auralign.files, at the end of __init__"
    if not isinstance(first.fingerprint, str) or not first.fingerprint:
        fail(part, f"its fingerprint is {first.fingerprint!r}", repair)
    if first.fingerprint != again.fingerprint:
        fail(
            part,
            f"equal weights have the fingerprints {first.fingerprint!r} and {again.fingerprint!r}",
            "hash what its frames depend on alone: no time, no address, no folder's name",
        )
    waveforms = make_waveforms(first)
    frames, same, others = (encoder(waveforms)[0] for encoder in (first, again, other))
    if not torch.equal(frames, same):
        fail(part, "made twice with one seed it gives other frames", "draw random weights from `seed`")
    if frames.shape != others.shape or not torch.equal(frames, others):
        if first.fingerprint == other.fingerprint:
            fail(part, f"two seeds give other frames under one fingerprint {first.fingerprint!r}", repair)
    elif any(True for _ in first.parameters()):
        fail(
            part,
            "it has the same weights with two seeds, so that its fingerprint cannot be tried",
            "give a function that takes `seed`, writes random weights drawn with it and loads them",
        )


def check_bad_audio_is_refused(part: Buildable) -> None:
    """Audio that is empty, has channels or is not finite is refused by a ValueError, which the toolkit joins with the name of the
    utterance."""
    encoder = part.build()
    waveform = make_waveforms(encoder)[0]
    silenced = np.where(np.arange(len(waveform)) == 7, np.nan, waveform).astype(np.float32)
    for name, bad in (
        ("without a sample", waveform[:0]),
        ("of two channels", np.stack([waveform, waveform])),
        ("with a sample that is not a number", silenced),
    ):
        try:
            encoder([bad])
        except ValueError:
            continue
        except Exception as error:
            fail(
                part,
                f"audio {name} raises {type(error).__name__}: {error}",
                "call self.check(waveforms) in forward",
            )
        fail(part, f"audio {name} is encoded", "call self.check(waveforms) in forward, or do not override it")


def make_waveforms(encoder: SpeechEncoder) -> list[np.ndarray]:
    """Audio of three durations and levels, at the encoder's sample rate."""
    return [
        level * make_speech(seconds, seed=number, sample_rate=encoder.sample_rate)
        for number, (seconds, level) in enumerate(zip(SECONDS, LEVELS, strict=True))
    ]
