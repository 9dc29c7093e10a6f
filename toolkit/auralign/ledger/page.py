"""The report as one HTML file for people: headline measures, the answers with their speech, the picture, how it was made.

The file holds its style, its script and the picture, and loads nothing but the audio files that it links to: it works from a
disk and without a network. What an LLM wrote is escaped: by jinja2 in the page, and as text nodes by the script.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from auralign.ledger.answer_list import AnswerList
from auralign.ledger.inside import INSIDE, NOTE
from auralign.ledger.ledger import Ledger
from auralign.ledger.summary import describe_result, list_results, main_group
from auralign.ledger.table import Table
from auralign.ledger.tables import (
    behaviour_table,
    difference_table,
    format_interval,
    format_rate,
    format_speakers,
    ledger_columns,
    ledger_table,
    pooled_table,
    rates_by_task,
    wrong_answers,
)
from auralign.ledger.task_tables import LEGEND, comparison_table, list_wordings, task_table, wording_table
from auralign.ledger.template import FOLDER, render_page

NOT_RECORDED = "not recorded"
MAX_CARDS = 4


def format_page(
    ledger: Ledger,
    tasks: Sequence = (),
    *,
    title: str,
    facts: dict[str, Any],
    picture: bytes,
    notes: Sequence[str] = (),
    answers: AnswerList | None = None,
    stages: Sequence[tuple[str, dict[str, Any]]] = (),
    inside: Table | None = None,
    strata: Mapping[str, Table] | None = None,
) -> str:
    """The page.

    Arguments
    ---------
    ledger : Ledger
    tasks : sequence of TaskTable
        The field's metrics; empty if a recipe has none.
    title : str
    facts : dict of str -> JSON value
        How the numbers were obtained.
    picture : bytes
        The ledger as PNG.
    notes : sequence of str
    answers : AnswerList, optional
        The single answers.
    stages : sequence of (str, dict)
        Name of a stage, and when, how long and on what it ran, as `auralign.stage.find_runs` gives it; empty of a stage that was
        run before this was recorded.
    inside : Table, optional
        What `auralign probe` found inside the models.
    strata : dict of str -> Table, optional
        The ledger cut by labels.

    Returns str.
    """
    from markupsafe import Markup

    cards = _cards(ledger)
    return render_page(
        "page.html",
        title=title,
        script=Markup((FOLDER / "page.js").read_text(encoding="utf-8")),
        result=describe_result(ledger),
        cards=cards[:MAX_CARDS],
        more_cards=len(cards[MAX_CARDS:]),
        headline=_headline(ledger).without_empty_columns(),
        tasks=task_table(list(tasks)).without_empty_columns() if tasks else None,
        task_legend=LEGEND,
        picture=picture,
        answers=Markup(answers.json) if answers else None,
        answers_note=answers.note if answers else "",
        tables=_tables(ledger, list(tasks), inside, strata or {}),
        legend=[(column.header, column.meaning) for column in ledger_columns(ledger) if column.meaning],
        absent=ledger.absent_groups,
        wordings=list_wordings(list(tasks)),
        facts=[*_summarise_stages(stages), *facts.items()],
        stages=stage_table(stages),
        notes=list(
            dict.fromkeys(
                [
                    *notes,
                    *([NOTE] if inside else []),
                    *(note for table in tasks for note in table.notes),
                ]
            )
        ),
    )


def stage_table(stages: Sequence[tuple[str, dict[str, Any]]]) -> Table:
    """A row for each stage: when it was finished, how long it took, and where it ran."""
    rows = [
        [
            name,
            run.get("finished") or NOT_RECORDED,
            format_duration(run),
            run.get("hardware") or NOT_RECORDED,
            run.get("commit") or NOT_RECORDED,
        ]
        for name, run in stages
    ]
    return Table(("stage", "finished (UTC)", "duration", "hardware", "commit of auralign"), rows, num_texts=5)


def format_duration(run: dict[str, Any]) -> str:
    """The duration of a stage in words, from its record.

    >>> format_duration({"seconds": 3725.0, "resumed": False}), format_duration({"seconds": 59.96}), format_duration({})
    ('1 h 2 min 5 s', '1 min 0 s', 'not recorded')
    """
    seconds = run.get("seconds")
    if seconds is None:
        return NOT_RECORDED
    if seconds < 59.95:
        text = f"{seconds:.1f} s"
    else:
        minutes, rest = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        text = (f"{hours} h " if hours else "") + f"{minutes} min {rest} s"
    return f"{text} after it was resumed; before that: {NOT_RECORDED}" if run.get("resumed") else text


def _summarise_stages(stages):
    """What all stages together say of commit, hardware, versions and dates, as facts."""
    runs = [run for _, run in stages]
    dates = sorted(run["finished"][:10] for run in runs if run.get("finished"))
    versions = [
        ", ".join(f"{name} {version}" for name, version in run.get("versions", {}).items()) for run in runs
    ]
    yield "commit of auralign", _distinct(run.get("commit") for run in runs)
    yield "hardware", _distinct(run.get("hardware") for run in runs)
    yield "versions", _distinct(versions)
    yield "dates", " to ".join(dict.fromkeys((dates[0], dates[-1]))) if dates else NOT_RECORDED


def _distinct(values) -> str:
    return "; ".join(dict.fromkeys(value for value in values if value)) or NOT_RECORDED


def _cards(ledger: Ledger) -> list[dict[str, Any]]:
    """The measures of the main group, a card for each method; the methods with the highest scores first."""
    group = main_group(ledger)
    results = sorted(list_results(ledger, group), key=lambda result: result.speech.value or 0.0, reverse=True)
    return [
        {
            "method": result.method,
            "runs": len(result.rows),
            "group": group,
            "metric": ledger.metric,
            "value": format_rate(result.speech.value),
            "interval": _in_words(result.speech, ledger.confidence),
            "number": f"{result.rates.num_questions:,}",
            "text": format_rate(result.rates.text),
            "cascade": format_rate(result.rates.transcript),
            "floor": format_rate(result.rates.floor),
            "recovery": format_rate(result.recovery.value),
        }
        for result in results
    ]


def _in_words(estimate, confidence) -> str:
    if estimate.low is None:
        return f"no interval: {format_speakers(estimate)} speakers"
    speakers = "" if estimate.num_clusters is None else f", {estimate.num_clusters} speakers"
    return f"{100 * confidence:g} % interval {format_interval(estimate)}{speakers}"


def _headline(ledger: Ledger) -> Table:
    """The measures of all groups without the classes of wrong answers; a row for the runs of a method together."""
    interval = f"{100 * ledger.confidence:g} % interval"
    rates = {
        name: "cascade" if name == "transcript" else name
        for name in ("text", "transcript", "floor", "shuffled")
    }
    results = [(group, result) for group in ledger.groups for result in list_results(ledger, group)]
    several = any(len(result.rows) > 1 for _, result in results)
    headers = ("questions", "method", *(["runs"] if several else []), "n", "speakers", *rates.values())
    rows = [
        [
            group,
            result.method,
            *([str(len(result.rows))] if several else []),
            f"{result.rates.num_questions:,}",
            format_speakers(result.speech),
            *(format_rate(getattr(result.rates, name)) for name in rates),
            format_rate(result.speech.value),
            format_interval(result.speech),
            format_rate(result.recovery.value),
            format_interval(result.recovery),
        ]
        for group, result in results
    ]
    return Table((*headers, "speech", interval, "recovery", interval), rows, num_texts=2)


def _tables(ledger, tasks, inside, strata):
    found = {
        "The gap ledger, with the classes of the answers": ledger_table(ledger),
        f"{ledger.metric.capitalize()} to speech, by task": rates_by_task(ledger),
        "The runs of each method together": pooled_table(ledger),
        "What the answers do instead": behaviour_table(ledger),
        **strata,
        INSIDE: inside,
        "Methods compared with each other": difference_table(ledger),
        "Speech, wording by wording": wording_table(tasks) if tasks else None,
        "Speech compared with the cascade and with other methods": comparison_table(tasks) if tasks else None,
        "Examples of wrong answers": wrong_answers(ledger),
    }
    return [
        (name, table.without_empty_columns())
        for name, table in found.items()
        if table is not None and table.rows
    ]
