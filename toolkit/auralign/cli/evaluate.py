"""`auralign evaluate`: try a finished model on any test set."""

import argparse
import sys
from collections.abc import Callable
from typing import Any

from auralign.cli.arguments import RUN_HELP, Commands

JUDGE_TOKENS = 1024  # length limit of a judgement
DESCRIPTION = """\
Answer the questions of a test set from speech, from another utterance's speech and from text, and set them against each other in
the gap ledger. Nothing is trained or overwritten: each test set has a folder of its own, with the answers as JSONL.

With --benchmark generalisation the questions are fixed: tasks and wordings, seen and unseen in training, and one page of
result. With --benchmark speech_instruct they are those of SpeechInstructBench, whose files --manifest names.

Models that others made are evaluated too: a speech LLM of transformers (Qwen2-Audio, Audio Flamingo 3, Voxtral,
Ultravox) by its folder or hub id, and an endpoint with OpenAI's interface by its address, such as http://127.0.0.1:8000/v1.
"""


def add(commands: Commands) -> None:
    """Add the parser of `auralign evaluate`."""
    parser = commands.add_parser(
        "evaluate",
        help="try a finished model on any test set",
        description=DESCRIPTION,
        epilog='example: auralign evaluate exp/synthetic/sift/seed_1 --manifest data/other.jsonl --ask "Repeat: {speech}"',
    )
    parser.add_argument(
        "model",
        metavar="RUN_OR_MODEL",
        help=f"model folder, a speech LLM of transformers, the address of an endpoint, or {RUN_HELP}",
    )
    parser.add_argument(
        "--manifest",
        metavar="FILE",
        action="append",
        default=[],
        help="the utterances; auralign prepare writes one of any corpus. With --benchmark: of LibriSpeech "
        "test-clean (or the folder LibriSpeech of the release), of spoken digits, or one of each (default: the run's test set)",
    )
    parser.add_argument(
        "--benchmark",
        metavar="NAME",
        help="ask the fixed questions of a benchmark: generalisation or speech_instruct",
    )
    parser.add_argument(
        "--questions",
        metavar="FILE",
        help="what is asked about them (default: NAME.questions.jsonl beside NAME.jsonl)",
    )
    parser.add_argument(
        "--ask",
        metavar="INSTRUCTION",
        action="append",
        default=[],
        help="ask this about every utterance instead; {speech} marks the position of the speech",
    )
    parser.add_argument(
        "--by",
        metavar="LABEL",
        action="append",
        default=[],
        help="cut the ledger by a label of the utterances, such as year; several times for several",
    )
    parser.add_argument("--output", metavar="DIR", help="the folder in which the evaluation's folder is made")
    parser.add_argument(
        "--seed", type=int, default=1, help="of the shuffled speech and the bootstrap (default: 1)"
    )
    parser.add_argument("--llm", metavar="MODEL", help="the LLM's folder or hub id, if it was moved")
    parser.add_argument("--encoder", metavar="MODEL", help="the encoder's folder or hub id, likewise")
    parser.add_argument("--device", help="cpu or cuda:N (default: that of the run, or cpu)")
    parser.add_argument(
        "--recognizer",
        metavar="MODEL",
        help="the folder or hub id of a Whisper, for the cascade (default: the recipe's recognizer)",
    )
    benchmark = parser.add_argument_group("with --benchmark")
    benchmark.add_argument(
        "--targets",
        metavar="FILE",
        action="append",
        default=[],
        help="what the model was trained with: targets, a run, or a text file with an instruction on each line "
        "(those of a run and of the runs that it began with are read anyway)",
    )
    benchmark.add_argument(
        "--seen", metavar="TASK", action="append", default=[], help="a task that counts as seen in training"
    )
    benchmark.add_argument(
        "--utts",
        metavar="N",
        type=int,
        help="a trial with N utterances of each part, which is not the benchmark",
    )
    benchmark.add_argument(
        "--judge",
        metavar="WHO",
        help="of speech_instruct: who judges open-ended answers: the address of an endpoint with OpenAI's interface, or "
        "module:function from a prompt to an answer",
    )
    benchmark.add_argument("--judge-model", metavar="ID", help="the id of the model at that endpoint")
    others = parser.add_argument_group("for models that others made")
    others.add_argument(
        "--model-name", metavar="ID", help="the id of the model at an endpoint; a name for tables"
    )
    others.add_argument(
        "--max-new-tokens", metavar="N", type=int, help="length limit of an answer (default: 128)"
    )
    others.add_argument(
        "--trust-remote-code",
        action="store_true",
        help="run Python code that came with the folder, as an Ultravox needs",
    )
    parser.set_defaults(do=do, overrides={})


def do(options: argparse.Namespace) -> int:
    """Write the answers and the ledger, and print it beside the earlier evaluations of the model; or the benchmark's page."""
    finding = {
        "llm": options.llm,
        "encoder": options.encoder,
        "recognizer": options.recognizer,
        "device": options.device,
        "overrides": options.overrides,
        "others": {
            "name": options.model_name,
            "max_new_tokens": options.max_new_tokens,
            "trust_remote_code": options.trust_remote_code,
        },
    }
    if options.benchmark:
        return _run_benchmark(options, finding)
    for name in ("targets", "seen", "utts", "judge", "judge_model"):
        if getattr(options, name):
            raise ValueError(
                f"--{name.replace('_', '-')}: an option of a benchmark; give --benchmark NAME too"
            )
    if not options.manifest:
        raise ValueError("which utterances? give --manifest FILE; auralign prepare writes one of any corpus")
    if len(options.manifest) > 1:
        raise ValueError(
            f"--manifest {options.manifest[1]}: give one manifest; several are for --benchmark generalisation"
        )
    from auralign.evaluation import describe_evaluations, evaluate

    folder = evaluate(
        options.model,
        options.manifest[0],
        questions=options.questions,
        ask=options.ask,
        output=options.output,
        seed=options.seed,
        by=options.by,
        **finding,
    )
    print(describe_evaluations(folder))
    return 0


def _run_benchmark(options: argparse.Namespace, finding: dict[str, Any]) -> int:
    """Evaluate by a benchmark, whose questions are fixed."""
    for name in ("questions", "ask", "by"):
        if getattr(options, name):
            raise ValueError(
                f"--{name}: the questions of --benchmark {options.benchmark} are fixed; leave it out"
            )
    from auralign.evaluation.benchmark import evaluate_benchmark

    judge, judge_name = _open_judge(options.judge, options.judge_model)
    evaluate_benchmark(
        options.model,
        options.manifest,
        benchmark=options.benchmark,
        targets=options.targets,
        seen=options.seen,
        num_utts=options.utts,
        judge=judge,
        judge_name=judge_name,
        output=options.output,
        seed=options.seed,
        command=["auralign", *sys.argv[1:]],
        **finding,
    )
    return 0


def _open_judge(who: str | None, model: str | None) -> tuple[Callable[[str], str] | None, str]:
    """A function from a prompt to what the judge answers, and the judge's name; None if there is no judge."""
    if who is None:
        return None, ""
    if not who.startswith(("http://", "https://")):
        from auralign.cli.arguments import import_from_working_folder
        from auralign.constructor import describe_function, load_function

        import_from_working_folder()
        return load_function(who, "--judge"), " ".join(describe_function(who, "--judge"))
    from auralign.adapters import Prompt
    from auralign.adapters.endpoint import Endpoint

    endpoint = Endpoint(who, name=model, max_new_tokens=JUDGE_TOKENS)
    return lambda prompt: endpoint.answer([Prompt(prompt, None)])[0].text, f"{endpoint.model} at {who}"
