"""The ledger as a picture: scores by group and method, and the classes of the answers on unseen tasks.

A few methods are drawn as bars side by side. If that leaves no room for the labels, each method has a row of its own, and each
group of questions a panel, as high as the methods need. Matplotlib is imported only when a picture is drawn. The bytes depend
only on the ledger and matplotlib's version.
"""

from collections.abc import Callable
from itertools import combinations
from typing import Any

from auralign.files import PathLike, write_atomically
from auralign.ledger.ledger import CLASSES, Ledger
from auralign.ledger.palette import CLASS_COLOURS, DARK_CLASSES, method_colours
from auralign.ledger.picture_rows import draw_rows
from auralign.ledger.summary import main_group, name_floor

INK = "#222222"
SIZE = (12.0, 4.8)  # inches; at 100 dots an inch it fits a README
GROUP_WIDTH = 0.78  # of the distance between groups
MAX_GROUPS, MAX_METHODS = 5, 6  # of bars side by side
MAX_NAME = 40  # characters of a group's or a method's name; longer ones leave no room for bars
# For names in scripts that matplotlib's own font lacks, where they are installed.
OTHER_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans Arabic",
    "Noto Sans Devanagari",
    "WenQuanYi Zen Hei",
    "Arial Unicode MS",
)
LEAST_LABELLED = 0.06  # a thinner slice has no room for its label
FIRST_LEGEND, SECOND_LEGEND = -0.19, -0.33  # below the axes, as shares of their height


def draw_ledger(ledger: Ledger, path) -> None:
    """Draw the ledger and write it to `path` as PNG, atomically."""
    write_png(path, make_figure, ledger)


def write_png(path: PathLike, make_figure: Callable[[Any], Any], found: Any) -> None:
    """Write the figure that `make_figure` makes of what was found to `path` as PNG, atomically, in matplotlib's own style."""
    import matplotlib.style
    from matplotlib.font_manager import get_font_names

    fonts = ["DejaVu Sans", *sorted({*OTHER_FONTS} & {*get_font_names()})]
    # Names are drawn as they are: "$a_$b" is no formula.
    with matplotlib.style.context(["default", {"text.parse_math": False, "font.family": fonts}]):
        figure = make_figure(found)
        with write_atomically(path, "wb") as file:
            figure.savefig(file, format="png", metadata={"Software": None})


def make_figure(ledger: Ledger):
    """The ledger as a matplotlib Figure, in which no two labels overlap."""
    is_short = max(map(len, (*ledger.groups, *ledger.methods))) <= MAX_NAME
    if is_short and len(ledger.groups) <= MAX_GROUPS and len(ledger.methods) <= MAX_METHODS:
        figure = _new_figure(SIZE)
        bars, stacks = figure.subplots(1, 2, width_ratios=(2.1, 1))
        _draw_rates(bars, ledger)
        _draw_classes(stacks, ledger)
        if not overlapping_labels(figure):
            return figure
    return draw_rows(ledger, _new_figure)


def overlapping_labels(figure) -> list[tuple[str, str]]:
    """The pairs of texts in a figure, and of legends, whose boxes share some space."""
    from matplotlib.legend import Legend
    from matplotlib.text import Text

    figure.canvas.draw()
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    # A legend's lines and patches are no texts, so that legends are compared as wholes.
    legends = [(_first_label(legend), legend.get_window_extent()) for legend in figure.findobj(Legend)]
    return [
        (name, other)
        for (name, box), (other, their) in (*combinations(boxes, 2), *combinations(legends, 2))
        if box.x0 < their.x1 and their.x0 < box.x1 and box.y0 < their.y1 and their.y0 < box.y1
    ]


def _first_label(legend) -> str:
    return f"legend of {legend.get_texts()[0].get_text()}"


