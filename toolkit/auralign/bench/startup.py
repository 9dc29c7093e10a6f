"""`auralign bench startup`: what the start of stage 3 takes at 100,000 targets, beyond the start at 100."""

from collections.abc import Iterator

from auralign.bench import Row, Settings, against_bar
from auralign.bench.rows import STEPS, measured

BAR, MANY, FEW = 5.0, {"tiny": 20_000}, 100
BAR_TARGETS = 100_000


def measure(settings: Settings) -> Iterator[Row]:
    """The row; at --scale tiny it is scaled up from 20,000 targets."""
    many = MANY.get(settings.scale, BAR_TARGETS)
    few_seconds, many_seconds = (measured(number)[STEPS[-1]][0] for number in (FEW, many))
    beyond = (many_seconds - few_seconds) * BAR_TARGETS / many
    scaled = "" if many == BAR_TARGETS else f", scaled up from {many:,}"
    yield Row(
        f"start of stage 3 at {BAR_TARGETS:,} targets beyond that at {FEW}{scaled}",
        f"{beyond:.1f} CPU s",
        against_bar(beyond, BAR, at_most=True),
    )
