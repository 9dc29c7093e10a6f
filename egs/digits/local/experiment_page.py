"""RESULTS.md: what the finished runs show of each registered experiment; what has no run is "not run".

text = render(registered, rows)            # rows by name of run
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from auralign.files import write_atomically
from auralign.score.metrics import bootstrap_difference, difference_p_value, holm
from experiment_plan import LLM, START, is_programmed, terms_of

COUNTED = "<!-- {number} runs -->"
NOT_RUN, NOT_MEASURED = "not run", "-"
SHARES = {"right": "r", "verbatim": "v", "right content, other form": "f", "wrong task": "t"}
MIN_LLMS = 6  # for a p-value
Cells = dict[tuple[int, int], dict]  # rows by seed of the LLM and of the connector


def publish(path: Path, text: str) -> bool:
    """Write a page, unless there is one of more runs; returns whether it was written."""

    def number(page: str) -> int:
        found = re.search(COUNTED.format(number=r"(\d+)"), page)
        return int(found[1]) if found else 0

    if path.is_file() and number(path.read_text(encoding="utf-8")) > number(text):
        return False
    with write_atomically(path) as file:
        file.write(text)
    return True


def render(registered: Mapping, rows: Mapping[str, dict]) -> str:
    """The page."""
    lines = [
        "# Results of the registered experiments",
        "",
        COUNTED.format(number=len(rows)),
        "Made by `./run.sh --experiment NAME`; what was asked before the first run is in `experiments.yaml`. The shares are "
        "over questions about tasks that no arm trains (reverse, largest, sort, even, german, continue), two for each test "
        "utterance of bare digits, in 12 voices that training lacks; tasks whose right answer has the words of another task's "
        "are not asked. *Right*: word for word. *Verbatim*: the words that were said, a fifth of which may be wrong. *Content*: "
        "the share of digits that a linear readout finds in the speech embeddings. Intervals: a bootstrap over LLMs, over "
        f"connectors within each, and over voices, crossed. With fewer than {MIN_LLMS} LLMs they are too narrow, no p-value is "
        "given, and the result is a direction only. The LLMs go on from one shipped LLM, so that they resemble each other more "
        "than LLMs that are trained from scratch. Not run: recorded speakers, the place of the slot as a factor, graded "
        "licences, other learning rates.",
        "",
        *_llms(registered, rows),
    ]
    p_values = holm([_p_value(registered, rows, name) for name in registered["experiments"]])
    for (name, experiment), p_value in zip(registered["experiments"].items(), p_values, strict=True):
        lines += [f"## {name}", "", experiment["question"], ""]
        if not is_programmed(experiment):
            primary = experiment["contrasts"][0]
            lines += [
                f"Registered: {primary['of']}, {primary['measure']}, {primary['expected']}. Not run.",
                "",
            ]
            continue
        cells = _cells(rows, name)
        lines += [*_state(registered, name, cells), *_contrasts(experiment, cells, _voices(rows), p_value)]
        if cells:
            lines += (
                _arms(registered, experiment, cells, rows)
                if "start" in experiment
                else _columns(experiment, cells)
            )
            lines += _course(experiment, cells)
    return "\n".join(lines + list(_runs(rows)))


def _cells(rows: Mapping[str, dict], experiment: str) -> dict[str, Cells]:
    """By arm, the rows by LLM and connector."""
    cells: dict[str, Cells] = {}
    for row in rows.values():
        if row["experiment"] == experiment:
            for arm in row["answers"]:
                cells.setdefault(arm, {})[row["llm_seed"], row["connector_seed"]] = row
    return cells


def _voices(rows: Mapping[str, dict]) -> list[str]:
    return next((row["voices"] for row in rows.values() if row["kind"] == LLM), [])


def measure(row: dict, arm: str, name: str) -> np.ndarray | None:
    """A measure (N,) of N questions of a run; None if it was not measured.

    >>> measure({"answers": {"A": "rvr"}}, "A", "right").tolist()
    [1.0, 0.0, 1.0]
    """
    if name == "content":
        return None if row.get("content") is None else np.array(row["content"])
    return np.array([float(letter == SHARES[name]) for letter in row["answers"][arm]])


def compare(contrast: Mapping, cells: Mapping[str, Cells], voices: list[str]):
    """The two sides of a contrast (N,), the units that are resampled, and the pairs of seeds that have all of its arms; None if
    there is no such pair, or nothing was measured."""
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


def _p_value(registered: Mapping, rows: Mapping[str, dict], name: str) -> float | None:
    """Of the primary contrast, before Holm's correction; None with too few LLMs."""
    experiment = registered["experiments"][name]
    compared = is_programmed(experiment) and compare(
        experiment["contrasts"][0], _cells(rows, name), _voices(rows)
    )
    if not compared or len({llm for llm, _ in compared[3]}) < MIN_LLMS:
        return None
    return difference_p_value(compared[0], compared[1], **compared[2])


