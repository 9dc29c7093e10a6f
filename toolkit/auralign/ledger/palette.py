"""Colours of the ledger's pictures: as many as there are methods, different from each other, for colour-blind readers too.

>>> colours = method_colours(["sift seed_1", "sift seed_2", "blsp"])
>>> len(set(colours.values()))                                   # runs of one method have shades of one colour
3
"""

import re
from collections.abc import Sequence

# Okabe and Ito's palette, then the colours of Tol's muted palette that no class of answers has: colour-blind readers can
# distinguish them, and each method has a marker of its own too.
HUES = (
    *("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000"),
    *("#117733", "#882255", "#661100", "#999933", "#AA4499"),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "*", "h", "d")
CLASS_COLOURS = {
    "right": "#D5D9DC",
    "wrong content": "#DDCC77",
    "wrong task": "#CC6677",
    "right content in another form": "#44AA99",
    "transcribed": "#332288",
    "other": "#88CCEE",
}
DARK_CLASSES = ("transcribed",)  # their labels are white
# What `Comparison` adds to the name of a method if several runs of it are compared: "sift seed_1", "sift train_2".
RUN = re.compile(r"[ _-]*(?:seed|train|run)[ _-]?\d+$")
LIGHTEST = 0.6  # share of white in the last shade of a colour


def families(methods: Sequence[str]) -> dict[str, list[str]]:
    """The runs of each method, in their order: "sift seed_1" and "sift seed_2" are runs of "sift"."""
    found: dict[str, list[str]] = {}
    for name in methods:
        found.setdefault(RUN.sub("", name) or name, []).append(name)
    return found


def method_colours(methods: Sequence[str]) -> dict[str, str]:
    """A colour for each method; no two are equal."""
    groups = families(methods)
    hues = HUES if len(groups) <= len(HUES) else _spread(len(groups))
    colours = {}
    for hue, runs in zip(hues, groups.values(), strict=False):
        for number, name in enumerate(runs):
            colours[name] = _lighten(hue, LIGHTEST * number / max(1, len(runs) - 1))
    return colours


def method_markers(methods: Sequence[str]) -> dict[str, str]:
    """A marker for each method; runs of one method have the same."""
    return {
        name: MARKERS[number % len(MARKERS)]
        for number, runs in enumerate(families(methods).values())
        for name in runs
    }


def _spread(number: int) -> list[str]:
    """Colours at equal distances in viridis, whose lightness rises evenly."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colormaps["viridis"](place / (number - 1))) for place in range(number)]


def _lighten(colour: str, share: float) -> str:
    """A colour mixed with a share of white."""
    parts = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return "#" + "".join(f"{round(part + (255 - part) * share):02X}" for part in parts)
