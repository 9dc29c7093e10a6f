"""The ledger as a picture: scores by group and method, and the classes of the answers on unseen tasks.

Matplotlib is imported only when a picture is drawn. The bytes depend only on the ledger and matplotlib's version.
"""

from auralign.files import write_atomically
from auralign.ledger.ledger import CLASSES, Ledger
from auralign.ledger.summary import main_group

# Okabe and Ito's palette for methods, Tol's muted palette for wrong answers: colour-blind readers can distinguish them.
METHOD_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
CLASS_COLOURS = {
    "right": "#D5D9DC",
    "wrong content": "#DDCC77",
    "wrong task": "#CC6677",
    "transcribed": "#332288",
    "other": "#88CCEE",
}
DARK_CLASSES = ("transcribed",)  # their labels are white
INK = "#222222"
SIZE = (12.0, 4.8)  # inches; at 100 dots an inch it fits a README
GROUP_WIDTH = 0.78  # of the distance between groups
FEW_GROUPS = 5  # more names under the bars are slanted
FEW_METHODS = 4  # more names side by side are slanted
LEAST_LABELLED = 0.06  # a thinner slice has no room for its label
FIRST_LEGEND, SECOND_LEGEND = -0.19, -0.26  # below the axes, as shares of their height


def draw_ledger(ledger: Ledger, path) -> None:
    """Draw the ledger and write it to `path` as PNG, atomically."""
    import matplotlib.style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.style.context("default"):
        figure = Figure(figsize=SIZE, dpi=100, layout="constrained")
        FigureCanvasAgg(figure)
        bars, stacks = figure.subplots(1, 2, width_ratios=(2.1, 1))
        _draw_rates(bars, ledger)
        _draw_classes(stacks, ledger)
        with write_atomically(path, "wb") as file:
            figure.savefig(file, format="png", metadata={"Software": None})


def _draw_rates(axes, ledger):
    """A bar for each group and method, with marks for the ceiling, the cascade and the floor."""
    bars = [_draw_method(axes, ledger, number) for number in range(len(ledger.methods))]
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
    if len(labels) > FEW_GROUPS:
        axes.tick_params(axis="x", labelrotation=35, labelsize=8)
        for label in axes.get_xticklabels():
            label.set_horizontalalignment("right")
            label.set_rotation_mode("anchor")
    axes.set_ylabel(f"{ledger.metric} to speech")
    axes.set_title("How close does hearing come to reading?", loc="left", fontsize=12)
    _tidy(axes)
    marks["floor (hears another's speech)"] = bars[0][1]
    axes.add_artist(_place_legend(axes, list(marks.values()), list(marks), FIRST_LEGEND))
    _place_legend(
        axes, [boxes for boxes, _ in bars], ledger.methods, SECOND_LEGEND
    )  # last, as many methods need several lines


def _draw_method(axes, ledger, number):
    """Draw the bars of one method with their intervals and floors; returns bars and floors for the legend."""
    width = GROUP_WIDTH / len(ledger.methods)
    rows = [ledger.row(ledger.methods[number], group) for group in ledger.groups]
    middles = [position + (number + 0.5) * width - GROUP_WIDTH / 2 for position in range(len(rows))]
    heights = [row.speech.value for row in rows]
    speech = [row.speech for row in rows]  # that of a single utterance has no interval
    below = [0.0 if found.low is None else found.value - found.low for found in speech]
    above = [0.0 if found.high is None else found.high - found.value for found in speech]
    colour = METHOD_COLOURS[number % len(METHOD_COLOURS)]
    bars = axes.bar(middles, heights, 0.86 * width, color=colour, zorder=2)
    axes.errorbar(
        middles, heights, (below, above), fmt="none", ecolor=INK, elinewidth=1.2, capsize=2.5, zorder=5
    )
    floors = _mark(axes, middles, [row.rates.shuffled for row in rows], 0.86 * width, ":")
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
        shares = [row.answers[name] / row.rates.num_questions for row in rows]
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
    if len(rows) > FEW_METHODS:
        axes.tick_params(axis="x", labelrotation=20)
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
