"""The picture of RESULTS.md: right answers of each arm against how far its embeddings moved, and against its training loss.

draw_obedience(text, path)            # the text of the page, whose tables have the figures

An arm that obeys less than another at the same distance, or with the same loss, has lost obedience by something else.
"""

import re
from collections.abc import Iterator

from auralign.files import PathLike
from auralign.ledger.palette import HUES
from auralign.ledger.picture import write_png

AGAINST = {
    "moved": "distance of the embeddings from their start, of their length",
    "loss": "training loss, last ten steps",
}
HEIGHT, WIDTH = 3.6, 4.4  # inches of a panel

Points = dict[str, tuple[float, float]]


def draw_obedience(text: str, path: PathLike) -> bool:
    """Write the picture of a page as PNG, atomically; returns whether it has tables of arms."""
    panels = list(read_panels(text))
    if panels:
        write_png(path, make_figure, panels)
    return bool(panels)


def read_panels(text: str) -> Iterator[tuple[str, str, Points]]:
    """The experiment, what its right answers are drawn against ("moved" or "loss"), and by arm this figure and the share."""
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        name, _, body = section.partition("\n")
        rows = [
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in body.splitlines()
            if line.startswith("|")
        ]
        head = next((row for row in rows if row[0] == "arm" and "right" in row), [])
        for against in AGAINST:
            if against in head:
                columns = head.index(against), head.index("right")
                found = {row[0]: [row[column] for column in columns] for row in rows if len(row) == len(head)}
                points = {
                    arm: (float(x), float(y))
                    for arm, (x, y) in found.items()
                    if re.fullmatch(r"[\d.]+", x) and re.fullmatch(r"[\d.]+", y)
                }
                if points:
                    yield name.strip(), against, points


def make_figure(panels: list[tuple[str, str, Points]]):
    """The panels, side by side, as a matplotlib Figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH * len(panels), HEIGHT), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    arms = sorted({arm for *_, points in panels for arm in points})
    for axes, (name, against, points) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
    ):
        for arm, (x, y) in points.items():
            axes.plot([x], [y], "o", color=HUES[arms.index(arm) % len(HUES)])
            axes.annotate(arm, (x, y), xytext=(6, 4), textcoords="offset points")
        axes.set(xlabel=AGAINST[against], ylim=(-0.05, 1.0), title=name)
        axes.set_xlim(0, 1.2 * max(x for x, _ in points.values()) or 1)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("right answers, unseen tasks")
    return figure
