"""One bit of one file is flipped: the next stage refuses the file by its name, or computes the same as without the damage."""

from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from random import Random

from faults.trying import LOST, SILENT, SURVIVED, Planned, Try, forked
from faults.workplace import DONE, Workplace

LONGER = ("train", "--num_steps", "14")


@dataclass(frozen=True)
class Artefact:
    """Files of a recipe in a state, the commands that read them, and where these leave their results."""

    files: str
    state: str
    commands: tuple[tuple[str, ...], ...]
    results: tuple[str, ...]
    num_tries: int


ARTEFACTS = {
    "checkpoint": Artefact(
        "exp/sift/checkpoints/*/*", DONE, (LONGER, ("export",)), ("exp/sift/log.json", "again"), 100
    ),
    "targets": Artefact("exp/sift/targets/*.jsonl", "train", (("train",),), ("exp/sift/log.json",), 100),
    "manifest": Artefact("data/t*.jsonl", "decode", (("decode",),), ("exp/sift/hypotheses", "exp/text"), 100),
    "hypotheses": Artefact(
        "exp/*/hypotheses/*.jsonl", "score", (("score",),), ("exp/ledger/scores.json",), 100
    ),
    "frames": Artefact("data/frames/*", DONE, (LONGER,), ("exp/sift/log.json",), 60),
    "model": Artefact("model/*", DONE, (), (), 39),
}


def flips(workplace: Workplace, random: Random) -> list[Planned]:
    """Single flipped bits in every artefact."""
    workplace.prepare()
    planned: list[Planned] = []
    for kind, artefact in ARTEFACTS.items():
        state = workplace.state(artefact.state)
        files = sorted(path for path in state.glob(artefact.files) if path.is_file() and path.stat().st_size)
        for _ in range(artefact.num_tries):
            path = random.choice(files)
            bit = random.randrange(8 * path.stat().st_size)
            planned.append(partial(_flip, workplace, kind, path.relative_to(state), bit))
    return planned


def _flip(workplace: Workplace, kind: str, path: Path, bit: int) -> Try:
    artefact = ARTEFACTS[kind]
    damaged = bytearray((workplace.state(artefact.state) / path).read_bytes())
    damaged[bit // 8] ^= 1 << bit % 8
    name = f"{kind}: bit {bit} of {path}"
    code, printed, results = _outcome(workplace, artefact, (path, bytes(damaged)))
    is_named = path.name in printed or path.parent.name in printed
    if "Traceback" in printed or (code and not is_named):
        return Try(name, LOST, printed.strip()[-300:])
    if code or is_named or results == _undamaged(workplace, kind):
        return Try(name, SURVIVED)
    return Try(name, SILENT, "other results, and no message")


@cache
def _undamaged(workplace: Workplace, kind: str):
    """The results of the commands that read an artefact without damage."""
    return _outcome(workplace, ARTEFACTS[kind], None)[2]


def _outcome(workplace: Workplace, artefact: Artefact, damage: tuple[Path, bytes] | None):
    """Exit code, output and results of the commands that read an artefact."""
    from recipe import contents

    workplace.reset(artefact.state)
    if damage:
        (workplace.here / damage[0]).write_bytes(damage[1])
    if not artefact.commands:
        code = forked(lambda: _load(workplace.here / "model"), workplace.log)
        return code, workplace.printed, workplace.printed
    printed, code = "", 0
    for stage, *more in artefact.commands:
        if stage == "export":  # COMMANDS names a folder that is there
            (workplace.here / "model").rename(workplace.here / "before")
        code = workplace.run(stage, *more)
        printed += workplace.printed
        if stage == "export" and not code:
            (workplace.here / "model").rename(workplace.here / "again")
        if code:
            break
    found = contents(workplace.here)
    return code, printed, {name: value for name, value in found.items() if name.startswith(artefact.results)}


def _load(folder: Path) -> int:
    """Load a model folder and print its weights' digest, or the one line of a refusal."""
    import auralign
    from auralign.files import hash_value

    try:
        model = auralign.load(folder)
    except (ValueError, OSError) as error:
        print(error)
        return 2
    print(hash_value([value.tolist() for _, value in sorted(model.model.trained_parts.state_dict().items())]))
    return 0
