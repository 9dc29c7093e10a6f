"""The work of each run of the side-by-side: targets, cost of a step, learning rates, and cells with their measures.

    bench = Bench(Settings(), folder=Path("exp/side"), start=Path("exp/full/align"))
    row = bench.make(run, rows)          # the facts of a finished run; `rows` are those of the runs that it needs

Each training is one run of the ordinary stages in a folder of its own, with the YAML that it was made of. One
module, as each kind of run is made of what the kinds before it have left.
"""

import contextlib
import gc
import json
import shutil
import statistics
import time
from pathlib import Path
from textwrap import indent

import yaml
from local.side_measures import agreement_by_group, answer_text_as_trained, make_questions
from local.side_plan import (
    ALIGNED,
    CELL,
    DEV,
    METHODS,
    NUM_SPEED_STEPS,
    NUM_UNTIMED_STEPS,
    SPEED,
    START,
    TARGETS,
    WARMUP_SHARE,
    Run,
    Settings,
    choose_num_steps,
    choose_rate,
    dev_names,
    speed_name,
)

from auralign import steps
from auralign.files import read_json, without_folders, write_atomically
from auralign.records import Hypothesis, Question, Records, Target, Utterance, read_about, write_records
from auralign.versions import current_targets

BASE = Path(__file__).with_name("side.yaml")
TEXT, CASCADE, SPEECH, SHUFFLED = "text", "transcript", "speech", "shuffled"
KEPT_TEXT = "text of the trained LLM"
NUM_VALIDATIONS = 4  # of a cell, whose best checkpoint answers; other trainings have one, at their end
STEPS = "steps.jsonl"  # CPU seconds of each optimiser step, in the folder of a run


