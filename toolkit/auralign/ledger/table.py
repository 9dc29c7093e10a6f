"""A table in two formats: aligned text for the terminal, Markdown for the report.

>>> table = Table(("questions", "method", "95 % interval"), [["unseen", "sift", "0.40..0.60"]], num_texts=2)
>>> print(table.to_text(heading=lambda row: row[0], without=(0,)))
              95 %
  method  interval
unseen
  sift  0.40..0.60
>>> print(table.to_markdown())
| questions | method | 95 % interval |
| :-- | :-- | --: |
| unseen | sift | 0.40..0.60 |
"""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from auralign.text.characters import show_controls

NOT_DEFINED = "-"
ADDRESS = re.compile(
    r"(https?|ftp|www|[\w.+-](?=@\w))([:.@])", re.IGNORECASE
)  # what Markdown makes a link of
LONGEST_TEXT = 80  # characters of a cell of Markdown


@dataclass(frozen=True)
class Table:
    """Cells of text under headers.

    Arguments
    ---------
    headers : sequence of str
        Empty for a table without headers.
    rows : list of list of str
    num_texts : int
        Number of leading columns with words; the others hold numbers and are right-aligned.
    """

    headers: Sequence[str]
    rows: list[list[str]]
    num_texts: int

    def empty_columns(self) -> tuple[int, ...]:
        """The columns whose cells are all NOT_DEFINED."""
        return tuple(at for at, cells in enumerate(zip(*self.rows, strict=True)) if {*cells} == {NOT_DEFINED})

    def without_empty_columns(self) -> "Table":
        """The table without the columns whose cells are all NOT_DEFINED."""
        left_out = self.empty_columns()
        shown = [at for at in range(len(self.headers)) if at not in left_out]
        rows = [[row[at] for at in shown] for row in self.rows]
        return Table([self.headers[at] for at in shown], rows, sum(at < self.num_texts for at in shown))

    def to_text(
        self, *, heading: Callable[[list[str]], str] | None = None, without: Collection[int] = ()
    ) -> str:
        """Aligned lines; the last word of a header is on a line of its own, so that columns are narrow.

        Arguments
        ---------
        heading : callable (row) -> str, optional
            The heading of a row's block, on a line above the block's first row.
        without : collection of int
            Indices of columns to omit.

        Returns str: "" for a table without rows.
        """
        if not self.rows:
            return ""
        shown = [at for at in range(len(self.rows[0])) if at not in without]
        stacked = [("", "", *(self.headers[at].rsplit(" ", 1)))[-2:] for at in shown if self.headers]
        heads = [list(level) for level in zip(*stacked, strict=True)]
        cells = [[_in_one_line(row[at]) for at in shown] for row in self.rows]
        widths = [max(map(len, column)) for column in zip(*heads, *cells, strict=True)]
        num_texts = sum(at < self.num_texts for at in shown)
        lines = [_align(head, widths, num_texts) for head in heads if any(head)]
        block = None
        for row, line in zip(self.rows, cells, strict=True):
            if heading is not None and heading(row) != block:
                block = heading(row)
                lines.append(_in_one_line(block))
            lines.append(_align(line, widths, num_texts))
        return "\n".join(lines)

    def to_markdown(self) -> str:
        """The table in Markdown; markup in cells, which an LLM may have written, is escaped."""
        marks = [":--" if at < self.num_texts else "--:" for at in range(len(self.headers))]
        lines = (self.headers, marks, *self.rows)
        return "\n".join("| " + " | ".join(map(_escape_cell, cells)) + " |" for cells in lines)


def _align(cells, widths, num_texts):
    padded = [
        f"{cell:<{width}}" if at < num_texts else f"{cell:>{width}}"
        for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  " + " ".join(["  ".join(padded[:num_texts]), *padded[num_texts:]]).rstrip()


def _in_one_line(text: str) -> str:
    """Text for a terminal, without line ends and with controls shown."""
    return show_controls(" ".join(text.replace("\t", " ").splitlines()))


def _escape_cell(text: str) -> str:
    """Text as one cell: as `escape`, and cut if it is long."""
    text = " ".join(text.split())
    return escape(text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…")


def escape(text: str) -> str:
    """Text in Markdown, with line breaks, markup and addresses escaped, and controls shown."""
    text = show_controls(" ".join(text.split()))
    for letter in "\\|<>*_`[]&~$":
        text = text.replace(letter, f"\\{letter}")
    return ADDRESS.sub(r"\1\\\2", text)
