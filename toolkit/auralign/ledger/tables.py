"""The tables of a ledger: its rows with a legend, differences between methods, rates by task, and wrong answers."""

from collections.abc import Callable
from dataclasses import dataclass

from auralign.ledger.ledger import Ledger, Row
from auralign.ledger.table import NOT_DEFINED, Table
from auralign.score.metrics import LEAST_SPAN

NOT_MEANINGFUL = "n/a"  # of a recovery


@dataclass(frozen=True)
class Column:
    """A column of the table: its header, its meaning in one line, and its text for a row."""

    header: str
    meaning: str
    cell: Callable[[Row], str]


def format_rate(value) -> str:
    """A share or a difference with two decimals."""
    return NOT_DEFINED if value is None else f"{value:z.2f}"


def format_recovery(row: Row) -> str:
    """The recovery of a row; without one the two rates that are too near each other: `n/a (text 0.37, floor 0.30)`."""
    if row.recovery.value is not None:
        return format_rate(row.recovery.value)
    ceiling = "text" if row.rates.normalised is None else "normalised text"
    return f"{NOT_MEANINGFUL} ({ceiling} {format_rate(row.rates.ceiling)}, floor {format_rate(row.rates.shuffled)})"


def format_interval(estimate) -> str:
    return NOT_DEFINED if estimate.low is None else f"{estimate.low:z.2f}..{estimate.high:z.2f}"


def ledger_columns(ledger: Ledger) -> tuple[Column, ...]:
    """The columns after method and group, in order."""
    interval = f"{100 * ledger.confidence:g} % interval"
    normalised = Column(
        "normalised text",
        "when it reads the transcript without case and punctuation",
        lambda row: format_rate(row.rates.normalised),
    )
    any_form = Column(
        "any form",
        "right answers to speech if the form of the answer is ignored",
        lambda row: format_rate(row.form_ignored),
    )
    is_there = ledger.rows[0].rates.normalised is not None  # else the reference text is normalised already
    ceiling = normalised.header if is_there else "text"
    return (
        Column(
            "text",
            f"{ledger.metric} when the LLM reads the reference transcript"
            + ("" if is_there else ", which is normalised already"),
            lambda row: format_rate(row.rates.text),
        ),
        *([normalised] if is_there else []),
        Column(
            "cascade",
            "when it reads the speech encoder's own transcript (matched cascade)",
            lambda row: format_rate(row.rates.transcript),
        ),
        Column(
            "floor",
            "when it is given another utterance's speech (shuffled)",
            lambda row: format_rate(row.rates.shuffled),
        ),
        Column(
            "speech",
            "when it is given the utterance's speech, through the method's connector",
            lambda row: format_rate(row.rates.speech),
        ),
        Column(
            interval,
            f"of the number before it: {ledger.num_resamples} paired resamples of the utterances",
            lambda row: format_interval(row.speech),
        ),
        Column(
            "recovery",
            f"(speech - floor) / ({ceiling} - floor): 0 if nothing of the speech arrives, 1 if it is as good as reading; "
            f"{NOT_MEANINGFUL} if {ceiling} is less than {LEAST_SPAN:g} above the floor: compare the two rates of the row",
            lambda row: NOT_MEANINGFUL if row.recovery.value is None else format_rate(row.recovery.value),
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
            "how many do another task than the requested one",
            lambda row: str(row.answers["wrong task"]),
        ),
        Column(
            "transcribed",
            "how many write down what was said instead of obeying",
            lambda row: str(row.answers["transcribed"]),
        ),
        Column("other", "how many are wrong in some other way", lambda row: str(row.answers["other"])),
    )


def ledger_table(ledger: Ledger) -> Table:
    """A row for each group and method."""
    columns = ledger_columns(ledger)
    headers = ["questions", "method", "number", *(column.header for column in columns)]
    rows = [
        [row.group, row.method, str(row.rates.num_questions), *(column.cell(row) for column in columns)]
        for row in ledger.rows
    ]
    return Table(headers, rows, num_texts=2)


def format_ledger(ledger: Ledger) -> str:
    """The ledger as aligned text: a block for each group, a line for each method."""
    text = ledger_table(ledger).to_text(heading=lambda row: f"{row[0]}: {row[2]} questions", without=(0, 2))
    return "\n".join([text, *(f"{group}: not in this corpus" for group in ledger.absent_groups)])


def format_legend(ledger: Ledger) -> str:
    """One line for each column that has a meaning."""
    lines = [[column.header, column.meaning] for column in ledger_columns(ledger) if column.meaning]
    return Table((), lines, num_texts=2).to_text()


def difference_table(ledger: Ledger) -> Table:
    """The difference of each pair of methods in each group, in scores of answers to speech."""
    headers = (
        "questions",
        f"difference in {ledger.metric} to speech",
        "value",
        f"{100 * ledger.confidence:g} % interval",
    )
    rows = [
        [
            item.group,
            f"{item.method} - {item.other}",
            f"{item.estimate.value:+z.2f}",
            format_interval(item.estimate),
        ]
        for item in ledger.differences
    ]
    return Table(headers, rows, num_texts=2)


def format_differences(ledger: Ledger, group: str) -> str:
    """The differences in one group as aligned text."""
    rows = [
        [name, value, f"({interval})"]
        for asked, name, value, interval in difference_table(ledger).rows
        if asked == group
    ]
    return Table((), rows, num_texts=3).to_text()


def rates_by_task(ledger: Ledger) -> Table:
    """A row for each group and task, a column for each method."""
    headers = ("questions", "task", "number", "text", "cascade", *ledger.methods)
    rows = []
    for group in ledger.groups:
        by_method = [ledger.row(method, group).tasks for method in ledger.methods]
        for task, rates in by_method[0].items():
            speech = (tasks[task].speech for tasks in by_method)
            numbers = map(format_rate, (rates.text, rates.transcript, *speech))
            rows.append([group, task or NOT_DEFINED, str(rates.num_questions), *numbers])
    return Table(headers, rows, num_texts=2)


def wrong_answers(ledger: Ledger) -> Table:
    """The examples of wrong answers."""
    headers = ("method", "questions", "class", "instruction", "said", "expected", "got")
    rows = [
        [
            example.method,
            example.group,
            example.answer_class,
            example.instruction or NOT_DEFINED,
            example.said,
            example.expected,
            example.got,
        ]
        for example in ledger.examples
    ]
    return Table(headers, rows, num_texts=len(headers))
