"""Stage 5 of a recipe: compare its methods' answers with the answers to text, in a ledger, by the recipe's own judge.

    runs = Comparison.of_arguments(sys.argv[1:], doc=__doc__)
    score_recipe(runs, title="The gap ledger of my corpus", judge=Judge(), files=[__file__])

A recipe's `score.py` adds a judge and a title.
"""

import shlex
import sys
import textwrap
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from auralign import __version__
from auralign.changes import show_change
from auralign.decode.stage import ALONE, SPEECH, changes_text, inputs_of
from auralign.files import read_json, without_folders_in_command
from auralign.fingerprint import by_content, describe, same
from auralign.hub import name_of, parse
from auralign.ledger.build import judge_answers, make_ledger, read_methods
from auralign.ledger.columns import MethodFiles, other_builds, read_utterance
from auralign.ledger.inside import find_probe, table_of_probes
from auralign.ledger.provenance import count_trained, name_averaged, stages_of
from auralign.ledger.report import FILES, read_scores, read_strata, write_report
from auralign.ledger.strata import cut
from auralign.ledger.summary import describe_result, main_group
from auralign.ledger.tables import format_differences, format_ledger, format_legend, pooled_table
from auralign.ledger.task_tables import LEGEND, format_tasks
from auralign.ledger.tasks import score_tasks
from auralign.method import is_assisted
from auralign.recipe import HELP, RecipeError, parse_arguments, print_help
from auralign.records import Hypothesis, Question, RecordError, Records, Target, Utterance
from auralign.run_folder import OTHER_TEXT, TEXT_TRAINED, DataFolder, RunFolder, is_of_model
from auralign.score.judge import Judge
from auralign.score.metrics import CONFIDENCE, NUM_RESAMPLES, word_error_rate
from auralign.stage import Stage, begun_with, content
from auralign.text.forms import raw_form
from auralign.text.words import normalise

SHARED = ("data_folder", "text_folder", "score_folder")
TERMINAL_WIDTH = 110
ENCODER_RATES = {  # unit -> name; languages without spaces are scored by letter
    "word": "speech encoder's word error rate (%)",
    "letter": "speech encoder's character error rate (%)",
}
NOTES = (
    "All columns are answers of the same frozen LLM to the same questions.",
    "An answer is exact when it is word for word the right one, in the LLM's own form.",
)
OWN_FLOOR = (
    "There are no answers to another utterance's text, so the floor is each method's own, from another utterance's speech, and "
    "recoveries do not compare. Stage 4 writes them."
)
NO_FORGETTING = (
    "Training changes the LLM's answers to text, and there are no such answers, so that forgetting is not shown. Stage 4 writes "
    "them."
)
FORM_OF_UNICODE = "Texts are compared in the composed form of Unicode (NFC)."


