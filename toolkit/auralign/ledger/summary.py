"""The result of a ledger in words; all numbers and names are from the ledger."""

from auralign.ledger.ledger import Ledger, Rates
from auralign.ledger.tables import (
    format_interval,
    format_p_value,
    format_rate,
    format_recovery,
    format_speakers,
)
from auralign.score.judge import WRONG_CLASSES
from auralign.score.metrics import LEAST_SPAN

MAIN_GROUP = "unseen tasks"  # the main question: does the model obey instructions that it was not trained on?
IN_WORDS = {
    "wrong content": "the right form around wrong words",
    "wrong task": "the answer to another task",
    "right content in another form": "the right content in another form",
    "transcribed": "what was said, written down instead of obeyed",
    "other": "of no known kind",
}


def main_group(ledger: Ledger) -> str:
    """The group of the summary and of the picture's classes: unseen tasks if present, else the first group."""
    return MAIN_GROUP if MAIN_GROUP in ledger.groups else ledger.groups[0]


def name_floor(rates: Rates) -> str:
    """The floor of recovery, for the legend of a picture."""
    return "floor (hears another's speech)" if rates.other_text is None else "floor (reads another's text)"


def describe_result(ledger: Ledger) -> str:
    """The result in words: the method with the highest recovery on the main group, its margin, and the wrong answers."""
    rows = sorted(
        (ledger.row(method, main_group(ledger)) for method in ledger.methods), key=_merit, reverse=True
    )
    margin = _describe_margin(ledger, rows[0], rows[1]) if len(rows) > 1 else ""
    wrong = "; ".join(_describe_wrong(row) for row in rows)
    return f"On {main_group(ledger)}, {_describe_best(rows, ledger.metric)}{margin}. What the wrong answers are: {wrong}."


def _merit(row):
    return (float("-inf") if row.recovery.value is None else row.recovery.value, row.speech.value)


def _describe_best(rows, metric):
    best = rows[0]
    if best.recovery.value is None:
        values = ", ".join(f"{row.method} {format_rate(row.speech.value)}" for row in rows)
        gains = "nothing" if best.rates.ceiling <= best.rates.floor else f"less than {LEAST_SPAN:g}"
        rates = ", ".join(f"{row.method} {format_recovery(row)}" for row in rows)
        return f"reading gains {gains} over the floor ({rates}), so recovery is undefined; {metric}: {values}"
    values = [f"{row.method} {format_recovery(row)}" for row in rows]
    if len(rows) == 1:
        return f"recovery of what reading gains over the floor: {values[0]}"
    return f"{best.method} recovers most of what reading gains over the floor ({', '.join(values)})"


def _describe_margin(ledger, best, second):
    """A warning if chance may explain the best two methods' paired difference."""
    names = {best.method, second.method}
    found = next(
        item for item in ledger.differences if item.group == best.group and {item.method, item.other} == names
    )
    if found.is_significant(ledger.confidence):
        return ""
    interval = format_interval(found.estimate)
    if found.estimate.low is None:
        interval = f"no interval, {format_speakers(found.estimate)} speakers"
    p_value = (
        "" if found.adjusted is None else f", p {format_p_value(found.adjusted)} adjusted by Holm's method"
    )
    return f", but {second.method} may equal it ({found.method} - {found.other} in {ledger.metric}: {interval}{p_value})"


def _describe_wrong(row):
    wrong = {name: row.answers.get(name, 0) for name in WRONG_CLASSES}
    total = sum(wrong.values())
    if not total:
        return f"{row.method} has none"
    name = max(wrong, key=wrong.get)
    return f"{row.method} has {total}, {100 * wrong[name] / total:.0f} % of them {IN_WORDS[name]}"
