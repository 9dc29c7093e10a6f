"""The metrics of the tasks as tables: for the terminal, the report and `scores.json`."""

from auralign.ledger.table import NOT_DEFINED, Table
from auralign.ledger.tables import format_interval
from auralign.ledger.tasks import TaskTable

TASK_HEADERS = (
    "questions",
    "task",
    "metric",
    "method",
    "number",
    "text",
    "normalised text",
    "cascade",
    "floor",
    "speech",
    "interval",
    "speakers",
    "worst",
    "deviation",
)
COMPARISON_HEADERS = (
    "questions",
    "task",
    "metric",
    "speech of",
    "against",
    "difference",
    "significant",
    "test",
)
NUM_TEXTS = 4  # leading columns with words
LEGEND = (
    "Columns are means over the phrasings of a task; floor is the LLM that reads another utterance's text, shuffled the method "
    "that hears another utterance's speech; worst and deviation are of the speech column; its interval is over all "
    "phrasings together, resampled by speaker, then by utterance. A dash means no interval, as of fewer than ten speakers; with "
    "fewer than twenty it is rough. significant, in the report: the number of phrasings whose difference is significant at 5 %, "
    "p-values after Holm's correction over all comparisons of these tables; a measure without a p-value, by its interval alone, "
    "which is not corrected."
)


def task_table(tables: list[TaskTable]) -> Table:
    """A row for each metric and method; files of an earlier auralign lack the floor, in whose place "shuffled" stands."""
    has_floor = any("other_text" in table.read for table in tables)
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
                    *([_mean(table.read.get("other_text"))] if has_floor else []),
                    _mean(heard["shuffled"]),
                    _mean(speech),
                    format_interval(speech),
                    NOT_DEFINED if table.num_speakers is None else str(table.num_speakers),
                    f"{speech.worst:z.2f}",
                    f"{speech.deviation:z.2f}",
                ]
            )
    headers = list(TASK_HEADERS)
    if has_floor:
        headers.insert(headers.index("floor") + 1, "shuffled")
    return Table(headers, rows, num_texts=NUM_TEXTS)


def comparison_table(tables: list[TaskTable]) -> Table:
    """A row for each comparison of answers to speech with others."""
    rows = [
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
    return Table(COMPARISON_HEADERS, rows, num_texts=NUM_TEXTS + 1)


def wording_table(tables: list[TaskTable]) -> Table:
    """Each metric of the answers to speech, wording by wording."""
    most = max(table.num_phrasings for table in tables)
    rows = []
    for table in tables:
        for method, heard in table.heard.items():
            values = [f"{value.value:z.2f}" for value in heard["speech"].values]
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
    headers = [*TASK_HEADERS[:NUM_TEXTS], *(str(number + 1) for number in range(most))]
    return Table(headers, rows, num_texts=NUM_TEXTS)


def list_wordings(tables: list[TaskTable]) -> list[str]:
    """The wordings of each task, numbered, as lines."""
    found = {}  # (task, wordings) to the first group that has them
    for table in tables:
        found.setdefault((table.task, table.wordings), table.group)
    return [
        f"{group}, {task}, {number}: {wording!r}"
        for (task, wordings), group in found.items()
        for number, wording in enumerate(wordings, start=1)
    ]


def format_tasks(tables: list[TaskTable]) -> str:
    """The metrics as aligned text: a block for each group and task, without empty columns."""
    table = task_table(tables)
    return table.to_text(heading=lambda row: f"{row[0]}: {row[1]}", without={0, 1, *table.empty_columns()})


def _name(table):
    return f"{table.metric} ({table.unit})" if table.unit else table.metric


def _mean(spread):
    return NOT_DEFINED if spread is None else f"{spread.mean:z.2f}"
