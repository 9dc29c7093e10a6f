"""The outputs of stage 2 from those of its shards: byte by byte what one process writes."""

import shutil
from collections import Counter
from pathlib import Path

from auralign.data.lengths import join_lengths
from auralign.data.rejected import Rejected, rejected_path
from auralign.files import read_json, write_atomically
from auralign.generate.targets import (
    NO_CHOICE,
    STOPPED,
    WRITTEN,
    check_asked,
    counts_path,
    draw_rows,
    summarise,
)
from auralign.json_lines import parse_object
from auralign.records import Records, Utterance
from auralign.run_folder import RunFolder
from auralign.shards import common_header
from auralign.store import teacher_path


def join_targets(parts: list[Path], path: Path, *, run: RunFolder, split: str) -> str:
    """Write the targets of a split, with all that is kept beside them, from those of its shards; returns a one-line summary.

    Arguments
    ---------
    parts : list of Path
        The targets of each shard, in order.
    path : Path
    run : RunFolder
    split : str
        "train" or "valid".

    Raises TooManyRejectedError.
    """
    recipe = run.recipe
    counts: Counter[str] = Counter()
    rejected = Rejected(limit=recipe.max_rejected_answers)
    for part in parts:
        counts.update(read_json(counts_path(part), keys=()))
        lines = rejected_path(part).read_text(encoding="utf-8").split("\n")
        rejected.items += [parse_object(line, position=str(rejected_path(part))) for line in lines if line]
    if counts[NO_CHOICE]:
        manifest = Records(run.data.manifest(split), Utterance)
        num_utts = len(draw_rows(manifest, recipe.num_train_utts if split == "train" else None))
        check_asked(recipe.method, counts[NO_CHOICE], num_utts, manifest.path)
    rejected.write(rejected_path(path), num_kept=counts[WRITTEN], repair=STOPPED)
    with write_atomically(path, "wb") as whole:
        whole.write(common_header(parts))
        for part in parts:
            with open(part, "rb") as file:
                file.readline()
                shutil.copyfileobj(file, whole)
    join_lengths(parts, path)
    if recipe.method.needs.top_k:
        from auralign.generate.teacher import join_teacher

        needs = recipe.method.needs
        join_teacher([teacher_path(part, needs) for part in parts], teacher_path(path, needs))
    return f"{summarise(rejected, dict(counts))}, in {path}"
