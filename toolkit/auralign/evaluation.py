"""Any finished model on any test set: `auralign evaluate`, `auralign.evaluate`.

    scores = auralign.evaluate("exp/synthetic/sift/seed_1", "data/other.jsonl", ask=["Repeat: {speech}"])

Nothing is trained and nothing is overwritten: the answers of each test set have a folder of their own, named by the manifest and
a hash of all that they depend on.
"""

from collections.abc import Sequence
from pathlib import Path

from auralign import __version__
from auralign.data.frames import BranchFrames, LiveFrames
from auralign.decode.answers import Decoder
from auralign.decode.stage import best_checkpoint, make_decoder
from auralign.files import hash_path, hash_value, read_json
from auralign.ledger.build import make_ledger, read_methods
from auralign.ledger.columns import MethodFiles
from auralign.ledger.report import FILES, write_report
from auralign.ledger.stage import Judge
from auralign.publish.load import load
from auralign.publish.model_folder import CONFIG
from auralign.records import Hypothesis, Question, Records, Utterance, write_records
from auralign.run_folder import RunFolder
from auralign.stage import Stage
from auralign.text.words import is_normalised

TITLE = "The gap ledger of {manifest}"
DECODE_BATCH_SIZE = 16


class _Slot:
    """What `Decoder` asks of a method, for a model folder: it says what is put into the prompt, and no more."""

    name = "of a model folder"

    def __init__(self, pretrained):
        self._pretrained = pretrained

    def slot(self, utterance):
        return tuple(self._pretrained.slot(utterance.text or None))


def evaluate(
    model,
    manifest,
    *,
    questions=None,
    ask: Sequence[str] = (),
    output=None,
    judge: Judge | None = None,
    seed: int = 1,
    llm=None,
    encoder=None,
    device: str | None = None,
) -> Path:
    """Answer the questions of a test set with a finished model, and set the answers to speech against those to text.

    Arguments
    ---------
    model : path
        A run's output_folder, its YAML, or a model folder.
    manifest : path
        The utterances, as `auralign prepare` or stage 1 of a recipe writes them.
    questions : path, optional
        What is asked about them; by default `<manifest>.questions.jsonl` beside the manifest. A question without a reference is
        right if it is answered from speech as the LLM answers it from text.
    ask : sequence of str, optional
        Instructions with a `{speech}` slot, asked about every utterance, instead of `questions`.
    output : path, optional
        Where the evaluation's folder is made; by default `evaluations` in the run's folder, or beside the model folder
        `<its name>.evaluations`.
    judge : Judge, optional
        Says what an answer is worth; by default exact answers count.
    seed : int
        Of the shuffled speech and of the bootstrap.
    llm, encoder : path, optional
        Where a model folder's LLM and encoder are now.
    device : str, optional
        "cpu" or "cuda:N"; by default the run's, or the CPU.

    Returns Path: the folder with `questions.jsonl`, the answers (`speech.jsonl`, `shuffled.jsonl`, `text.jsonl`, ...), `scores.json`,
    `report.md` and `ledger.png`.

    Raises FileNotFoundError if the model, the manifest or the questions are not there, ValueError if both `questions` and `ask` are
    given.
    """
    manifest = Records(_existing(manifest, "manifest"), Utterance)
    asked = _questions(manifest, questions, list(ask))
    judge = judge or Judge()
    source = (
        _Run(model, device) if not (Path(model) / CONFIG).is_file() else _Folder(model, llm, encoder, device)
    )
    inputs = {
        "auralign": __version__,
        "model": source.identity(),
        "manifest": hash_path(manifest.path),
        "questions": hash_value([vars(question) for question in asked]),
        "judge": f"{type(judge).__module__}.{type(judge).__qualname__}",
        "seed": seed,
    }
    fixed = {name: value for name, value in inputs.items() if name != "auralign"}
    folder = Path(output or source.output) / f"{manifest.path.stem}-{hash_value(fixed)[:8]}"
    given = [*source.given(manifest), "speech", "shuffled"]
    outputs = [folder / "questions.jsonl", *(folder / f"{name}.jsonl" for name in given)]
    partial = [folder / f"{name}.partial.jsonl" for name in given]
    with Stage(
        "evaluate",
        folder,
        inputs=inputs,
        outputs=[*outputs, *(folder / name for name in FILES)],
        partial=partial,
    ) as stage:
        if not stage.complete:
            write_records(folder / "questions.jsonl", asked, kind=Question)
            decoder = source.decoder(manifest)
            for name in given:
                if not (folder / f"{name}.jsonl").exists() or (folder / f"{name}.partial.jsonl").exists():
                    decoder.write(
                        Records(folder / "questions.jsonl", Question),
                        folder / f"{name}.jsonl",
                        given=name,
                        seed=seed,
                    )
            _score(folder, manifest, given, source, judge, seed)
    return folder