class Bench:
    """Makes runs.

    Arguments
    ---------
    settings : Settings
    folder : Path
        Of the comparison.
    start : Path
        output_folder of the aligned connector.
    llm, encoder : str, optional
        Hub ids or folders; default those of the start.

    Raises FileNotFoundError if the start was not trained.
    """

    def __init__(self, settings: Settings, *, folder: Path, start: Path, llm=None, encoder=None):
        self.settings, self.folder, self.start = settings, Path(folder), Path(start)
        if not (self.start / "recipe.yaml").is_file():
            raise FileNotFoundError(
                f"no aligned start at {self.start}; train it first, ./run.sh --experiment align, or give --start FOLDER"
            )
        base = steps.RunFolder.open(self.compose(Run("start", START)), {"size": settings.size})
        self.manifest, self.train_manifest = base.data.manifest("test"), base.data.manifest("train")
        moved = {"llm.path": llm, "encoder.path": encoder}
        if steps.RunFolder.open(self.start).recipe.recognizer is not None:
            moved["recognizer.path"] = encoder
        overrides = {name: str(value) for name, value in moved.items() if value}
        overrides["decode_max_new_tokens"] = str(base.recipe.decode_max_new_tokens)
        self.aligned = steps.RunFolder.open(self.start, overrides)
        recipe = self.aligned.recipe
        self.models = {
            "llm_folder": str(llm or recipe.llm.keywords["path"]),
            "encoder_folder": str(encoder or recipe.encoder.keywords["path"]),
        }

    def make(self, run: Run, rows: dict[str, dict]) -> dict:
        """The facts of a run that is made now, or finished if it was interrupted.

        Arguments
        ---------
        run : Run
        rows : dict of str to dict
            The facts of finished runs by name, among them all that this one needs.
        """
        make = {
            START: self._start,
            TARGETS: self._targets,
            SPEED: self._speed,
            DEV: self._dev,
            CELL: self._cell,
        }
        try:
            return make[run.kind](run, rows)
        finally:
            gc.collect()  # the next run loads its own models

    # --- the recipe of a run

    def compose(self, run: Run) -> Path:
        """Write the YAML of a run into its folder."""
        method = METHODS[run.method or next(iter(METHODS))]
        arguments = dict(method.arguments)
        if arguments["name"] == "mtbi" and not self._has_word_times():
            arguments["share_interleaved"] = 0.0
        parts = {"method: !apply:auralign.plugins.load_method": arguments}
        if run.table == ALIGNED:
            connector = self.aligned.recipe.connector
            parts[f"connector: !name:{connector.name}"] = connector.keywords
        else:
            parts[f"connector: !name:auralign.models.connectors.{method.connector}"] = (
                method.connector_arguments
            )
            if method.lora and run.kind != TARGETS:
                parts["lora: !name:peft.LoraConfig"] = method.lora
        path = self.folder / run.name / BASE.name
        with write_atomically(path) as file:
            file.write(BASE.read_text(encoding="utf-8"))
            for head, found in parts.items():
                body = yaml.safe_dump(dict(found), sort_keys=False, width=1000) if found else ""
                file.write(f"\n{head}\n{indent(body, '    ')}")
        return path

    def _open(self, run: Run, **overrides) -> steps.RunFolder:
        values = {
            "seed": run.seed,
            "size": self.settings.size,
            "output_folder": str(self.folder / run.name),
            "num_train_utts": run.num_utts,
            **self.models,
            **overrides,
        }
        if run.table == ALIGNED:
            values["init_from"] = str(self.start)
        return steps.RunFolder.open(self.compose(run), values)

    def _has_word_times(self) -> bool:
        """Whether `auralign align` has given the training utterances the times of their words."""
        with contextlib.suppress(FileNotFoundError):
            return read_about(self.train_manifest, Utterance)[1].words is not None
        return False

    # --- the kinds of runs

    def _start(self, run: Run, rows) -> dict:
        """The answers that all runs are compared with, and those of the aligned start, of other speech and of the cascade."""
        given = (TEXT, SPEECH, SHUFFLED, *[CASCADE] * (self.aligned.recipe.recognizer is not None))
        return {
            **{name.removesuffix("_folder"): without_folders(path) for name, path in self.models.items()},
            "columns": self._measure(run, self.aligned, given=given, asked=self._write_questions()),
        }

    def _targets(self, run: Run, rows) -> dict:
        is_resumed = (self.folder / run.name / "targets").exists()
        opened, begun, built = self._open(run), time.process_time(), None
        for stage in steps.generating(opened):
            with stage:
                if not stage.complete:
                    built = built or steps.build_llm(opened.recipe)
                    print(f"{stage.name}: {steps.write_targets(opened, stage, *built)}")
        return {
            "cpu_seconds": round(time.process_time() - begun, 1),
            "resumed": is_resumed,  # the seconds are then those since
            "num_targets": len(Records(opened.targets("train"), Target)),
            "options": opened.recipe.method.options(),
        }

    def _speed(self, run: Run, rows) -> dict:
        trained = self._train(run, rate=self.settings.rates[0], num_steps=NUM_SPEED_STEPS)
        seconds = list(read_steps(trained.folder).values())[NUM_UNTIMED_STEPS:]
        return {
            "seconds_per_step": statistics.median(seconds)
        }  # one slow step of a busy machine is not typical

    def _dev(self, run: Run, rows) -> dict:
        num_steps = choose_num_steps(run, self.settings, rows[speed_name(run)]["seconds_per_step"])
        trained = self._train(run, rate=run.rate, num_steps=num_steps)
        return {"rate": run.rate, **_facts_of_training(trained)}

    def _cell(self, run: Run, rows) -> dict:
        rate = choose_rate(
            {rows[name]["rate"]: rows[name]["valid_loss"] for name in dev_names(run, self.settings)}
        )
        num_steps = choose_num_steps(run, self.settings, rows[speed_name(run)]["seconds_per_step"])
        trained = self._train(run, rate=rate, num_steps=num_steps)
        return {
            "rate": rate,
            **_facts_of_training(trained),
            "num_targets": len(Records(trained.targets("train"), Target)),
            "columns": self._measure(run, trained, given=(SPEECH,), asked=self._write_questions()),
        }

    def _train(self, run: Run, *, rate: float, num_steps: int) -> steps.RunFolder:
        """Stage 3 on the targets of the method; what is there of an interrupted run is used."""
        opened = self._open(
            run,
            lr=rate,
            num_steps=num_steps,
            num_warmup_steps=round(WARMUP_SHARE * num_steps),
            valid_every=-(-num_steps // (NUM_VALIDATIONS if run.kind == CELL else 1)),
        )
        self._take_targets(run, opened)
        with steps.training(opened) as stage:
            if not stage.complete:
                model, renderer = steps.build_model(opened.recipe)
                train, valid = (
                    steps.read_examples(opened, split, stage, model, renderer) for split in steps.SPLITS
                )
                brain = steps.make_brain(opened, stage, model, renderer)
                time_steps(brain, opened.folder / STEPS)
                best = brain.run(train, valid)
                print(f"{run.name}: lowest validation loss {best.valid_loss:.3f}, at step {best.step}")
        return opened

    def _take_targets(self, run: Run, opened: steps.RunFolder) -> None:
        """Copy the method's targets, those of the run's utterances: all runs of a method are taught the same answers."""
        from auralign.generate.targets import draw_utts

        made = current_targets(self.folder / "targets" / run.method)
        for split in steps.SPLITS:
            path, source = opened.targets(split), made / f"{split}.jsonl"
            if path.exists():
                continue  # written whole, or not at all
            if split == "valid":
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, path)
                continue
            ids = [utterance.id for utterance in Records(self.train_manifest, Utterance)]
            chosen = draw_utts(ids, run.num_utts)
            kept = (target for target in Records(source, Target) if target.utt_id in chosen)
            write_records(path, kept, kind=Target, about=read_about(source, Target)[0])

    # --- measures

    def _write_questions(self) -> Records:
        path = self.folder / "questions.jsonl"
        if not path.exists():
            asked = make_questions(Records(self.manifest, Utterance), self.settings.num_asked)
            write_records(path, asked, kind=Question)
        return Records(path, Question)

    def _measure(self, run: Run, trained: steps.RunFolder, *, given, asked: Records) -> dict:
        """By input and test group how far the answers are those to the text; answers that are there already are used."""
        from local.ladder import Listener

        manifest = Records(self.manifest.resolve(), Utterance)
        with trained.working_here():  # the start may be of another folder
            listener = Listener(trained, manifest)
        paths = {one: self.folder / run.name / "answers" / f"{one}.jsonl" for one in given}
        for one, path in paths.items():
            if not path.exists():
                listener.decoder.write(asked, path, given=one, seed=run.seed)
        answers = {
            one: {answer.key: answer.text for answer in Records(path, Hypothesis)}
            for one, path in paths.items()
        }
        if TEXT not in answers:
            path = self.folder / "start" / "answers" / f"{TEXT}.jsonl"
            answers[TEXT] = {answer.key: answer.text for answer in Records(path, Hypothesis)}
        if trained.recipe.lora is not None or trained.recipe.train_llm:
            answers[KEPT_TEXT] = answer_text_as_trained(listener, asked)
        wanted = answers.pop(TEXT)
        voices = {utterance.id: utterance.speaker for utterance in manifest}
        return {one: agreement_by_group(asked, wanted, found, voices) for one, found in answers.items()}


