"""A recipe on tiny models in a folder of its own, as it is before each of its stages, and what an undisturbed stage leaves."""

import importlib
import shutil
from functools import cache
from pathlib import Path

from faults.trying import count_of, forked, run_stage

YAML = "hparams/sift.yaml"
SCORE = Path(__file__).parents[2] / "egs" / "own_data" / "score.py"
COMMANDS = {
    "prepare": ("auralign", "prepare", "clips.csv", "data/more.jsonl", "--audio-folder", "data"),
    "generate": ("generate.py", YAML),
    "train": ("train.py", YAML),
    "decode": ("decode.py", YAML),
    "score": ("score.py", YAML),
    "export": ("auralign", "export", YAML, "model"),
}
DONE = "done"  # the state after all stages
# What the stages import: once, before the processes are forked.
IMPORTS = """
    recipe peft speechbrain torch.utils.tensorboard transformers.models.llama.modeling_llama
    transformers.models.whisper.modeling_whisper auralign.steps auralign.testing auralign.models.build auralign.train.brain
    auralign.train.examples auralign.train.stage auralign.generate.stage auralign.decode.stage auralign.ledger.recipe
    auralign.publish.export auralign.publish.load auralign.data.own_corpus
"""


class Workplace:
    """The folder of all tries: states before each stage, and the place where a stage is disturbed.

    Every try works at the same path, since files may hold paths.

    Arguments
    ---------
    root : Path
    """

    def __init__(self, root: Path):
        self.root, self.here, self.log = root, root / "recipe", root / "stage.log"
        root.mkdir(parents=True, exist_ok=True)

    @cache  # noqa: B019 (one workplace for a whole process)
    def prepare(self) -> dict[str, int]:
        """Run all stages undisturbed; returns the number of file events of each."""
        for name in IMPORTS.split():
            importlib.import_module(name)
        found = {}
        if forked(self._make, self.log):
            raise RuntimeError(self.log.read_text(encoding="utf-8"))
        for stage in COMMANDS:
            shutil.copytree(self.here, self.state(stage))
            self.run(stage, check=True)
            found[stage] = count_of(self.log)
        shutil.copytree(self.here, self.state(DONE))
        return found

    def _make(self) -> None:
        from auralign.testing import make_tiny_llm, make_tiny_whisper
        from recipe import make_recipe

        llm, encoder = make_tiny_llm(self.root / "llm"), make_tiny_whisper(self.root / "whisper")
        make_recipe(self.here, llm=llm, encoder=encoder, cache="disk")
        shutil.copy(SCORE, self.here)
        rows = [f"train-{number}.flac,three {number}\n" for number in range(12)]
        (self.here / "clips.csv").write_text("path,sentence\n" + "".join(rows), encoding="utf-8")

    def state(self, stage: str) -> Path:
        """The folder as it is before a stage, or when all are DONE."""
        return self.root / "states" / stage

    def after(self, stage: str) -> Path:
        """The folder as an undisturbed stage leaves it."""
        names = [*COMMANDS, DONE]
        return self.state(names[names.index(stage) + 1])

    def reset(self, stage: str) -> None:
        """Go back to the state before a stage."""
        shutil.rmtree(self.here, ignore_errors=True)
        shutil.copytree(self.state(stage), self.here)

    def run(self, stage: str, *more: str, check: bool = False, **disturbance) -> int:
        """Run a stage where it may be disturbed, and return its exit code. Raises RuntimeError if `check` and it fails."""
        code = run_stage(self.here, (*COMMANDS[stage], *more), self.log, **disturbance)
        if check and code:
            raise RuntimeError(f"{stage} exited with {code}:\n{self.printed}")
        return code

    @property
    def printed(self) -> str:
        """What the last stage printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def differences(self, stage: str) -> list[str]:
        """Names of the files that are not as an undisturbed stage leaves them."""
        from recipe import contents

        ours, theirs = contents(self.here), contents(self.after(stage))
        return sorted(name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name))
