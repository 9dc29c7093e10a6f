"""The tables of a ledger: its rows with a legend, differences between methods, rates by task, and wrong answers."""

from collections.abc import Callable
from dataclasses import dataclass

from auralign.ledger.ledger import LEAST_KEPT, Ledger, Row
from auralign.ledger.table import NOT_DEFINED, Table
from auralign.score.judge import OTHER_FORM
from auralign.score.metrics import LEAST_SPAN, MIN_SPEAKERS

BEHAVIOUR = (
    "Shares of the answers to speech, with intervals over speakers. Instruction flips: of the questions answered rightly from "
    "the text, those whose answer to speech does another task or writes down the speech. Modality gap: the score with the "
    "text minus that with speech. Spread over phrasings: the standard deviation of the scores of a task's wordings. Forgetting: "
    "the score of the original LLM with the text minus that of the trained LLM with it."
)
NOT_MEANINGFUL = "n/a"  # of a recovery


@dataclass(frozen=True)
class Column:
    """A column of the table: its header, its meaning in one line, and its text for a row."""

    header: str
    meaning: str
    cell: Callable[[Row], str]
    in_report_only: bool = False  # a terminal has no room for it


def format_rate(value) -> str:
    """A share or a difference with two decimals."""
    return NOT_DEFINED if value is None else f"{value:z.2f}"


def format_recovery(row) -> str:
    """The recovery of a row or a result; without one the rates: `n/a (text 1.00, normalised text 0.13, floor 0.00)`."""
    if row.recovery.value is not None:
        return format_rate(row.recovery.value)
    rates = {"text": row.rates.text, "normalised text": row.rates.normalised, "floor": row.rates.floor}
    shown = (f"{name} {format_rate(rate)}" for name, rate in rates.items() if rate is not None)
    return f"{NOT_MEANINGFUL} ({', '.join(shown)})"


def format_interval(estimate) -> str:
    return NOT_DEFINED if estimate.low is None else f"{estimate.low:z.2f}..{estimate.high:z.2f}"


def format_speakers(estimate) -> str:
    """The number of speakers that an interval is of; `-` in files of an earlier auralign, which drew utterances."""
    return NOT_DEFINED if estimate.num_clusters is None else str(estimate.num_clusters)


def format_p_value(value) -> str:
    return NOT_DEFINED if value is None else "<0.001" if value < 0.001 else f"{value:.3f}"


def _describe_resamples(ledger: Ledger) -> str:
    if ledger.rows[0].speech.num_clusters is None:
        return f"of the number before it: {ledger.num_resamples} paired resamples of the utterances"
    unknown = (
        f"; {ledger.num_without_speaker} of {ledger.num_utterances} utterances have no speaker, and count as one each"
        if ledger.num_without_speaker
        else ""
    )
    return (
        f"of the number before it: {ledger.num_resamples} paired resamples of the speakers and of each one's utterances; "
        f"Wilson's over speakers if all are wrong or all right; none for fewer than {MIN_SPEAKERS} speakers{unknown}"
    )


def _floor_columns(ledger: Ledger) -> list[Column]:
    """The floor, and each method's own answers to another utterance's speech if they are not the floor."""
    own = "when it is given another utterance's speech (shuffled)"
    if ledger.rows[0].rates.other_text is None:
        note = "; each method's own, so that recoveries of different floors do not compare: run stage 4 again"
        return [Column("floor", own + note, lambda row: format_rate(row.rates.shuffled))]
    return [
        Column(
            "floor",
            "when it reads another utterance's text: one floor for all methods",
            lambda row: format_rate(row.rates.floor),
        ),
        Column(
            "shuffled",
            f"{own}, through the method's connector: a diagnostic, in no other column",
            lambda row: format_rate(row.rates.shuffled),
            in_report_only=True,
        ),
    ]


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
        in_report_only=True,
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
        *_floor_columns(ledger),
        Column(
            "speech",
            "when it is given the utterance's speech, through the method's connector",
            lambda row: format_rate(row.rates.speech),
        ),
        Column(
            interval,
            _describe_resamples(ledger),
            lambda row: format_interval(row.speech),
        ),
        Column(
            "recovery",
            f"(speech - floor) / ({ceiling} - floor): 0 if nothing of the speech arrives, 1 if it is as good as reading; "
            f"{NOT_MEANINGFUL} if {ceiling} is less than {LEAST_SPAN:g} above the floor"
            + (f", or keeps less than {LEAST_KEPT:.0%} of what text gains" if is_there else "")
            + ": compare the rates of the row",
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
            "other form",
            "how many have the right content in another form than the right answer's",
            lambda row: _count(row, OTHER_FORM),
        ),
        Column(
            "transcribed",
            "how many write down the words that were said (at most a fifth of them wrong) instead of obeying",
            lambda row: _count(row, "transcribed"),
        ),
        Column("other", "how many are wrong in some other way", lambda row: _count(row, "other")),
    )


