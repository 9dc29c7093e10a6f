"""The ledger as rows, for many methods, seeds or groups: a row for each method, a panel for each group of questions.

The last panel has the classes of the answers on the main group. The picture is as wide as that of bars, and as high as its rows
and panels need, so that no label meets another.
"""

import textwrap

from auralign.ledger.ledger import CLASSES, Ledger
from auralign.ledger.palette import CLASS_COLOURS, DARK_CLASSES, method_colours, method_markers
from auralign.ledger.summary import main_group, name_floor

WIDTH = 12.0  # inches
PER_LINE = 3  # panels side by side
NAME_WIDTH, NAME_LINES = 26, 2  # characters and lines of a method's name
TITLE_WIDTH, TITLE_LINES = 32, 3
ROW_HEIGHT, LINE_HEIGHT = 0.09, 0.14  # inches around a name, and of one line of it
PANEL_HEIGHT = 0.95  # inches for the title and the axis of a panel
LEGEND_HEIGHT = 0.6
LEAST_LABELLED = 0.14  # a narrower slice has no room for its label
INK = "#222222"


def draw_rows(ledger: Ledger, new_figure):
    """The figure.

    Arguments
    ---------
    ledger : Ledger
    new_figure : callable ((width, height) in inches) -> matplotlib Figure
    """
    names = [_fold(name, NAME_WIDTH, NAME_LINES) for name in ledger.methods]
    lines_of_names = max(name.count("\n") + 1 for name in names)
    num_panels = len(ledger.groups) + 1
    num_columns = min(PER_LINE, num_panels)
    num_lines = -(-num_panels // num_columns)
    height_of_rows = len(names) * (ROW_HEIGHT + LINE_HEIGHT * lines_of_names)
    figure = new_figure((WIDTH, num_lines * (PANEL_HEIGHT + height_of_rows) + LEGEND_HEIGHT))
    panels = figure.subplots(num_lines, num_columns, squeeze=False).flatten()
    for panel in panels[num_panels:]:
        panel.set_visible(False)
    for number, (panel, group) in enumerate(zip(panels, ledger.groups, strict=False)):
        marks = _draw_group(panel, ledger, group)
        _name_rows(panel, names if number % num_columns == 0 else None, len(names))
    stacks = panels[num_panels - 1]
    classes = _draw_classes(stacks, ledger)
    _name_rows(stacks, names if (num_panels - 1) % num_columns == 0 else None, len(names))
    figure.legend(
        [*marks.values(), *classes.values()],
        [*marks, *classes],
        loc="outside lower center",
        ncols=5,
        frameon=False,
        fontsize=8,
    )
    return figure


def _draw_group(axes, ledger, group):
    """Scores of one group with their intervals and floors, and lines for the ceiling and the cascade; returns them by name."""
    colours, markers = method_colours(ledger.methods), method_markers(ledger.methods)
    for place, method in enumerate(ledger.methods):
        row = ledger.row(method, group)
        value, colour = row.speech.value, colours[method]
        if row.speech.low is not None:  # too few speakers have no interval
            axes.plot((row.speech.low, row.speech.high), (place, place), color=INK, linewidth=1.2, zorder=3)
        axes.plot(
            value,
            place,
            marker=markers[method],
            markersize=7,
            color=colour,
            markeredgecolor=INK,
            markeredgewidth=0.6,
            linestyle="none",
            zorder=4,
            clip_on=False,
        )
        floor = axes.vlines(row.rates.floor, place - 0.4, place + 0.4, colors=INK, linestyles=":", zorder=2)
    rates = ledger.row(ledger.methods[0], group).rates
    marks = {"ceiling (reads the text)": axes.axvline(rates.ceiling, color=INK, linewidth=1.4, zorder=1)}
    if rates.transcript is not None:
        line = axes.axvline(rates.transcript, color=INK, linewidth=1.4, linestyle="--", zorder=1)
        marks["cascade (reads the encoder's transcript)"] = line
    marks[name_floor(rates)] = floor
    axes.set_xlabel(f"{ledger.metric} to speech", fontsize=9)
    axes.set_title(
        f"{_fold(group, TITLE_WIDTH, TITLE_LINES)}\n({rates.num_questions} questions)",
        loc="left",
        fontsize=10,
    )
    _tidy(axes)
    return marks


def _draw_classes(axes, ledger):
    """The answers to speech on the main group, as shares of a row for each method; returns the bars by class."""
    group = main_group(ledger)
    rows = [ledger.row(method, group) for method in ledger.methods]
    places = range(len(rows))
    start = [0.0] * len(rows)
    found = {}
    for name in CLASSES:
        shares = [row.answers.get(name, 0) / row.rates.num_questions for row in rows]
        bars = axes.barh(
            places, shares, 0.78, left=start, color=CLASS_COLOURS[name], edgecolor="white", zorder=2
        )
        labels = [f"{100 * share:.0f} %" if share >= LEAST_LABELLED else "" for share in shares]
        colour = "white" if name in DARK_CLASSES else INK
        axes.bar_label(bars, labels, label_type="center", fontsize=7.5, color=colour, zorder=6)
        start = [left + share for left, share in zip(start, shares, strict=True)]
        found[name] = bars
    axes.set_xlabel("share of the answers", fontsize=9)
    axes.set_title(
        f"What the answers are:\n{_fold(group, TITLE_WIDTH, TITLE_LINES)}", loc="left", fontsize=10
    )
    _tidy(axes)
    return found


def _name_rows(axes, names, number):
    """The methods from top to bottom; `names` is None for a panel beside one that has them."""
    axes.set_ylim(number - 0.4, -0.6)
    axes.set_yticks(range(number), names if names else [""] * number, fontsize=8)
    axes.tick_params(axis="y", length=0)


def _tidy(axes):
    axes.set_xlim(0, 1.02)
    axes.set_xticks((0, 0.25, 0.5, 0.75, 1), ("0", "0.25", "0.5", "0.75", "1"), fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="#DDDDDD", zorder=0)
    axes.set_axisbelow(True)


def _fold(text, width, most):
    """A name on at most `most` lines of `width` characters; the end is kept, as it tells the runs of one method apart."""
    lines = textwrap.wrap(text, width, break_long_words=True) or [text]
    if len(lines) > most:
        kept = width * most - 1 - 2 * most
        lines = textwrap.wrap(f"{text[: kept // 2]}…{text[len(text) - kept // 2 :]}", width, max_lines=most)
    return "\n".join(lines)
