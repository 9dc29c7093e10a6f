"""The ledger as files: `scores.json` for programs, `report.md` with `ledger.png` for people.

The same inputs give the same bytes: nothing here knows the time or the machine.
"""

from pathlib import Path

from auralign.files import read_json, write_atomically, write_json
from auralign.score.ledger import Ledger
from auralign.score.measures import TaskTable
from auralign.score.picture import draw_ledger
from auralign.score.table import (
    NOT_DEFINED,
    describe_result,
    format_interval,
    format_rate,
    format_table,
    ledger_columns,
)
from auralign.score.task_table import (
    COMPARISON_HEADERS,
    LEGEND,
    NUM_COMPARISON_TEXTS,
    NUM_TEXTS,
    TASK_HEADERS,
    comparison_rows,
    list_wordings,
    tables_from_list,
    tables_to_list,
    task_rows,
    wording_rows,
)

__all__ = ["FILES", "format_table", "read_scores", "write_report"]
FILES = ("scores.json", "report.md", "ledger.png")
LONGEST_TEXT = 80  # characters of an example's cell


def write_report(folder, ledger: Ledger, tasks=(), *, title: str, facts: dict, notes=()) -> None:
    """Write `scores.json`, `report.md` and `ledger.png` into a folder, each atomically.

    Arguments
    ---------
    folder : str or Path
    ledger : Ledger
    tasks : sequence of TaskTable
        The field's measures; empty where the ledger says all.
    title : str
        Heading of the report.
    facts : dict of str -> JSON value
        How the numbers were made: seeds, hashes, commands, error rates.
    notes : sequence of str
        What a reader must know to read the columns aright.
    """
    folder = Path(folder)
    draw_ledger(ledger, folder / "ledger.png")
    with write_atomically(folder / "report.md") as file:
        file.write(format_report(ledger, tasks, title=title, facts=facts, notes=notes))
    write_json(
        folder / "scores.json",
        {
            "title": title,
            "facts": facts,
            "notes": list(notes),
            "ledger": ledger.to_dict(),
            "tasks": tables_to_list(tasks),
        },
    )


def read_scores(path) -> tuple[Ledger, list[TaskTable], dict]:
    """The ledger, the measures of the tasks and the facts of a `scores.json`."""
    values = read_json(path)
    return Ledger.from_dict(values["ledger"]), tables_from_list(values["tasks"]), values["facts"]


def format_report(ledger: Ledger, tasks=(), *, title: str, facts: dict, notes=()) -> str:
    """The report, in Markdown."""
    sections = [
        f"# {title}",
        describe_result(ledger),
        "![The gap ledger](ledger.png)",
        *_task_sections(tasks),
        "## The gap ledger",
        _ledger_table(ledger),
        _absent(ledger),
        _legend(ledger),
        f"## {ledger.measure.capitalize()} to speech, by task",
        _task_table(ledger),
        "## Methods against each other",
        _difference_table(ledger),
        "## Wrong answers",
        _example_table(ledger),
        "## How it was made",
        "\n".join(f"- {name}: {value}" for name, value in facts.items()),
        "\n".join(f"- {note}" for note in notes),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _markdown(headers, rows, *, num_texts):
    """A table whose first columns are texts and whose others are numbers, aligned right."""
    marks = [":--"] * num_texts + ["--:"] * (len(headers) - num_texts)
    return "\n".join("| " + " | ".join(map(_escape, cells)) + " |" for cells in (headers, marks, *rows))


def _escape(text):
    """Text as one cell: bars, breaks and markup of an LLM's answer are data."""
    text = " ".join(text.split())
    text = text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"
    for letter in "\\|<>*_`[]":
        text = text.replace(letter, f"\\{letter}")
    return text


def _task_sections(tasks):
    if not tasks:
        return []
    notes = dict.fromkeys(note for table in tasks for note in table.notes)
    compared = comparison_rows(tasks)
    return [
        "## The measures of the tasks",
        _markdown(TASK_HEADERS, task_rows(tasks), num_texts=NUM_TEXTS),
        LEGEND,
        "\n".join(f"- {note}" for note in notes),
        _markdown(COMPARISON_HEADERS, compared, num_texts=NUM_COMPARISON_TEXTS) if compared else "",
        "## Speech, wording by wording",
        _markdown(*wording_rows(tasks), num_texts=NUM_TEXTS),
        "\n".join(f"- {line}" for line in list_wordings(tasks)),
    ]


def _ledger_table(ledger):
    columns = ledger_columns(ledger)
    headers = ["questions", "method", "number", *(column.header for column in columns)]
    rows = [
        [row.group, row.method, str(row.rates.num_questions), *(column.cell(row) for column in columns)]
        for row in ledger.rows
    ]
    return _markdown(headers, rows, num_texts=2)


def _absent(ledger):
    return "\n".join(f"- {group}: not in this corpus" for group in ledger.absent_groups)


def _legend(ledger):
    return "\n".join(
        f"- **{column.header}**: {column.meaning}" for column in ledger_columns(ledger) if column.meaning
    )


def _task_table(ledger):
    headers = ["questions", "task", "number", "text", "cascade", *ledger.methods]
    rows = []
    for group in ledger.groups:
        by_method = [ledger.row(method, group).tasks for method in ledger.methods]
        for task, rates in by_method[0].items():
            rows.append(
                [
                    group,
                    task or NOT_DEFINED,
                    str(rates.num_questions),
                    format_rate(rates.text),
                    format_rate(rates.transcript),
                    *(format_rate(tasks[task].speech) for tasks in by_method),
                ]
            )
    return _markdown(headers, rows, num_texts=2)


def _difference_table(ledger):
    if not ledger.differences:
        return "One method only: nothing to compare."
    headers = [
        "questions",
        f"difference in {ledger.measure} to speech",
        "value",
        f"{100 * ledger.confidence:g} % interval",
    ]
    rows = [
        [
            item.group,
            f"{item.method} - {item.other}",
            f"{item.estimate.value:+z.2f}",
            format_interval(item.estimate),
        ]
        for item in ledger.differences
    ]
    return _markdown(headers, rows, num_texts=2)


def _example_table(ledger):
    if not ledger.examples:
        return "None."
    headers = ["method", "questions", "class", "instruction", "said", "expected", "got"]
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
    return _markdown(headers, rows, num_texts=len(headers))
