"""The registered experiments and their runs.

>>> [run.name for run in plan(read_registered(), "drift", quick=True)][:3]
['llm_1', 'start/llm_1/connector_1', 'drift/A/llm_1/connector_1']
"""

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

REGISTRATION = Path("experiments.yaml")
# Kinds of runs; TUNED is of `bias`, TOLD (an LLM that was taught attributes) and VOICE are of `attributes`.
LLM, START, ARM, CAUSE = "llm", "start", "arm", "cause"
TUNED, TOLD, VOICE = "tuned", "told", "voice"
KIND_OF_PROGRAM = {"bias": TUNED, "attributes": VOICE}
TAGGED_TEXT = "text with tags"
"""Among the answers of a TOLD run: those to texts with tags around them."""
CORRELATION = "correlation"
"""The measure of a contrast that is not between arms."""


@dataclass(frozen=True)
class Run:
    """One run: its name, which is its file below the folder of the runs; its kind; and what it is made of."""

    name: str
    kind: str
    llm_seed: int
    connector_seed: int = 0
    experiment: str = ""
    arm: str = ""


def read_registered(path: Path = REGISTRATION) -> dict:
    """The registration.

    Raises ValueError on an arm, in an experiment with a program, that is not defined.
    """
    registered = yaml.safe_load(path.read_text(encoding="utf-8"))
    for name, experiment in registered["experiments"].items():
        if not is_programmed(experiment):
            continue
        arms = set(registered["arms"]) if "start" in experiment else set(experiment["arms"])
        named = [*experiment["arms"]]
        for contrast in experiment["contrasts"]:
            if contrast["measure"] != CORRELATION:
                named += [arm for _, arm in terms_of(contrast["of"])]
        unknown = [arm for arm in named if arm not in arms]
        if unknown:
            raise ValueError(f"{path}: {name}: no arm {unknown[0]!r}; there are {', '.join(sorted(arms))}")
    return registered


def is_programmed(experiment: Mapping) -> bool:
    """Whether the experiment can be run; the others are registered alone."""
    return not {"start", "needs", "program"}.isdisjoint(experiment)


def plan(
    registered: Mapping,
    name: str,
    *,
    quick: bool = False,
    num_llms: int | None = None,
    num_connectors: int | None = None,
) -> list[Run]:
    """The runs of an experiment with those that it needs: first those of the primary contrast, for one connector of each LLM.

    Arguments
    ---------
    registered : dict
    name : str
        Of the experiment.
    quick : bool
        One LLM, one connector and, of the arms that are shared, those that are registered for it; default False.
    num_llms : int, optional
        The first so many LLMs alone; default all.
    num_connectors : int, optional
        The first so many connectors of each LLM alone; default all.

    Raises ValueError if there is no such experiment, or no program for it.
    """
    known = [one for one, found in registered["experiments"].items() if is_programmed(found)]
    if name not in known:
        found = registered["experiments"].get(name)
        why = "is not registered" if found is None else "is registered, and has no program yet"
        if found and "from" in found:
            why = f"has no runs of its own, and is shown with those of {' and '.join(found['from'])}"
        raise ValueError(f"{REGISTRATION}: {name!r} {why}; there are {', '.join(known)}")
    seeds = registered["quick" if quick else "n"]
    experiment = registered["experiments"][name]
    llm_seeds, connector_seeds = (
        seeds["llm_seeds"][:num_llms],
        seeds["connector_seeds"][:num_connectors],
    )
    if "program" in experiment:
        return _plan_program(name, experiment, llm_seeds, connector_seeds)
    trained = experiment.get("needs", name)
    begins_aligned = registered["experiments"][trained]["start"] == "aligned"
    primary = {arm for _, arm in terms_of(experiment["contrasts"][0]["of"])}
    arms = [arm for arm in experiment["arms"] if not quick or arm in seeds["arms"]]
    groups = (
        [["A", "D"]]
        if "needs" in experiment
        else [[arm for arm in arms if arm in primary], [arm for arm in arms if arm not in primary]]
    )
    runs: dict[str, Run] = {}
    for group, seed, llm_seed in itertools.product(groups, connector_seeds, llm_seeds):
        where = f"llm_{llm_seed}/connector_{seed}"
        found = [Run(f"llm_{llm_seed}", LLM, llm_seed)]
        if begins_aligned:
            found.append(Run(f"start/{where}", START, llm_seed, seed))
        found += [Run(f"{trained}/{arm}/{where}", ARM, llm_seed, seed, trained, arm) for arm in group]
        if "needs" in experiment:
            found.append(Run(f"{name}/{where}", CAUSE, llm_seed, seed, name))
        runs.update((run.name, run) for run in found if run.name not in runs)
    return list(runs.values())


def _plan_program(name: str, experiment: Mapping, llm_seeds, connector_seeds) -> list[Run]:
    """The runs of an experiment with arms of its own, which go on from an aligned connector."""
    runs: dict[str, Run] = {}
    kind = KIND_OF_PROGRAM[experiment["program"]]
    of, below = (
        (name, f"{name}/") if experiment.get("llm") else ("", "")
    )  # its own LLM, or that of the others
    for seed, llm_seed in itertools.product(connector_seeds, llm_seeds):
        where = f"llm_{llm_seed}/connector_{seed}"
        found = [
            Run(f"{below}llm_{llm_seed}", TOLD if of else LLM, llm_seed, experiment=of),
            Run(f"{below}start/{where}", START, llm_seed, seed, of),
        ]
        found += [Run(f"{name}/{arm}/{where}", kind, llm_seed, seed, name, arm) for arm in experiment["arms"]]
        runs.update((run.name, run) for run in found)
    return list(runs.values())


def terms_of(contrast: str) -> list[tuple[int, str]]:
    """The sign and arm of each term.

    >>> terms_of("D - E - B + A")
    [(1, 'D'), (-1, 'E'), (-1, 'B'), (1, 'A')]
    """
    return [(-1 if sign == "-" else 1, arm) for sign, arm in re.findall(r"(^|[+-])\s*(\S+)", contrast)]
