"""What `auralign evaluate` evaluates: a run, a model folder, or a model that others made, each with the same few members.

    source = find_source("exp/synthetic/sift/seed_1")
    source.make_decoder(manifest).write(questions, "speech.jsonl", given="speech")

More than 300 lines, as the kinds differ in these few members alone, which are read side by side.
"""

import abc
import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from auralign.adapters import MODEL_TYPES, OtherModel, is_address, open_endpoint, open_folder, type_of
from auralign.bases import hash_content, hash_tensors
from auralign.data.frames import live_frames
from auralign.decode.answers import Answerer, Decoder
from auralign.decode.stage import (
    changes_text,
    chosen_checkpoint,
    hash_checkpoint,
    make_decoder,
    texts_of,
    trains_text,
)
from auralign.files import hash_path, hash_value, read_json
from auralign.fingerprint import describe
from auralign.hub import name_of, reference_of, resolve
from auralign.ledger.provenance import stages_of
from auralign.publish.load import load
from auralign.publish.model_folder import CONFIG
from auralign.recipe.trust import TRUST
from auralign.records import Question, Records, Utterance, read_rows
from auralign.run_folder import RECIPE, RunFolder
from auralign.score.judge import Judge
from auralign.train.checkpoint import WEIGHTS
from auralign.versions import trainings

DECODE_BATCH_SIZE = 16


def find_source(
    model,
    *,
    llm=None,
    encoder=None,
    recognizer=None,
    device: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    others: Mapping[str, Any] | None = None,
) -> "Source":
    """The run, the model folder or the model of others that a path, a hub id or an address names.

    Arguments
    ---------
    model : path, str, RunFolder or OtherModel
        As of `auralign.evaluate`.
    llm, encoder, device, overrides
        As of `auralign.evaluate`.
    recognizer : path, optional
        The folder or hub id of a Whisper, whose transcripts the LLM reads in the column "transcript"; default: the recipe's.
    others : dict of str, optional
        Options of a model that others made: `name`, `max_new_tokens`, `trust_remote_code`.

    Raises FileNotFoundError if there is none, ValueError if an option does not fit it.
    """
    others = {name: value for name, value in (others or {}).items() if value}
    moved = {"device": device, "llm.path": llm, "encoder.path": encoder}
    options = {**(overrides or {}), **{key: str(value) for key, value in moved.items() if value}}
    if isinstance(model, OtherModel):
        _refuse_options(model.name, {**options, **others}, "an adapter")
        return OtherSource(model, recognizer, device or "cpu")
    if isinstance(model, str) and is_address(model):
        _refuse_options(model, options, "an endpoint")
        return OtherSource(open_endpoint(model, **others), recognizer, device or "cpu")
    if not isinstance(model, RunFolder):
        model = _find(model)
    if isinstance(model, RunFolder) and options:
        raise ValueError(
            f"{', '.join(options)}: a RunFolder has its own values; give the run's folder, {model.folder}"
        )
    if (
        not isinstance(model, RunFolder)
        and type_of(model) is not None
        and not (Path(model) / CONFIG).is_file()
    ):
        options.pop("device", None)
        _refuse_options(model, options, "a model that others made")
        return OtherSource(open_folder(model, device=device or "cpu", **others), recognizer, device or "cpu")
    if others:
        raise ValueError(
            f"{', '.join(others)}: an option of models that others made, and {model} is a run or a model folder of auralign"
        )
    is_folder = not isinstance(model, RunFolder) and (Path(model) / CONFIG).is_file()
    if is_folder:
        return FolderSource(model, llm, encoder, recognizer, device or "cpu")
    return RunSource(model, options, recognizer)


def _refuse_options(model, options: Mapping[str, Any], what: str) -> None:
    given = [name for name in options if name != TRUST]  # it is for the runs of --targets, too
    if given:
        raise ValueError(f"{', '.join(given)}: {model} is {what}, which has no such parts; leave it out")


def _find(model) -> Path | str:
    """The path or name of a run, or the folder of a model; one on the hub is fetched.

    Raises FileNotFoundError if there is none.
    """
    if not any(map(Path.exists, (Path(model), Path("hparams", f"{model}.yaml")))):
        model = resolve(model)
        if not model.exists():
            raise FileNotFoundError(
                f"{model}: no run's folder, no model folder (with {CONFIG}), no YAML, no name of one in hparams/, no folder of a "
                f"speech LLM of transformers ({', '.join(MODEL_TYPES)}), no address of an endpoint (http://...), and no id of "
                "the hub (org/name)"
            )
    return model