class Comparison:
    """Runs that are compared on one test set and with one LLM.

    Arguments
    ---------
    runs : dict of str -> RunFolder
        Name in the ledger -> run, at least one.
    command : list of str
        The command line, for the report.
    by : sequence of str
        Labels of the utterances by which the report is cut. Default: none.

    Raises RecipeError if the runs cannot be compared.
    """

    def __init__(self, runs: Mapping[str, RunFolder], command: list[str], by: Sequence[str] = ()):
        self.runs, self.command, self.by = dict(runs), command, tuple(by)
        (first, self.first), *others = self.runs.items()
        self.recipe = self.first.recipe
        for name, run in others:
            for key in SHARED:
                ours, theirs = getattr(self.recipe, key), getattr(run.recipe, key)
                if ours != theirs:
                    raise RecipeError(
                        f"{first} and {name} cannot be compared: {key} is {ours!r} and {theirs!r}"
                    )
            ours, theirs = (by_content(describe(one.recipe.settings("decode"))) for one in (self.first, run))
            changes = [
                show_change(key, ours.get(key), theirs.get(key))
                for key in sorted({*ours, *theirs})
                if not same(ours.get(key), theirs.get(key))
            ]
            if changes:
                raise RecipeError(
                    f"{first} and {name} cannot be compared: {', '.join(changes)}; give runs of one LLM, encoder and decoding"
                )

    @classmethod
    def of_arguments(cls, argv: list[str], *, doc: str = "") -> "Comparison":
        """The runs of the YAMLs or run folders on a command line, with its overrides; `--help` prints `doc` and exits.

        `--by LABEL` cuts the report by a label of the utterances, such as year; `--by "year source"` by each of two.

        Raises RecipeError if there is no run, or two runs have the same name.
        """
        if {*HELP} & {*argv}:
            print_help(doc)
        paths, overrides = parse_arguments(argv)
        by = overrides.pop("by", "").split()
        found = [RunFolder.open(path, overrides) for path in paths]
        names = [run.name for run in found]
        if len(set(names)) < len(names):  # runs of one YAML
            names = [f"{name} {run.folder.name}" for name, run in zip(names, found, strict=True)]
        if not found or len(set(names)) < len(names):
            raise RecipeError(
                "give at least one YAML or run folder, each of another name: score.py hparams/sit.yaml hparams/sift.yaml"
            )
        return cls(dict(zip(names, found, strict=True)), ["python", "score.py", *argv], by)

    def columns(self) -> dict[str, tuple[Path, ...]]:
        """Name in the ledger -> files of answers to speech and to another utterance's speech.

        If training changes the LLM's answers to text, also the file of the trained LLM's, unless an earlier auralign ran stage
        4. A method that adds a transcript to the speech has two columns: with the transcript and without.
        """
        found = {}
        for name, run in self.runs.items():
            kinds = {"": name}
            if is_assisted(run.recipe.method):
                kinds[ALONE] = f"{name} without transcript"
            for suffix, column in kinds.items():
                trained = run.hypotheses(TEXT_TRAINED)
                found[column] = (
                    *(run.hypotheses(f"{given}{suffix}") for given in SPEECH),
                    *([trained] if changes_text(run.recipe) and trained.exists() else []),
                )
        return found

    def texts(self) -> dict[str, Path]:
        """Input kind -> file of answers to text: "text", "normalised" if it differs, "transcript" if there is a recognizer.

        Also "other_text", the floor, unless the answers are of an earlier auralign, which did not ask for it.
        """
        kinds = [kind for kind in inputs_of(self.first) if not is_of_model(kind)]
        found = {kind: self.first.hypotheses(kind) for kind in kinds}
        if not found[OTHER_TEXT].exists():
            del found[OTHER_TEXT]
        return found

    def probes(self) -> dict[str, Path]:
        """Name in the ledger -> what `auralign probe` found, of the runs that were probed as they are now."""
        return {name: path for name, run in self.runs.items() if (path := find_probe(run)) is not None}

    def files(self) -> list[tuple[Path, str]]:
        """All files that the report depends on, with the stages that make them."""
        data = self.first.data
        made = [data.manifest("test"), data.questions, *([data.account] if data.account.exists() else [])]
        found = [(path, "stage 1 (prepare)") for path in made]
        found += [(path, "stage 4 (decode)") for path in self.texts().values()]
        found += [(run.targets("train"), "stage 2 (generate)") for run in self.runs.values()]
        found += [(path, "auralign probe") for path in self.probes().values()]
        return found + [(path, "stage 4 (decode)") for files in self.columns().values() for path in files]


