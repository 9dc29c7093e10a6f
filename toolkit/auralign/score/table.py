"""The ledger in plain text for the terminal: legend, table, differences, and the result in words.

Every number and every name in the words is read off the ledger.
"""

from collections.abc import Callable
from dataclasses import dataclass

from auralign.score.ledger import WRONG_CLASSES, Ledger, Row

MAIN_GROUP = "unseen tasks"  # what the ledger is for: does speech obey what it was never trained to obey?
NOT_DEFINED = "-"

IN_WORDS = {
    "wrong content": "the right form around wrong words",
    "wrong task": "the answer to another task",
    "transcribed": "what was said, written down instead of obeyed",
    "other": "of no known kind",
}


@dataclass(frozen=True)
class Column:
    """A column of the table: its header, what it means in one line, and its text for a row."""

    header: str
    meaning: str
    cell: Callable[[Row], str]


def format_rate(value) -> str:
    """A share or a difference with two decimals."""
    return NOT_DEFINED if value is None else f"{value:z.2f}"


def format_interval(estimate) -> str:
    return NOT_DEFINED if estimate.low is None else f"{estimate.low:z.2f}..{estimate.high:z.2f}"


def ledger_columns(ledger: Ledger) -> tuple[Column, ...]:
    """The columns after method and group, in order."""
    interval = f"{100 * ledger.confidence:g} % interval"
    normalised = Column(
        "normalised text",
        "where it reads that without case and punctuation",
        lambda row: format_rate(row.rates.normalised),
    )
    any_form = Column(
        "any form",
        "right answers to speech where the form of the answer is ignored",
        lambda row: format_rate(row.form_ignored),
    )
    is_there = ledger.rows[0].rates.normalised is not None  # else the text is normalised as it stands
    ceiling = normalised.header if is_there else "text"
    return (
        Column(
            "text",
            f"{ledger.measure} where the LLM reads the reference transcript"
            + ("" if is_there else ", which is normalised text as it stands"),
            lambda row: format_rate(row.rates.text),
        ),
        *([normalised] if is_there else []),
        Column(
            "cascade",
            "where it reads the speech encoder's own transcript (matched cascade)",
            lambda row: format_rate(row.rates.transcript),
        ),
        Column(
            "floor",
            "where it hears another utterance's speech (shuffled)",
            lambda row: format_rate(row.rates.shuffled),
        ),
        Column(
            "speech",
            "where it hears the utterance, through the method's connector",
            lambda row: format_rate(row.rates.speech),
        ),
        Column(
            interval,
            f"of the number before it: {ledger.num_resamples} paired resamples of the utterances",
            lambda row: format_interval(row.speech),
        ),
        Column(
            "recovery",
            f"(speech - floor) / ({ceiling} - floor): 0 nothing was heard, 1 as good as reading",
            lambda row: format_rate(row.recovery.value),
        ),
        Column(interval, "", lambda row: format_interval(row.recovery)),
        *([any_form] if ledger.rows[0].form_ignored is not None else []),
        Column(
            "wrong content",
            "how many answers to speech have the right form around wrong words",
            lambda row: str(row.answers["wrong content"]),
        ),
        Column(
            "wrong task",
            "how many do something else than was asked",
            lambda row: str(row.answers["wrong task"]),
        ),
        Column(
            "transcribed",
            "how many write down what was said instead of obeying",
            lambda row: str(row.answers["transcribed"]),
        ),
        Column("other", "how many are wrong in some other way", lambda row: str(row.answers["other"])),
    )


def format_legend(ledger: Ledger) -> str:
    """One line for each column that needs it."""
    lines = [(column.header, column.meaning) for column in ledger_columns(ledger) if column.meaning]
    width = max(len(header) for header, _ in lines)
    return "\n".join(f"  {header:<{width}}  {meaning}" for header, meaning in lines)


