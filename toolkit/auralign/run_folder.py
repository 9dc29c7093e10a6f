"""One run of a recipe on disk: every path that its stages read and write, and the recipe that it was made with.

    run = RunFolder.open("hparams/sift.yaml", {"seed": "2"})       # a YAML, or the name of one in hparams/
    run = RunFolder.open("exp/synthetic/sift/seed_1")              # a run that a stage has worked in
    run.targets("train")                                           # exp/synthetic/sift/seed_1/targets/train.jsonl

A stage writes the recipe, with all references and overrides resolved, into the folder: a command that opens it later needs
neither the YAML nor the command line that the run was made with.
"""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from auralign import __version__
from auralign.files import hash_path, locked, partial_paths, read_json, write_atomically, write_json
from auralign.hub import MODEL_FOLDER, is_moving, moved, parse, pin
from auralign.marks import read_done
from auralign.recipe import HELP, Recipe, RecipeError, load_recipe, parse_arguments, print_help
from auralign.recipe.models import names_of_models, with_models
from auralign.records import Hypothesis, Target, read_about
from auralign.store import teacher_path
from auralign.versions import CHECKPOINTS, CURVES, LOG, current_targets, trainings

SPLITS = ("train", "valid")  # what targets are made of
ALL_SPLITS = (*SPLITS, "test")
RECIPE, RUN = "recipe.yaml", "run.json"
OTHER_TEXT = "other_text"  # an input: the text of another utterance
TEXT_TRAINED = "text_trained"  # an input: the reference transcript, read by the trained LLM
MODELS = "models.json"  # the commits of models of the hub
SCHEMA = 1


class DataFolder:
    """What stage 1 writes.

    Arguments
    ---------
    folder : path
    train_folder : path, optional
        Where the manifests of "train" and "valid" are. Default: in `folder`.
    """

    def __init__(self, folder, train_folder=None):
        self.folder = Path(folder)
        self.train_folder = Path(train_folder or folder)

    def manifest(self, split: str) -> Path:
        """The utterances of "train", "valid" or "test"."""
        return (self.train_folder if split in SPLITS else self.folder) / f"{split}.jsonl"

    @property
    def questions(self) -> Path:
        """What is asked about the test utterances."""
        return self.folder / "test.questions.jsonl"

    @property
    def account(self) -> Path:
        """With which options the data was made, and of which parts; not every recipe writes it."""
        return self.folder / "corpus.json"


