"""The probe as a picture: the share of the speech by layer, with the stretched text as reference, and CKA by layer."""

from typing import Any

from auralign.files import PathLike
from auralign.ledger.palette import HUES
from auralign.ledger.picture import write_png
from auralign.probe.inputs import ORDERS
from auralign.probe.summary import Probe
from auralign.score.metrics import Estimate

SPEECH_COLOUR, TEXT_COLOUR = HUES[0], HUES[1]  # blue, orange: colour-blind readers can tell them apart
HALF = "#9AA3AB"
TITLES = {"summed": "summed over the edges", "mean": "mean per edge"}


def draw_probe(found: Probe, path: PathLike) -> None:
    """Draw a probe and write it to `path` as PNG, atomically."""
    write_png(path, make_figure, found)


def make_figure(found: Probe) -> Any:
    """The probe as a matplotlib Figure: a row for each order of instruction and speech."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13.0, 7.6), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(ORDERS), 3)
    for order, row in zip(ORDERS, panels, strict=True):
        for axes, (weight, title) in zip(row, TITLES.items(), strict=False):
            _draw_shares(axes, found, order, weight)
            axes.set_title(f"{order}:\n{title}", loc="left", fontsize=11)
    _draw_similarity(panels[0][2], found)
    panels[1][2].remove()
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _draw_shares(axes: Any, found: Probe, order: str, weight: str) -> None:
    chosen = [
        one for one in found.shares if (one.order, one.weight) == (order, weight) and one.layer is not None
    ]
    layers = [one.layer for one in chosen]
    axes.axhline(0.5, color=HALF, linestyle=":", linewidth=1.0)
    _draw_line(axes, layers, [one.speech for one in chosen], SPEECH_COLOUR, "speech, trained model")
    _draw_line(axes, layers, [one.text for one in chosen], TEXT_COLOUR, "stretched text, original LLM")
    _tidy(axes, layers, "share of the speech")


def _draw_similarity(axes: Any, found: Probe) -> None:
    layers = [one.layer for one in found.similarities]
    _draw_line(axes, layers, [one.cka for one in found.similarities], SPEECH_COLOUR, "speech and its text")
    chance = [_height(one.chance) for one in found.similarities]
    axes.plot(layers, chance, color=HALF, linestyle="--", label="permuted pairs")
    _tidy(axes, layers, "linear CKA")
    axes.set_title("Similarity of speech and text,\nlayer 0 is the input", loc="left", fontsize=11)


def _draw_line(axes: Any, layers: list, values: list[Estimate], colour: str, label: str) -> None:
    """A line with a band for its interval, if it has one."""
    axes.plot(
        layers, [_height(one.value) for one in values], color=colour, marker="o", markersize=3.5, label=label
    )
    if values and all(one.low is not None for one in values):
        low, high = ([getattr(one, side) for one in values] for side in ("low", "high"))
        axes.fill_between(layers, low, high, color=colour, alpha=0.2, linewidth=0)


def _height(value: float | None) -> float:
    return float("nan") if value is None else value


def _tidy(axes: Any, layers: list, name: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_ylim(-0.02, 1.02)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axes.set_xlabel("layer")
    axes.set_ylabel(name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if layers:
        axes.legend(frameon=False, fontsize=8, loc="best")