# --- CPU seconds


def time_steps(brain, path: Path) -> None:
    """Let a brain write the CPU seconds of each optimiser step, of all threads: a line a step.

    A step that is made again after an interruption has a second line, which replaces the first.
    """
    make_step = brain.fit_batch

    def make_timed_step(packs):
        begun = time.process_time()
        loss = make_step(packs)
        seconds = time.process_time() - begun
        with open(path, "a", encoding="utf-8") as file:
            print(json.dumps({"step": brain.optimizer_step, "cpu_seconds": round(seconds, 4)}), file=file)
        return loss

    brain.fit_batch = make_timed_step


def read_steps(folder: Path) -> dict[int, float]:
    """CPU seconds by step, as `time_steps` wrote them; a line that a kill cut is left out, its step was made again."""
    seconds = {}
    for line in (Path(folder) / STEPS).read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            row = json.loads(line)
            seconds[row["step"]] = row["cpu_seconds"]
    return seconds


def _facts_of_training(trained: steps.RunFolder) -> dict:
    from auralign.decode.stage import chosen_checkpoint

    log = read_json(trained.log)
    weights = chosen_checkpoint(trained).weights()
    return {
        "num_steps": log[-1]["step"],
        "valid_loss": min(entry["valid_loss"] for entry in log),
        "cpu_seconds": round(sum(read_steps(trained.folder).values()), 1),
        "num_parameters": sum(weight.numel() for weight in weights.values()),
    }