def _score(folder: Path, manifest: Records, given: list[str], source, judge: Judge, seed: int) -> None:
    """Write the ledger of the answers in a folder."""
    answers = {name: Records(folder / f"{name}.jsonl", Hypothesis) for name in given}
    asked = Records(folder / "questions.jsonl", Question)
    files = MethodFiles(answers.pop("speech"), answers.pop("shuffled"))
    items = read_methods(asked, manifest, answers, {source.name: files})
    ledger = make_ledger(
        items,
        classify=judge.classify,
        answer_right=judge.is_right,
        score=judge.score,
        measure=judge.measure,
        seed=seed,
    )
    facts = {
        "model": source.name,
        "auralign": __version__,
        "manifest": manifest.path.name,
        "questions": len(asked),
        "utterances": ledger.num_utterances,
        "seed": seed,
    }
    write_report(folder, ledger, (), title=TITLE.format(manifest=manifest.path.name), facts=facts)


class _Run:
    """A run as `evaluate` sees it."""

    def __init__(self, place, device: str | None):
        self.run = RunFolder.open(place, {"device": device} if device else None)
        self.name = self.run.name
        with self.run.working_here():
            self.output = self.run.evaluations.resolve()

    def identity(self) -> str:
        """What its answers depend on."""
        recipe = self.run.recipe
        with self.run.working_here():
            checkpoint = hash_path(best_checkpoint(self.run).folder)
        return hash_value([checkpoint, describe(recipe.settings("decode"))])

    def given(self, manifest: Records) -> list[str]:
        """What the plain LLM reads."""
        return _texts(manifest) + ["transcript"] * bool(self.run.recipe.recognizer)

    def decoder(self, manifest: Records) -> Decoder:
        """The model, ready to answer."""
        with self.run.working_here():
            return make_decoder(self.run, manifest)


class _Folder:
    """A model folder as `evaluate` sees it."""

    def __init__(self, place, llm, encoder, device: str | None):
        self.folder = Path(place).resolve()
        self.name = self.folder.name
        self.output = self.folder.with_name(f"{self.name}.evaluations")
        self.options = {"llm": llm, "encoder": encoder, "device": device or "cpu"}

    def identity(self) -> str:
        """What its answers depend on."""
        return hash_value([read_json(self.folder / CONFIG), hash_path(self.folder / WEIGHTS)])

    def given(self, manifest: Records) -> list[str]:
        """What the plain LLM reads."""
        return _texts(manifest)

    def decoder(self, manifest: Records) -> Decoder:
        """The model, ready to answer."""
        loaded = load(self.folder, **self.options)
        frames = {name: LiveFrames(encoder, manifest) for name, encoder in loaded.model.encoders.items()}
        return Decoder(
            loaded.model,
            loaded.renderer,
            manifest,
            BranchFrames(frames),
            method=_Slot(loaded),
            decoding=loaded.decoding,
            batch_size=DECODE_BATCH_SIZE,
        )


def _texts(manifest: Records) -> list[str]:
    return ["text"] if is_normalised(manifest) else ["text", "normalised"]


def _existing(path, what: str) -> Path:
    if not Path(path).is_file():
        raise FileNotFoundError(f"no {what} at {path}")
    return Path(path)


def _questions(manifest: Records, questions, ask: list[str]) -> list[Question]:
    """The questions of a file, or an instruction about every utterance."""
    if ask and questions:
        raise ValueError("questions and ask: give one of them")
    if ask:
        return list(questions_about(manifest, [[instruction] for instruction in ask]))
    path = Path(questions or manifest.path.with_suffix(".questions.jsonl"))
    if not path.is_file():
        raise FileNotFoundError(
            f"no questions at {path}; give --questions FILE, or --ask 'INSTRUCTION with {SLOT}'"
        )
    return list(Records(path, Question))


def beside(folder: Path) -> list[Path]:
    """The evaluations of the same model, oldest first."""
    found = [path for path in folder.parent.glob("*/scores.json")]
    return [path.parent for path in sorted(found, key=lambda path: path.stat().st_mtime)]
