"""The audit as a picture: the form gap of the targets, the form gap by instruction, and the shares against their limits."""

import textwrap
from typing import Any

from auralign.audit.measures import MEASURES
from auralign.audit.summary import Audit
from auralign.files import PathLike
from auralign.ledger.palette import HUES
from auralign.ledger.picture import INK, write_png

GOOD, BAD, NEUTRAL = (
    HUES[0],
    HUES[5],
    "#9AA3AB",
)  # blue, vermilion, grey: colour-blind readers can tell them apart
MAX_BARS = 8  # instructions; the others are in the table
NAME_WIDTH = 26  # characters of an instruction's line
NUM_BINS = 24


def draw_audit(found: Audit, path: PathLike) -> None:
    """Draw an audit and write it to `path` as PNG, atomically."""
    write_png(path, make_figure, found)


def make_figure(found: Audit) -> Any:
    """The audit as a matplotlib Figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13.0, 4.2), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    gaps, instructions, shares = figure.subplots(1, 3)
    _draw_gaps(gaps, found)
    _draw_instructions(instructions, found)
    _draw_shares(shares, found)
    for axes in (gaps, instructions, shares):
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
    return figure


def _draw_gaps(axes: Any, found: Audit) -> None:
    axes.hist(found.gaps, bins=NUM_BINS, range=(0, max(1.0, *found.gaps)), color=GOOD)
    _draw_limit(axes, found.measures["gap"].limit)
    axes.set_xlabel("form gap of a target, nats a token")
    axes.set_ylabel("targets")
    axes.set_title("How far from the LLM's own form?", loc="left", fontsize=11)


def _draw_instructions(axes: Any, found: Audit) -> None:
    """The gap of each instruction; vermilion if most of its targets conflict with it."""
    groups = found.groups[:MAX_BARS][::-1]
    names = [_fold(group.instruction or "(nothing is asked)") for group in groups]
    colours = [NEUTRAL if not group.instruction else BAD if group.foreign > 0.5 else GOOD for group in groups]
    axes.barh(range(len(groups)), [group.gap for group in groups], color=colours)
    axes.set_yticks(range(len(groups)), names, fontsize=8)
    axes.set_xlim(0, max(1.0, *(1.05 * group.gap for group in groups)))
    axes.set_xlabel("form gap, nats a token")
    axes.set_title("By instruction: blue is the LLM's own,\nvermilion conflicts", loc="left", fontsize=11)


def _draw_shares(axes: Any, found: Audit) -> None:
    """The measures that are shares and have a limit, each with a mark at it."""
    names = [
        name
        for name, value in found.measures.items()
        if MEASURES[name].unit.startswith("share") and value.limit is not None and value.value is not None
    ][::-1]
    values = [found.measures[name] for name in names]
    colours = [GOOD if value.passed else BAD for value in values]
    axes.barh(range(len(names)), [value.value for value in values], color=colours)
    axes.plot([value.limit for value in values], range(len(names)), "|", color=INK, markersize=14)
    axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names], fontsize=9)
    axes.set_xlim(0, 1)
    axes.set_xlabel("share; the mark is the limit")
    axes.set_title("What is within its limit?", loc="left", fontsize=11)


def _draw_limit(axes: Any, limit: float | None) -> None:
    if limit is not None:
        axes.axvline(limit, color=INK, linestyle="--", linewidth=1.2)


def _fold(text: str) -> str:
    lines = textwrap.wrap(text, NAME_WIDTH, max_lines=2, placeholder=" …")
    return "\n".join(lines)
