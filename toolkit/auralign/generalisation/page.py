"""The benchmark's page of result, as Markdown, as HTML that works from a disk, and as JSON."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from auralign.files import PathLike, write_atomically, write_json
from auralign.generalisation import NAME, VERSION
from auralign.generalisation.questions import CORPUS
from auralign.generalisation.result import Result
from auralign.ledger.table import NOT_DEFINED, Table
from auralign.ledger.tables import format_interval, format_rate
from auralign.ledger.template import render_page
from auralign.records import shorten
from auralign.score.metrics import LEAST_SPAN, MIN_SPEAKERS, Estimate
from auralign.text.characters import show_controls

JSON, MARKDOWN, HTML = f"{NAME}.json", f"{NAME}.md", f"{NAME}.html"
MAX_OTHERS = 5  # instructions of no task of the benchmark that the page shows
LONGEST = 60
NOTES = (
    "Scores are from 0 to 1, means over the tasks. Text is normalised if it is not already. The cascade is the LLM that reads "
    "the recognizer's transcript; the floor is the LLM that reads another utterance's text.",
    "Prompt generalisation: the gap to text of the seen tasks in wordings of the training minus that in new ones. Task "
    "generalisation: the gap to text of the seen tasks in new wordings (in seen ones if none is new) minus that of the unseen "
    "tasks. 0 is perfect; -0.20 means that what is new costs 20 points more with speech than with text. Neither is defined if "
    f"the seen tasks have less than {LEAST_SPAN:g} above the floor with speech: there is nothing that could generalise.",
    "A score by the LLM's own answer is the F1 of the words shared with what the same LLM answers to the text, so that its text "
    "column is 1 unless the text is normalised.",
    "The speech is in a seen place if some instruction of the training has it there: before the words, within or behind them.",
    f"Brackets hold 95 % intervals over speakers and their utterances; there are none for fewer than {MIN_SPEAKERS} speakers, "
    "and none for a gap without any spread; a score that is 0 or 1 throughout has Wilson's over the speakers. "
    f"Recovery: (speech - floor) / (text - floor), if text is at least {LEAST_SPAN:g} above the floor.",
)


def title_of(name: str) -> str:
    """The heading."""
    return f"Benchmark of generalisation, version {VERSION}: {name}"


def describe(result: Result) -> list[str]:
    """The result of a part in a few sentences."""
    values = {
        "prompt generalisation": result.prompt,
        "task generalisation": result.task,
        "gap to text": result.gap_to_text,
        "gap to the cascade": result.gap_to_cascade,
    }
    shown = [f"{name} {_signed(value)}" for name, value in values.items() if value.value is not None]
    lines = [
        f"{CORPUS[result.part]}, {result.num_utterances} utterances of {result.num_speakers} speakers, {result.num_questions:,} "
        f"questions: {'; '.join(shown)}."
    ]
    lines += [
        f"{name[:1].upper()}{name[1:]} is not defined: {reason}." for name, reason in result.reasons.items()
    ]
    if result.note:
        lines.append(f"Do not cite this as the benchmark: {result.note}.")
    return lines


def headline_table(results: Sequence[Result]) -> Table:
    """A row for each part."""
    headers = (
        "part", "prompt generalisation", "task generalisation", "gap to text", "gap to the cascade", "utterances", "speakers",
        "set",
    )  # fmt: skip
    rows = [
        [
            CORPUS[one.part],
            *map(_signed, (one.prompt, one.task)),
            *map(_estimate, (one.gap_to_text, one.gap_to_cascade)),
            str(one.num_utterances),
            str(one.num_speakers),
            one.fingerprint,
        ]
        for one in results
    ]
    return Table(headers, rows, num_texts=1)


def cell_table(results: Sequence[Result]) -> Table:
    """A row for each group of tasks and wordings."""
    headers = (
        "part", "questions", "number", "tasks", "text", "cascade", "floor", "shuffled", "speech", "gap to text",
        "gap to the cascade", "recovery",
    )  # fmt: skip
    rows = [
        [
            CORPUS[one.part],
            cell.name,
            f"{cell.num_questions:,}",
            str(cell.num_tasks),
            *map(format_rate, (cell.text, cell.transcript, cell.floor, cell.shuffled)),
            *map(_estimate, (cell.speech, cell.gap_to_text, cell.gap_to_cascade, cell.recovery)),
        ]
        for one in results
        for cell in one.cells
    ]
    return Table(headers, rows, num_texts=2)


def task_table(results: Sequence[Result]) -> Table:
    """A row for each task, with the reason why it counts as seen."""
    headers = ("part", "task", "reference", "in the training", "number", "text", "cascade", "floor", "speech")
    rows = [
        [
            CORPUS[one.part],
            task.name,
            task.kind,
            task.seen or ("no" if one.source else "not known"),
            f"{task.num_questions:,}",
            *map(format_rate, (task.text, task.transcript, task.floor)),
            _estimate(task.speech),
        ]
        for one in results
        for task in one.tasks
    ]
    return Table(headers, rows, num_texts=4)


def _tables(results: Sequence[Result]) -> list[tuple[str, Table]]:
    own = [
        [CORPUS[one.part], name, " | ".join(wordings)]
        for one in results
        for name, wordings in one.own_wordings.items()
    ]
    others = [
        [CORPUS[one.part], shorten(" ".join(instruction.split()), LONGEST), f"{number:,}"]
        for one in results
        for instruction, number in list(one.others.items())[:MAX_OTHERS]
    ]
    tables = [
        ("Result", headline_table(results)),
        ("Tasks and wordings, seen and unseen", cell_table(results)),
        ("Tasks", task_table(results)),
        ("Wordings of the training that were asked too", Table(("part", "task", "wordings"), own, 3)),
        (
            "The commonest instructions of the training that ask for no task of the benchmark",
            Table(("part", "instruction", "targets"), others, 2),
        ),
    ]
    return [(heading, table.without_empty_columns()) for heading, table in tables if table.rows]


def write_page(folder: PathLike, results: Sequence[Result], *, name: str, facts: dict[str, Any]) -> Path:
    """Write the page into a folder as Markdown, HTML and JSON; returns the Markdown's path.

    Arguments
    ---------
    folder : path
    results : sequence of Result
        Of the parts.
    name : str
        Of the model.
    facts : dict of str
        How the numbers were obtained: versions, command, seed.
    """
    folder = Path(folder)
    for file_name, text in {
        MARKDOWN: format_markdown(results, name=name, facts=facts),
        HTML: format_html(results, name=name, facts=facts),
    }.items():
        with write_atomically(folder / file_name, "wb") as file:
            file.write(show_controls(text).encode())
    values = {"benchmark": NAME, "version": VERSION, "model": name, "facts": facts}
    write_json(folder / JSON, values | {"parts": [dataclasses.asdict(one) for one in results]})
    return folder / MARKDOWN


def format_markdown(results: Sequence[Result], *, name: str, facts: dict[str, Any]) -> str:
    """The page in Markdown."""
    sections = [f"# {title_of(name)}", *(" ".join(describe(one)) for one in results)]
    for heading, table in _tables(results):
        sections += [f"## {heading}", table.to_markdown()]
    sections += ["## How it was measured", "\n".join(f"- {key}: {value}" for key, value in facts.items())]
    return "\n\n".join([*sections, "\n".join(f"- {note}" for note in NOTES)]) + "\n"


def format_html(results: Sequence[Result], *, name: str, facts: dict[str, Any]) -> str:
    """The page as HTML, with its style in it."""
    return render_page(
        title=title_of(name),
        result=" ".join(line for one in results for line in describe(one)),
        advice=[],
        picture=None,
        tables=_tables(results),
        facts=facts,
        notes=NOTES,
        legend=[],
    )


def format_text(results: Sequence[Result], *, name: str) -> str:
    """The result for a terminal."""
    lines = [title_of(name), *(line for one in results for line in describe(one))]
    shown = cell_table(results).without_empty_columns().to_text(heading=lambda row: row[0], without=(0,))
    return "\n".join([*lines, "", shown])


def _estimate(estimate: Estimate) -> str:
    if estimate.value is None:
        return NOT_DEFINED
    interval = "" if estimate.low is None else f" [{format_interval(estimate)}]"
    return f"{format_rate(estimate.value)}{interval}"


def _signed(estimate: Estimate) -> str:
    if estimate.value is None:
        return NOT_DEFINED
    interval = "" if estimate.low is None else f" [{format_interval(estimate)}]"
    return f"{estimate.value:+z.2f}{interval}"
