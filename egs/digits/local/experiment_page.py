"""RESULTS.md: what the finished runs show of each registered experiment; what has no run is "not run".

text = render(registered, rows)            # rows by name of run
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from auralign.files import write_atomically
from auralign.score.metrics import bootstrap_difference, difference_p_value, holm
from experiment_contrasts import (
    SHARES,
    Cells,
    cells_of,
    compare,
    correlate,
    measure,
    ranks_of_audit,
)
from experiment_picture import draw_obedience
from experiment_plan import CORRELATION, LLM, START, TAGGED_TEXT, TOLD, is_programmed

COUNTED = "<!-- {number} runs -->"
NOT_RUN, NOT_MEASURED = "not run", "-"
PICTURE = "obedience.png"
PICTURED = f"![Right answers of the arms, against how far their embeddings moved and against their training loss]({PICTURE})"
MIN_LLMS = 6  # for a p-value
MIN_SETS = 10  # of targets, for a coefficient
FURTHER_MEANS = {  # what further columns of a program's table show
    "bias": (
        "*Flips*: of the questions that the untuned LLM answers rightly from the text, the share whose answer to speech does "
        "another task or says what was said. *Speech's share*: of the saliency of the edges from an answer to speech and to its "
        "instruction, summed, and per edge; the mean over answers."
    ),
    "attributes": (
        "*Attributes*: the share that is right of speed and pitch, each in the reply to speech without an instruction and in the "
        "answer to a question about it."
    ),
}
FURTHER = {  # columns of a program's table, and the facts of a run that they show
    "bias": {
        "flips": "flips",
        "speech's share": "speech_share",
        "speech's share, per edge": "speech_share_per_edge",
    },
    "attributes": {"attributes": "attributes"},
}


def publish(path: Path, text: str) -> bool:
    """Write a page and its picture, unless there is one of more runs; returns whether it is this page now."""

    def number(page: str) -> int:
        found = re.search(COUNTED.format(number=r"(\d+)"), page)
        return int(found[1]) if found else 0

    if path.is_file() and number(path.read_text(encoding="utf-8")) > number(text):
        return False
    with write_atomically(path) as file:
        file.write(text)
    if PICTURED in text:
        draw_obedience(text, path.with_name(PICTURE))
    return True


def render(registered: Mapping, rows: Mapping[str, dict], *, speech: str = "synthetic") -> str:
    """The page; of `speech` "synthetic" or "recorded"."""
    recorded = speech == "recorded"
    number = len(set(_voices(rows)))
    voices = f"{number} recorded speaker{'s' * (number != 1)}" if recorded else "12 voices"
    lines = [
        f"# Results of the registered experiments{', recorded speech' * recorded}",
        "",
        COUNTED.format(number=len(rows)),
        f"Made by `./run.sh{' --speech recorded' * recorded} --experiment NAME`; what was asked before the first run is in "
        "`experiments.yaml`. The shares are "
        "over questions about tasks that no arm trains (reverse, largest, sort, even, german, continue), two for each test "
        f"utterance of bare digits, in {voices} that training lacks; tasks whose right answer has the words of another task's "
        "are not asked. *Right*: word for word. *Verbatim*: the words that were said, a fifth of which may be wrong. *Content*: "
        "the share of digits that a linear readout finds in the speech embeddings. Intervals: a bootstrap over LLMs, over "
        f"connectors within each, and over voices, crossed. With fewer than {MIN_LLMS} LLMs they are too narrow, no p-value is "
        "given, and the result is a direction only. The LLMs go on from one shipped LLM, so that they resemble each other more "
        "than LLMs that are trained from scratch. "
        + ("" if recorded else "Recorded speakers: `RESULTS.recorded.md`. ")
        + "Not run: graded licences, other learning rates.",
        "",
        *([PICTURED, ""] if not recorded and any("course" in row for row in rows.values()) else []),
        *_llms(registered, rows),
    ]
    p_values = holm([_p_value(registered, rows, name) for name in registered["experiments"]])
    for (name, experiment), p_value in zip(registered["experiments"].items(), p_values, strict=True):
        lines += [f"## {name}", "", experiment["question"], ""]
        if "from" in experiment:
            lines += _audit(registered, experiment, rows)
            continue
        if not is_programmed(experiment):
            primary = experiment["contrasts"][0]
            lines += [
                f"Registered: {primary['of']}, {primary['measure']}, {primary['expected']}. Not run.",
                "",
            ]
            continue
        cells = cells_of(rows, name)
        lines += [*_state(registered, name, cells), *_contrasts(experiment, cells, _voices(rows), p_value)]
        if cells:
            if "start" in experiment:
                lines += _arms(registered, experiment, cells, rows)
            else:
                lines += _columns(name, experiment, cells, rows)
            lines += _course(experiment, cells)
    return "\n".join(lines + list(_runs(rows)))


def _voices(rows: Mapping[str, dict]) -> list[str]:
    return next((row["voices"] for row in rows.values() if "voices" in row), [])


def _p_value(registered: Mapping, rows: Mapping[str, dict], name: str) -> float | None:
    """Of the primary contrast, before Holm's correction; None with too few LLMs."""
    experiment = registered["experiments"][name]
    compared = is_programmed(experiment) and compare(
        experiment["contrasts"][0], cells_of(rows, name), _voices(rows)
    )
    if not compared or len({llm for llm, _ in compared[3]}) < MIN_LLMS:
        return None
    return difference_p_value(compared[0], compared[1], **compared[2])


