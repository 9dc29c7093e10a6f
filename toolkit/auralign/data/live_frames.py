"""The frozen encoder's frames of a manifest, computed on request, while threads read the audio that will be asked for next.

    frames = LiveFrames(encoder, manifest, num_workers=4)
    for of_packs in frames.stream(steps):     # steps: for each, the rows of each of its packs
        ...

A thread reads, resamples and computes what needs no weights, such as a log-mel spectrogram. The encoder runs in the thread that
asks. These are threads, not processes: libsndfile, numpy and torch release Python's lock in what takes time, nothing is copied
between processes, a signal finds one process, and none is left behind. Frames and their order do not depend on their number.
"""

import contextlib
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain, tee

import numpy as np
import torch
from torch.nn import functional

from auralign.data.audio import AudioError, Heard, audio_path, hear
from auralign.environment import is_out_of_memory, release_memory
from auralign.records import Records, Utterance

Batch = tuple[torch.Tensor, torch.Tensor]  # frames (B, T, D) and lengths (B,)

CLIPS_AT_ONCE, LONGEST_BY_SHORTEST = 8, 1.25
"""How many utterances the encoder takes at once, and how much longer the longest may be than the shortest: the larger either, the
more of what it computes is padding."""
SPLIT = "do not fit into memory together; the encoder takes them in halves, and says so once"
CLIPS_AHEAD = 16  # clips for each thread that are read ahead: about 1 MB for each 10 s


@dataclass(frozen=True)
class _Checked:
    utterances: list[Utterance]
    frames: torch.Tensor
    lengths: torch.Tensor