def _count(row: Row, name: str) -> str:
    """The number of answers of a class; `-` for a class that an earlier auralign did not have."""
    return str(row.answers[name]) if name in row.answers else NOT_DEFINED


def ledger_table(ledger: Ledger) -> Table:
    """A row for each group and method."""
    columns = ledger_columns(ledger)
    headers = ["questions", "method", "number", "speakers", *(column.header for column in columns)]
    rows = [
        [
            row.group,
            row.method,
            str(row.rates.num_questions),
            format_speakers(row.speech),
            *(column.cell(row) for column in columns),
        ]
        for row in ledger.rows
    ]
    return Table(headers, rows, num_texts=2)


def format_ledger(ledger: Ledger) -> str:
    """The ledger as aligned text: a block for each group, a line for each method."""

    knows_speakers = ledger.num_without_speaker < ledger.num_utterances

    def head(row):
        is_known = knows_speakers and row[3] != NOT_DEFINED
        return f"{row[0]}: {row[2]} questions" + (f", {row[3]} speakers" if is_known else "")

    left_out = [number for number, column in enumerate(ledger_columns(ledger), 4) if column.in_report_only]
    text = ledger_table(ledger).to_text(heading=head, without=(0, 2, 3, *left_out))
    return "\n".join([text, *(f"{group}: not in this corpus" for group in ledger.absent_groups)])


def format_legend(ledger: Ledger) -> str:
    """One line for each column that has a meaning."""
    lines = [
        [column.header, column.meaning + (" (in the report)" if column.in_report_only else "")]
        for column in ledger_columns(ledger)
        if column.meaning
    ]
    return Table((), lines, num_texts=2).to_text()


def difference_table(ledger: Ledger) -> Table:
    """The difference of each pair of methods in each group, in scores of answers to speech."""
    headers = (
        "questions",
        f"difference in {ledger.metric} to speech",
        "value",
        f"{100 * ledger.confidence:g} % interval",
        "speakers",
        "p (Holm)",
    )
    rows = [
        [
            item.group,
            f"{item.method} - {item.other}",
            f"{item.estimate.value:+z.2f}",
            format_interval(item.estimate),
            format_speakers(item.estimate),
            format_p_value(item.adjusted),
        ]
        for item in ledger.differences
    ]
    return Table(headers, rows, num_texts=2)


def format_differences(ledger: Ledger, group: str) -> str:
    """The differences in one group as aligned text."""
    rows = [
        [name, value, f"({interval})", f"{speakers} speakers", f"p {p_value}, adjusted by Holm's method"]
        for asked, name, value, interval, speakers, p_value in difference_table(ledger).rows
        if asked == group
    ]
    return Table((), rows, num_texts=5).to_text()


def pooled_table(ledger: Ledger) -> Table:
    """A row for each group and method with several runs."""
    interval = f"{100 * ledger.confidence:g} % interval"
    headers = ("questions", "method", "runs", "speakers", "speech", interval, "recovery", interval)
    rows = [
        [
            item.group,
            item.method,
            str(item.num_runs),
            format_speakers(item.speech),
            format_rate(item.speech.value),
            format_interval(item.speech),
            NOT_MEANINGFUL if item.recovery.value is None else format_rate(item.recovery.value),
            format_interval(item.recovery),
        ]
        for item in ledger.pooled
    ]
    return Table(headers, rows, num_texts=2)


def behaviour_table(ledger: Ledger) -> Table:
    """A row for each group and method: what the answers do instead of obeying, as `auralign.ledger.behaviour` defines it."""
    names = {
        "flips": "instruction flips",
        "transcribed": "transcribed",
        "refusals": "refusals",
        "loops": "loops",
        "modality_gap": "modality gap",
        "spread": "spread over phrasings",
    }
    if any(item.forgetting.value is not None for item in ledger.behaviours):
        names["forgetting"] = "forgetting"
    rows = []
    for item in ledger.behaviours:
        speakers = item.transcribed.num_clusters
        cells = []
        for one in (getattr(item, name) for name in names):
            others = "" if one.num_clusters == speakers else f"; {format_speakers(one)} speakers"
            interval = "" if one.low is None else f" ({format_interval(one)}{others})"
            cells.append(format_rate(one.value) + interval)
        rows.append([item.group, item.method, format_speakers(item.transcribed), *cells])
    return Table(("questions", "method", "speakers", *names.values()), rows, num_texts=2)


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
