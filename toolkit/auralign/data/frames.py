"""The frozen encoder's frames of a manifest: cached in memory or on disk if they fit, else computed on request.

A frozen encoder gives the same frames in every epoch and for every method, so each utterance is encoded once.
"""

import contextlib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import tee
from pathlib import Path
from typing import Any

import numpy as np
import torch

from auralign.data.frame_sums import find_damaged, is_whole, sums_path, write_sums
from auralign.data.live_frames import Batch, LiveFrames
from auralign.files import hash_path, hash_value, locked, write_array
from auralign.progress import Progress
from auralign.records import Records, Utterance

CACHE_FILE = re.compile(r"\.([0-9a-f]{16})\.[0-9a-f]{16}\.(?:npy|crc32|lock)")  # behind the manifest's name
# How frames are kept, by the type that the encoder computes in: those from the cache equal those computed now. numpy has no bf16.
KEPT_AS = {torch.float16: np.float16, torch.bfloat16: np.int16}


def kept_as(encoder) -> np.dtype:
    """The type of an array of an encoder's frames; fp32 unless the encoder says that it computes in less."""
    return np.dtype(KEPT_AS.get(getattr(encoder, "frame_dtype", None), np.float32))


def _to_kept(frames: torch.Tensor, kept: np.dtype) -> np.ndarray:
    """Frames (T, D) of fp32 as they are kept."""
    found = frames.bfloat16().view(torch.int16).numpy() if kept == np.int16 else frames.numpy().astype(kept)
    if not torch.equal(_from_kept(found), frames):
        raise ValueError(
            f"the encoder's frames have more precision than its frame_dtype, and would be kept as {kept}; let frame_dtype be "
            "torch.float32"
        )
    return found


def _from_kept(part: np.ndarray) -> torch.Tensor:
    """Frames (T, D) of fp32 from an array that may be mapped read-only."""
    frames = torch.from_numpy(np.array(part))
    return (frames.view(torch.bfloat16) if part.dtype == np.int16 else frames).float()


class CachedFrames:
    """All frames, concatenated in one array (sum of lengths, D), in memory or mapped from a file; see `kept_as`."""

    def __init__(self, array: np.ndarray, lengths: np.ndarray):
        self.array, self.lengths = array, lengths
        self.ends = np.cumsum(lengths)

    def get_each(self, packs: list[list[int]]) -> list[Batch]:
        """`get` for the rows of each of several packs."""
        return [self.get(rows) for rows in packs]

    def stream(self, steps: Iterable[list[list[int]]]) -> Iterator[list[Batch]]:
        """For each of some steps, `get` for the rows of each of its packs."""
        return map(self.get_each, steps)

    def reading(self, rows: Iterable[int]) -> contextlib.AbstractContextManager[None]:
        """As of LiveFrames: nothing is read ahead."""
        return contextlib.nullcontext()

    def get(self, rows: list[int]) -> Batch:
        """Frames (B, T, D) and lengths (B,) of manifest rows."""
        lengths = self.lengths[rows]
        frames = torch.zeros(len(rows), int(lengths.max(initial=0)), self.array.shape[1])
        for index, row in enumerate(rows):
            part = self.array[self.ends[row] - self.lengths[row] : self.ends[row]]
            frames[index, : len(part)] = _from_kept(part)
        return frames, torch.from_numpy(lengths.astype(np.int64))


