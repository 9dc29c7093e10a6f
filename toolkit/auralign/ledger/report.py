"""The ledger as files: `scores.json` for programs, `report.md` with `ledger.png` and `report.html` for readers.

The same inputs give the same bytes, independent of time and machine; when and on what the stages ran is an input of
`report.html`.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from auralign.files import read_json, write_atomically, write_json
from auralign.ledger.answer_list import list_answers
from auralign.ledger.inside import INSIDE, NOTE
from auralign.ledger.ledger import Ledger
from auralign.ledger.page import format_page
from auralign.ledger.picture import draw_ledger
from auralign.ledger.summary import describe_result
from auralign.ledger.table import Table, escape
from auralign.ledger.tables import (
    BEHAVIOUR,
    behaviour_table,
    difference_table,
    ledger_columns,
    ledger_table,
    pooled_table,
    rates_by_task,
    wrong_answers,
)
from auralign.ledger.task_tables import LEGEND, comparison_table, list_wordings, task_table, wording_table
from auralign.ledger.tasks import TaskTable, tables_from_list, tables_to_list
from auralign.text.characters import show_controls

FILES = ("scores.json", "report.md", "ledger.png", "report.html")


def write_report(
    folder,
    ledger: Ledger,
    tasks=(),
    *,
    title: str,
    facts: dict,
    notes=(),
    judged=None,
    manifest=None,
    stages=(),
    inside: Table | None = None,
    strata: Mapping[str, Table] | None = None,
) -> None:
    """Write `scores.json`, `report.md`, `ledger.png` and `report.html` into a folder, each atomically.

    Arguments
    ---------
    folder : str or Path
    ledger : Ledger
    tasks : sequence of TaskTable
        The field's metrics; empty if a recipe has none.
    title : str
        Heading of the report.
    facts : dict of str -> JSON value
        How the numbers were obtained: seeds, hashes, commands, error rates.
    notes : sequence of str
        Notes for readers, to interpret the columns.
    judged : dict of str -> list of Judged, optional
        The single answers, as `auralign.ledger.build.judge_answers` returns them, for `report.html`.
    manifest : Records of Utterance
        Needed with `judged`: it says where the speech is.
    stages : sequence of (str, dict)
        Stages with when, how long and on what they ran, as `auralign.stage.find_runs` gives them, for `report.html`.
    inside : Table, optional
        What `auralign probe` found inside the models.
    strata : dict of str -> Table, optional
        The ledger cut by labels, as `auralign.ledger.strata.cut` returns it.
    """
    folder = Path(folder)
    draw_ledger(ledger, folder / "ledger.png")
    with write_atomically(folder / "report.md") as file:
        file.write(
            format_report(ledger, tasks, title=title, facts=facts, notes=notes, inside=inside, strata=strata)
        )
    write_json(
        folder / "scores.json",
        {
            "title": title,
            "facts": facts,
            "notes": list(notes),
            "ledger": ledger.to_dict(),
            "tasks": tables_to_list(tasks),
            **(
                {"strata": {name: dataclasses.asdict(table) for name, table in strata.items()}}
                if strata
                else {}
            ),
        },
    )
    page = format_page(
        ledger,
        tasks,
        title=title,
        facts=facts,
        notes=notes,
        picture=(folder / "ledger.png").read_bytes(),
        answers=None if judged is None else list_answers(judged, manifest, folder),
        stages=stages,
        inside=inside,
        strata=strata,
    )
    with write_atomically(folder / "report.html") as file:
        file.write(page)


def read_scores(path) -> tuple[Ledger, list[TaskTable], dict]:
    """The ledger, the metrics of the tasks and the facts of a `scores.json`."""
    values = read_json(path, keys=("ledger", "tasks", "facts"))
    return Ledger.from_dict(values["ledger"]), tables_from_list(values["tasks"]), values["facts"]


def read_strata(path) -> dict[str, Table]:
    """The tables of a `scores.json` that are cut by labels; empty if none was asked for."""
    return {name: Table(**values) for name, values in read_json(path, keys=()).get("strata", {}).items()}


def format_report(
    ledger: Ledger,
    tasks=(),
    *,
    title: str,
    facts: dict,
    notes=(),
    inside: Table | None = None,
    strata: Mapping[str, Table] | None = None,
) -> str:
    """The report, in Markdown."""
    sections = [
        f"# {title}",
        escape(describe_result(ledger)),
        "![The gap ledger](ledger.png)",
        *_task_sections(tasks),
        "## The gap ledger",
        ledger_table(ledger).to_markdown(),
        _absent(ledger),
        _legend(ledger),
        f"## {ledger.metric.capitalize()} to speech, by task",
        rates_by_task(ledger).to_markdown(),
        *(
            ["## The runs of each method together", pooled_table(ledger).to_markdown()]
            if ledger.pooled
            else []
        ),
        *(
            ["## What the answers do instead", behaviour_table(ledger).to_markdown(), BEHAVIOUR]
            if ledger.behaviours
            else []
        ),
        *[
            text
            for name, table in (strata or {}).items()
            for text in (f"## {escape(name)}", table.to_markdown())
        ],
        *([f"## {INSIDE}", inside.to_markdown(), NOTE] if inside else []),
        "## Methods compared with each other",
        difference_table(ledger).to_markdown()
        if ledger.differences
        else "One method only: nothing to compare.",
        "## Wrong answers",
        wrong_answers(ledger).to_markdown() if ledger.examples else "None.",
        "## How it was made",
        "\n".join(f"- {name}: {value}" for name, value in facts.items()),
        "\n".join(f"- {note}" for note in notes),
    ]
    return show_controls("\n\n".join(section for section in sections if section)) + "\n"


def _task_sections(tasks):
    if not tasks:
        return []
    notes = dict.fromkeys(note for table in tasks for note in table.notes)
    compared = comparison_table(tasks)
    return [
        "## The metrics of the tasks",
        task_table(tasks).to_markdown(),
        LEGEND,
        "\n".join(f"- {note}" for note in notes),
        compared.to_markdown() if compared.rows else "",
        "## Speech, wording by wording",
        wording_table(tasks).to_markdown(),
        "\n".join(f"- {escape(line)}" for line in list_wordings(tasks)),
    ]


def _absent(ledger):
    return "\n".join(f"- {escape(group)}: not in this corpus" for group in ledger.absent_groups)


def _legend(ledger):
    return "\n".join(
        f"- **{column.header}**: {column.meaning}" for column in ledger_columns(ledger) if column.meaning
    )
