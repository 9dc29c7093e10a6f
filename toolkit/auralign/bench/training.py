"""Training by auralign and by its peers' call patterns, in turn: gates first, then CPU seconds and ratios.

A gate holds if an arm that shall compute the same as auralign has the same loss (1e-5) and the same gradient of the connector
(1e-4 of its norm), in fp32. Peers whose padding changes what the LLM computes are compared one by one, without padding.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from auralign.bench import Row, Settings, against_bar, peers
from auralign.bench.corpus import CORPORA
from auralign.bench.counters import count_operations, count_waits
from auralign.bench.ours import Item, Ours, World

LOSS_GATE, GRADIENT_GATE = 1e-5, 1e-4
NUM_CLIPS, NUM_GATE_CLIPS = 64, 6
WHOLE_WINDOW, THIRTY_SECONDS, TRUE_LENGTH = "whole_window", "30_seconds", "true_length"
Arm = Callable[[], object]
ALONE: dict[str, dict[str, Any]] = {
    "blsp": {"batch_size": 1},
    "speechbrain": {"max_seconds": 1.0},
}  # one by one, for the gate
SHIPPED = {"slam_llm": "slam_llm", "blsp": "blsp shipped"}  # the peer's arm with its own stride: 5, and 8
AS_PADDED = {"slam_llm": WHOLE_WINDOW, "blsp": THIRTY_SECONDS}
NAMES = {
    "slam_llm": "SLAM-LLM",
    "blsp": "BLSP",
    "speechbrain": "SpeechBrain's SpeechLLM",
    "azeros": "AZeroS",
    "salm": "NeMo SALM",
    "ultravox": "Ultravox",
}


def run_peer(name: str, ours: Ours, items: list[Item], **options: Any) -> tuple[float, int, peers.Parts]:
    """All items through a peer's arm: summed loss, number of tokens, and the parts, which count positions."""
    parts = peers.Parts(ours.model)
    ours.model.zero_grad(set_to_none=True)
    losses = list(getattr(peers, name)(parts, items, sum(len(item.target) for item in items), **options))
    loss, number = (sum(column) for column in zip(*losses, strict=True))
    return loss, number, parts


def gate(name: str, ours: Ours, *, term: str) -> str:
    """Why a peer's arm does not compute the same as auralign; "" if it does."""
    ours.model.train()
    terms, _ = ours.gradient()
    expected = _gradient(ours)
    items = ours.items()
    loss, number, _ = run_peer(name, ours, items, **ALONE.get(name, {}))
    apart = float((_gradient(ours) - expected).norm() / expected.norm())
    relative = abs(loss - terms[term]) / abs(terms[term])
    wanted = sum(len(item.target) for item in items)
    if relative <= LOSS_GATE and apart <= GRADIENT_GATE and number == wanted:
        return ""
    return f"its loss differs by {relative:.1e}, its gradient by {apart:.1e}, in {number} tokens of {wanted}"


def _gradient(ours: Ours) -> torch.Tensor:
    return torch.cat([one.grad.flatten().float() for one in ours.model.connector.parameters()])


def gates(settings: Settings, names: tuple[str, ...], method: str, term: str) -> dict[str, str]:
    """What is wrong with each peer's arm, "" if nothing, with models whose weights are in fp32."""
    scale = settings.scale if settings.device == "cpu" else "tiny"
    with tempfile.TemporaryDirectory() as folder:
        world = World.make(Path(folder), CORPORA[0], Settings(settings.device, scale), number=NUM_GATE_CLIPS)
        arms = {name: world.ours(method, padding=AS_PADDED.get(name, TRUE_LENGTH)) for name in names}
        return {name: gate(name, ours, term=term) for name, ours in arms.items()}


def compare(
    settings: Settings,
    bars: dict[str, float],
    *,
    method: str,
    term: str,
    kept: tuple[str, float] | None = None,
) -> Iterator[Row]:
    """Rows of auralign against each peer of `bars`, on both corpora.

    `kept` names a peer, and its bar, that auralign with a kept teacher is compared with too.
    """
    void = gates(settings, tuple(bars), method, term)
    for corpus in CORPORA:
        with tempfile.TemporaryDirectory() as folder:
            world = World.make(Path(folder), corpus, settings, number=NUM_CLIPS)
            ours, shipped = world.ours(method), world.as_shipped().ours(method)
            items = peers.shuffled(ours.items())
            arms: dict[str, Arm] = {"ours": ours.epoch}
            for name in bars:
                arms[name] = partial(run_peer, name, ours, items)
                if name in AS_PADDED:
                    arms[f"ours as {name}"] = world.ours(method, padding=AS_PADDED[name]).epoch
            if SHIPPED.keys() & bars:
                arms["shipped"] = shipped.epoch
                arms["blsp shipped"] = partial(run_peer, "blsp", shipped, items)
            if kept:
                arms["kept"] = world.ours(method, top_k=64).epoch
            seconds = in_turn(arms, settings)
            operations = {
                name: count_operations(arm) for name, arm in arms.items() if settings.device == "cpu"
            }
            about = f"{corpus}-like lengths, {NUM_CLIPS} clips"
            for what, theirs, mine, bar in _comparisons(method, bars, kept):
                peer = theirs.partition(" ")[0]
                yield _row(f"{what}, {about}", seconds, operations, theirs, mine, bar, void[peer])
            yield Row(
                f"training by {method}: counters of auralign, {about}",
                f"{statistics.median(seconds['ours']):.2f} {_unit(settings)} an epoch; {count_waits(ours)}",
            )


def _comparisons(
    method: str, bars: dict[str, float], kept: tuple[str, float] | None
) -> Iterator[tuple[str, str, str, float | None]]:
    """What is compared, the arms of the peer and of auralign, and the bar."""
    for name, bar in bars.items():
        yield f"training by {method} against {NAMES[name]}", name, "ours", bar
        if name in AS_PADDED:
            yield f"the same, auralign too with {AS_PADDED[name]}", name, f"ours as {name}", None
        if name in SHIPPED:
            yield "the same, each with the stride that it ships", SHIPPED[name], "shipped", bar
    if kept:
        name, bar = kept
        yield f"training by {method}, teacher kept, against {NAMES[name]}", name, "kept", bar


def _unit(settings: Settings) -> str:
    return "CPU s" if settings.device == "cpu" else "s"


def in_turn(arms: dict[str, Arm], settings: Settings) -> dict[str, list[float]]:
    """Seconds of each run of each arm; one run of each first, which does not count, on a GPU."""
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    on_gpu = settings.device == "cuda"
    clock = time.perf_counter if on_gpu else time.process_time
    for repeat in range(-int(on_gpu), settings.repeats):
        for name, arm in arms.items():
            start = clock()
            arm()
            if on_gpu:
                torch.cuda.synchronize()
            if repeat >= 0:
                seconds[name].append(clock() - start)
    return seconds


def _row(
    what: str,
    seconds: dict[str, list[float]],
    operations: dict[str, int],
    theirs: str,
    mine: str,
    bar: float | None,
    void: str,
) -> Row:
    ratios = [peer / own for peer, own in zip(seconds[theirs], seconds[mine], strict=True)]
    ratio = statistics.median(ratios)
    figure = f"{ratio:.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f}, {len(ratios)} runs)"
    if operations:
        figure += f", {operations[theirs] / operations[mine]:.2f} times fewer operations"
    return Row(what, figure, "" if bar is None else against_bar(ratio, bar), void)