class Source(abc.ABC):
    """A model as `evaluate` sees it.

    Attributes
    ----------
    name : str
    output : Path
        The folder in which the evaluation's folder is made by default.
    recognizer : path, optional
        Of a Whisper that the user named.
    """

    name: str
    output: Path
    recognizer: Any = None
    device: str = "cpu"

    def identity(self) -> str:
        """A hash of what its answers depend on."""
        found = self._identity()
        return (
            found if self.recognizer is None else hash_value([found, hash_content(resolve(self.recognizer))])
        )

    @abc.abstractmethod
    def _identity(self) -> str:
        """That hash, without a recognizer of the user's."""

    def find_judge(self, asked: list[Question]) -> tuple[Judge, str]:
        """The judge of the answers, and a hash of its file. By default exact answers count: a model folder holds no code."""
        return Judge(), ""

    def stages(self) -> list[tuple[str, dict[str, Any]]]:
        """When, how long and on what its stages ran; a model folder does not say how long its training took."""
        return []

    def targets(self) -> tuple[list[tuple[Path, Path | None]], list[str]]:
        """The targets that it was trained with, as `targets_of`; those of a model folder are not known."""
        return [], []

    def test_sets(self) -> list[Path]:
        """The manifests of its own test set; a model folder has none."""
        return []

    def texts(self, manifest: Records) -> list[str]:
        """What the original LLM reads."""
        return texts_of(manifest, self.recognizer)

    def changes_text(self) -> bool:
        """Whether training changes what the LLM answers to text."""
        return False

    def make_decoder(self, manifest: Records) -> Answerer:
        """The model, ready to answer."""
        decoder = self._make_decoder(manifest)
        if self.recognizer is not None:
            from auralign.models.recognizers import load_whisper_recognizer

            decoder.recognizer = load_whisper_recognizer(resolve(self.recognizer)).to(self.device)
        return decoder

    @abc.abstractmethod
    def _make_decoder(self, manifest: Records) -> Answerer:
        """The model, ready to answer, with its own recognizer."""


class RunSource(Source):
    """A run."""

    def __init__(self, run, overrides: Mapping[str, Any], recognizer=None):
        self.run = run if isinstance(run, RunFolder) else RunFolder.open(run, overrides)
        self.name, self.recognizer, self.device = self.run.name, recognizer, self.run.recipe.device
        with self.run.working_here():
            self.output = self.run.evaluations.resolve()

    def _identity(self) -> str:
        with self.run.working_here():
            checkpoint = hash_checkpoint(chosen_checkpoint(self.run))
            self.run.pin_models("decode")
            return hash_value([checkpoint, describe(self.run.recipe.settings("decode"))])

    def find_judge(self, asked: list[Question]) -> tuple[Judge, str]:
        """The judge of the recipe's `score.py` if it knows the tasks of the questions, and a hash of its file."""
        with self.run.working_here():
            file, questions = Path("score.py"), self.run.data.questions
            if not (file.is_file() and questions.is_file()):
                return Judge(), ""
            known = {question.task for question in read_rows(questions, Question)}
            make = runpy.run_path(str(file)).get("make_judge")
            if make is None or not {question.task for question in asked} <= known:
                return Judge(), ""
            return make(self.run), hash_path(file)

    def stages(self) -> list[tuple[str, dict[str, Any]]]:
        """When, how long and on what the stages of the run ran."""
        with self.run.working_here():
            return stages_of({self.name: self.run})

    def targets(self) -> tuple[list[tuple[Path, Path | None]], list[str]]:
        """The targets of stage 2, and those of the runs that it began with."""
        return targets_of(self.run)

    def test_sets(self) -> list[Path]:
        """The test set of stage 1."""
        with self.run.working_here():
            return [self.run.data.manifest("test").resolve()]

    def texts(self, manifest: Records) -> list[str]:
        """What the original LLM reads."""
        return texts_of(manifest, self.recognizer or self.run.recipe.recognizer)

    def changes_text(self) -> bool:
        """As of `Source`."""
        return changes_text(self.run.recipe)

    def _make_decoder(self, manifest: Records) -> Answerer:
        with self.run.working_here():
            return make_decoder(self.run, manifest)


