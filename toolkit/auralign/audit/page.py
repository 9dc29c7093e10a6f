"""The page of an audit, in Markdown and as one HTML file that works from a disk and without a network.

The style, the tables and the escaping are those of the ledger's report.
"""

from pathlib import Path

from auralign.audit.measures import MEASURES
from auralign.audit.picture import draw_audit
from auralign.audit.summary import Audit
from auralign.files import PathLike, write_atomically, write_json
from auralign.ledger.table import NOT_DEFINED, Table
from auralign.ledger.template import render_page
from auralign.text.characters import show_controls

JSON, MARKDOWN, HTML, PICTURE = "audit.json", "audit.md", "audit.html", "audit.png"
MAX_GROUPS = 20  # instructions in the table; all are in the JSON
NOTHING = "(nothing is asked)"
ALL_WELL = "Every measure is within its limit. Train."


def write_audit(found: Audit, folder: PathLike) -> Path:
    """Write an audit to a folder as JSON, Markdown, HTML and PNG; returns the folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    draw_audit(found, folder / PICTURE)
    pages = {
        MARKDOWN: format_markdown(found),
        HTML: format_html(found, (folder / PICTURE).read_bytes()),
    }
    for name, text in pages.items():
        with write_atomically(folder / name, "wb") as file:
            file.write(show_controls(text).encode())
    write_json(folder / JSON, found.to_dict())  # last: what it names is there
    return folder


def title_of(found: Audit) -> str:
    """The heading."""
    return f"Audit of {Path(found.facts['targets']).name}"


def describe_result(found: Audit) -> str:
    """The result in a line."""
    facts = found.facts
    number = (
        f"{facts['targets_in_file']:,} targets, {facts['targets_read_by_the_llm']:,} read by {facts['llm']}"
    )
    if not found.failed:
        return f"{number}: every measure is within its limit."
    return f"{number}: beyond their limits are {', '.join(found.failed)}."


def measure_table(found: Audit) -> Table:
    """A row for each measure."""
    headers = ("measure", "unit", "value", "limit", "within")
    rows = [
        [
            name,
            MEASURES[name].unit,
            _number(one.value),
            NOT_DEFINED if one.limit is None else f"{MEASURES[name].side} {one.limit:g}",
            NOT_DEFINED if one.limit is None or one.value is None else "yes" if one.passed else "NO",
        ]
        for name, one in found.measures.items()
    ]
    return Table(headers, rows, num_texts=2)


def group_table(found: Audit) -> Table:
    """A row for each of the most frequent instructions, and one for how many are not shown."""
    spread = ("10 %", "median", "90 %")
    headers = ("instruction", "read", "gap", *spread, "foreign", "nll", "entropy", "sensitivity", "tokens")
    rows = [
        [
            group.instruction or NOTHING,
            f"{group.num:,}",
            *map(_number, (group.gap, *group.gaps, group.foreign, group.nll, group.entropy)),
            _number(group.sensitivity),
            _number(group.tokens),
        ]
        for group in found.groups[:MAX_GROUPS]
    ]
    left = len(found.groups) - MAX_GROUPS
    if left > 0:
        rows.append([f"{left} more, in {JSON}", *[NOT_DEFINED] * (len(headers) - 1)])
    return Table(headers, rows, num_texts=1)


def _tables(found: Audit) -> list[tuple[str, Table]]:
    attributes = [
        [name, str(one["known"]), _number(one["mentioned"])] for name, one in found.attributes.items()
    ]
    worst = [
        [one["place"], one["instruction"] or NOTHING, one["text"], one["target"], _number(one["gap"])]
        for one in found.worst
    ]
    first = [[name, text] for name, text in found.shown.items()]
    languages = [[name, f"{number:,}"] for name, number in found.languages.items()]
    tables = [
        ("Measures", measure_table(found)),
        ("By instruction", group_table(found)),
        (
            "Attributes that targets mention",
            Table(
                ("attribute", "targets whose utterance has it", "share that mention its value"), attributes, 1
            ),
        ),
        (
            "The targets furthest from the LLM's own form",
            Table(("target", "instruction", "said", "taught", "gap"), worst, 4),
        ),
        ("The first target of each kind", Table(("kind", "target"), first, 2)),
        ("Languages and scripts of the targets", Table(("language or script", "targets"), languages, 1)),
    ]
    return [(heading, table) for heading, table in tables if table.rows]


def _facts(found: Audit) -> dict[str, str]:
    facts = {
        name.replace("_", " "): ", ".join(value) if isinstance(value, list) else str(value)
        for name, value in found.facts.items()
    }
    return {name: value for name, value in facts.items() if value} | {"estimated cost": str(found.cost)}


def format_markdown(found: Audit) -> str:
    """The page in Markdown."""
    sections = [f"# {title_of(found)}", describe_result(found), "## What to do"]
    sections.append("\n".join(f"- {line}" for line in found.advice or [ALL_WELL]))
    sections.append(f"![{title_of(found)}]({PICTURE})")
    for heading, table in _tables(found):
        sections += [f"## {heading}", table.to_markdown()]
    sections += [
        "## How it was measured",
        "\n".join(f"- {name}: {one}" for name, one in _facts(found).items()),
    ]
    sections.append("\n".join(f"- {note}" for note in found.notes))
    sections.append("\n".join(f"- **{name}**: {one.meaning}" for name, one in MEASURES.items()))
    return "\n\n".join(section for section in sections if section) + "\n"


def format_html(found: Audit, picture: bytes) -> str:
    """The page as HTML, with its style and the picture in it."""
    return render_page(
        title=title_of(found),
        result=describe_result(found),
        advice=found.advice or [ALL_WELL],
        picture=picture,
        tables=_tables(found),
        facts=_facts(found),
        notes=found.notes,
        legend=[(name, one.meaning) for name, one in MEASURES.items()],
    )


def format_text(found: Audit) -> str:
    """The result for a terminal: a line, the measures, and the advice."""
    lines = [describe_result(found), measure_table(found).to_text()]
    return "\n".join([*lines, *(f"- {line}" for line in found.advice or [ALL_WELL])])


def _number(value: float | None) -> str:
    return NOT_DEFINED if value is None else f"{value:z.2f}"
