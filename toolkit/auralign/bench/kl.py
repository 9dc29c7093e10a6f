"""`auralign bench kl`: distillation, with the teacher online and kept, against Ultravox's call pattern."""

from collections.abc import Iterator

from auralign.bench import Row, Settings

ONLINE, KEPT = 1.7, 2.2  # the bars


def measure(settings: Settings) -> Iterator[Row]:
    """Rows against Ultravox, and counters."""
    from auralign.bench.training import compare

    yield from compare(
        settings, {"ultravox": ONLINE}, method="distillation", term="divergence", kept=("ultravox", KEPT)
    )