class FolderSource(Source):
    """A model folder."""

    def __init__(self, folder, llm, encoder, recognizer, device: str):
        self.folder = Path(folder).resolve()
        self.name, self.recognizer, self.device = name_of(self.folder), recognizer, device
        self.output = _beside(self.folder, self.name)
        self.options = {"llm": llm, "encoder": encoder, "device": device}

    def _identity(self) -> str:
        config = read_json(self.folder / CONFIG)
        return hash_value([config, hash_path(self.folder / WEIGHTS), *self._other_builds(config)])

    def _other_builds(self, config: dict) -> list[str]:
        """Hashes of the given LLM and encoder, if they are not the folders that the model was exported with."""
        found = []
        for part in ("llm", "encoder"):
            if not self.options[part]:
                continue
            path = resolve(self.options[part])
            recorded = {*config[part].get("places", {}).values()}
            # A base that was exported by its id on the hub has no place. Another interface is refused when it is loaded.
            tensors = config[part].get("source", {}).get("tensors")
            if (
                path.exists()
                and not {hash_content(path), hash_path(path)} & recorded
                and hash_tensors(path) != tensors
            ):
                found.append(hash_content(path))
        return found

    def changes_text(self) -> bool:
        """As of `Source`."""
        config = read_json(self.folder / CONFIG)
        return trains_text(config["lora"], config.get("lora_scope", "all"), config.get("train_llm", False))

    def _make_decoder(self, manifest: Records) -> Answerer:
        loaded = load(self.folder, **self.options)
        return Decoder(
            loaded.model,
            loaded.renderer,
            manifest,
            live_frames(loaded.model, manifest),
            method=_Slot(loaded),
            decoding=loaded.decoding,
            batch_size=DECODE_BATCH_SIZE,
        )


class OtherSource(Source):
    """A model that others made, behind an adapter of `auralign.adapters`."""

    def __init__(self, model, recognizer, device: str):
        self.model, self.name, self.recognizer, self.device = model, model.name, recognizer, device
        self.output = model.beside / f"{model.short_name}.evaluations"

    def _identity(self) -> str:
        return self.model.identity()

    def _make_decoder(self, manifest: Records) -> Answerer:
        from auralign.adapters.answering import OtherAnswerer

        return OtherAnswerer(self.model, manifest)


def targets_of(run: RunFolder) -> tuple[list[tuple[Path, Path | None]], list[str]]:
    """The targets that a run and the runs that it began with (`init_from`) were trained with.

    Returns (targets, manifest) of each run, the latest first, and the places of earlier trainings whose targets are not there.
    """
    with run.working_here():
        found: list[tuple[Path, Path | None]] = [
            (run.targets("train").resolve(), run.data.manifest("train").resolve())
        ]
        start = run.recipe.init_from
        if start is None:
            return found, []
        # It names a run, or a checkpoint within one.
        places = [Path(start), *Path(start).resolve().parents]
        earlier = next((place for place in places if (trainings(place).current / RECIPE).is_file()), None)
        trust = {TRUST: bool(run.recipe.source and run.recipe.source.trusted)}
        if earlier is None or not (opened := RunFolder.open(earlier, trust)).targets("train").is_file():
            return found, [str(start)]
        more, unknown = targets_of(opened)
        return [*found, *more], unknown


def _beside(folder: Path, name: str) -> Path:
    """Where the evaluations of a model folder are written: beside it, or for one of the hub into the working folder."""
    reference = reference_of(folder)
    name = Path(reference.id).name if reference else name
    beside = Path.cwd() if reference else folder.parent  # nothing is written into the hub's cache
    return beside / f"{name}.evaluations"


class _Slot:
    """A model folder's method for `Decoder`: the segments that replace the prompt's `{speech}` slot."""

    name = "of a model folder"

    def __init__(self, pretrained):
        self._pretrained = pretrained

    def slot(self, utterance: Utterance):
        is_assisted = "assisted_slot" in self._pretrained.config
        return tuple(self._pretrained.slot(utterance.text if is_assisted else None))
