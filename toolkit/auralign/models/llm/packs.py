"""Run packed sequences through an LLM, together as far as they do not change each other.

Axes: N positions of a pack, D width, B batch, U positions of one sequence.
"""

import contextlib
import itertools
from collections.abc import Sequence

import torch
from torch import nn

from auralign.models.llm.attention import sequence_by_sequence, unread_mask

INPUT, LAST = 0, -1  # layers: the LLM's input, and the states that the head reads


def run_pack(
    llm, embeddings: torch.Tensor, positions: torch.Tensor, layers=(), *, sizes: Sequence[int] | None = None
) -> dict[int | float, torch.Tensor]:
    """Run the sequences of one pack through an LLM, without mask and cache.

    Restarted positions keep the sequences apart only without these two: an all-ones mask, or the default cache, leaks across
    them without an error. Sequences that would change each other all the same (see `LLM.sharing`, `LLM.rope_edges`) are run in
    forwards of their own.

    Arguments
    ---------
    llm : LLM
    embeddings : torch.Tensor (N, D)
        The sequences, end to end.
    positions : torch.Tensor (N,) of int
        Positions that restart at 0 with each sequence.
    layers : sequence of int or float
        Layers whose states are returned too, by number or by depth between 0.0 and 1.0; default none.
    sizes : sequence of int, optional
        Positions of each sequence, if they are known; by default they are read from `positions`, which waits for a GPU.

    Returns dict from layer to hidden states (N, D): `INPUT`, the embeddings; `LAST`, the states that the head reads; `layers`.
    """
    sizes = _sizes(positions) if sizes is None else list(sizes)
    groups = _group(llm, sizes)
    if llm.sharing.packed and len(groups) == 1:
        return _run_packed(llm, embeddings, positions, layers, sizes)
    starts = [end - size for end, size in zip(itertools.accumulate(sizes), sizes, strict=True)]
    run = _run_packed if llm.sharing.packed else _run_padded
    speech = _adapted_in(llm, positions)
    parts: dict[int | float, list] = {layer: [None] * len(sizes) for layer in (*layers, INPUT, LAST)}
    for rows in groups:
        spans = [torch.arange(starts[row], starts[row] + sizes[row], device=positions.device) for row in rows]
        chosen, of_group = torch.cat(spans), [sizes[row] for row in rows]
        with llm.adapting(speech[chosen][None]) if speech is not None else contextlib.nullcontext():
            found = run(llm, embeddings[chosen], positions[chosen], layers, of_group)
        for layer, states in found.items():
            for row, part in zip(rows, states.split(of_group), strict=True):
                parts[layer][row] = part
    return {**{layer: torch.cat(of_layer) for layer, of_layer in parts.items()}, INPUT: embeddings}


def _sizes(positions: torch.Tensor) -> list[int]:
    """Sizes of the sequences of a pack."""
    starts = (positions == 0).nonzero().flatten().tolist()
    return [end - start for start, end in zip(starts, [*starts[1:], len(positions)], strict=True)]


def _adapted_in(llm, positions: torch.Tensor) -> torch.Tensor | None:
    """Which positions (N,) of this pack LoRA adapts; None if it adapts all, or was not given a mask of this pack."""
    mask = llm.adapted_positions
    return None if mask is None or mask.shape[1] != len(positions) else mask[0]


def _group(llm, sizes: list[int]) -> list[list[int]]:
    """Group sequences of these sizes: lists of the numbers of those that share a forward."""
    groups: dict[tuple, list[int]] = {}
    for row, size in enumerate(sizes):
        groups.setdefault(tuple(size > edge for edge in llm.rope_edges), []).append(row)
    if llm.sharing.packed:
        return list(groups.values())
    if not llm.sharing.padded:
        return [[row] for row in range(len(sizes))]
    batches: list[list[int]] = []
    for rows in groups.values():
        for number, row in enumerate(sorted(rows, key=lambda row: (-sizes[row], row))):
            # Padded, a batch holds no more positions than the pack.
            if number == 0 or (len(batches[-1]) + 1) * sizes[batches[-1][0]] > sum(sizes):
                batches.append([])
            batches[-1].append(row)
    return batches


def _run_packed(llm, embeddings, positions, layers, sizes) -> dict[int | float, torch.Tensor]:
    """`run_pack` by one forward. Of one sequence alone, the square is what there is to compute."""
    attention: contextlib.AbstractContextManager = contextlib.nullcontext()
    mask = None
    if len(sizes) > 1 and not llm.sharing.square:
        attention = sequence_by_sequence(tuple(sizes), embeddings.device)
        mask = unread_mask(len(positions), embeddings.device)
    with attention:
        output = llm.decoder(
            inputs_embeds=embeddings[None],
            position_ids=positions[None],
            attention_mask=mask,
            use_cache=False,
            output_hidden_states=bool(layers),
        )
    found = {layer: output.hidden_states[llm.number_of(layer)][0] for layer in layers}
    return {**found, INPUT: embeddings, LAST: output.last_hidden_state[0]}


def _run_padded(llm, embeddings, positions, layers, sizes) -> dict[int | float, torch.Tensor]:
    """`_run_packed` by a batch (B, U, D) of the sequences with padding at the right, and positions of the LLM's own."""
    padded = nn.utils.rnn.pad_sequence(embeddings.split(sizes), batch_first=True)
    within = (
        torch.arange(padded.shape[1], device=positions.device)
        < torch.tensor(sizes, device=positions.device)[:, None]
    )
    speech = _adapted_in(llm, positions)
    if speech is not None:
        speech = nn.utils.rnn.pad_sequence(speech.split(sizes), batch_first=True)
    with llm.adapting(speech) if speech is not None else contextlib.nullcontext():
        output = llm.decoder(
            inputs_embeds=padded,
            attention_mask=None if within.all() else within.long(),
            use_cache=False,
            output_hidden_states=bool(layers),
        )
    found = {layer: output.hidden_states[llm.number_of(layer)][within] for layer in layers}
    return {**found, INPUT: embeddings, LAST: output.last_hidden_state[within]}