def _state(registered: Mapping, name: str, cells: Mapping[str, Cells]) -> Iterable[str]:
    arms = registered["experiments"][name]["arms"]
    pairs = set().union(*cells.values()) if cells else set()
    num_llms, wanted = len({llm for llm, _ in pairs}), registered["n"]
    num_pairs = len(wanted["llm_seeds"]) * len(wanted["connector_seeds"])
    made = f"{num_llms} of {len(wanted['llm_seeds'])} LLMs, {len(pairs)} of {num_pairs} connectors"
    is_complete = all(len(cells.get(arm, ())) == num_pairs for arm in arms)
    state = "Complete" if is_complete else "**Direction only**" if len(pairs) < num_pairs else "**Some arms**"
    yield f"{state}: {made}." if pairs else f"{NOT_RUN.capitalize()}."
    yield ""


def _contrasts(experiment: Mapping, cells: Mapping[str, Cells], voices: list[str], p_value) -> Iterable[str]:
    yield "| contrast | measure | expected | difference | by LLM | LLM x connector |"
    yield "|---|---|---|--:|---|--:|"
    for number, contrast in enumerate(experiment["contrasts"]):
        what = f"| {'**primary** ' * (number == 0)}{contrast['of']} | {contrast['measure']} | {contrast['expected']} "
        if contrast["measure"] == CORRELATION and cells:
            yield what + correlate(cells)
            continue
        compared = compare(contrast, cells, voices)
        if compared is None:
            yield f"{what}| {NOT_RUN} | | 0 |"
            continue
        scores, others, units, seeds = compared
        found = bootstrap_difference(scores, others, **units)
        llms = np.array(units["clusters"])
        of_each = [float(np.mean((scores - others)[llms == llm])) for llm in sorted(set(units["clusters"]))]
        has_interval = found.low is not None and found.low < found.high  # else nothing varies
        interval = f" [{found.low:+.2f}, {found.high:+.2f}]" if has_interval else ""
        p = f", p = {p_value:.3f} (Holm)" if number == 0 and p_value is not None else ""
        each = ", ".join(f"{value:+.2f}" for value in of_each)
        yield f"{what}| {found.value:+.2f}{interval}{p} | {each} | {len(seeds)} |"
    yield ""


def _mean(cells: Cells, arm: str, name: str) -> str:
    found = [measure(row, arm, name) for row in cells.values()]
    return NOT_MEASURED if any(one is None for one in found) else f"{np.mean(found):.2f}"