class RunFolder:
    """The output_folder of a recipe, with the other folders that its stages share.

    Arguments
    ---------
    recipe : Recipe
    """

    def __init__(self, recipe: Recipe):
        self.folder = Path(recipe.output_folder)
        self.recipe = with_models(recipe, self._pins())
        self.text_folder = Path(recipe.text_folder)
        self.score_folder = Path(recipe.score_folder)
        self.data = DataFolder(recipe.data_folder, recipe.train_folder)

    @classmethod
    def of_arguments(cls, argv: list[str], *, doc: str = "") -> "RunFolder":
        """The run of the one YAML, or run folder, on a stage's command line; `--help` prints `doc` and all keys, and exits.

        Raises RecipeError if it names none, or several, or one that cannot be used.
        """
        if {*HELP} & {*argv}:
            print_help(doc)
        places, overrides = parse_arguments(argv)
        if len(places) != 1:
            raise RecipeError(
                f"expected one YAML, found {len(places)} ({', '.join(places) or 'none'}); "
                "for example: python train.py hparams/sift.yaml --lr 3e-4"
            )
        return cls.open(places[0], overrides)

    @classmethod
    def open(cls, run, overrides: Mapping[str, Any] | None = None) -> "RunFolder":
        """Open a run.

        Arguments
        ---------
        run : path or str
            The run's folder, its YAML, or the name of a YAML in `hparams/`.
        overrides : dict of str, optional
            Values for some keys, as on the command line.

        Raises RecipeError if there is no such run or YAML.
        """
        path = Path(run)
        folder = trainings(path).current  # of the run's current version
        if (folder / RECIPE).is_file():
            about = _read_about(folder)
            yaml = (folder / RECIPE).resolve()
            with working_in(about["recipe_folder"]):
                recipe = load_recipe(yaml, overrides)
                return cls(replace(recipe, source=replace(recipe.source, name=about["name"])))
        if (path / MODEL_FOLDER).is_file():
            raise RecipeError(
                f"{path}: a model folder, which holds no recipe; give the run that it was exported from"
            )
        if path.is_dir():
            raise RecipeError(
                f"{path}: no {RECIPE}, so no stage of this auralign has worked here; give the YAML, or run stage 3 again, which "
                "skips what is finished and writes it"
            )
        return cls(load_recipe(find_yaml(str(run)), overrides))

    def pin_models(self, stage: str) -> None:
        """Fetch the hub's models that a stage ("generate", "train" or "decode") reads, and keep their commits for later runs in
        this folder: `recipe` names them from now on.

        Raises what `auralign.hub.resolve` raises.
        """
        names = [name for name in names_of_models(self.recipe, stage) if is_moving(name)]
        if not names:
            return
        with locked(self.folder / f".{MODELS}.lock"):  # processes of one torchrun agree on the commits
            pins = self._pins()
            pins |= {name: pin(name) for name in names if name not in pins}
            write_json(self.folder / MODELS, pins)
        self.recipe = with_models(self.recipe, pins)

    def tell_moved_models(self) -> None:
        """Print which models the hub has at another commit by now than this run, which stays with its own."""
        used = names_of_models(self.recipe, "decode")
        for name, pinned in self._pins().items():
            reference = parse(pinned) if pinned in used else None
            now = moved(name, reference.revision) if reference else None
            if now:
                print(
                    f"{name}: the hub now has the commit {now}; this run goes on with {pinned}, which it began with "
                    f"({self.folder / MODELS})",
                    file=sys.stderr,
                )

    def _pins(self) -> dict[str, str]:
        """Names of models that can change, as the recipe has them, and what they meant when the run began."""
        path = self.folder / MODELS
        return read_json(path, keys=()) if path.is_file() else {}

    @contextlib.contextmanager
    def working_here(self) -> Iterator[None]:
        """Work in the recipe's folder, from which the relative paths of its values start."""
        with working_in(self.recipe.source.folder if self.recipe.source else Path.cwd()):
            yield

    @property
    def name(self) -> str:
        """Names the run in a ledger: that of its YAML, without the ending."""
        return self.recipe.source.name if self.recipe.source else self.recipe.method.name

    def targets(self, split: str) -> Path:
        """The LLM's answers about the utterances of "train" or "valid"."""
        return current_targets(self.folder) / f"{split}.jsonl"

    def teacher(self, split: str) -> Path:
        """What stage 2 keeps of the teacher, for a method with `Needs(top_k=...)`."""
        return teacher_path(self.targets(split), self.recipe.method.needs)

    @property
    def log(self) -> Path:
        """What each validation found."""
        return trainings(self.folder).current / LOG

    @property
    def curves(self) -> Path:
        """TensorBoard's folder."""
        return trainings(self.folder).current / CURVES

    @property
    def checkpoints(self) -> Path:
        """The folder of the best and the last checkpoint."""
        return trainings(self.folder).current / CHECKPOINTS

    def hypotheses(self, given: str) -> Path:
        """The answers from `given`: "speech", "shuffled", and with "_alone" behind it without a transcript beside the speech, and
        "text_trained" are the run's own; "text", "normalised" and "transcript" are shared by all runs of a text_folder."""
        folder = self.folder if is_of_model(given) else self.text_folder
        return folder / "hypotheses" / f"test.{given}.jsonl"

    @property
    def report(self) -> Path | None:
        """The ledger for people to read, if there is one and it was made of this run's answers."""
        report, mark = self.score_folder / "report.md", self.score_folder / ".score.done.json"
        if not (report.is_file() and mark.is_file()):
            return None
        scored = {
            Path(path).resolve(): digest
            for path, digest in read_done(mark)["inputs"].get("files", {}).items()
        }
        answers = self.hypotheses("speech").resolve()
        return report if answers in scored and scored[answers] == hash_path(answers) else None

    @property
    def evaluations(self) -> Path:
        """A folder for each further test set that `auralign evaluate` was given."""
        return self.folder / "evaluations"

    @property
    def probe(self) -> Path:
        """What `auralign probe` writes."""
        return self.folder / "probe"

    def write_recipe(self, folder: Path | None = None) -> None:
        """Keep the recipe beside what is trained with it, so that `RunFolder.open` finds it.

        `folder` is that of a version of the training, by default the current one.
        """
        folder = folder or trainings(self.folder).current
        source = self.recipe.source
        if source is None:
            return  # built in Python: there is no text of it
        if source.path.name != RECIPE:  # else the folder has it
            about = {
                "schema": SCHEMA,
                "auralign": __version__,
                "name": source.name,
                "yaml": str(source.path),
                "overrides": dict(source.overrides),
                "recipe_folder": os.path.relpath(source.folder, folder),
            }
            write_json(folder / RUN, about)
        path = folder / RECIPE
        if not path.is_file() or path.read_text(encoding="utf-8") != source.text:
            with write_atomically(path) as file:
                file.write(source.text)

    def prompts(self) -> dict:
        """What the run's targets, or else the answers from text, record of their prompts (`Renderer.describe`); empty before
        there are any."""
        files = [(self.targets(split), Target) for split in SPLITS]
        files.append((self.hypotheses("text"), Hypothesis))
        for path, kind in files:
            for file in (path, *partial_paths(path)):
                if file.is_file():
                    about, first = read_about(file, kind)
                    if about or kind is Target and first is not None:
                        return about or {"frame_hash": first.frame_hash}
        return {}


