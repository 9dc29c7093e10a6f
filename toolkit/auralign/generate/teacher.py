"""The original LLM's largest logits at each token of the targets, for methods that distil from a cached teacher."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from auralign.data.batching import pack
from auralign.data.lengths import DAMAGED
from auralign.files import TEMPORARY, hash_value, write_atomically, write_rows
from auralign.layout import Response
from auralign.method import lay_out
from auralign.models.speech_llm import score_targets
from auralign.progress import Progress
from auralign.records import Records
from auralign.render import Rendered
from auralign.store import teacher_path

MAX_BLOCK = 512  # utterances whose targets are sorted into packs together
NUM_BLOCKS = 128  # at least, of as many utterances: shards end with a block
TOKENS_PER_PACK = 4096  # LLM positions in a forward


def row_type(k: int) -> np.dtype:
    """One row for each token of each target, its end of turn included, in the order of the targets."""
    return np.dtype([("token", "<i4"), ("ids", "<i4", (k,)), ("logits", "<f4", (k,)), ("logsumexp", "<f4")])


def block_size(num_utts: int) -> int:
    """The number of utterances whose targets are scored together: logits are rounded by what shares a forward."""
    return max(1, min(MAX_BLOCK, num_utts // NUM_BLOCKS))


def write_teacher(
    targets: Records, manifest: Records, *, method, llm, renderer, rows: Sequence[int] | None = None
) -> str:
    """Score every target with the original LLM and write its `top_k` logits at each token; returns a one-line summary.

    Each target is laid out and rendered once. The scores of each block are kept until all are written, and an interrupted run
    goes on after them. `rows` are those of the manifest that were asked about, by shards or not (default: all).
    """
    needs, path = method.needs, teacher_path(targets.path, method.needs)
    rows = range(len(manifest)) if rows is None else rows
    k = min(needs.top_k, llm.model.get_input_embeddings().num_embeddings)
    kept: list[Path] = []

    def views() -> Iterator[tuple[int, Rendered]]:
        """The number of its block, and the teacher's view, of each target."""
        for target in targets:
            row, utterance = manifest.find(target.utt_id)
            layout = lay_out(method, utterance, target.choice, Response.of(target))
            yield bisect_left(rows, row) // block_size(len(rows)), renderer.render(layout.teacher)

    def score(of_block: list[Rendered]) -> np.ndarray:
        sizes = [len(one.pieces[-1].ids) for one in of_block]
        ends = np.cumsum(sizes)
        array = np.empty(ends[-1], row_type(k))
        for chosen_rows in pack([one.num_ids for one in of_block], max_tokens=TOKENS_PER_PACK):
            chosen = [of_block[row] for row in chosen_rows]
            found = score_targets(llm, chosen, top_k=needs.top_k, temperature=needs.temperature)
            places = np.concatenate([np.arange(ends[row] - sizes[row], ends[row]) for row in chosen_rows])
            array["token"][places] = [token for one in chosen for token in one.pieces[-1].ids]
            for name in ("ids", "logits", "logsumexp"):
                array[name][places] = getattr(found, name).cpu().numpy()
        return array

    def blocks() -> Iterator[np.ndarray]:
        with Progress(
            f"generate {method.name}: scoring {targets.path.stem}", unit="target", total=len(targets)
        ) as progress:
            for _, numbered in groupby(views(), lambda pair: pair[0]):
                of_block = [view for _, view in numbered]
                key = hash_value(
                    [[one.ids for one in of_block], llm.revision, needs.top_k, needs.temperature]
                )
                # The stage removes files of this name when it is finished.
                kept.append(path.with_name(f"{path.stem}.{key[:16]}.npz{TEMPORARY}"))
                array = _read(kept[-1], row_type(k))
                if array is None:
                    array = score(of_block)
                    with write_atomically(kept[-1], "wb") as file:
                        np.savez(file, rows=array)
                progress.update(len(of_block))
                yield array

    num_rows = write_rows(path, blocks(), row_type(k))
    for file in kept:
        file.unlink(missing_ok=True)
    return f"the teacher's {k} largest logits at {num_rows} tokens, {path.stat().st_size / 1e6:.1f} MB"


def join_teacher(parts: Iterable[Path], path: Path) -> None:
    """Write the file that `write_teacher` makes of all targets from those of their parts, in order."""
    parts = list(parts)
    kind = np.load(parts[0]).dtype
    write_rows(path, (np.load(part) for part in parts), kind)


def _read(path: Path, kind: np.dtype) -> np.ndarray | None:
    """The scores that an interrupted run kept of a block; None if there are none, or damaged ones."""
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            array = file["rows"]
    except DAMAGED:
        return None
    return array if array.dtype == kind else None