def _arms(registered: Mapping, experiment: Mapping, cells, rows) -> Iterable[str]:
    audits = [row["audit"] for row in rows.values() if row["kind"] == LLM]
    yield (
        "*Gap*, *conflict*: of the targets, by the audit, before any training: nats a token, and a share. *Loss*: of the last "
        "ten steps, with that of the count. *Moved*: distance of the embeddings from where they began, as a share of their "
        "length. *Counted*: the share of questions about whose speech the connector makes as many embeddings as there are "
        "tokens, by itself, as where it answers; *content* is read with the right number given."
    )
    yield ""
    names = (*SHARES, "content", "counted")
    yield f"| arm | asked | taught | gap | conflict | {' | '.join(names)} | loss | moved | runs |"
    yield "|---|---|---|" + "--:|" * (len(names) + 5)
    for arm in experiment["arms"]:
        asked = registered["arms"][arm]
        # An LLM that was audited before the arm was added has nothing of it.
        told = [one[arm] for one in audits if arm in one]
        before = (
            f"{np.mean([one[name] for one in told]):.2f}" if told else NOT_MEASURED
            for name in ("gap", "conflict")
        )
        line = f"| {arm} | {asked['ask']} | {asked['teach']} | {' | '.join(before)} |"
        if arm not in cells:
            yield f"{line} {NOT_RUN} |" + " |" * (len(names) + 1) + " 0 |"
            continue
        last = [row["course"][-1] for row in cells[arm].values()]
        means = (f"{np.mean([one[name] for one in last]):.2f}" for name in ("loss", "displacement"))
        shares = [_mean(cells[arm], arm, name) for name in names]
        yield f"{line} {' | '.join((*shares, *means))} | {len(last)} |"
    yield ""


def _audit(registered: Mapping, experiment: Mapping, rows: Mapping[str, dict]) -> Iterable[str]:
    """What the audit says of each set of targets before training, against the right answers after it."""
    audits = {row["llm_seed"]: row["audit"] for row in rows.values() if row["kind"] == LLM}
    primary = experiment["contrasts"][0]
    yield f"Registered: {primary['of']}, {primary['expected']}."
    yield ""
    for name in [one for one in experiment["from"] if cells_of(rows, one)] or experiment["from"][:1]:
        how, cells = registered["experiments"][name], cells_of(rows, name)
        right: dict[tuple[int, str], list[float]] = {}
        for arm in (arm for arm in how["arms"] if arm in cells and arm not in how.get("lr_of", {})):
            for (llm, _), row in cells[arm].items():
                right.setdefault((llm, arm), []).append(float(measure(row, arm, "right").mean()))
        sets = {
            (llm, arm): (audits[llm][arm], float(np.mean(found)))
            for (llm, arm), found in right.items()
            if arm in audits.get(llm, {})
        }
        if len(sets) < 2:
            yield f"After {name}: {NOT_RUN}." if sets else f"{NOT_RUN.capitalize()}."
            yield ""
            continue
        yield from _audited(name, sets)