def format_table(ledger: Ledger) -> str:
    """The ledger as aligned text: a block for each group, a line for each method."""
    columns = ledger_columns(ledger)
    headers = [_stack(column.header) for column in columns]
    cells = {(row.method, row.group): [column.cell(row) for column in columns] for row in ledger.rows}
    widths = [
        max(map(len, [*header, *(line[place] for line in cells.values())]))
        for place, header in enumerate(headers)
    ]
    first = max(map(len, ledger.methods)) + 2
    lines = [_line("", [header[level] for header in headers], first, widths) for level in (0, 1)]
    for group in ledger.groups:
        lines.append(f"{group}: {ledger.row(ledger.methods[0], group).rates.num_questions} questions")
        lines += [_line(f"  {method}", cells[method, group], first, widths) for method in ledger.methods]
    lines += [f"{group}: not in this corpus" for group in ledger.absent_groups]
    return "\n".join(lines)


def _stack(header):
    *above, below = header.rsplit(" ", 1)
    return " ".join(above), below


def _line(name, cells, first, widths):
    return (
        f"{name:<{first}} " + " ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
    ).rstrip()


def main_group(ledger: Ledger) -> str:
    """What the words and the picture's classes are about: unseen tasks, or else the first group."""
    return MAIN_GROUP if MAIN_GROUP in ledger.groups else ledger.groups[0]


def format_differences(ledger: Ledger, group: str) -> str:
    """Each pair of methods on the same questions of a group, in scores of answers to speech."""
    found = [difference for difference in ledger.differences if difference.group == group]
    names = [f"{difference.method} - {difference.other}" for difference in found]
    width = max(map(len, names), default=0)
    return "\n".join(
        f"  {name:<{width}}  {difference.estimate.value:+z.2f}  ({format_interval(difference.estimate)})"
        for name, difference in zip(names, found, strict=True)
    )


def describe_result(ledger: Ledger) -> str:
    """The result in words: who recovers most where it counts, how surely, and what the wrong answers do."""
    rows = sorted(
        (ledger.row(method, main_group(ledger)) for method in ledger.methods), key=_merit, reverse=True
    )
    margin = _describe_margin(ledger, rows[0], rows[1]) if len(rows) > 1 else ""
    wrong = "; ".join(_describe_wrong(row) for row in rows)
    return f"On {main_group(ledger)}, {_describe_best(rows, ledger.measure)}{margin}. What the wrong answers are: {wrong}."


def _merit(row):
    return (float("-inf") if row.recovery.value is None else row.recovery.value, row.speech.value)


def _describe_best(rows, measure):
    best = rows[0]
    if best.recovery.value is None:
        values = ", ".join(f"{row.method} {format_rate(row.speech.value)}" for row in rows)
        return f"reading gains nothing over the floor, so recovery is undefined; {measure}: {values}"
    values = [f"{row.method} {format_rate(row.recovery.value)}" for row in rows]
    if len(rows) == 1:
        return f"recovery of what reading gains over the floor: {values[0]}"
    return f"{best.method} recovers most of what reading gains over the floor ({', '.join(values)})"


def _describe_margin(ledger, best, second):
    """A warning where the paired difference of the best two may as well be nothing."""
    names = {best.method, second.method}
    found = next(
        item for item in ledger.differences if item.group == best.group and {item.method, item.other} == names
    )
    if found.estimate.low is not None and not found.estimate.low <= 0 <= found.estimate.high:
        return ""
    interval = format_interval(found.estimate)
    return (
        f", but {second.method} may equal it ({found.method} - {found.other} in {ledger.measure}: {interval})"
    )


def _describe_wrong(row):
    wrong = {name: row.answers[name] for name in WRONG_CLASSES}
    total = sum(wrong.values())
    if not total:
        return f"{row.method} has none"
    name = max(wrong, key=wrong.get)
    return f"{row.method} has {total}, {100 * wrong[name] / total:.0f} % of them {IN_WORDS[name]}"
