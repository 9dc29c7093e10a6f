"""A recipe on tiny models in a folder of its own, as it is before each of its stages, and what an undisturbed stage leaves."""

import contextlib
import gc
import importlib
import io
import re
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from faults.trying import Acts, count_of, forked, work_of

YAML, DOCUMENTS, TAGGED = (f"hparams/{name}.yaml" for name in ("sift", "interleave", "conditional"))
SCORE = Path(__file__).parents[2] / "egs" / "own_data" / "score.py"


@dataclass(frozen=True)
class Step:
    """A command that the suite disturbs in all its ways.

    Arguments
    ---------
    command : tuple of str
        Words, run in the recipe's folder. Run twice, it must leave the same files, whatever the time of day.
    reads : dict of str -> callable (bytes) -> bytes
        Files that it reads, by their names, each with a change that leaves them valid: for `changes`.
    is_long : bool
        Whether a queue or a user stops it: for `signals`.
    """

    command: tuple[str, ...]
    reads: dict[str, Callable[[bytes], bytes]]
    is_long: bool = False


def other_word(content: bytes) -> bytes:
    """JSON Lines in which a word is another one."""
    return content.replace(b"nine", b"five").replace(b"above", b"about")


def other_target(content: bytes) -> bytes:
    """Targets that begin with another token."""
    return re.sub(rb'("response_ids": \[)\d+', rb"\g<1>7", content)


def other_text(content: bytes) -> bytes:
    """Hypotheses that begin with another letter."""
    return content.replace(b'"text": "', b'"text": "x')


def other_weight(content: bytes) -> bytes:
    """Weights of which the last has another mantissa."""
    return content[:-2] + bytes([content[-2] ^ 1]) + content[-1:]


def other_rate(content: bytes) -> bytes:
    """A YAML with another learning rate, and shorter answers."""
    return content.replace(b"lr: 1.0e-2", b"lr: 2.0e-2").replace(b"max_new_tokens: 8", b"max_new_tokens: 5")


def make_sources(folder: Path) -> None:
    """What builders read: a manifest with word times, a text corpus, and a voice."""
    from auralign.records import Records, Utterance, write_records

    rows = Records(folder / "data" / "train.jsonl", Utterance)
    timed = [replace(row, words=tuple((word, 0.0, row.seconds) for word in row.text.split())) for row in rows]
    write_records(folder / "data" / "timed.jsonl", timed, kind=Utterance)
    texts = [f"it was nine {number} and above all of the {number} it went on" for number in range(6)]
    (folder / "texts.txt").write_text("\n".join(texts), encoding="utf-8")
    (folder / "my_voice.py").write_text(
        "import numpy\n\nclass Hum:\n    voices, fingerprint = ('low',), '1'\n\n"
        "    def speak(self, text, *, voice, seed):\n        return numpy.full(80 * len(text), 0.1), 8_000\n"
    )


TAGS = """\
grade: !name:auralign.generate.grades.copied
books:
    quality: !name:auralign.models.books.Tags
        names: [good, bad]
"""