def _audited(name: str, sets: Mapping[tuple[int, str], tuple[Mapping[str, float], float]]) -> Iterable[str]:
    measures = list(next(iter(sets.values()))[0])
    by_arm: dict[str, list] = {}
    for (_, arm), found in sets.items():
        by_arm.setdefault(arm, []).append(found)
    means = {
        arm: [float(np.mean([one[key] for one, _ in found])) for key in measures]
        + [float(np.mean([share for _, share in found]))]
        for arm, found in by_arm.items()
    }
    yield f"| arm | {' | '.join(measures)} | right after {name} |"
    yield "|---|" + "--:|" * (len(measures) + 1)
    for arm in sorted(means, key=lambda arm: -means[arm][-1]):
        yield f"| {arm} | {' | '.join(f'{value:.2f}' for value in means[arm])} |"
    yield ""
    num_llms = len({llm for llm, _ in sets})
    if len(sets) < MIN_SETS:
        yield f"{len(sets)} sets are too few for a coefficient."
        yield ""
        return
    heads = (
        f"before {name}",
        f"Spearman with 1 - right, {len(sets)} sets of {num_llms} LLMs",
        "with each LLM left out",
    )
    yield f"| {' | '.join((*heads, 'with each arm left out'))} |"
    yield "|---|--:|---|---|"
    without_arm = {
        arm: ranks_of_audit({key: found for key, found in sets.items() if key[1] != arm}) for arm in means
    }
    for key, (whole, without) in ranks_of_audit(sets).items():
        each = ", ".join(map(_coefficient, without)) if num_llms > 1 else NOT_MEASURED
        arms = ", ".join(f"{arm} {_coefficient(ranks[key][0])}" for arm, ranks in without_arm.items())
        yield f"| {key} | {_coefficient(whole)} | {each} | {arms} |"
    yield ""
    yield (
        f"The LLMs resemble each other, so that the sets count for little more than the {len(means)} arms. *nll*: of the "
        "targets, nats a token; *tokens*: of a target; *overlap*: the share of its words that the transcript has. An arm with a "
        "rate of its own has the targets of another, and is left out."
    )
    yield ""


def _coefficient(value: float | None) -> str:
    return "undefined" if value is None else f"{value:+.2f}"


def _columns(name: str, experiment: Mapping, cells: Mapping[str, Cells], rows) -> Iterable[str]:
    of = "arm" if "program" in experiment else "answers to"
    further = FURTHER.get(experiment.get("program", ""), {})
    if further:
        yield FURTHER_MEANS[experiment["program"]]
        yield ""
    yield f"| {of} | {' | '.join((*SHARES, *further))} | runs |"
    yield "|---|" + "--:|" * (len(SHARES) + len(further) + 1)
    told = {
        (row["llm_seed"], 0): row
        for row in rows.values()
        if row["kind"] == TOLD and row["experiment"] == name
    }
    cells = {**cells, TAGGED_TEXT: told} if told else cells  # the most that speech can reach
    for arm in (TAGGED_TEXT, *experiment["arms"]):
        if arm in cells:
            shown = [_mean(cells[arm], arm, name) for name in SHARES]
            shown += [_mean_fact(cells[arm], name) for name in further.values()]
            yield f"| {arm} | {' | '.join(shown)} | {len(cells[arm])} |"
    yield ""


def _mean_fact(cells: Cells, name: str) -> str:
    found = [np.mean(row[name]) for row in cells.values() if row[name] is not None]
    return f"{np.mean(found):.2f}" if found else NOT_MEASURED


def _course(experiment: Mapping, cells: Mapping[str, Cells]) -> Iterable[str]:
    steps = experiment.get("look_at", ())
    if len(steps) < 2:
        return
    yield "Right / verbatim / content, and how far the embeddings have moved, by step:"
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
            + f", {np.mean([one['displacement'] for one in look]):.2f}"
            for look in looks
        ]
        if found:
            yield f"| {arm} | {' | '.join(found)} |"
    yield ""
    yield from _at_equal_distance(cells)


def _at_equal_distance(cells: Mapping[str, Cells]) -> Iterable[str]:
    """D, and D at a lower rate, when it has moved as far as A has at its end."""
    for arm in ("D", "D_slow"):
        found = []
        for pair in set(cells.get("A", ())) & set(cells.get(arm, ())):
            limit = cells["A"][pair]["course"][-1]["displacement"]
            look = next((one for one in cells[arm][pair]["course"] if one["displacement"] >= limit), None)
            if look:
                found.append((look["step"], np.mean([letter == "r" for letter in look["answers"]])))
        if found:
            steps, right = zip(*found, strict=True)
            when = f"step {min(steps)} to {max(steps)}"
            yield (
                f"At the first look at which {arm} has moved at least as far as A at its end ({when}), it has "
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
