"""Stage 5, score: set the answers to speech against those to text, and say in a ledger what was lost and how.

    python score.py hparams/transcription.yaml hparams/sit.yaml hparams/sift.yaml [--score_folder exp/ledger]

One YAML a method; its name without `.yaml` names the method in the ledger. Methods that share `data_folder`,
`text_folder`, `score_folder`, `seed` and the LLM can be compared; others are refused.

Reads:
    <data_folder>/test.jsonl                        what was said
    <data_folder>/test.questions.jsonl              what was asked, and the right answers
    <text_folder>/hypotheses/test.text.jsonl        the LLM's answers to the reference text
    <text_folder>/hypotheses/test.transcript.jsonl  its answers to the encoder's own transcript
    <output_folder>/hypotheses/test.speech.jsonl    a method's answers to speech
    <output_folder>/hypotheses/test.shuffled.jsonl  its answers to another utterance's speech
    <output_folder>/targets/train.jsonl             which LLM wrote the targets
Writes:
    <score_folder>/scores.json, report.md, ledger.png
"""

import shlex
import textwrap
from pathlib import Path

from auralign import __version__, script
from auralign.hparams import HparamsError, load_hparams, parse_arguments, settings
from auralign.records import Hypothesis, Question, RecordError, Records, Target, Utterance
from auralign.score.build import build_ledger
from auralign.score.columns import MethodFiles
from auralign.score.metrics import CONFIDENCE, NUM_RESAMPLES, word_error_rate
from auralign.score.report import FILES, read_scores, write_report
from auralign.score.table import describe_result, format_differences, format_legend, format_table, main_group
from auralign.stage import Stage, content, describe
from local import world

SHARED = ("data_folder", "text_folder", "score_folder", "seed")
TERMINAL_WIDTH = 110
ENCODER_WER = "speech encoder's word error rate (%)"
NOTES = (
    "All columns are answers of the same frozen LLM to the same questions, about held-out voices.",
    "An answer is exact when it is word for word the right one, in the LLM's own form.",
    "The text column is the ceiling of recovery: in the digits world the reference transcript is already "
    "normalised text, so that reference text and normalised text are one column.",
)


def main(argv):
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
        "judge": content(world.__file__, made_by="git checkout"),
    }
    with Stage("score", folder, inputs=inputs, outputs=[folder / name for name in FILES]) as stage:
        if not stage.complete:
            score(methods, shared, command)
    print_result(folder)


def check_shared(methods):
    """The first method's hparams; raises HparamsError where another differs in what all must share."""
    (first, shared), *others = methods.items()
    if shared.recognizer is None:
        raise HparamsError("the ledger needs the encoder's own transcripts; name a recognizer in the YAML")
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
    data, text = Path(shared.data_folder), Path(shared.text_folder) / "hypotheses"
    files = [(data / name, "stage 1 (prepare)") for name in ("test.jsonl", "test.questions.jsonl")]
    files += [(text / f"test.{kind}.jsonl", "stage 4 (decode)") for kind in ("text", "transcript")]
    for output in (Path(hparams.output_folder) for hparams in methods.values()):
        files.append((output / "targets" / "train.jsonl", "stage 2 (generate)"))
        files += [
            (output / "hypotheses" / f"test.{kind}.jsonl", "stage 4 (decode)")
            for kind in ("speech", "shuffled")
        ]
    return files


def score(methods, shared, command):
    """Build the ledger and write the report."""
    data, text = Path(shared.data_folder), Path(shared.text_folder) / "hypotheses"
    manifest = Records(data / "test.jsonl", Utterance)
    questions = Records(data / "test.questions.jsonl", Question)
    transcript = Records(text / "test.transcript.jsonl", Hypothesis)
    ledger = build_ledger(
        questions,
        manifest,
        text=Records(text / "test.text.jsonl", Hypothesis),
        transcript=transcript,
        methods={name: method_files(hparams) for name, hparams in methods.items()},
        classify=classify,
        answer_right=answer_right,
        seed=shared.seed,
    )
    facts = {
        "command": f"`{command}`",
        "seed": shared.seed,
        "LLM": find_llm(methods),
        "questions": len(questions),
        "utterances": ledger.num_utterances,
        ENCODER_WER: round(100 * encoder_error_rate(transcript, manifest), 2),
    }
    write_report(
        shared.score_folder, ledger, title="The gap ledger of spoken digits", facts=facts, notes=NOTES
    )


def method_files(hparams):
    folder = Path(hparams.output_folder) / "hypotheses"
    return MethodFiles(
        *(Records(folder / f"test.{kind}.jsonl", Hypothesis) for kind in ("speech", "shuffled"))
    )


def classify(answer, question, said):
    """What became of a wrong answer, in the ledger's terms; the text asks, or else the speech."""
    task = question.task if question.instruction is not None else None
    return world.classify(answer, question.reference, task, said.split())


def answer_right(answer, question):
    """Whether an answer holds the right content, in whatever form; an empty answer never does."""
    return bool(answer.split()) and world.extract(answer)[1] == world.extract(question.reference)[1]


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
    """Word error rate of the encoder's own transcripts, each utterance once."""
    heard = {}
    for hypothesis in transcript:
        if hypothesis.transcript is None:
            raise RecordError(f"{transcript.path}: {hypothesis.key!r} has no transcript; run stage 4 again")
        heard[hypothesis.utt_id] = hypothesis.transcript
    return word_error_rate([manifest[utt_id].text for utt_id in heard], list(heard.values()))


def print_result(folder):
    """What a run ends with; read from the files, so that a skipped stage shows the same."""
    ledger, facts = read_scores(folder / "scores.json")
    group = main_group(ledger)
    size = f"{facts['questions']} questions about {facts['utterances']} utterances"
    print(f"\nThe gap ledger: exact answers to {size}")
    print(f"\nColumns:\n{format_legend(ledger)}")
    print(f"\n{format_table(ledger)}")
    if ledger.differences:
        print(f"\nDifferences in exact answers to speech, {group}:\n{format_differences(ledger, group)}")
    print("\n" + textwrap.fill(describe_result(ledger), TERMINAL_WIDTH))
    print(f"The {ENCODER_WER.replace(' (%)', '')} is {facts[ENCODER_WER]:.2f} %.")
    print(f"\nReport: {folder / 'report.md'}\nPicture: {folder / 'ledger.png'}")


if __name__ == "__main__":
    script.run(main)
