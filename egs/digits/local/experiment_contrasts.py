"""What is compared in the registered experiments: measures of runs, and the two sides of a contrast.

>>> measure({"answers": {"A": "rvr"}}, "A", "right").tolist()
[1.0, 0.0, 1.0]
"""

from collections.abc import Mapping

import numpy as np
from scipy.stats import spearmanr

from experiment_plan import ARM, CAUSE, CORRELATION, TUNED, VOICE, terms_of

SHARES = {"right": "r", "verbatim": "v", "right content, other form": "f", "wrong task": "t"}
PER_QUESTION = ("content", "counted", "attributes")  # measures that a run has a number of for each question
Cells = dict[tuple[int, int], dict]  # rows by seed of the LLM and of the connector


def cells_of(rows: Mapping[str, dict], experiment: str) -> dict[str, Cells]:
    """By arm, the rows by LLM and connector."""
    cells: dict[str, Cells] = {}
    for row in rows.values():
        if row["experiment"] == experiment and row["kind"] in (ARM, CAUSE, TUNED, VOICE):
            for arm in row["answers"]:
                cells.setdefault(arm, {})[row["llm_seed"], row["connector_seed"]] = row
    return cells


def measure(row: dict, arm: str, name: str) -> np.ndarray | None:
    """A measure (N,) of N questions of a run; None if it was not measured.

    >>> measure({"answers": {"A": "rvr"}}, "A", "right").tolist()
    [1.0, 0.0, 1.0]
    """
    if name in PER_QUESTION:
        return None if row.get(name) is None else np.array(row[name], dtype=float)
    return np.array([float(letter == SHARES[name]) for letter in row["answers"][arm]])


def compare(contrast: Mapping, cells: Mapping[str, Cells], voices: list[str]):
    """The two sides of a contrast (N,), the units that are resampled, and the pairs of seeds that have all of its arms; None if
    there is no such pair, or nothing was measured."""
    if contrast["measure"] == CORRELATION:
        return None
    terms = terms_of(contrast["of"])
    seeds = sorted(set.intersection(*(set(cells.get(arm, ())) for _, arm in terms)))
    sides = {1: [], -1: []}
    for pair in seeds:
        for sign in sides:
            found = [measure(cells[arm][pair], arm, contrast["measure"]) for s, arm in terms if s == sign]
            if any(one is None for one in found):
                return None
            sides[sign].append(sum(found))
    if not seeds:
        return None
    repeated = [pair for pair in seeds for _ in voices]
    units = {
        "clusters": [llm for llm, _ in repeated],
        "within": repeated,
        "runs": voices * len(seeds),
        "seed": 1,
    }
    return np.concatenate(sides[1]), np.concatenate(sides[-1]), units, seeds


def correlate(cells: Mapping[str, Cells]) -> str:
    """Spearman's coefficient of the probe's share and the flip rate, over all models, and over those of each LLM."""
    found = [
        (llm, row["speech_share"], row["flips"])
        for of_arm in cells.values()
        for (llm, _), row in of_arm.items()
    ]
    whole = [one for one in found if None not in one]
    by_llm = {llm: [one for one in whole if one[0] == llm] for llm in sorted({one[0] for one in whole})}
    each = ", ".join(_spearman(of_llm) for of_llm in by_llm.values())
    return f"| {_spearman(whole)} | {each} | {len(set().union(*cells.values()))} |"


def _spearman(models: list[tuple]) -> str:
    """The coefficient in words; "undefined" for fewer than three models, or if one of the measures never varies."""
    _, shares, flips = zip(*models, strict=True) if models else ((), (), ())
    if len(models) < 3 or len(set(shares)) == 1 or len(set(flips)) == 1:
        return f"undefined ({len(models)} models)"
    return f"{spearmanr(shares, flips).statistic:+.2f} ({len(models)} models)"


def ranks_of_audit(
    sets: Mapping[tuple[int, str], tuple[Mapping[str, float], float]],
) -> dict[str, tuple[float | None, list[float | None]]]:
    """By measure of the audit, Spearman's coefficient with what is not right: over all sets of targets, and without each LLM.

    None if one of the two never varies.

    Arguments
    ---------
    sets : dict of (LLM's seed, arm) to (dict of str to float, float)
        The measures of a set before training, and the share of right answers after it.
    """
    found = {}
    for name in next(iter(sets.values()))[0]:
        by_llm = {llm: [] for llm, _ in sorted(sets)}
        for (llm, _), (measures, right) in sets.items():
            by_llm[llm].append((measures[name], 1 - right))

        def coefficient(left_out: int | None, by_llm=by_llm) -> float | None:
            pairs = [pair for llm, of_llm in by_llm.items() if llm != left_out for pair in of_llm]
            sides = [*zip(*pairs, strict=True)]
            if any(len(set(side)) == 1 for side in sides):
                return None
            return float(spearmanr(*sides).statistic)

        found[name] = coefficient(None), [coefficient(llm) for llm in by_llm]
    return found