def _new_figure(size):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _draw_rates(axes, ledger):
    """A bar for each group and method, with marks for the ceiling, the cascade and the floor."""
    colours = method_colours(ledger.methods)
    bars = [_draw_method(axes, ledger, number, colours[name]) for number, name in enumerate(ledger.methods)]
    positions = range(len(ledger.groups))
    shared = [ledger.row(ledger.methods[0], group).rates for group in ledger.groups]
    ceiling = _mark(axes, positions, [rates.ceiling for rates in shared], GROUP_WIDTH, "-")
    marks = {"ceiling (reads the text)": ceiling}
    if shared[0].transcript is not None:
        heights = [rates.transcript for rates in shared]
        marks["cascade (reads the encoder's transcript)"] = _mark(axes, positions, heights, GROUP_WIDTH, "--")
    labels = [
        f"{_wrap(group)}\n({rates.num_questions})" for group, rates in zip(ledger.groups, shared, strict=True)
    ]
    axes.set_xticks(positions, labels)
    axes.set_ylabel(f"{ledger.metric} to speech")
    axes.set_title("How close does hearing come to reading?", loc="left", fontsize=12)
    _tidy(axes)
    marks[name_floor(shared[0])] = bars[0][1]
    axes.add_artist(_place_legend(axes, list(marks.values()), list(marks), FIRST_LEGEND, max_columns=2))
    _place_legend(
        axes, [boxes for boxes, _ in bars], ledger.methods, SECOND_LEGEND
    )  # last, as many methods need several lines


def _draw_method(axes, ledger, number, colour):
    """Draw the bars of one method with their intervals and floors; returns bars and floors for the legend."""
    width = GROUP_WIDTH / len(ledger.methods)
    rows = [ledger.row(ledger.methods[number], group) for group in ledger.groups]
    middles = [position + (number + 0.5) * width - GROUP_WIDTH / 2 for position in range(len(rows))]
    heights = [row.speech.value for row in rows]
    speech = [row.speech for row in rows]  # too few speakers have no interval
    below = [0.0 if found.low is None else found.value - found.low for found in speech]
    above = [0.0 if found.high is None else found.high - found.value for found in speech]
    bars = axes.bar(middles, heights, 0.86 * width, color=colour, zorder=2)
    axes.errorbar(
        middles, heights, (below, above), fmt="none", ecolor=INK, elinewidth=1.2, capsize=2.5, zorder=5
    )
    floors = _mark(axes, middles, [row.rates.floor for row in rows], 0.86 * width, ":")
    return bars, floors


def _mark(axes, middles, heights, width, style):
    """Short horizontal lines with a white edge, visible on bars of any colour."""
    starts, ends = [x - width / 2 for x in middles], [x + width / 2 for x in middles]
    axes.hlines(heights, starts, ends, colors="white", linewidth=3.4, alpha=0.8, zorder=3)
    return axes.hlines(heights, starts, ends, colors=INK, linestyles=style, linewidth=1.6, zorder=4)


def _draw_classes(axes, ledger):
    """The answers to speech on the main group, as shares of a bar for each method."""
    rows = [ledger.row(method, main_group(ledger)) for method in ledger.methods]
    below = [0.0] * len(rows)
    stacks = []
    for name in CLASSES:
        shares = [row.answers.get(name, 0) / row.rates.num_questions for row in rows]
        bars = axes.bar(
            ledger.methods, shares, 0.7, bottom=below, color=CLASS_COLOURS[name], edgecolor="white", zorder=2
        )
        labels = [f"{100 * share:.0f} %" if share >= LEAST_LABELLED else "" for share in shares]
        colour = "white" if name in DARK_CLASSES else INK
        axes.bar_label(bars, labels, label_type="center", fontsize=9, color=colour, zorder=6)
        below = [under + share for under, share in zip(below, shares, strict=True)]
        stacks.append(bars)
    axes.set_title(f"What the answers are:\n{main_group(ledger)}", loc="left", fontsize=12)
    _tidy(axes)
    _place_legend(axes, stacks, CLASSES, FIRST_LEGEND, max_columns=3)


def _place_legend(axes, handles, labels, height, *, max_columns=4):
    return axes.legend(
        handles,
        labels,
        loc="upper center",
        bbox_to_anchor=(0.5, height),
        ncols=min(len(labels), max_columns),
        frameon=False,
        fontsize=9,
        columnspacing=1.4,
        handlelength=1.8,
        borderpad=0,
    )


def _tidy(axes):
    axes.set_ylim(0, 1.04)
    axes.tick_params(axis="x", length=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#DDDDDD", zorder=0)
    axes.set_axisbelow(True)


def _wrap(name):
    """A group's name on two lines, cut at the space nearest to its middle."""
    spaces = [index for index, letter in enumerate(name) if letter == " "]
    if not spaces:
        return name
    cut = min(spaces, key=lambda index: abs(index - len(name) / 2))
    return f"{name[:cut]}\n{name[cut + 1 :]}"