def _state(registered: Mapping, name: str, cells: Mapping[str, Cells]) -> Iterable[str]:
    pairs = set().union(*cells.values()) if cells else set()
    num_llms, wanted = len({llm for llm, _ in pairs}), registered["n"]
    num_pairs = len(wanted["llm_seeds"]) * len(wanted["connector_seeds"])
    made = f"{num_llms} of {len(wanted['llm_seeds'])} LLMs, {len(pairs)} of {num_pairs} connectors"
    state = "Complete" if len(pairs) == num_pairs else "**Direction only**"
    yield f"{state}: {made}." if pairs else f"{NOT_RUN.capitalize()}."
    yield ""


def _contrasts(experiment: Mapping, cells: Mapping[str, Cells], voices: list[str], p_value) -> Iterable[str]:
    yield "| contrast | measure | expected | difference | by LLM | LLM x connector |"
    yield "|---|---|---|--:|---|--:|"
    for number, contrast in enumerate(experiment["contrasts"]):
        what = f"| {'**primary** ' * (number == 0)}{contrast['of']} | {contrast['measure']} | {contrast['expected']} "
        compared = compare(contrast, cells, voices)
        if compared is None:
            yield f"{what}| {NOT_RUN} | | 0 |"
            continue
        scores, others, units, seeds = compared
        found = bootstrap_difference(scores, others, **units)
        llms = np.array(units["clusters"])
        of_each = [float(np.mean((scores - others)[llms == llm])) for llm in sorted(set(units["clusters"]))]
        interval = "" if found.low is None else f" [{found.low:+.2f}, {found.high:+.2f}]"
        p = f", p = {p_value:.3f} (Holm)" if number == 0 and p_value is not None else ""
        each = ", ".join(f"{value:+.2f}" for value in of_each)
        yield f"{what}| {found.value:+.2f}{interval}{p} | {each} | {len(seeds)} |"
    yield ""


def _mean(cells: Cells, arm: str, name: str) -> str:
    found = [measure(row, arm, name) for row in cells.values()]
    return NOT_MEASURED if any(one is None for one in found) else f"{np.mean(found):.2f}"


def _arms(registered: Mapping, experiment: Mapping, cells, rows) -> Iterable[str]:
    surprises = [row["surprise"] for row in rows.values() if row["kind"] == LLM]
    yield (
        "*Nats*: a token of the targets, for the LLM that reads the text, before any training. *Loss*: of the last ten steps, "
        "with that of the count. *Moved*: distance of the embeddings from where they began, as a share of their length."
    )
    yield ""
    yield f"| arm | asked | taught | nats | {' | '.join(SHARES)} | content | loss | moved | runs |"
    yield "|---|---|---|" + "--:|" * (len(SHARES) + 5)
    for arm in experiment["arms"]:
        asked = registered["arms"][arm]
        nats = f"{np.mean([one[arm] for one in surprises]):.2f}"
        line = f"| {arm} | {asked['ask']} | {asked['teach']} | {nats} |"
        if arm not in cells:
            yield f"{line} {NOT_RUN} |" + " |" * (len(SHARES) + 2) + " 0 |"
            continue
        last = [row["course"][-1] for row in cells[arm].values()]
        loss = np.mean([one["loss"] for one in last])
        moved = [one["displacement"] for one in last if "displacement" in one]
        shares = [_mean(cells[arm], arm, name) for name in (*SHARES, "content")]
        yield f"{line} {' | '.join(shares)} | {loss:.2f} | {f'{np.mean(moved):.2f}' if moved else NOT_MEASURED} | {len(last)} |"
    yield ""
    ran = [arm for arm in experiment["arms"] if arm in cells]
    by_nats = sorted(ran, key=lambda arm: np.mean([one[arm] for one in surprises]))
    by_obedience = sorted(ran, key=lambda arm: float(_mean(cells[arm], arm, "right")), reverse=True)
    yield (
        f"Order by nats before training, least first: {', '.join(by_nats)}; by right answers after it, most first: "
        f"{', '.join(by_obedience)}."
    )
    yield ""


