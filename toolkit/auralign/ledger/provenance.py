"""How the runs in a report were made: when, how long and on what their stages ran, and how many parameters were trained."""

from collections import Counter
from collections.abc import Mapping
from math import prod
from typing import Any

from auralign.run_folder import RunFolder
from auralign.stage import find_runs

UNKNOWN = "not recorded"


def stages_of(runs: Mapping[str, RunFolder]) -> list[tuple[str, dict[str, Any]]]:
    """The stages 1 to 4 of some runs in their order.

    Returns (name, record of `auralign.stage.find_runs`) of each; the record is empty if an earlier auralign ran the stage.
    """
    first = next(iter(runs.values()))
    places = [(first.data.folder, "1 prepare", "")]
    for name, run in runs.items():
        places.append((run.targets("train").parent, "2 generate", name))
        places.append((run.checkpoints.parent, "3 train", name))
        places.append((run.hypotheses("text").parent, "4 decode", ""))
        places.append((run.hypotheses("speech").parent, "4 decode", name))
    found = []
    for folder, stage, name in dict.fromkeys(places):
        for part, record in find_runs(folder) or [(stage.partition(" ")[2], {})]:
            label = f"{stage.partition(' ')[0]} {part}"
            found.append((f"{label}, {name}" if name and len(runs) > 1 else label, record))
    return sorted(found, key=lambda row: row[0].partition(" ")[0])


def name_averaged(run: RunFolder) -> str | None:
    """Which checkpoints the weights are the mean of, as text; None if they are those of one."""
    from auralign.decode.stage import chosen_checkpoint

    try:
        steps = chosen_checkpoint(run).averaged_steps
    except FileNotFoundError:
        return None
    return f"the mean of the checkpoints at the steps {', '.join(map(str, steps))}" if steps else None


def count_trained(run: RunFolder) -> str:
    """The number of trained parameters of each part, as text; "not recorded" if the run has no finished training."""
    from safetensors import safe_open

    from auralign.decode.stage import chosen_checkpoint
    from auralign.train.checkpoint import WEIGHTS

    try:
        folder = chosen_checkpoint(run).folder
    except FileNotFoundError:
        return UNKNOWN
    counts: Counter[str] = Counter()
    with safe_open(folder / WEIGHTS, framework="np") as weights:
        for name in weights.keys():  # noqa: SIM118 - not a dict
            counts[name.partition(".")[0]] += prod(weights.get_slice(name).get_shape())
    parts = [f"{name} {number:,}" for name, number in counts.items()]
    return parts[0] if len(parts) == 1 else f"{counts.total():,}: {', '.join(parts)}"
