"""The page of the side-by-side: two tables and the runs that they were made of, as Markdown.

    text = render(settings, rows)            # rows by name of run; what has none is "not run"

The page is a part of RESULTS.md between two marks, so that the rest of that file is anybody's.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from local.side_plan import (
    ALIGNED,
    CELL,
    DEV_SHARE,
    GROUPS,
    METHODS,
    SCRATCH,
    Run,
    Settings,
    plan,
)
from local.side_runs import CASCADE, KEPT_TEXT, SHUFFLED, SPEECH

from auralign.files import write_atomically

BEGIN, END = "<!-- side by side: {finished} of {all} runs -->", "<!-- side by side: end -->"
MARKED = re.compile(BEGIN.format(finished=r"(?P<finished>\d+)", all=r"\d+") + ".*" + END, flags=re.DOTALL)
TITLE = "# Results\n\n"
NOT_RUN = "not run"


def render(settings: Settings, rows: Mapping[str, dict], failed: Mapping[str, str] | None = None) -> str:
    """The page.

    Arguments
    ---------
    settings : Settings
    rows : mapping of str to dict
        Facts of finished runs, by name.
    failed : mapping of str to str, optional
        Why runs failed, by name.
    """
    runs = plan(settings)
    return "\n".join(
        [
            BEGIN.format(finished=sum(run.name in rows for run in runs), all=len(runs)),
            "## Side by side: how the methods compare on one real LLM",
            "",
            *_introduction(settings, rows),
            "### From aligned",
            "",
            *_aligned(settings, rows, failed or {}),
            "### From scratch",
            "",
            *_scratch(settings, rows, failed or {}),
            "### Runs",
            "",
            *_runs(runs, rows, failed or {}),
            END,
            "",
        ]
    )


def publish(path: Path, text: str) -> bool:
    """Write the page into a file, in place of what is between the marks, or at the end if there are none.

    Returns whether it was written: a page of more finished runs is not replaced by one of fewer.
    """
    before = path.read_text(encoding="utf-8") if path.is_file() else TITLE
    found, new = MARKED.search(before), MARKED.search(text)
    if found is not None and new is not None and int(found["finished"]) > int(new["finished"]):
        return False
    whole = MARKED.sub(lambda _: text.rstrip("\n"), before) if found else f"{before.rstrip()}\n\n{text}"
    with write_atomically(path) as file:
        file.write(whole)
    return True


def _introduction(settings: Settings, rows: Mapping[str, dict]) -> Iterable[str]:
    start = rows.get("start", {})
    budget = (
        f"{settings.cpu_seconds:g} CPU seconds of optimiser steps, of all threads. Validation, the encoder's frames, which all "
        "share, and the targets, whose CPU seconds have a column of their own, come on top"
        if settings.num_steps is None
        else f"{settings.num_steps} steps: this is a trial, and no comparison at equal cost"
    )
    rates = ", ".join(f"{rate:g}" for rate in settings.rates)
    yield (
        "Made by `python local/side_by_side.py`, in egs/pocket; the plan is in local/side_plan.py. "
        f"LLM: {start.get('llm', NOT_RUN)}; encoder: {start.get('encoder', NOT_RUN)}; corpus: {settings.size}, synthetic speech. "
        f"Each training has {budget}; it may end before every utterance was seen, or after several passes. "
        "All steps have the same number of LLM positions. The learning rate of a method in a table "
        f"is that of {rates} with the lowest loss on the validation set after {DEV_SHARE:.0%} of the budget, at "
        f"{settings.num_utts[-1]} utterances and seed {settings.seeds[0]}."
    )
    yield ""
    yield (
        "Each figure is the agreement of the answers to speech with the same LLM's own answers to the text: F1 of words / the "
        "first 40 characters are equal / word for word. It is not correctness. The test utterances are combinations, templates "
        "and sentences that training lacks, in its voices. The groups: a *spoken question* or request, with no text; *none*, a "
        "statement without any instruction; and a text instruction beside the speech, in a *seen wording* (of training, for the "
        "methods whose column *taught* names the task), in an *unseen wording* of the same tasks, and of an *unseen task*, which "
        "no method trains:"
    )
    yield ""
    for group, instructions in GROUPS.items():
        if instructions[0] is not None:
            yield f"- {group}: " + ", ".join(f"`{_in_line(one)}`" for one in instructions if one)
    yield ""


def _aligned(settings: Settings, rows, failed) -> Iterable[str]:
    runs = [run for run in plan(settings) if run.kind == CELL and run.table == ALIGNED]
    seeds = ", ".join(map(str, settings.seeds))
    yield (
        "All go on from one aligned connector (`hparams/align.yaml`), which alone is trained, on utterances drawn from the same "
        f"{settings.num_utts[-1]}; seeds {seeds}: the mean, and of F1 the lowest and the highest."
    )
    yield ""
    yield from _head(
        ["method", "taught", "seeds", "lr", "steps", "training CPU s", "targets", "targets CPU s"], rows
    )
    for name, column in (
        ("the aligned start", SPEECH),
        ("cascade: Whisper's transcript, read", CASCADE),
        ("another utterance's speech", SHUFFLED),
    ):
        found = rows.get("start", {}).get("columns", {}).get(column)
        yield _line([name, *["-"] * 7, *_cells([found] if found else [], is_spread=True)])
    for name in dict.fromkeys(run.method for run in runs):
        names = [run.name for run in runs if run.method == name]
        done = [rows[one] for one in names if one in rows]
        cost = _cost(done, rows.get(f"targets/{name}"))
        state = f"{len(done)} of {len(names)}"
        measured = _cells(
            [row["columns"][SPEECH] for row in done], is_spread=True, state=_state(names, failed)
        )
        yield _line([name, METHODS[name].taught, state, *cost, *measured])
    yield ""


def _scratch(settings: Settings, rows, failed) -> Iterable[str]:
    runs = [run for run in plan(settings) if run.kind == CELL and run.table == SCRATCH]
    yield (
        "Each trains the connector of its own paper, or the nearest, from the beginning; "
        f"seed {settings.seeds[0]}; in brackets the 95 % interval of F1 over voices. *Text kept*: the agreement of the "
        'trained LLM\'s answers to the text with those before training, over all test groups; "-": the LLM is frozen.'
    )
    yield ""
    head = [
        "method",
        "taught",
        "utterances",
        "connector",
        "lr",
        "steps",
        "training CPU s",
        "targets",
        "targets CPU s",
    ]
    yield from _head(head, rows, ["text kept"])
    for run in sorted(runs, key=lambda run: (list(METHODS).index(run.method), run.num_utts)):
        method, row = METHODS[run.method], rows.get(run.name)
        cost = _cost([row] if row else [], rows.get(f"targets/{run.method}"))
        columns = [row["columns"][SPEECH]] if row else []
        measured = _cells(columns, state=_state([run.name], failed))
        kept = _mean_over_groups(row["columns"].get(KEPT_TEXT)) if row else NOT_RUN if method.lora else "-"
        connector = method.connector + (", LoRA" if method.lora else "")
        yield _line([run.method, method.taught, str(run.num_utts), connector, *cost, *measured, kept])
    yield ""
    for name, method in METHODS.items():
        if method.note:
            yield f"- {name}: {method.note}"
    mtbi = rows.get("targets/mtbi")
    if mtbi:
        share = mtbi["options"]["share_interleaved"]
        yield "- mtbi, as it was run: " + (
            f"{share:.0%} of its examples have spans of text in the speech"
            if share
            else "no spans of text in the speech, as the clips have no word times (`auralign align`)"
        )
    yield ""


def _head(names: list[str], rows, more=()) -> Iterable[str]:
    counts = rows.get("start", {}).get("columns", {}).get(SPEECH, {})
    groups = [f"{group} (n {counts[group]['n']})" if group in counts else group for group in GROUPS]
    yield _line([*names, *groups, *more])
    yield _line(["---"] * len(names) + ["---"] * (len(groups) + len(more)))


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cost(done: list[dict], targets: dict | None) -> list[str]:
    """Learning rate, steps, CPU seconds of training, number of targets and their CPU seconds."""
    training = [NOT_RUN] * 3
    if done:
        mean_seconds = sum(row["cpu_seconds"] for row in done) / len(done)
        training = [f"{done[0]['rate']:g}", str(done[0]["num_steps"]), f"{mean_seconds:.0f}"]
    if targets is None:
        return [*training, NOT_RUN, NOT_RUN]
    number = str(done[0]["num_targets"] if done else targets["num_targets"])
    return [*training, number, ("> " if targets["resumed"] else "") + f"{targets['cpu_seconds']:.0f}"]


def _cells(columns: list[dict], *, is_spread: bool = False, state: str = NOT_RUN) -> list[str]:
    """For each test group the measures of one run, or their means over several."""
    if not columns:
        return [state] * len(GROUPS)
    cells = []
    for group in GROUPS:
        found = [column[group] for column in columns]
        means = {name: sum(one[name] for one in found) / len(found) for name in ("F1", "first", "exact")}
        low, high = min(one["F1"] for one in found), max(one["F1"] for one in found)
        if not is_spread:
            low, high = found[0]["F1 interval"]
        spread = f" ({low:.2f}-{high:.2f})" if len(found) > 1 else ""
        if not is_spread and low is not None:
            spread = f" [{low:.2f}-{high:.2f}]"
        cells.append(f"{means['F1']:.2f}{spread} / {means['first']:.2f} / {means['exact']:.2f}")
    return cells


def _mean_over_groups(column: dict | None) -> str:
    if column is None:
        return "-"
    number = sum(of_group["n"] for of_group in column.values())
    sums = {
        name: sum(of_group["n"] * of_group[name] for of_group in column.values())
        for name in ("F1", "first", "exact")
    }
    return " / ".join(f"{value / number:.2f}" for value in sums.values())


def _state(names: list[str], failed: Mapping[str, str]) -> str:
    return "failed" if any(name in failed for name in names) else NOT_RUN


def _runs(runs: list[Run], rows, failed) -> Iterable[str]:
    yield "Every run in this folder, in its order; those without a line were not run."
    yield ""
    yield _line(["run", "command", "commit", "hardware", "threads", "seed", "CPU s", "finished"])
    yield _line(["---"] * 8)
    for run in runs:
        row = rows.get(run.name)
        if row is not None:
            seconds = f"{row['cpu_seconds']:.0f}" if "cpu_seconds" in row else "-"
            yield _line(
                [
                    run.name,
                    f"`{row['command']}`",
                    row["commit"][:12] + ("-dirty" if row["commit"].endswith("-dirty") else "") or "-",
                    row["hardware"],
                    str(row["threads"]),
                    str(run.seed),
                    seconds,
                    row["finished"],
                ]
            )
    yield ""
    for name, why in failed.items():
        yield f"- {name} failed: {_in_line(why)}"
    if failed:
        yield ""


def _in_line(text: str) -> str:
    """A text as one line of a table."""
    return " ".join(text.split()).replace("|", "\\|")