def score_recipe(comparison: Comparison, *, title: str, judge: Judge, files, notes=NOTES) -> None:
    """Run stage 5 and print the ledger.

    Arguments
    ---------
    comparison : Comparison
    title : str
        Heading of the report.
    judge : Judge
    files : sequence of path
        Files with the recipe's own rules, its `score.py` first: if they change, the stage runs again.
    notes : sequence of str
        Notes for readers of the report.

    Raises FileNotFoundError if an earlier stage was not run.
    """
    folder = comparison.first.score_folder
    inputs = {
        "auralign": __version__,
        "files": {str(path): content(path, made_by=maker) for path, maker in comparison.files()},
        "command": shlex.join(comparison.command),
        "seed": comparison.recipe.seed,
        "bootstrap": [NUM_RESAMPLES, CONFIDENCE],
        "judge": [content(path, made_by="git checkout") for path in (__file__, *files)],
    }
    with Stage("score", folder, inputs=inputs, outputs=[folder / name for name in FILES]) as stage:
        if not stage.complete:
            before = (begun_with(folder, stage.name) or {}).get("files", {})
            others = sorted(path for path in {*before} - {*inputs["files"]} if "hypotheses" in path)
            if others:
                print(
                    f"score: the ledger in {folder}, which was also of {others[0]}, is replaced; another score_folder keeps both",
                    file=sys.stderr,
                )
            _score(comparison, title=title, judge=judge, notes=notes)
    print_result(folder)


def _score(comparison: Comparison, *, title: str, judge: Judge, notes) -> None:
    """Build the ledger and write the report."""
    data, seed = comparison.first.data, comparison.recipe.seed
    manifest = Records(data.manifest("test"), Utterance)
    questions = Records(data.questions, Question)
    read = {kind: Records(path, Hypothesis) for kind, path in comparison.texts().items()}
    files = {
        name: MethodFiles(*(Records(path, Hypothesis) for path in paths))
        for name, paths in comparison.columns().items()
    }
    items = read_methods(questions, manifest, read, files)
    judged = judge_answers(items, judge)
    ledger = make_ledger(items, judge, seed=seed, judged=judged)
    tasks = score_tasks(items, partial(read_utterance, manifest), judge.metrics, seed=seed)
    seeds = list(dict.fromkeys(run.recipe.seed for run in comparison.runs.values()))
    facts = {
        "command": f"`{without_folders_in_command(comparison.command)}`",
        "seed": seeds[0] if len(seeds) == 1 else ", ".join(map(str, seeds)),
        "LLM": find_llm(comparison.runs),
        **other_builds(found.speech for found in files.values()),
        **describe_runs(comparison),
        "questions": len(questions),
        "utterances": ledger.num_utterances,
        **describe_data(data),
    }
    if OTHER_TEXT not in read:
        notes = (*notes, OWN_FLOOR)
    runs = comparison.runs.values()
    if any(changes_text(run.recipe) and not run.hypotheses(TEXT_TRAINED).exists() for run in runs):
        notes = (*notes, NO_FORGETTING)
    if "transcript" in read:
        unit, rate = encoder_error_rate(read["transcript"], manifest)
        facts[ENCODER_RATES[unit]] = round(100 * rate, 2)
    folder = comparison.first.score_folder
    write_report(
        folder,
        ledger,
        tasks,
        title=title,
        facts=facts,
        notes=(*notes, FORM_OF_UNICODE),
        judged=judged,
        manifest=manifest,
        stages=stages_of(comparison.runs),
        inside=table_of_probes(comparison.probes()),
        strata=cut(judged, manifest, comparison.by, seed=seed),
    )


def describe_runs(comparison: Comparison) -> dict:
    """Encoder, decoding options and training options of each run, which a reported figure needs."""
    recipe = comparison.recipe
    decoding = [f"at most {recipe.decode_max_new_tokens} tokens", f"beams {recipe.decode_num_beams}"]
    trained = {
        f"training of {name}": f"lr {run.recipe.lr:g}, {run.recipe.num_steps} steps of {run.recipe.tokens_per_step} positions, "
        f"{run.recipe.precision}"
        for name, run in comparison.runs.items()
    }
    averaged = {f"weights of {name}": name_averaged(run) for name, run in comparison.runs.items()}
    return {
        "auralign": __version__,
        "encoder": _show_model(recipe.own.get("encoder_folder", "see the YAML")),
        "decoding": ", ".join(decoding),
        **trained,
        **{name: weights for name, weights in averaged.items() if weights},
        **{f"trained parameters of {name}": count_trained(run) for name, run in comparison.runs.items()},
    }


