"""Stage 5 of a recipe: its methods' answers set against those to text, in a ledger, with the recipe's own judge.

    score_recipe(sys.argv[1:], title="The gap ledger of my corpus", judge=Judge(), files=[__file__])

A recipe's `score.py` is a judge and a title around this.
"""

import shlex
import textwrap
from functools import partial
from pathlib import Path

from auralign import __version__
from auralign.data.manifest import ACCOUNT
from auralign.files import read_json, without_places_in_command
from auralign.fingerprint import describe
from auralign.hparams import HELP, HparamsError, load_hparams, parse_arguments, settings
from auralign.ledger.build import make_ledger, read_methods
from auralign.ledger.columns import MethodFiles, read_utterance
from auralign.ledger.report import FILES, read_scores, write_report
from auralign.ledger.summary import describe_result, main_group
from auralign.ledger.tables import format_differences, format_ledger, format_legend
from auralign.ledger.task_tables import LEGEND, format_tasks
from auralign.ledger.tasks import measure_tasks
from auralign.method import is_assisted
from auralign.records import Hypothesis, Question, RecordError, Records, Target, Utterance
from auralign.score.judge import Judge
from auralign.score.metrics import CONFIDENCE, NUM_RESAMPLES, word_error_rate
from auralign.stage import Stage, content
from auralign.text.forms import raw_form
from auralign.text.words import is_normalised, normalise

SHARED = ("data_folder", "text_folder", "score_folder", "seed")
TERMINAL_WIDTH = 110
ENCODER_RATES = {  # by what is counted: languages without spaces have no words to count
    "word": "speech encoder's word error rate (%)",
    "letter": "speech encoder's character error rate (%)",
}
NOTES = (
    "All columns are answers of the same frozen LLM to the same questions.",
    "An answer is exact when it is word for word the right one, in the LLM's own form.",
)
FORM_OF_UNICODE = "Texts are compared in the composed form of Unicode (NFC)."


def score_recipe(argv: list[str], *, title: str, judge: Judge, files, notes=NOTES) -> None:
    """Run stage 5 and print the ledger.

    Arguments
    ---------
    argv : list of str
        One YAML a method, whose name without `.yaml` names the method in the ledger; then overrides.
    title : str
        Of the report.
    judge : Judge
    files : sequence of path
        Those with the recipe's own rules, its `score.py` first: the ledger is made again when they change.
    notes : sequence of str
        What a reader of the report must know.

    Raises HparamsError on methods that cannot be compared, FileNotFoundError where a stage before was not run.
    """
    if {*HELP} & {*argv}:
        print("usage: score.py YAML [YAML ...] [--KEY VALUE ...]\n")
        print(
            "The ledger of one method, or of several beside each other: one YAML each, of one LLM and test set."
        )
        return
    paths, overrides = parse_arguments(argv)
    methods = {Path(path).stem: load_hparams(path, overrides) for path in paths}
    if not methods or len(methods) < len(paths):
        raise HparamsError(
            "give at least one YAML, each of another name: score.py hparams/sit.yaml hparams/sift.yaml"
        )
    shared = check_shared(methods)
    folder = Path(shared.score_folder)
    command = shlex.join(["python", "score.py", *argv])
    inputs = {
        "auralign": __version__,
        "files": {str(path): content(path, made_by=maker) for path, maker in input_files(methods, shared)},
        "command": command,
        "seed": shared.seed,
        "bootstrap": [NUM_RESAMPLES, CONFIDENCE],
        "judge": [content(path, made_by="git checkout") for path in (__file__, *files)],
    }
    with Stage("score", folder, inputs=inputs, outputs=[folder / name for name in FILES]) as stage:
        if not stage.complete:
            told = without_places_in_command(["python", "score.py", *argv])
            score(methods, shared, told, title=title, judge=judge, notes=notes)
    print_result(folder)


def check_shared(methods):
    """The first method's hparams; raises HparamsError where another differs in what all must share."""
    (first, shared), *others = methods.items()
    for name, hparams in others:
        for key in SHARED:
            ours, theirs = getattr(shared, key), getattr(hparams, key)
            if ours != theirs:
                raise HparamsError(f"{first} and {name} cannot be compared: {key} is {ours!r} and {theirs!r}")
        if describe(settings(shared, "decode")) != describe(settings(hparams, "decode")):
            raise HparamsError(f"{first} and {name} cannot be compared: their LLM, encoder or prompts differ")
    return shared


def input_files(methods, shared):
    """All files that the report depends on, with the stages that make them."""
    data = Path(shared.data_folder)
    names = ("test.jsonl", "test.questions.jsonl", *([ACCOUNT] if (data / ACCOUNT).exists() else []))
    files = [(data / name, "stage 1 (prepare)") for name in names]
    files += [(text_file(shared, kind), "stage 4 (decode)") for kind in text_kinds(shared)]
    for output in (Path(hparams.output_folder) for hparams in methods.values()):
        files.append((output / "targets" / "train.jsonl", "stage 2 (generate)"))
    for kinds, hparams in columns(methods).values():
        files += [(method_file(hparams, kind), "stage 4 (decode)") for kind in kinds]
    return files


def columns(methods):
    """What is compared, by its name in the ledger: the files of hypotheses from speech and from another's, and the hparams. A
    method that puts a transcript beside the speech stands there with it and without."""
    found = {}
    for name, hparams in methods.items():
        found[name] = (("speech", "shuffled"), hparams)
        if is_assisted(hparams.method):
            found[f"{name} without transcript"] = (("speech_alone", "shuffled_alone"), hparams)
    return found