def is_of_model(given: str) -> bool:
    """Whether the trained model answers an input, and not the original LLM."""
    return given == TEXT_TRAINED or given.partition("_")[0] in ("speech", "shuffled")


def _read_about(folder: Path) -> dict[str, Any]:
    """What `RunFolder.write_recipe` says of a run beside its recipe; `recipe_folder` from the root.

    Raises RecipeError if the recipe's folder is not there any more.
    """
    path = folder / RUN
    if not path.is_file():  # a recipe that a user put there
        return {"name": folder.name, "recipe_folder": Path.cwd()}
    try:
        about = read_json(path, keys=("name", "recipe_folder"))
        found = (folder / about["recipe_folder"]).resolve()
        about = {"name": about["name"], "recipe_folder": found}
    except (KeyError, TypeError, ValueError) as error:
        raise RecipeError(f"{path}: not what a stage writes ({error}); run stage 3 again") from error
    if not found.is_dir():
        raise RecipeError(
            f"{path}: the recipe's folder {found} is not there any more; go to a folder with the same files, and give the "
            f"YAML: {folder / RECIPE}"
        )
    return about


@contextlib.contextmanager
def working_in(folder) -> Iterator[None]:
    """Work in a folder, whose modules can be imported."""
    sys.path.append(str(Path(folder).resolve()))  # `!new:my_file.MyMethod` is beside the scripts
    with contextlib.chdir(folder):
        yield


def find_yaml(name: str) -> Path:
    """The YAML of a path, or of a name in the recipe's `hparams/`.

    Raises RecipeError if there is none.
    """
    path = Path(name)
    if not path.is_file() and path.suffix not in (".yaml", ".yml"):
        path = Path("hparams") / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(found.stem for found in Path("hparams").glob("*.yaml")))
        raise RecipeError(
            f"no {path} here; go to a recipe's folder such as egs/digits, or give the path of a YAML or of a run's folder"
            + (f"; here are: {known}" if known else "")
        )
    return path