def make_documents(folder: Path) -> None:
    """A tar file of WebDataset with clips, documents in which these are heard, and the recipe of a method that reads them; and
    the recipe of a method with a book of tags and grades."""
    from auralign.records import Records, Utterance, write_records

    rows = list(Records(folder / "data" / "train.jsonl", Utterance))
    with tarfile.open(folder / "clips.tar", "w") as tar:
        for row in rows:
            audio = (folder / "data" / row.audio).read_bytes()
            for ending, content in (("flac", audio), ("txt", row.text.encode())):
                member = tarfile.TarInfo(f"{row.id}.{ending}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    heard = [replace(row, audio=f"../clips.tar?{row.id}.flac") for row in rows]
    documents = [
        Utterance(f"document-{number}", "", 0.0, f"{row.text} above it went on", others=(row.id,),
                  labels={"spans": {row.id: [0, len(row.text)]}})
        for number, row in enumerate(rows)
    ]  # fmt: skip
    for split in ("train", "valid"):
        write_records(folder / "documents" / f"{split}.jsonl", heard + documents, kind=Utterance)
    yaml = (folder / YAML).read_text(encoding="utf-8")
    for name, text in (
        ("interleave", yaml.replace("data_folder: data", "data_folder: documents")),
        ("conditional", yaml + TAGS),
    ):
        (folder / "hparams" / f"{name}.yaml").write_text(text.replace("sift", name), encoding="utf-8")


def builder(name: str, source: str, *options: str) -> Step:
    """`auralign build` with a builder and what it reads."""
    command = ("auralign", "build", name, "--manifest", source, "--output", f"data/{name}.jsonl", *options)
    return Step(command, {source: other_word})


WEIGHTS = "exp/sift/checkpoints/*/trainable.safetensors"
STEPS = {
    "prepare": Step(
        ("auralign", "prepare", "clips.csv", "data/more.jsonl", "--audio-folder", "data"),
        {"clips.csv": other_word},
    ),
    "measure": builder("measure", "data/train.jsonl"),
    "chunk": builder("chunk", "data/timed.jsonl", "--max-rejected", "1"),
    "relate": builder("relate", "data/train.jsonl", "--max-similarity", "1"),
    "negate": builder("negate", "data/train.jsonl", "--number", "2"),
    "voice": builder("voice", "texts.txt", "--engine", "my_voice:Hum", "--max-rejected", "1"),
    "generate": Step(
        ("generate.py", YAML),
        {"data/train.jsonl": other_word, "models/llm/model.safetensors": other_weight, YAML: other_rate},
        is_long=True,
    ),
    "train": Step(
        ("train.py", YAML),
        {
            "data/train.jsonl": other_word,
            "exp/sift/targets/train.jsonl": other_target,
            "models/whisper/model.safetensors": other_weight,
            YAML: other_rate,
        },
        is_long=True,
    ),
    "decode": Step(
        ("decode.py", YAML),
        {
            "data/test.jsonl": other_word,
            "data/test.questions.jsonl": lambda content: content.replace(b'"repeat', b'"reverse'),
            WEIGHTS: other_weight,
        },
        is_long=True,
    ),
    "score": Step(
        ("score.py", YAML),
        {"data/test.jsonl": other_word, "exp/sift/hypotheses/test.speech.jsonl": other_text},
    ),
    "export": Step(("auralign", "export", YAML, "model"), {WEIGHTS: other_weight}),
    "tar": Step(("auralign", "prepare", "clips.tar", "data/tarred.jsonl"), {"clips.tar": other_word}),
    "documents": Step(("generate.py", DOCUMENTS), {"documents/train.jsonl": other_word}),
    "interleave": Step(
        ("train.py", DOCUMENTS, "--num_steps", "4"),
        {"documents/train.jsonl": other_word, "clips.tar": other_word, DOCUMENTS: other_rate},
    ),
    "shard": Step(
        ("generate.py", TAGGED, "--shard", "1/2"),
        {"data/train.jsonl": other_word, "models/llm/model.safetensors": other_weight},
    ),
    "join": Step(
        ("generate.py", TAGGED, "--shard", "2/2"),
        {"data/train.jsonl": other_word, TAGGED: other_rate},
        is_long=True,
    ),
    "tags": Step(
        ("train.py", TAGGED, "--num_steps", "4"),
        {"exp/conditional/targets/train.jsonl": other_target, TAGGED: other_rate},
    ),
}
FURTHER = ("tar", "documents", "interleave", "shard", "join", "tags")  # not in the fast part
DONE = "done"  # the state after all stages
# What the stages import: once, before the processes are forked.
IMPORTS = """
    recipe peft speechbrain torch.utils.tensorboard transformers.models.llama.modeling_llama
    transformers.models.whisper.modeling_whisper auralign.steps auralign.testing auralign.models.build auralign.train.brain
    auralign.train.examples auralign.train.stage auralign.generate.stage auralign.decode.stage auralign.ledger.recipe
    auralign.publish.export auralign.publish.load auralign.data.own_corpus matplotlib.backends.backend_agg matplotlib.figure
"""


def warm_up() -> None:
    """Import and work out once, in the process that forks all others, what each of them would; no tensor is touched."""
    for name in IMPORTS.split():
        importlib.import_module(name)
    with contextlib.suppress(
        ImportError
    ):  # a thousand regular expressions, in newer versions of transformers
        from transformers.conversion_mapping import get_checkpoint_conversion_mapping

        get_checkpoint_conversion_mapping("llama")
    from auralign.syntax import describe_code

    describe_code()


class Workplace:
    """The folder of all tries: states before each stage, and the place where a stage is disturbed.

    Every try works at the same path, since files may hold paths.

    Arguments
    ---------
    root : Path
    is_fast : bool
        Whether the steps of `FURTHER` are left out; default False.
    """

    def __init__(self, root: Path, is_fast: bool = False):
        self.stages = [stage for stage in STEPS if not (is_fast and stage in FURTHER)]
        self.root, self.here, self.log = root, root / "recipe", root / "stage.log"
        root.mkdir(parents=True, exist_ok=True)

    @cache  # noqa: B019 (one workplace for a whole process)
    def prepare(self) -> dict[str, int]:
        """Run all stages undisturbed; returns the number of file events of each."""
        found = {}
        if forked(self._make, self.log):
            raise RuntimeError(self.log.read_text(encoding="utf-8"))
        for stage in self.stages:
            shutil.copytree(self.here, self.state(stage))
            self.run(stage, check=True)
            found[stage] = count_of(self.log)
            for name in self.log.with_suffix(".modules").read_text(encoding="utf-8").split():
                with contextlib.suppress(Exception):  # some are no modules that can be imported by their name
                    importlib.import_module(name)
        shutil.copytree(self.here, self.state(DONE))
        gc.freeze()  # what is never collected is never copied for a child
        return found

    def _make(self) -> None:
        from auralign.testing import make_tiny_llm, make_tiny_whisper
        from recipe import make_recipe

        # Within the recipe, as they are attacked too; it is the place of every later copy.
        make_recipe(
            self.here,
            llm=self.here / "models" / "llm",
            encoder=self.here / "models" / "whisper",
            cache="disk",
        )
        make_tiny_llm(self.here / "models" / "llm")
        make_tiny_whisper(self.here / "models" / "whisper")
        shutil.copy(SCORE, self.here)
        rows = [f"train-{number}.flac,three nine {number}\n" for number in range(12)]
        (self.here / "clips.csv").write_text("path,sentence\n" + "".join(rows), encoding="utf-8")
        make_sources(self.here)
        make_documents(self.here)

    def state(self, stage: str) -> Path:
        """The folder as it is before a stage, or when all are DONE."""
        return self.root / "states" / stage

    def after(self, stage: str) -> Path:
        """The folder as an undisturbed stage leaves it."""
        names = [*self.stages, DONE]
        return self.state(names[names.index(stage) + 1])

    def reset(self, stage: str) -> None:
        """Go back to the state before a stage."""
        shutil.rmtree(self.here, ignore_errors=True)
        shutil.copytree(self.state(stage), self.here)

    def work(self, stage: str, *more: str, log: Path | None = None, acts: Acts | None = None, first=None):
        """The work of a stage, for a process of its own; see `work_of`."""
        return work_of(self.here, (*STEPS[stage].command, *more), log or self.log, acts=acts, first=first)

    def run(self, stage: str, *more: str, check: bool = False, acts: Acts | None = None, first=None) -> int:
        """Run a stage where it may be disturbed, and return its exit code. Raises RuntimeError if `check` and it fails."""
        code = forked(self.work(stage, *more, acts=acts, first=first), self.log)
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

        return different(contents(self.here), contents(self.after(stage)))


def different(ours: dict, theirs: dict) -> list[str]:
    """The names whose contents are not the same in both."""
    return sorted(name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name))