def _columns(experiment: Mapping, cells: Mapping[str, Cells]) -> Iterable[str]:
    yield f"| answers to | {' | '.join(SHARES)} | runs |"
    yield "|---|" + "--:|" * (len(SHARES) + 1)
    for arm in experiment["arms"]:
        if arm in cells:
            yield f"| {arm} | {' | '.join(_mean(cells[arm], arm, name) for name in SHARES)} | {len(cells[arm])} |"
    yield ""


def _course(experiment: Mapping, cells: Mapping[str, Cells]) -> Iterable[str]:
    steps = experiment.get("look_at", ())
    if len(steps) < 2:
        return
    yield "Right / verbatim / content, by step:"
    yield ""
    yield f"| arm | {' | '.join(map(str, steps))} |"
    yield "|---|" + "---|" * len(steps)
    for arm in experiment["arms"]:
        looks = [
            [
                {**row["course"][number], "answers": {arm: row["course"][number]["answers"]}}
                for row in cells[arm].values()
            ]
            for number in range(len(steps) if arm in cells else 0)
        ]
        found = [
            " / ".join(_mean(dict(enumerate(look)), arm, name) for name in ("right", "verbatim", "content"))
            for look in looks
        ]
        if found:
            yield f"| {arm} | {' | '.join(found)} |"
    yield ""
    yield from _at_equal_distance(cells)


def _at_equal_distance(cells: Mapping[str, Cells]) -> Iterable[str]:
    """D when it has moved as far as A has at its end."""
    found = []
    for pair in set(cells.get("A", ())) & set(cells.get("D", ())):
        limit = cells["A"][pair]["course"][-1]["displacement"]
        look = next((one for one in cells["D"][pair]["course"] if one["displacement"] >= limit), None)
        if look:
            found.append((look["step"], np.mean([letter == "r" for letter in look["answers"]])))
    if found:
        steps, right = zip(*found, strict=True)
        yield (
            f"At the first look at which D has moved at least as far as A at its end (step {min(steps)} to {max(steps)}), D has "
            f"{np.mean(right):.2f} right; {len(found)} runs."
        )
        yield ""


def _llms(registered: Mapping, rows: Mapping[str, dict]) -> Iterable[str]:
    """The controls that all arms share."""
    found = [row for row in rows.values() if row["kind"] == LLM]
    yield "| LLM | bare digits are licensed by | text | another text | cascade | aligned start | untrained connector |"
    yield "|--:|---|--:|--:|--:|--:|--:|"
    for row in sorted(found, key=lambda row: row["llm_seed"]):
        starts = [one for one in rows.values() if one["kind"] == START and one["llm_seed"] == row["llm_seed"]]
        shares = [f"{measure(row, name, 'right').mean():.2f}" for name in ("text", "another text", "cascade")]
        for name in ("start", "untrained"):
            shares.append(
                f"{np.mean([measure(one, name, 'right').mean() for one in starts]):.2f}"
                if starts
                else NOT_RUN
            )
        yield f"| {row['llm_seed']} | {row['licensed']} | {' | '.join(shares)} |"
    yield ""


def _runs(rows: Mapping[str, dict]) -> Iterable[str]:
    yield "## Runs"
    yield ""
    yield "| experiment | runs | LLM seeds | connector seeds | commit | hardware | CPU s of a run | finished |"
    yield "|---|--:|---|---|---|---|--:|---|"
    for name in dict.fromkeys(row["experiment"] or row["kind"] for row in rows.values()):
        found = [row for row in rows.values() if (row["experiment"] or row["kind"]) == name]

        def each(key: str, found=found) -> str:
            return ", ".join(dict.fromkeys(str(value) for value in sorted(row[key] for row in found)))

        commits = ", ".join(dict.fromkeys(_short(row["commit"]) for row in found))
        seconds = [row["cpu_seconds"] for row in found]
        yield (
            f"| {name} | {len(found)} | {each('llm_seed')} | {each('connector_seed')} | {commits} | {each('hardware')} | "
            f"{min(seconds):.0f} to {max(seconds):.0f} | {max(row['finished'] for row in found)} |"
        )
    yield ""


def _short(commit: str) -> str:
    return commit[:12] + "-dirty" * commit.endswith("-dirty") or NOT_MEASURED