def _show_model(name: str) -> str:
    """A model's id and commit, or the name of its folder."""
    return name if parse(name) else name_of(name)


def describe_data(data: DataFolder) -> dict:
    """The options of stage 1 of a recipe, and the parts of the data that it made."""
    if not data.account.exists():
        return {}
    account = read_json(data.account, keys=("options", "parts"))
    given = {name: value for name, value in account["options"].items() if value not in ("None", "False", "")}
    parts = [[f"--{name}"] if value == "True" else [f"--{name}", value] for name, value in given.items()]
    options = without_folders_in_command([word for part in parts for word in part])
    return {"stage 1": f"`{options}`", "data": "; ".join(account["parts"])}


def find_llm(runs: Mapping[str, RunFolder]) -> str:
    """Name and content hash of the LLM that wrote all methods' targets.

    Raises RecordError if different LLMs did.
    """
    found = {}
    for name, run in runs.items():
        target = Records(run.targets("train"), Target)[0]
        found[name] = f"{target.llm}, revision {target.llm_revision}"
    # An earlier auralign recorded another hash; `Comparison` has compared the LLMs themselves.
    forms = {
        form: {text for text in found.values() if ("-" in text.rpartition(" ")[2]) == form}
        for form in (True, False)
    }
    if any(len(texts) > 1 for texts in forms.values()):
        raise RecordError(f"targets were written by different LLMs: {found}; run stage 2 (generate) again")
    return next(iter(found.values()))


def encoder_error_rate(transcript, manifest):
    """The unit ("word" or "letter") and the error rate of the encoder's transcripts, without case and punctuation.

    Each utterance is counted once. Raises RecordError if a hypothesis has no transcript.
    """
    transcripts = {}
    for hypothesis in transcript:
        if hypothesis.transcript is None:
            raise RecordError(f"{transcript.path}: {hypothesis.key!r} has no transcript; run stage 4 again")
        transcripts[hypothesis.utt_id] = hypothesis.transcript
    texts = [(manifest[utt_id].text, found) for utt_id, found in transcripts.items()]
    form = raw_form(
        manifest[next(iter(transcripts))].language or "en"
    )  # an unknown language is scored by word
    sides = zip(*((" ".join(form.split(normalise(text))) for text in pair) for pair in texts), strict=True)
    return form.unit, word_error_rate(*sides)


def print_result(folder):
    """Print the result of stage 5 from its files, so that a skipped stage prints the same."""
    ledger, tasks, facts = read_scores(folder / "scores.json")
    group = main_group(ledger)
    size = f"{facts['questions']} questions about {facts['utterances']} utterances"
    if tasks:
        print(f"\nThe metrics of the tasks\n{format_tasks(tasks)}\n\n{textwrap.fill(LEGEND, TERMINAL_WIDTH)}")
    print(f"\nThe gap ledger: {ledger.metric} to {size}")
    print(f"\nColumns:\n{format_legend(ledger)}")
    print(f"\n{format_ledger(ledger)}")
    if ledger.pooled:
        print(f"\nThe runs of each method together:\n{pooled_table(ledger).to_text()}")
    for name, table in read_strata(folder / "scores.json").items():
        print(f"\n{name}:\n{table.to_text()}")
    if ledger.differences:
        print(f"\nDifferences in {ledger.metric} to speech, {group}:\n{format_differences(ledger, group)}")
    print("\n" + textwrap.fill(describe_result(ledger), TERMINAL_WIDTH))
    for name in ENCODER_RATES.values():
        if name in facts:
            print(f"The {name.removesuffix(' (%)')} is {facts[name]:.2f} %.")
    print(
        f"\nPage: {folder / 'report.html'}\nReport: {folder / 'report.md'}\nPicture: {folder / 'ledger.png'}"
    )