def text_kinds(shared):
    """What the LLM reads: normalised text where it is another, the encoder's own transcript where there is a recognizer."""
    path = Path(shared.data_folder) / "test.jsonl"
    content(path, made_by="stage 1 (prepare)")
    other = [] if is_normalised(Records(path, Utterance)) else ["normalised"]
    return ("text", *other, *(["transcript"] if shared.recognizer else []))


def text_file(shared, kind):
    return Path(shared.text_folder) / "hypotheses" / f"test.{kind}.jsonl"


def score(methods, shared, command, *, title, judge, notes):
    """Build the ledger and write the report."""
    data = Path(shared.data_folder)
    manifest = Records(data / "test.jsonl", Utterance)
    questions = Records(data / "test.questions.jsonl", Question)
    read = {kind: Records(text_file(shared, kind), Hypothesis) for kind in text_kinds(shared)}
    files = {
        name: MethodFiles(*(Records(method_file(hparams, kind), Hypothesis) for kind in kinds))
        for name, (kinds, hparams) in columns(methods).items()
    }
    items = read_methods(questions, manifest, read, files)
    ledger = make_ledger(items, judge, seed=shared.seed)
    tasks = measure_tasks(items, partial(read_utterance, manifest), judge.measures, seed=shared.seed)
    facts = {
        "command": f"`{command}`",
        "seed": shared.seed,
        "LLM": find_llm(methods),
        **describe_runs(methods, shared),
        "questions": len(questions),
        "utterances": ledger.num_utterances,
        **describe_data(data),
    }
    if "transcript" in read:
        unit, rate = encoder_error_rate(read["transcript"], manifest)
        facts[ENCODER_RATES[unit]] = round(100 * rate, 2)
    write_report(
        shared.score_folder, ledger, tasks, title=title, facts=facts, notes=(*notes, FORM_OF_UNICODE)
    )


def describe_runs(methods, shared):
    """Encoder, decoding, and what each method was trained with: what a figure is told with."""
    decoding = [f"at most {shared.decode_max_new_tokens} tokens", f"beams {shared.decode_num_beams}"]
    trained = {
        name: f"lr {hparams.lr:g}, {hparams.num_steps} steps of {hparams.tokens_per_step} positions, {hparams.precision}"
        for name, hparams in methods.items()
    }
    return {
        "auralign": __version__,
        "encoder": Path(getattr(shared, "encoder_folder", "see the YAML")).name,
        "decoding": ", ".join(decoding),
        **{f"training of {name}": account for name, account in trained.items()},
    }


def describe_data(folder):
    """What stage 1 of a recipe was told, and what it made."""
    if not (folder / ACCOUNT).exists():
        return {}
    account = read_json(folder / ACCOUNT)
    given = {name: value for name, value in account["options"].items() if value not in ("None", "False", "")}
    parts = [[f"--{name}"] if value == "True" else [f"--{name}", value] for name, value in given.items()]
    options = without_places_in_command([word for part in parts for word in part])
    return {"stage 1": f"`{options}`", "data": "; ".join(account["parts"])}


def method_file(hparams, kind):
    return Path(hparams.output_folder) / "hypotheses" / f"test.{kind}.jsonl"


def find_llm(methods):
    """Name and content hash of the one LLM that wrote all methods' targets."""
    found = {}
    for name, hparams in methods.items():
        target = Records(Path(hparams.output_folder) / "targets" / "train.jsonl", Target)[0]
        found[name] = f"{target.llm}, revision {target.llm_revision}"
    if len(set(found.values())) > 1:
        raise RecordError(f"targets were written by different LLMs: {found}; run stage 2 (generate) again")
    return next(iter(found.values()))


def encoder_error_rate(transcript, manifest):
    """What is counted, word or letter, and the error rate of the encoder's own transcripts, each utterance once, case and
    punctuation aside."""
    heard = {}
    for hypothesis in transcript:
        if hypothesis.transcript is None:
            raise RecordError(f"{transcript.path}: {hypothesis.key!r} has no transcript; run stage 4 again")
        heard[hypothesis.utt_id] = hypothesis.transcript
    texts = [(manifest[utt_id].text, transcript) for utt_id, transcript in heard.items()]
    form = raw_form(manifest[next(iter(heard))].language or "en")  # where none is told, by words
    sides = zip(*((" ".join(form.split(normalise(text))) for text in pair) for pair in texts), strict=True)
    return form.unit, word_error_rate(*sides)


def print_result(folder):
    """What a run ends with; read from the files, so that a skipped stage shows the same."""
    ledger, tasks, facts = read_scores(folder / "scores.json")
    group = main_group(ledger)
    size = f"{facts['questions']} questions about {facts['utterances']} utterances"
    if tasks:
        print(
            f"\nThe measures of the tasks\n{format_tasks(tasks)}\n\n{textwrap.fill(LEGEND, TERMINAL_WIDTH)}"
        )
    print(f"\nThe gap ledger: {ledger.measure} to {size}")
    print(f"\nColumns:\n{format_legend(ledger)}")
    print(f"\n{format_ledger(ledger)}")
    if ledger.differences:
        print(f"\nDifferences in {ledger.measure} to speech, {group}:\n{format_differences(ledger, group)}")
    print("\n" + textwrap.fill(describe_result(ledger), TERMINAL_WIDTH))
    for name in ENCODER_RATES.values():
        if name in facts:
            print(f"The {name.removesuffix(' (%)')} is {facts[name]:.2f} %.")
    print(f"\nReport: {folder / 'report.md'}\nPicture: {folder / 'ledger.png'}")
