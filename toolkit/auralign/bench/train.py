"""`auralign bench train`: cross-entropy training, as shipped, against five peers' call patterns."""

from collections.abc import Iterator

from auralign.bench import Row, Settings

BARS = {"slam_llm": 3.3, "blsp": 2.8, "azeros": 1.3, "speechbrain": 1.15, "salm": 1.3}


def measure(settings: Settings) -> Iterator[Row]:
    """Rows against each peer, with and without the difference in padding, and counters."""
    from auralign.bench.training import compare

    yield from compare(settings, BARS, method="sift", term="cross_entropy")
