"""`auralign bench memory`: the largest memory of a step of training at a vocabulary of 152,064, one process an arm."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from auralign.bench import Row, Settings, against_bar
from auralign.bench.apart import apart, peak_of

VOCABULARY, NUM_CLIPS = 152_064, 12
OURS, BARS = "ours", {"slam_llm": 10.0}
PEERS = {"slam_llm": "SLAM-LLM", "blsp": "BLSP", "azeros": "AZeroS", "salm": "NeMo SALM"}


def measure(settings: Settings) -> Iterator[Row]:
    """Rows against each peer."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = (folder, settings.device, settings.scale)
        mine = apart("auralign.bench.memory", OURS, *arguments)
        for name, shown in PEERS.items():
            theirs = apart("auralign.bench.memory", name, *arguments)
            yield Row(
                f"peak memory of training {NUM_CLIPS} clips like LibriSpeech at a vocabulary of {VOCABULARY:,}, against {shown}",
                f"{theirs / mine:.1f} times less: {mine:,.0f} MB above the model, {shown} {theirs:,.0f} MB",
                against_bar(theirs / mine, BARS[name]) if name in BARS else "",
            )


def alone(name: str, folder: str, device: str, scale: str) -> float:
    """Peak memory of an arm in MB, above that of model and data."""
    import torch

    from auralign.bench.corpus import LIBRISPEECH
    from auralign.bench.ours import World
    from auralign.bench.peers import shuffled
    from auralign.bench.training import run_peer

    world = World.make(
        Path(folder), LIBRISPEECH, Settings(device, scale), number=NUM_CLIPS, vocabulary=VOCABULARY
    )
    ours = world.ours("sift")
    items = shuffled(ours.items())

    def work() -> None:
        ours.epoch() if name == OURS else run_peer(name, ours, items)

    if device != "cuda":
        return peak_of(work)[1]
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    work()
    return (torch.cuda.max_memory_allocated() - before) / 2**20
