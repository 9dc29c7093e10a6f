"""The measures of the tasks as tables: for the terminal, the report and `scores.json`."""

import dataclasses

from auralign.score.measures import Measured, Significance, Spread, TaskComparison, TaskTable

TASK_HEADERS = (
    "questions",
    "task",
    "measure",
    "method",
    "number",
    "text",
    "normalised text",
    "cascade",
    "floor",
    "speech",
    "interval",
    "worst",
    "deviation",
)
COMPARISON_HEADERS = (
    "questions",
    "task",
    "measure",
    "speech of",
    "against",
    "difference",
    "significant",
    "test",
)
NUM_TEXTS, NUM_COMPARISON_TEXTS = 4, 5  # the first columns are words
NOT_DEFINED = "-"
LEGEND = (
    "Mean over the phrasings of a task; worst and deviation of the speech column over them; its interval is of all of them "
    "together. A dash is no interval: BLEU and chrF have none, nor have fewer than two speakers; of fewer than twenty it is "
    "rough. significant, in the report: in how many of the phrasings chance does not explain the difference, at 5 %."
)


def task_rows(tables: list[TaskTable]) -> list[list[str]]:
    """A line for each measure and method, under TASK_HEADERS."""
    rows = []
    for table in tables:
        for method, heard in table.heard.items():
            speech = heard["speech"]
            rows.append(
                [
                    table.group,
                    table.task,
                    _name(table),
                    method,
                    f"{table.num_questions} x {table.num_phrasings}",
                    *(_mean(table.read.get(kind)) for kind in ("text", "normalised", "transcript")),
                    _mean(heard["shuffled"]),
                    _mean(speech),
                    _interval(speech),
                    f"{speech.worst:z.2f}",
                    f"{speech.deviation:z.2f}",
                ]
            )
    return rows


def comparison_rows(tables: list[TaskTable]) -> list[list[str]]:
    """A line for each comparison, under COMPARISON_HEADERS."""
    return [
        [
            table.group,
            table.task,
            _name(table),
            comparison.method,
            comparison.other,
            f"{comparison.mean:+z.2f}",
            f"{comparison.num_significant} of {len(comparison.values)}",
            comparison.values[0].test,
        ]
        for table in tables
        for comparison in table.comparisons
    ]


def wording_rows(tables: list[TaskTable]) -> tuple[list[str], list[list[str]]]:
    """Headers and rows: each measure of the answers to speech, wording by wording."""
    most = max(table.num_phrasings for table in tables)
    rows = []
    for table in tables:
        for method, heard in table.heard.items():
            values = [f"{measured.value:z.2f}" for measured in heard["speech"].values]
            rows.append(
                [
                    table.group,
                    table.task,
                    _name(table),
                    method,
                    *values,
                    *[NOT_DEFINED] * (most - len(values)),
                ]
            )
    return [*TASK_HEADERS[:NUM_TEXTS], *(str(number + 1) for number in range(most))], rows


def list_wordings(tables: list[TaskTable]) -> list[str]:
    """What is asked: of each task, and each manner of asking it, the numbered wordings."""
    told = {}  # to the first group that asks so
    for table in tables:
        told.setdefault((table.task, table.wordings), table.group)
    return [
        f"{group}, {task}, {number}: {wording!r}"
        for (task, wordings), group in told.items()
        for number, wording in enumerate(wordings, start=1)
    ]


def format_tasks(tables: list[TaskTable]) -> str:
    """The measures as aligned text: a block for each group and task, without columns that hold nothing."""
    headers, rows = TASK_HEADERS[2:], [row[2:] for row in task_rows(tables)]
    places = [place for place in range(len(headers)) if any(row[place] != NOT_DEFINED for row in rows)]
    cut = [[row[place] for place in places] for row in rows]
    widths = [
        max(len(text) for text in (headers[place], *(row[number] for row in cut)))
        for number, place in enumerate(places)
    ]
    lines, block = ["  " + _align([headers[place] for place in places], widths)], None
    for row, cells in zip(task_rows(tables), cut, strict=True):
        if row[:2] != block:
            block = row[:2]
            lines.append(f"{block[0]}: {block[1]}")
        lines.append("  " + _align(cells, widths))
    return "\n".join(lines)


def _align(cells, widths):
    pairs = zip(cells, widths, strict=True)
    return "  ".join(
        f"{cell:<{width}}" if number < 2 else f"{cell:>{width}}" for number, (cell, width) in enumerate(pairs)
    ).rstrip()


def tables_to_list(tables: list[TaskTable]) -> list[dict]:
    """Plain values, ready for JSON."""
    return [dataclasses.asdict(table) for table in tables]


def tables_from_list(values: list[dict]) -> list[TaskTable]:
    """What `tables_to_list` described, also after a passage through JSON."""
    return [
        TaskTable(
            **value
            | {
                "read": {kind: _spread(spread) for kind, spread in value["read"].items()},
                "heard": {
                    method: {kind: _spread(spread) for kind, spread in heard.items()}
                    for method, heard in value["heard"].items()
                },
                "comparisons": tuple(
                    TaskComparison(**item | {"values": tuple(Significance(**one) for one in item["values"])})
                    for item in value["comparisons"]
                ),
                "notes": tuple(value["notes"]),
                "wordings": tuple(value["wordings"]),
            }
        )
        for value in values
    ]


def _spread(values):
    return Spread(**values | {"values": tuple(Measured(**measured) for measured in values["values"])})


def _name(table):
    return f"{table.measure} ({table.unit})" if table.unit else table.measure


def _mean(spread):
    return NOT_DEFINED if spread is None else f"{spread.mean:z.2f}"


def _interval(spread):
    return NOT_DEFINED if spread.low is None else f"{spread.low:z.2f}..{spread.high:z.2f}"