def open_frames(
    encoder,
    manifest: Records,
    *,
    cache: str,
    folder,
    max_gigabytes: float,
    batch_seconds: float,
    num_workers: int = 0,
):
    """Open the frames of a manifest with the requested cache, which is filled if need be.

    Arguments
    ---------
    encoder : torch.nn.Module
        With `width`, `hears(seconds)`, `num_frames(num_samples)` and `fingerprint`. Utterances that are too long for it have no
        frames.
    manifest : Records
        Of Utterance.
    cache : str
        "memory", "disk" or "off".
    folder : Path
        Folder of the disk cache. File names hold the hashes of manifest and encoder; files of an older manifest are removed.
    max_gigabytes : float
        If the frames take more, they are not cached, and a message says so.
    batch_seconds : float
        Seconds of audio encoded at once.
    num_workers : int
        Threads that read audio ahead; default 0: none. Frames do not depend on it.

    Returns LiveFrames or CachedFrames.

    Raises ValueError on another `cache`, or if the audio does not give the number of frames that its seconds give.
    """
    if cache not in ("memory", "disk", "off"):
        raise ValueError(f"feature_cache {cache!r}: use memory, disk or off")
    lengths = np.array([count_frames(encoder, utterance) for utterance in manifest], dtype=np.int64)
    kept = kept_as(encoder)
    gigabytes = int(lengths.sum()) * encoder.width * kept.itemsize / 1e9
    if cache != "off" and gigabytes > max_gigabytes:
        print(
            f"encoder frames of {manifest.path.name} would take {gigabytes:.1f} GB, more than max_cache_gigabytes "
            f"({max_gigabytes:g}): computed anew each time",
            file=sys.stderr,
        )
        cache = "off"
    live = LiveFrames(encoder, manifest, num_workers=num_workers)
    if cache == "off":
        return live
    shape = (int(lengths.sum()), encoder.width)
    if cache == "memory":
        array = np.empty(shape, dtype=kept)
        _encode_all(live, lengths, array, batch_seconds)
        return CachedFrames(array, lengths)
    stem, of_manifest = manifest.path.stem, hash_path(manifest.path)[:16]
    path = Path(folder) / f"{stem}.{of_manifest}.{frames_key(encoder)}.npy"
    if not path.exists() and any(path.parent.glob(f"{stem}.{of_manifest}.*.npy")):
        earlier = path.with_name(f"{stem}.{of_manifest}.{_earlier_key(encoder)}.npy")
        path = earlier if earlier.exists() else path
    with locked(path.with_suffix(".lock")):  # methods that train side by side share the cache: one fills it
        if path.exists() and not is_whole(path, shape, (kept, np.dtype(np.float32))):
            print(f"{path}: is cut or damaged; all frames are computed again", file=sys.stderr)
            path.unlink()
        if path.exists():
            _mend(path, live, lengths, batch_seconds)
        else:
            for stale in path.parent.glob(f"{stem}.*"):
                found = CACHE_FILE.fullmatch(stale.name.removeprefix(stem))
                if found and found[1] != of_manifest:  # of an older manifest of this name
                    stale.unlink(missing_ok=True)
            write_array(
                path,
                shape,
                kept,
                lambda array: _encode_all(live, lengths, array, batch_seconds),
            )
            write_sums(path, lengths)
    return CachedFrames(np.load(path, mmap_mode="r"), lengths)


def made_of(encoder) -> dict | None:
    """How `auralign.models.build` made a user-defined encoder, with a hash of its code; None for auralign's own encoders."""
    return getattr(encoder, "made_of", None)


def frames_key(encoder) -> str:
    """A key of an encoder's frames, used in the names of cached files."""
    account = made_of(encoder)
    return _key_of(encoder.fingerprint, account)


def _key_of(fingerprint: str, account: dict | None) -> str:
    return hash_value([fingerprint, account] if account else fingerprint)[:16]


def _earlier_key(encoder) -> str | None:
    """The key under which an earlier auralign kept the frames of an encoder; None for one of the user's own."""
    base = getattr(encoder, "base", None)
    is_known = base is not None and base.revision == encoder.fingerprint
    return _key_of(base.earlier_revision, made_of(encoder)) if is_known else None


class BranchFrames:
    """The frames of several encoder branches, by name."""

    def __init__(self, branches: Mapping[str, Any]):
        self.branches = dict(branches)

    def get(self, rows: list[int]) -> dict[str, Batch]:
        """Branch name -> frames (B, T, D) and lengths (B,) of manifest rows."""
        return {name: frames.get(rows) for name, frames in self.branches.items()}

    def stream(self, steps: Iterable[list[list[int]]]) -> Iterator[list[dict[str, Batch]]]:
        """For each of some steps, `get` for the rows of each of its packs, which are encoded together.

        The audio of later steps is read ahead, as far as nothing is cached."""
        copies = tee(steps, len(self.branches))
        parts = [frames.stream(copy) for frames, copy in zip(self.branches.values(), copies, strict=True)]
        for of_branches in zip(*parts, strict=True):
            yield [dict(zip(self.branches, found, strict=True)) for found in zip(*of_branches, strict=True)]

    @contextlib.contextmanager
    def reading(self, rows: Iterable[int]) -> Iterator[None]:
        """Context manager: the audio of these rows, which will be asked for in this order, is read ahead if it is not cached."""
        with contextlib.ExitStack() as stack:
            for frames, of_one in zip(self.branches.values(), tee(rows, len(self.branches)), strict=True):
                stack.enter_context(frames.reading(of_one))
            yield


