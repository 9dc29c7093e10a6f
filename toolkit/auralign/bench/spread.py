"""Repeated measurements as text."""

import statistics
from collections.abc import Sequence


def describe_spread(values: Sequence[float]) -> str:
    """Median, minimum and maximum.

    >>> describe_spread([1210.0, 1000.4, 1100.0])
    '1,100 (1,000 to 1,210, 3 runs)'
    """
    middle = statistics.median(values)
    return f"{middle:,.0f} ({min(values):,.0f} to {max(values):,.0f}, {len(values)} runs)"