class LiveFrames:
    """Compute frames on request.

    Arguments
    ---------
    encoder : torch.nn.Module
        Waveforms to frames (B, T, D) and lengths (B,). Its method `prepare`, if its class has one, does what needs no weights
        (`auralign.models.encoders.SpeechEncoder`).
    manifest : Records
        Of Utterance.
    num_workers : int
        Threads that read ahead in `stream` and `each`; default 0: the audio is read when it is needed.
    """

    def __init__(self, encoder, manifest: Records, *, num_workers: int = 0):
        self.encoder, self.manifest, self.num_workers = encoder, manifest, num_workers
        self._told: set[str] = set()
        self._ahead: _ReadAhead | None = None
        self._unchecked: list[_Checked] | None = None

    def get(self, rows: list[int]) -> Batch:
        """Frames (B, T, D) and lengths (B,) of manifest rows, encoded together."""
        return self.encode([self.manifest[row] for row in rows])

    def get_each(self, packs: list[list[int]]) -> list[Batch]:
        """Frames and lengths of the rows of each of several packs, encoded in batches over all packs, sorted by length.

        Frames beyond the lengths are zero."""
        return self._encode_step(packs, self._sorted(packs))

    def stream(self, steps: Iterable[list[list[int]]]) -> Iterator[list[Batch]]:
        """`get_each` for the packs of each of some steps, with the audio of later ones read ahead."""
        planned, coming = tee((packs, self._sorted(packs)) for packs in steps)
        with self._reading(one for _, batches in coming for batch in batches for one in batch.values()):
            for packs, batches in planned:
                yield self._encode_step(packs, batches)

    def each(self, batches: Iterable[list[int]]) -> Iterator[Batch]:
        """`get` for each of some batches of rows, with the audio of later ones read ahead."""
        found, coming = tee([self.manifest[row] for row in rows] for rows in batches)
        with self._reading(chain.from_iterable(coming)):
            yield from map(self.encode, found)

    def reading(self, rows: Iterable[int]) -> contextlib.AbstractContextManager[None]:
        """Context manager: the audio of these rows, which will be asked for in this order, is read ahead."""
        return self._reading(map(self.manifest.__getitem__, rows))

    @contextlib.contextmanager
    def _reading(self, utterances: Iterable[Utterance]) -> Iterator[None]:
        if not self.num_workers:
            yield
            return
        with _ReadAhead(self._hear, utterances, self.num_workers) as self._ahead:
            try:
                yield
            finally:
                self._ahead = None

    def _sorted(self, packs: list[list[int]]) -> list[dict[int, Utterance]]:
        """The rows of packs, each once, in batches of similar duration, with their utterances."""
        utterances = {row: self.manifest[row] for rows in packs for row in rows}
        batches = batches_of_similar({row: utterance.seconds for row, utterance in utterances.items()})
        return [{row: utterances[row] for row in batch} for batch in batches]

    def _encode_step(self, packs: list[list[int]], batches: list[dict[int, Utterance]]) -> list[Batch]:
        parts = {}
        self._unchecked = []  # checked at once, so that a GPU is waited for once
        try:
            for batch in batches:
                utterances = list(batch.values())
                frames, lengths = self.encode(utterances)
                sizes = self._as_integers(utterances, lengths)
                parts |= {row: one[:size] for row, one, size in zip(batch, frames, sizes, strict=True)}
            self._check_finite(*self._unchecked)
        finally:
            self._unchecked = None
        return [_pad([parts[row] for row in rows]) if rows else self._nothing() for rows in packs]

    def _nothing(self) -> Batch:
        """The frames of a pack that hears nothing, such as one of text alone."""
        return torch.zeros(0, 0, self.encoder.width), torch.zeros(0, dtype=torch.long)

    def _as_integers(self, utterances: list[Utterance], lengths: torch.Tensor) -> list[int]:
        """Lengths (B,) as integers. On a GPU they are those that the seconds give, so that nothing waits for it; it stops with an
        error if they are not."""
        if not lengths.is_cuda:
            return lengths.tolist()
        rate = self.encoder.sample_rate
        expected = [self.encoder.num_frames(round(one.seconds * rate)) for one in utterances]
        in_memory = torch.tensor(expected, pin_memory=lengths.device.type == "cuda")
        sent = in_memory.to(lengths.device, non_blocking=True)
        torch._assert_async((lengths == sent).all(), "the encoder's lengths are not those of its num_frames")
        return expected

    def encode(self, utterances: list[Utterance]) -> Batch:
        """Frames (B, T, D) and lengths (B,) of utterances, encoded together."""
        try:
            waveforms = [self._read(utterance) for utterance in utterances]
        except AudioError as error:
            raise ValueError(
                f"{self.manifest.path}: {error}; stage 1 rejects such files if it reads all audio: run it with "
                "--verify_audio true"
            ) from error
        try:
            with torch.no_grad():
                frames, lengths = self._encode_as_fits(waveforms)
        except ValueError as error:
            names = ", ".join(utterance.id for utterance in utterances)
            raise ValueError(f"{self.manifest.path}: {error} (the batch is {names})") from error
        checked = _Checked(utterances, frames, lengths)
        if self._unchecked is None:
            self._check_finite(checked)
        else:
            self._unchecked.append(checked)
        return frames, lengths

    def _encode_as_fits(self, waveforms: list[np.ndarray]) -> Batch:
        """Frames and lengths of waveforms; those that do not fit into memory together are encoded in halves."""
        try:
            return self.encoder(waveforms)
        except Exception as error:
            if len(waveforms) == 1 or not is_out_of_memory(error):
                raise
        # Here the error is gone, and with it the tensors that its traceback held.
        release_memory()
        if SPLIT not in self._told:
            self._told.add(SPLIT)
            print(f"{self.manifest.path}: {len(waveforms)} utterances {SPLIT}", file=sys.stderr)
        half = len(waveforms) // 2
        parts = [self._encode_as_fits(some) for some in (waveforms[:half], waveforms[half:])]
        longest = max(frames.shape[1] for frames, _ in parts)
        padded = [functional.pad(frames, (0, 0, 0, longest - frames.shape[1])) for frames, _ in parts]
        return torch.cat(padded), torch.cat([lengths for _, lengths in parts])

    def _check_finite(self, *batches: _Checked) -> None:
        """Raise ValueError, which names the utterance, if the frames of one are not finite numbers."""
        if not batches or torch.stack([torch.isfinite(batch.frames).all() for batch in batches]).all():
            return
        for batch in batches:
            for utterance, one, length in zip(
                batch.utterances, batch.frames, batch.lengths.tolist(), strict=True
            ):
                if not torch.isfinite(one[:length]).all():
                    raise ValueError(
                        f"{self.manifest.path}: {utterance.id}: the encoder gives frames that are not finite numbers; look at "
                        f"{audio_path(self.manifest.path, utterance)}, and leave the utterance out of the manifest"
                    )

    def _hear(self, utterance: Utterance) -> Heard:
        """The samples of an utterance, as far as possible prepared for the encoder; threads call this."""
        path = audio_path(self.manifest.path, utterance)
        heard = hear(path, start=utterance.start, seconds=utterance.seconds)
        # Not by way of the object: a module that wraps an encoder must be given waveforms that it may change.
        if self.num_workers and hasattr(type(self.encoder), "prepare"):
            with contextlib.suppress(
                Exception
            ):  # the encoder finds it too, where the error can name the batch
                return replace(heard, samples=self.encoder.prepare(heard.samples))
        return heard

    def _read(self, utterance) -> np.ndarray:
        """Samples of an utterance. If stage 1 read headers alone, each kind of odd audio is reported once."""
        found = self._ahead.take(utterance) if self._ahead else self._hear(utterance)
        for note, detail in found.notes if utterance.audio_hash.endswith(" bytes") else ():
            if note not in self._told:
                self._told.add(note)
                print(
                    f"warning: {self.manifest.path}: {utterance.id} is {note}{f' ({detail})' if detail else ''}, and others "
                    "may be: stage 1 lists them all if it reads all audio (--verify_audio true)",
                    file=sys.stderr,
                )
        return found.samples