def live_frames(model, manifest: Records, *, num_workers: int = 0) -> BranchFrames:
    """`LiveFrames` for each of the model's encoders: nothing is cached beside the manifest."""
    return BranchFrames(
        {
            name: LiveFrames(encoder, manifest, num_workers=num_workers)
            for name, encoder in model.encoders.items()
        }
    )


def recipe_frames(recipe, model, manifest: Records) -> BranchFrames:
    """`open_frames` for each of the model's encoders, with the recipe's values; the disk cache is beside the manifest."""
    return BranchFrames(
        {
            name: open_frames(
                encoder,
                manifest,
                cache=recipe.feature_cache,
                folder=manifest.path.parent / "frames",
                max_gigabytes=recipe.max_cache_gigabytes,
                batch_seconds=recipe.encode_batch_seconds,
                num_workers=recipe.num_workers,
            )
            for name, encoder in model.encoders.items()
        }
    )


def count_frames(encoder, utterance: Utterance) -> int:
    """Number of frames of an utterance, from its seconds; 0 of a document, or if it is too long for the encoder."""
    return 0 if utterance.is_document else frames_in(encoder, utterance.seconds)


def frames_in(encoder, seconds: float) -> int:
    """Number of frames of so many seconds of audio; 0 if that is too long for the encoder."""
    return encoder.num_frames(round(seconds * encoder.sample_rate)) if encoder.hears(seconds) else 0


def _mend(path: Path, live: LiveFrames, lengths: np.ndarray, batch_seconds: float) -> None:
    """Compute the damaged entries of a cache again, in the batches of the first time, which gives the same bits."""
    damaged = find_damaged(path, lengths)
    if damaged:
        names = ", ".join(live.manifest[row].id for row in damaged[:10]) + (
            ", ..." if len(damaged) > 10 else ""
        )
        print(
            f"{path}: {len(damaged)} of {len(lengths)} entries are damaged, computed again: {names}",
            file=sys.stderr,
        )
        array = np.load(path, mmap_mode="r+")
        _encode_all(live, lengths, array, batch_seconds, only=set(damaged))
        array.flush()
    if damaged or not sums_path(path).exists():
        write_sums(path, lengths)


def _encode_all(
    live: LiveFrames,
    lengths: np.ndarray,
    array: np.ndarray,
    batch_seconds: float,
    *,
    only: set[int] | None = None,
) -> None:
    """Fill `array` with the frames of all utterances, encoded in batches of similar length; with `only`, of the batches that
    hold one of these rows."""
    ends, manifest = np.cumsum(lengths), live.manifest
    batches = [
        rows
        for rows in _batches(lengths, batch_seconds * live.encoder.frames_per_second)
        if only is None or not only.isdisjoint(rows)
    ]
    with Progress(f"encode {manifest.path.stem}", unit="utterance", total=sum(map(len, batches))) as progress:
        for rows, (frames, found) in zip(batches, live.each(batches), strict=True):
            for row, one, length in zip(rows, frames.cpu(), found.tolist(), strict=True):
                if length != lengths[row]:
                    utterance = manifest[row]
                    raise ValueError(
                        f"{utterance.id}: its audio gives {length} frames, its seconds in {manifest.path} "
                        f"({utterance.seconds}) give {lengths[row]}; run stage 1 again"
                    )
                array[ends[row] - length : ends[row]] = _to_kept(one[:length], array.dtype)
            progress.update(len(rows))


def _batches(lengths: np.ndarray, max_frames: float) -> list[list[int]]:
    """Rows sorted by length, in batches of at most `max_frames` padded frames; rows without frames are left out."""
    batches: list[list[int]] = [[]]
    for row in np.argsort(lengths, kind="stable")[np.count_nonzero(lengths == 0) :]:
        if batches[-1] and (len(batches[-1]) + 1) * lengths[row] > max_frames:
            batches.append([])
        batches[-1].append(int(row))
    return [batch for batch in batches if batch]
