"""A file that a stage reads is replaced while it runs: no result is taken for that of a content that it was not made of."""

from functools import cache, partial
from pathlib import Path
from random import Random

from faults.trying import LOST, SILENT, SURVIVED, Planned, Try
from faults.workplace import STEPS, Workplace, different

NUM_EVENTS = 3  # of each stage and file, beside the first


def changes(workplace: Workplace, random: Random) -> list[Planned]:
    """Each file that a stage reads is replaced at some of its file events; it is run again with it, or with the old one."""
    counts = workplace.prepare()
    planned: list[Planned] = []
    for stage in workplace.stages:
        for pattern in STEPS[stage].reads:
            for at in [1, *sorted(random.sample(range(2, counts[stage] + 1), NUM_EVENTS))]:
                planned += [
                    partial(_change, workplace, stage, pattern, at, is_put_back)
                    for is_put_back in (True, False)
                ]
    return planned


def _change(workplace: Workplace, stage: str, pattern: str, at: int, is_put_back: bool) -> Try:
    name = f"{stage}, {pattern} replaced at file event {at}{', then put back' if is_put_back else ''}"
    expected = _outcome(workplace, stage, pattern, is_changed=not is_put_back)
    workplace.reset(stage)
    code = workplace.run(stage, acts={at: partial(_replace, workplace, stage, pattern)})
    printed = workplace.printed
    if is_put_back:
        _replace(workplace, stage, pattern, is_changed=False)
    again = workplace.run(stage)
    printed += workplace.printed
    if "Traceback" in printed:
        return Try(name, LOST, printed.strip()[-300:])
    if again:  # in a line, as a run that has begun with other data, or a whole model folder, is not replaced
        return Try(name, SURVIVED)
    expected = expected or _outcome_behind(workplace, stage, pattern)
    if expected is None:
        return Try(name, SILENT, "it was accepted, and is refused if it is so from the beginning")
    from recipe import contents

    found = different(contents(workplace.here), expected)
    if found:
        return Try(name, SILENT, f"it ended with {code}; run again, other bytes in {', '.join(found)}")
    return Try(name, SURVIVED)


def _files(workplace: Workplace, stage: str, pattern: str) -> list[Path]:
    state = workplace.state(stage)
    return [path.relative_to(state) for path in sorted(state.glob(pattern))]


def _replace(workplace: Workplace, stage: str, pattern: str, is_changed: bool = True) -> None:
    """Put another content into the files of a pattern, or that which they had before the stage."""
    for file in _files(workplace, stage, pattern):
        content = (workplace.state(stage) / file).read_bytes()
        other = STEPS[stage].reads[pattern](content)
        if other == content:
            raise ValueError(f"{file}: the change of {pattern} in STEPS changes nothing")
        path = workplace.here / file
        temporary = path.with_name(".replaced")  # as an editor does
        temporary.write_bytes(other if is_changed else content)
        temporary.rename(path)


@cache
def _outcome_behind(workplace: Workplace, stage: str, pattern: str) -> dict[str, bytes] | None:
    """The files if one is changed when the stage has ended, and it is run again; None if it refuses that. A last shard
    refuses what the others were not made of, until it has joined them."""
    from recipe import contents

    workplace.reset(stage)
    workplace.run(stage, check=True)
    _replace(workplace, stage, pattern)
    return None if workplace.run(stage) else contents(workplace.here)


@cache
def _outcome(workplace: Workplace, stage: str, pattern: str, is_changed: bool) -> dict[str, bytes] | None:
    """The files of an undisturbed stage, with a changed file from the beginning; None if it refuses that."""
    from recipe import contents

    if not is_changed:
        return contents(workplace.after(stage))
    workplace.reset(stage)
    _replace(workplace, stage, pattern)
    return None if workplace.run(stage) else contents(workplace.here)
