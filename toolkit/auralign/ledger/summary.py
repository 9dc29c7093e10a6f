"""The result of a ledger in words; all numbers and names are from the ledger."""

from dataclasses import dataclass, fields, replace
from statistics import fmean

from auralign.ledger.ledger import LEAST_KEPT, Ledger, Rates, Row
from auralign.ledger.palette import families
from auralign.ledger.tables import (
    format_interval,
    format_p_value,
    format_rate,
    format_recovery,
    format_speakers,
)
from auralign.score.judge import WRONG_CLASSES
from auralign.score.metrics import LEAST_SPAN, Estimate

MAIN_GROUP = "unseen tasks"  # the main question: does the model obey instructions that it was not trained on?
MAX_NAMED = 5  # methods that a sentence names one by one
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


@dataclass(frozen=True)
class Result:
    """A method on one group: its only run, or its runs (seeds) together.

    `rows` are those of its runs.
    """

    method: str
    rows: tuple[Row, ...]
    speech: Estimate
    recovery: Estimate

    @property
    def rates(self) -> Rates:
        """The mean of each rate over the runs."""
        first = self.rows[0].rates
        names = [field.name for field in fields(Rates) if getattr(first, field.name) is not None]
        means = {name: fmean(getattr(row.rates, name) for row in self.rows) for name in names}
        return replace(first, **means | {"num_questions": first.num_questions})


def list_results(ledger: Ledger, group: str) -> list[Result]:
    """The methods on a group, in the order of the ledger; runs of one method are one result if the ledger pooled them."""
    pooled = {item.method: item for item in ledger.pooled if item.group == group}
    found = []
    for method, runs in families(ledger.methods).items():
        rows = [ledger.row(run, group) for run in runs]
        if method in pooled:
            found.append(Result(method, tuple(rows), pooled[method].speech, pooled[method].recovery))
        else:
            found += [Result(row.method, (row,), row.speech, row.recovery) for row in rows]
    return found


def describe_result(ledger: Ledger) -> str:
    """The result in words: the method with the highest recovery on the main group, its margin, and the wrong answers.

    Of many methods the first ones are named.
    """
    results = sorted(list_results(ledger, main_group(ledger)), key=_merit, reverse=True)
    margin = _describe_margin(ledger, *results[:2]) if len(results) > 1 else ""
    wrong = "; ".join(map(_describe_wrong, results[:MAX_NAMED]))
    return f"On {main_group(ledger)}, {_describe_best(results, ledger.metric)}{margin}. What the wrong answers are: {wrong}."


def _merit(result):
    return (float("-inf") if result.recovery.value is None else result.recovery.value, result.speech.value)


def _list_values(results, value):
    """Names and values of the first results, and in what range those of the rest are."""
    named = ", ".join(f"{result.method} {value(result)}" for result in results[:MAX_NAMED])
    rest = results[MAX_NAMED:]
    if not rest:
        return named
    span = " to ".join(dict.fromkeys((value(rest[-1]), value(rest[0]))))
    return f"{named}; {len(rest)} more: {span}"


def _describe_best(results, metric):
    best = results[0]
    if best.recovery.value is None:
        values = _list_values(results, lambda result: format_rate(result.speech.value))
        rates, both = best.rates, _list_values(results, format_recovery)
        if rates.ceiling - rates.floor >= LEAST_SPAN:
            why = f"normalised text keeps less than {LEAST_KEPT:.0%} of what text gains over the floor"
        else:
            gains = "nothing" if rates.ceiling <= rates.floor else f"less than {LEAST_SPAN:g}"
            why = f"reading gains {gains} over the floor"
        return f"{why} ({both}), so recovery is undefined; {metric}: {values}"
    values = _list_values(results, format_recovery)
    if len(results) == 1:
        return f"recovery of what reading gains over the floor: {values}"
    return f"{best.method} recovers most of what reading gains over the floor ({values})"


def _describe_margin(ledger, best, second):
    """A warning if chance may explain the best two methods' difference; of methods with several runs it shows both intervals."""
    group, names = main_group(ledger), {best.method, second.method}
    found = next(
        (one for one in ledger.differences if one.group == group and {one.method, one.other} == names), None
    )  # None: several runs, in a file of an earlier auralign
    if found is not None and found.is_significant(ledger.confidence):
        return ""
    if found is None or len(best.rows) > 1 or len(second.rows) > 1:
        both = " and ".join(
            f"{format_rate(one.speech.value)} ({format_interval(one.speech) if one.speech.low is not None else 'no interval'})"
            for one in (best, second)
        )
        return f", but {second.method} may equal it ({ledger.metric}: {both})"
    interval = format_interval(found.estimate)
    if found.estimate.low is None:
        interval = f"no interval, {format_speakers(found.estimate)} speakers"
    p_value = (
        "" if found.adjusted is None else f", p {format_p_value(found.adjusted)} adjusted by Holm's method"
    )
    return f", but {second.method} may equal it ({found.method} - {found.other} in {ledger.metric}: {interval}{p_value})"


def _describe_wrong(result):
    wrong = {name: sum(row.answers.get(name, 0) for row in result.rows) for name in WRONG_CLASSES}
    total = sum(wrong.values())
    if not total:
        return f"{result.method} has none"
    name = max(wrong, key=wrong.get)
    return f"{result.method} has {total}, {100 * wrong[name] / total:.0f} % of them {IN_WORDS[name]}"
