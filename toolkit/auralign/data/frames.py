"""The frozen encoder's frames of a manifest: kept in memory or on disk where they fit, else computed when asked.

A frozen encoder gives the same frames in every epoch and for every method, so each utterance is encoded once.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from auralign.data.audio import AudioError, audio_path, hear
from auralign.files import hash_path, hash_value, locked, write_array
from auralign.records import Records, Utterance

BYTES_PER_VALUE = 4  # fp32: frames from the cache equal frames computed now


class LiveFrames:
    """Computes frames when asked."""

    def __init__(self, encoder, manifest: Records):
        self.encoder, self.manifest = encoder, manifest
        self._told: set[str] = set()

    def get(self, rows: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Frames (B, T, D) and lengths (B,) of manifest rows."""
        utterances = [self.manifest[row] for row in rows]
        try:
            waveforms = [self._read(utterance) for utterance in utterances]
        except AudioError as error:
            raise ValueError(
                f"{self.manifest.path}: {error}; stage 1 leaves such files out where it reads them through: run a recipe's with "
                "--verify_audio true"
            ) from error
        try:
            with torch.no_grad():
                return self.encoder(waveforms)
        except ValueError as error:
            names = ", ".join(utterance.id for utterance in utterances)
            raise ValueError(f"{self.manifest.path}: {error} (the batch is {names})") from error

    def _read(self, utterance) -> np.ndarray:
        """Samples of an utterance. What is odd in them, and stage 1 did not see as it read headers alone, is told once."""
        path = audio_path(self.manifest.path, utterance)
        heard = hear(path, start=utterance.start, seconds=utterance.seconds)
        for note, detail in heard.notes if utterance.audio_hash.endswith(" bytes") else ():
            if note not in self._told:
                self._told.add(note)
                print(
                    f"warning: {self.manifest.path}: {utterance.id} is {note}{f' ({detail})' if detail else ''}, and others "
                    "may be: stage 1 lists all where it reads them through (--verify_audio true)",
                    file=sys.stderr,
                )
        return heard.samples


