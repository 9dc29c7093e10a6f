"""A file is damaged: the next stage refuses it by its name, or computes the same as without the damage."""

from collections.abc import Callable
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
    "part": Artefact(
        "exp/conditional/targets/*/*", "join", (("join",),), ("exp/conditional/targets/train.jsonl",), 40
    ),
    "model": Artefact("model/*", DONE, (), (), 39),
    "bases": Artefact("models/*/*", DONE, (LONGER,), ("exp/sift/log.json",), 60),
}


def flips(workplace: Workplace, random: Random) -> list[Planned]:
    """Single flipped bits in every artefact; in JSON Lines every third damage is a larger one."""
    workplace.prepare()
    planned: list[Planned] = []
    for kind, artefact in ARTEFACTS.items():
        if artefact.state not in (*workplace.stages, DONE):
            continue
        state = workplace.state(artefact.state)
        files = sorted(path for path in state.glob(artefact.files) if path.is_file() and path.stat().st_size)
        for number in range(artefact.num_tries):
            path = random.choice(files)
            damage = random.choice(LARGER) if path.suffix == ".jsonl" and number % 3 == 2 else flip
            place = random.randrange(8 * path.stat().st_size)
            planned.append(partial(_damage, workplace, kind, path.relative_to(state), damage, place))
    return planned


def flip(content: bytes, place: int) -> bytes:
    """Flip a bit."""
    damaged = bytearray(content)
    damaged[place // 8] ^= 1 << place % 8
    return bytes(damaged)


def cut(content: bytes, place: int) -> bytes:
    """End the file early, as an interrupted copy does."""
    return content[: place // 8]


def cut_last_row(content: bytes, place: int) -> bytes:
    """End the file within its last row."""
    start = content.rstrip(b"\n").rfind(b"\n") + 1
    return content[: start + place % (len(content) - start)]


def zeros(content: bytes, place: int) -> bytes:
    """Zeros from a place on, as a machine that loses its power leaves."""
    return content[: place // 8] + bytes(len(content) - place // 8)


def twice(content: bytes, place: int) -> bytes:
    """A row a second time."""
    rows = content.splitlines(keepends=True)
    return b"".join(rows[: place % len(rows) + 1] + rows[place % len(rows) :])


def without_row(content: bytes, place: int) -> bytes:
    """A row is gone."""
    rows = content.splitlines(keepends=True)
    del rows[place % len(rows)]
    return b"".join(rows)


LARGER = (cut, cut_last_row, zeros, twice, without_row)


def _damage(
    workplace: Workplace, kind: str, path: Path, damage: Callable[[bytes, int], bytes], place: int
) -> Try:
    artefact = ARTEFACTS[kind]
    damaged = damage((workplace.state(artefact.state) / path).read_bytes(), place)
    name = f"{kind}: {damage.__name__} {place} of {path}"
    code, printed, results = _outcome(workplace, artefact, (path, damaged))
    is_named = path.name in printed or str(path.parent) in printed or path.parent.name in printed.split("/")
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