class _ReadAhead:
    """Context manager: threads call `hear` for the utterances that will be asked for, in their order, a bounded number ahead."""

    def __init__(self, hear: Callable[[Utterance], Heard], coming: Iterable[Utterance], num_workers: int):
        self._hear, self._coming, self._most = hear, iter(coming), CLIPS_AHEAD * num_workers
        self._pool = ThreadPoolExecutor(num_workers, thread_name_prefix="auralign-read")
        self._heard: dict[str, Future] = {}
        self._asked: Counter[str] = Counter()  # how often each of them will be taken

    def __enter__(self) -> "_ReadAhead":
        self._submit()
        return self

    def __exit__(self, *error) -> None:
        self._pool.shutdown(cancel_futures=True)  # waits for the clips that are being read

    def take(self, utterance: Utterance) -> Heard:
        """What `hear` returns for an utterance, or raises; computed now if it was not announced."""
        future = self._heard.get(utterance.id)
        self._asked[utterance.id] -= 1
        if self._asked[utterance.id] <= 0:
            del self._asked[utterance.id]
            self._heard.pop(utterance.id, None)
        self._submit()
        return self._hear(utterance) if future is None else future.result()

    def _submit(self) -> None:
        while len(self._heard) < self._most and (utterance := next(self._coming, None)) is not None:
            if utterance.id not in self._heard:
                self._heard[utterance.id] = self._pool.submit(self._unless_over, utterance)
            self._asked[utterance.id] += 1

    def _unless_over(self, utterance: Utterance) -> Heard | None:
        # An exit of Python waits for the threads of all pools: what still waits in them must not be computed.
        return self._hear(utterance) if threading.main_thread().is_alive() else None


def batches_of_similar(seconds: dict[int, float]) -> list[list[int]]:
    """Rows in batches of similar duration, given the seconds of each row."""
    batches: list[list[int]] = []
    for row in sorted(seconds, key=lambda row: (seconds[row], row)):
        last = batches[-1] if batches else []
        if not last or len(last) == CLIPS_AT_ONCE or seconds[row] > LONGEST_BY_SHORTEST * seconds[last[0]]:
            batches.append([])
        batches[-1].append(row)
    return batches


def _pad(parts: list[torch.Tensor]) -> Batch:
    lengths = torch.tensor([len(part) for part in parts])
    return torch.nn.utils.rnn.pad_sequence(parts, batch_first=True), lengths
