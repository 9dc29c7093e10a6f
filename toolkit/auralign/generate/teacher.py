"""The original LLM's largest logits at each token of the targets, for methods that distil from a cached teacher."""

from collections.abc import Iterator
from itertools import islice

import numpy as np

from auralign.data.batching import pack
from auralign.files import write_rows
from auralign.layout import Response
from auralign.method import lay_out
from auralign.models.speech_llm import score_targets
from auralign.progress import Progress
from auralign.records import Records, Target
from auralign.render import Rendered
from auralign.store import teacher_path

WINDOW, TOKENS_PER_PACK = 512, 4096  # targets sorted into packs together; LLM positions in a forward


def row_type(k: int) -> np.dtype:
    """One row for each token of each target, its end of turn included, in the order of the targets."""
    return np.dtype([("token", "<i4"), ("ids", "<i4", (k,)), ("logits", "<f4", (k,)), ("logsumexp", "<f4")])


def write_teacher(targets: Records, manifest: Records, *, method, llm, renderer) -> str:
    """Score every target with the original LLM and write its `top_k` logits at each token; returns a one-line summary.

    Each target is laid out and rendered once. An interrupted run starts again.
    """
    needs, path = method.needs, teacher_path(targets.path, method.needs)

    k = min(needs.top_k, llm.model.get_input_embeddings().num_embeddings)

    def view(target: Target) -> Rendered:
        layout = lay_out(method, manifest[target.utt_id], target.choice, Response.of(target))
        return renderer.render(layout.teacher)

    def windows() -> Iterator[np.ndarray]:
        rest = iter(targets)
        with Progress(
            f"generate {method.name}: scoring {targets.path.stem}", unit="target", total=len(targets)
        ) as progress:
            while views := [view(target) for target in islice(rest, WINDOW)]:
                sizes = [len(one.pieces[-1].ids) for one in views]
                ends = np.cumsum(sizes)
                array = np.empty(ends[-1], row_type(k))
                for chosen_rows in pack([one.num_ids for one in views], max_tokens=TOKENS_PER_PACK):
                    chosen = [views[row] for row in chosen_rows]
                    found = score_targets(llm, chosen, top_k=needs.top_k, temperature=needs.temperature)
                    rows = np.concatenate(
                        [np.arange(ends[row] - sizes[row], ends[row]) for row in chosen_rows]
                    )
                    array["token"][rows] = [token for one in chosen for token in one.pieces[-1].ids]
                    for name in ("ids", "logits", "logsumexp"):
                        array[name][rows] = getattr(found, name).cpu().numpy()
                    progress.update(len(chosen_rows))
                yield array

    num_rows = write_rows(path, windows(), row_type(k))
    return f"the teacher's {k} largest logits at {num_rows} tokens, {path.stat().st_size / 1e6:.1f} MB"
