"""The ledger cut by a label of the utterances, such as year, source or signal-to-noise ratio: `score.py --by LABEL`.

A difference between strata is seen only if their intervals are: each has the number of its questions, utterances and speakers,
and none for fewer than 10 speakers.
"""

from collections.abc import Mapping, Sequence

from auralign.data.strata import order, strata_of
from auralign.ledger.build import Judged, make_row, order_groups
from auralign.ledger.table import Table
from auralign.ledger.tables import format_interval, format_rate, format_recovery
from auralign.records import Records
from auralign.score.metrics import CONFIDENCE, MIN_SPEAKERS

HEADERS = ("questions", "label", "method", "number", "utterances", "speakers", "text", "floor", "speech")


def cut(
    judged: Mapping[str, Sequence[Judged]], manifest: Records, labels: Sequence[str], *, seed: int
) -> dict[str, Table]:
    """A table for each label, by its title: a row for each group of questions, stratum and method.

    Arguments
    ---------
    judged : dict of str -> list of Judged
        As `auralign.ledger.build.judge_answers` returns them.
    manifest : Records of Utterance
    labels : sequence of str
        As `auralign.data.strata` takes them.
    seed : int
        Of the bootstrap.

    Raises ValueError if no utterance has a label.
    """
    asked = {one.question.utt_id for items in judged.values() for one in items}
    utterances = [utterance for utterance in manifest if utterance.id in asked]
    interval = f"{100 * CONFIDENCE:g} % interval"
    headers = (*HEADERS, interval, "recovery", f"its {interval}")
    found = {}
    for label in labels:
        strata = strata_of(utterances, label)
        rows = [
            _row(group, stratum, method, members, seed)
            for group in order_groups(one.question.group for items in judged.values() for one in items)
            for stratum in order(strata.values())
            for method, items in judged.items()
            if (
                members := [
                    one
                    for one in items
                    if one.question.group == group and strata[one.question.utt_id] == stratum
                ]
            )
        ]
        found[f"Cut by {label}"] = Table(headers, rows, num_texts=3)
    return found


def _row(group: str, stratum: str, method: str, members: Sequence[Judged], seed: int) -> list[str]:
    row = make_row(method, group, members, None, {"seed": seed, "min_clusters": MIN_SPEAKERS})
    return [
        group,
        stratum,
        method,
        str(len(members)),
        str(len({one.question.utt_id for one in members})),
        str(len({one.item.cluster for one in members})),
        format_rate(row.rates.text),
        format_rate(row.rates.floor),
        format_rate(row.speech.value),
        format_interval(row.speech),
        format_recovery(row),
        format_interval(row.recovery),
    ]