class CachedFrames:
    """Frames laid end to end in one array (sum of lengths, D), in memory or mapped from a file."""

    def __init__(self, array: np.ndarray, lengths: np.ndarray):
        self.array, self.lengths = array, lengths
        self.ends = np.cumsum(lengths)

    def get(self, rows: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Frames (B, T, D) and lengths (B,) of manifest rows."""
        lengths = self.lengths[rows]
        frames = torch.zeros(len(rows), int(lengths.max()), self.array.shape[1])
        for place, row in enumerate(rows):
            part = self.array[self.ends[row] - self.lengths[row] : self.ends[row]]
            frames[place, : len(part)] = torch.from_numpy(
                np.array(part)
            )  # a copy: the cache on disk is mapped read-only
        return frames, torch.from_numpy(lengths.astype(np.int64))


def open_frames(
    encoder, manifest: Records, *, cache: str, folder, max_gigabytes: float, batch_seconds: float
):
    """Frames of a manifest, by the cache that the recipe asks for.

    Arguments
    ---------
    encoder : torch.nn.Module
        With `width`, `hears(seconds)`, `num_frames(num_samples)` and `fingerprint`. What it does not hear has no frames.
    manifest : Records
        Of Utterance.
    cache : str
        "memory", "disk" or "off". What is larger than `max_gigabytes` is not kept, and a line says so.
    folder : Path
        Of the disk cache. A file's name holds the hashes of manifest and encoder; those of an older manifest are removed.
    batch_seconds : float
        Seconds of audio encoded at once.
    """
    if cache not in ("memory", "disk", "off"):
        raise ValueError(f"feature_cache {cache!r}: use memory, disk or off")
    lengths = np.array([count_frames(encoder, utterance) for utterance in manifest], dtype=np.int64)
    gigabytes = int(lengths.sum()) * encoder.width * BYTES_PER_VALUE / 1e9
    if cache != "off" and gigabytes > max_gigabytes:
        print(
            f"encoder frames of {manifest.path.name} would take {gigabytes:.1f} GB, more than max_cache_gigabytes "
            f"({max_gigabytes:g}): computed anew each time",
            file=sys.stderr,
        )
        cache = "off"
    if cache == "off":
        return LiveFrames(encoder, manifest)
    shape = (int(lengths.sum()), encoder.width)
    if cache == "memory":
        array = np.empty(shape, dtype=np.float32)
        _encode_all(encoder, manifest, lengths, array, batch_seconds)
        return CachedFrames(array, lengths)
    stem, of_manifest = manifest.path.stem, hash_path(manifest.path)[:16]
    path = Path(folder) / f"{stem}.{of_manifest}.{frames_key(encoder)}.npy"
    with locked(path.with_suffix(".lock")):  # methods that train side by side share the cache: one fills it
        if not path.exists():
            for stale in set(path.parent.glob(f"{stem}.*.npy")) - set(
                path.parent.glob(f"{stem}.{of_manifest}.*.npy")
            ):
                stale.unlink()  # frames of a manifest that is no more
            write_array(
                path,
                shape,
                np.float32,
                lambda array: _encode_all(encoder, manifest, lengths, array, batch_seconds),
            )
    return CachedFrames(np.load(path, mmap_mode="r"), lengths)


def made_of(encoder) -> dict | None:
    """Of an encoder of somebody's own, how `auralign.models.build` made it, with a hash of its code; None of auralign's own."""
    return getattr(encoder, "made_of", None)


def frames_key(encoder) -> str:
    """Names the frames that an encoder gives, in the names of cached files."""
    account = made_of(encoder)
    return hash_value([encoder.fingerprint, account] if account else encoder.fingerprint)[:16]


class BranchFrames:
    """The frames of each branch: `get(rows)` gives (frames, lengths) by its name."""

    def __init__(self, branches: Mapping[str, Any]):
        self.branches = dict(branches)

    def get(self, rows: list[int]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """By branch, frames (B, T, D) and lengths (B,) of manifest rows."""
        return {name: frames.get(rows) for name, frames in self.branches.items()}


def recipe_frames(recipe, model, manifest: Records) -> BranchFrames:
    """`open_frames` of each of the model's encoders, by a recipe's values; the disk cache stands beside the manifest."""
    return BranchFrames(
        {
            name: open_frames(
                encoder,
                manifest,
                cache=recipe.feature_cache,
                folder=manifest.path.parent / "frames",
                max_gigabytes=recipe.max_cache_gigabytes,
                batch_seconds=recipe.encode_batch_seconds,
            )
            for name, encoder in model.encoders.items()
        }
    )


def count_frames(encoder, utterance: Utterance) -> int:
    """Frames of an utterance, from its seconds; 0 for one that is too long for the encoder."""
    if not encoder.hears(utterance.seconds):
        return 0
    return encoder.num_frames(round(utterance.seconds * encoder.sample_rate))


def _encode_all(
    encoder, manifest: Records, lengths: np.ndarray, array: np.ndarray, batch_seconds: float
) -> None:
    """Fill `array` with the frames of all utterances, encoded in batches of similar length."""
    ends = np.cumsum(lengths)
    live = LiveFrames(encoder, manifest)
    with tqdm(
        total=np.count_nonzero(lengths), desc=f"encoding {manifest.path.stem}", unit="utt", disable=None
    ) as bar:
        for rows in _batches(lengths, batch_seconds * encoder.frames_per_second):
            frames, found = live.get(rows)
            for row, one, length in zip(rows, frames.cpu(), found.tolist(), strict=True):
                if length != lengths[row]:
                    utterance = manifest[row]
                    raise ValueError(
                        f"{utterance.id}: its audio gives {length} frames, its seconds in {manifest.path} "
                        f"({utterance.seconds}) give {lengths[row]}; run stage 1 again"
                    )
                array[ends[row] - length : ends[row]] = one[:length].numpy()
            bar.update(len(rows))


def _batches(lengths: np.ndarray, max_frames: float) -> list[list[int]]:
    """Rows by length, cut so that no padded batch holds more than `max_frames` frames; rows without frames in none."""
    batches: list[list[int]] = [[]]
    for row in np.argsort(lengths, kind="stable")[np.count_nonzero(lengths == 0) :]:
        if batches[-1] and (len(batches[-1]) + 1) * lengths[row] > max_frames:
            batches.append([])
        batches[-1].append(int(row))
    return [batch for batch in batches if batch]
