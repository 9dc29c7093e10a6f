"""One bit of one file is flipped: the next stage refuses the file by its name, or computes the same as without the damage."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from faults.trying import CRASHED, LOST, SILENT, SURVIVED, Try, forked
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


def flips(workplace: Workplace, random: Random, fast: bool) -> Iterator[Try]:
    """Single flipped bits in every artefact."""
    workplace.prepare()
    for kind, artefact in ARTEFACTS.items():
        if fast and kind not in ("checkpoint", "model"):
            continue
        wanted = _outcome(workplace, artefact, None)
        files = sorted(
            path.relative_to(workplace.here) for path in workplace.here.glob(artefact.files) if path.is_file()
        )
        for _ in range(2 if fast else artefact.num_tries):
            path = random.choice(files)
            yield _flip(workplace, kind, artefact, path, random, wanted)


def _flip(workplace, kind: str, artefact: Artefact, path: Path, random: Random, wanted) -> Try:
    damaged = bytearray((workplace.state(artefact.state) / path).read_bytes())
    place, bit = random.randrange(max(1, len(damaged))), random.randrange(8)
    name = f"{kind}: bit {bit} of byte {place} of {path}"
    if not damaged:
        return Try(name, SURVIVED)
    damaged[place] ^= 1 << bit
    code, printed, results = _outcome(workplace, artefact, (path, bytes(damaged)))
    is_named = path.name in printed or path.parent.name in printed
    if "Traceback" in printed or code == CRASHED:
        return Try(name, LOST, printed.strip()[-300:])
    if code:
        return (
            Try(name, SURVIVED)
            if is_named
            else Try(name, LOST, f"the file is not named: {printed.strip()[-300:]}")
        )
    return (
        Try(name, SURVIVED)
        if results == wanted[2] or is_named
        else Try(name, SILENT, "other results, and no message")
    )


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
