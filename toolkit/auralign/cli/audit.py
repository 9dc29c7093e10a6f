"""`auralign audit`: what a set of targets will teach, before a connector is trained with it."""

import argparse
import json
import sys

from auralign.cli.arguments import Commands, add_trust, parse_pairs, trust_of

DESCRIPTION = """\
Measure what a set of targets will teach a connector, before it is trained: how far the targets are from what the LLM would answer
itself (form gap), whether they conflict with their instructions, whether they depend on what was said, what they mention, and
whether they stop too early, loop, refuse, repeat each other or hold text of a test set. TARGETS is a run's folder, a file of
targets that stage 2 wrote, or a JSONL, CSV, TSV or parquet of targets that were written elsewhere. The estimated cost is printed
before the LLM is loaded. The exit code is 1 if a measure is beyond its limit.

`auralign audit data MANIFEST` tables what a manifest is made of instead: hours, utterances and speakers by source, year, licence
and quality, what it shares with test sets, and what it holds twice.
"""


def add(commands: Commands) -> None:
    """Add the parser of `auralign audit`."""
    parser = commands.add_parser(
        "audit",
        help="measure what targets will teach, before training",
        description=DESCRIPTION,
        epilog="example: auralign audit targets.jsonl --llm Qwen/Qwen2.5-7B-Instruct --column target=answer; "
        "docs/audit.md defines every measure",
    )
    parser.add_argument(
        "targets", metavar="TARGETS", help='run folder, its YAML, or a file of targets; or the word "data"'
    )
    parser.add_argument("data", nargs="*", metavar="MANIFEST", help="of audit data: the manifests")
    parser.add_argument(
        "--by",
        metavar="LABEL",
        action="append",
        default=[],
        help="of audit data: table by this label; A,B by both together; several times for several (default: source, year, "
        "licence, quality and the recipe's subset, of those that there are)",
    )
    parser.add_argument(
        "--llm", metavar="MODEL", help="the LLM's folder or hub id (default: that of the run)"
    )
    parser.add_argument(
        "--manifest", metavar="FILE", help="the utterances of the targets (default: those of the run)"
    )
    parser.add_argument(
        "--test",
        metavar="MANIFEST",
        action="append",
        default=[],
        help="a test set, whose sentences must not be in the targets; several times for several (default: that of the run)",
    )
    parser.add_argument(
        "--column",
        metavar="FIELD=COLUMN",
        action="append",
        default=[],
        help="of foreign targets: the column of the target, text, instruction, id, language or finish_reason, if it has not one "
        "of the usual names; a.b.0 is a nested one",
    )
    parser.add_argument(
        "--attribute",
        metavar="NAME=COLUMN",
        action="append",
        default=[],
        help="of foreign targets: the column of an attribute, such as emotion",
    )
    parser.add_argument(
        "--form", help="of foreign targets: jsonl, csv, tsv or parquet (default: found from the file's name)"
    )
    parser.add_argument(
        "--system-prompt",
        metavar="TEXT",
        help='of foreign targets: the system prompt, "none" for none (default: that of the chat template)',
    )
    parser.add_argument(
        "--drawn",
        action="store_true",
        help="of foreign targets: they were drawn at a temperature, so that they need not be the LLM's likeliest answers",
    )
    parser.add_argument(
        "--sample",
        type=int,
        default=1000,
        metavar="N",
        help="targets that the LLM reads, drawn at random (default: %(default)s); measures of texts are of all",
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="of the sample and the exchanged words (default: 1)"
    )
    parser.add_argument(
        "--limit",
        metavar="MEASURE=NUMBER",
        action="append",
        default=[],
        help="another limit for a measure, or MEASURE=none; several times for several",
    )
    parser.add_argument(
        "--output", metavar="DIR", help="folder of the page (default: TARGETS without its ending, and .audit)"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--cost-only", action="store_true", help="print the estimated cost, and stop")
    parser.add_argument("--device", default="cpu", help="cpu or cuda:N (default: cpu)")
    parser.add_argument("--dtype", default="float32", help="float32, bfloat16 or float16 (default: float32)")
    parser.add_argument(
        "--trust-remote-code", action="store_true", help="run Python code that came with the LLM's folder"
    )
    add_trust(parser)
    parser.set_defaults(do=do)


def do(options: argparse.Namespace) -> int:
    """Write the page and print the result; returns 1 if a measure is beyond its limit."""
    from pathlib import Path

    if options.data or options.by:
        return _audit_data(options)
    from auralign.audit import audit
    from auralign.audit.measures import parse_limits
    from auralign.audit.page import format_text, write_audit
    from auralign.layout import DEFAULT

    system = {None: DEFAULT, "none": None}.get(options.system_prompt, options.system_prompt)
    try:
        found = audit(
            options.targets,
            llm=options.llm,
            manifest=options.manifest,
            tests=options.test,
            form=options.form,
            columns=parse_pairs(options.column, "--column"),
            attributes=parse_pairs(options.attribute, "--attribute"),
            system=system,
            drawn=options.drawn,
            sample=options.sample,
            seed=options.seed,
            limits=parse_limits(options.limit),
            device=options.device,
            dtype=options.dtype,
            trust_remote_code=options.trust_remote_code,
            overrides=trust_of(options),
            tell=_tell_and_stop if options.cost_only else None,
        )
    except _CostTold:
        return 0
    targets = Path(found.facts["targets"])
    folder = Path(options.output) if options.output else targets.with_name(f"{targets.stem}.audit")
    write_audit(found, folder)
    print(json.dumps(found.to_dict(), ensure_ascii=False) if options.json else format_text(found))
    print(f"audit: the page is {folder / 'audit.html'}", file=sys.stderr)
    return 1 if found.failed else 0


def _audit_data(options: argparse.Namespace) -> int:
    """Print what manifests are made of."""
    from auralign.audit.data import audit_data

    if options.targets != "data" or not options.data:
        raise ValueError(
            f"audit {' '.join([options.targets, *options.data])}: give one TARGETS, or audit data MANIFEST"
        )
    for path in options.data:
        found = audit_data(path, tests=options.test, by=options.by)
        print(json.dumps(found.to_dict(), ensure_ascii=False) if options.json else found.to_text())
    return 0


class _CostTold(Exception):
    """The cost was printed, and nothing else was asked for."""


def _tell_and_stop(cost: object) -> None:
    print(f"audit: {cost}")
    raise _CostTold
