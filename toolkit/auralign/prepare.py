"""Stage 1 of a recipe: its splits as checked manifests, free of what the test sets hold, and the questions of the evaluation.

    options, recipe = read_options(argv, parser)
    prepare(recipe, {"train": [Source(...)], "valid": [Source(...)], "test": [Source(...)]}, ask, options=options, ...)

A recipe's `prepare.py` says how its corpus is read and what is asked about it; the rest is here.
"""

import argparse
import hashlib
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from auralign import __version__
from auralign.data.contamination import exclude_overlap, find_overlap, overlap_path
from auralign.data.manifest import write_manifest
from auralign.data.rejected import Item, rejected_path
from auralign.files import write_json
from auralign.recipe import Recipe, RecipeError, load_recipe, parse_arguments
from auralign.records import Question, Records, Utterance, write_records
from auralign.run_folder import ALL_SPLITS as SPLITS
from auralign.run_folder import DataFolder
from auralign.stage import Stage, content

MAX_PHRASINGS = 5
NO_INPUTS = ("yaml", "download")  # options that do not change what is made of a corpus
LATER_INPUTS = ("limit_test",)  # options that earlier auraligns had not: they count if they are given


@dataclass(frozen=True)
class Source:
    """A part of a split, such as test-clean: what its reader gives. `name` becomes the label "subset" of its utterances."""

    name: str
    read: Callable[[], Iterable[Item]]
    published: int | None = None  # number of utterances of the complete part
    audio_folder: Path = Path()  # what audio is relative to, if the reader yields relative paths


def recipe_parser(doc: str) -> argparse.ArgumentParser:
    """A parser with the options that every recipe's `prepare.py` has; `doc` is the script's docstring."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("yaml", metavar="YAML", help="such as hparams/sift.yaml, which names the data folder")
    parser.add_argument("--data", required=True, type=Path, metavar="DIR", help="the corpus")
    parser.add_argument(
        "--limit",
        type=_count,
        metavar="N",
        help="only the first N utterances of each part: to try things out",
    )
    parser.add_argument(
        "--limit-test",
        type=_count,
        metavar="N",
        help="the same for the parts of the test split alone (default: as --limit)",
    )
    parser.add_argument(
        "--phrasings",
        type=_count,
        default=MAX_PHRASINGS,
        metavar="N",
        help=f"wordings of each task in the evaluation, at most {MAX_PHRASINGS} (default: all)",
    )
    parser.add_argument("--verify", action="store_true", help="read audio through, not only its headers")
    return parser


def read_options(argv: list[str], parser: argparse.ArgumentParser) -> tuple[argparse.Namespace, Recipe]:
    """The options, and the recipe with the other values of the command line.

    Raises RecipeError on an argument that neither knows, FileNotFoundError if there is no corpus.
    """
    options, rest = parser.parse_known_args(argv)
    words, overrides = parse_arguments(rest)
    if words:
        raise RecipeError(f"unexpected argument {words[0]!r}; give one YAML, and options")
    recipe = load_recipe(options.yaml, overrides)
    if options.phrasings > MAX_PHRASINGS:
        raise RecipeError(f"--phrasings {options.phrasings}: there are {MAX_PHRASINGS} of each task")
    if not options.data.is_dir() and not getattr(options, "download", False):
        raise FileNotFoundError(f"no folder {options.data}; give the corpus: --data DIR")
    return options, recipe


def prepare(
    recipe: Recipe,
    splits: dict[str, list[Source]],
    ask: Callable[[Records], Iterable[Question]],
    *,
    options: argparse.Namespace,
    inputs: dict,
    verify: bool = False,
) -> None:
    """Run stage 1: write {train,valid,test}.jsonl, test.questions.jsonl and corpus.json into the recipe's data folder.

    Training clips that share with the validation or the test manifest what `exclude_overlap` of the YAML names are left out and
    listed; what validation shares with the test is printed.

    Arguments
    ---------
    recipe : Recipe
    splits : dict of str -> list of Source
        The sources of each split of SPLITS, at least one.
    ask : callable (Records of Utterance) -> iterable of Question
        The questions about the test utterances.
    options : argparse.Namespace
        The options that `read_options` returned.
    inputs : dict
        What the outputs depend on beside the options, as JSON values, such as `listing` of the corpus and hashes of the scripts.
    verify : bool
        Read all audio, even without the option --verify. Default: False.

    Raises ValueError if a split has no source.
    """
    empty = [split for split in SPLITS if not splits.get(split)]
    if empty:
        chosen = " ".join(source.name for parts in splits.values() for source in parts)
        raise ValueError(
            f"nothing to make the {empty[0]} split of, a recipe needs {', '.join(SPLITS)}: name a part of the corpus for it, "
            f"as in {empty[0]}=NAME (--splits; chosen now: {chosen or 'none'})"
        )
    data = DataFolder(recipe.data_folder)
    manifests = {split: data.manifest(split) for split in SPLITS}
    questions = data.questions
    inputs = {
        "auralign": __version__,
        "options": {
            name: str(value)
            for name, value in sorted(vars(options).items())
            if name not in NO_INPUTS and not (name in LATER_INPUTS and value is None)
        },
        "max_rejected": recipe.max_rejected_data,
        "verify": recipe.verify_audio,
        "exclude_overlap": recipe.exclude_overlap,
        **inputs,
    }
    account = data.account
    outputs = [*manifests.values(), *map(rejected_path, manifests.values()), questions, account]
    with Stage("prepare", data.folder, inputs=inputs, outputs=outputs, restart=recipe.restart) as stage:
        if stage.complete:
            return
        limits = {split: options.limit for split in SPLITS}
        if options.limit_test is not None:
            limits["test"] = options.limit_test
        for split, path in manifests.items():
            summary = write_manifest(
                path,
                _read(splits[split], limits[split]),
                limit=recipe.max_rejected_data,
                verify=verify or options.verify or recipe.verify_audio,
            )
            print(f"{stage.name}: {summary}")
        overlap_path(manifests["train"]).unlink(missing_ok=True)  # of the manifest that was replaced
        valid, test = (Records(manifests[split], Utterance) for split in ("valid", "test"))
        train = Records(manifests["train"], Utterance)
        print(f"{stage.name}: {exclude_overlap(train, [valid, test], kinds=recipe.exclude_overlap)}")
        shared = find_overlap(valid, [test])
        print(f"{stage.name}: {shared}")
        if shared.counts["id"]:
            print(
                f"{stage.name}: warning: checkpoints are chosen by test clips; give validation a part of its own",
                file=sys.stderr,
            )
        lines = describe_parts(splits, manifests)
        write_json(account, {"options": inputs["options"], "parts": lines})
        print("\n".join(f"{stage.name}: {line}" for line in lines))
        write_records(questions, ask(test), kind=Question)
        print(f"{stage.name}: {len(Records(questions, Question))} questions in {questions}")


def describe_parts(splits: dict[str, list[Source]], manifests: dict[str, Path]) -> list[str]:
    """What the manifests hold of each part, beside what was published; it is printed, and part of stage 5's report."""
    lines = []
    for split, sources in splits.items():
        kept = Counter(utterance.labels["subset"] for utterance in Records(manifests[split], Utterance))
        for source in sources:
            share = ""
            if source.published is not None:
                whole = kept[source.name] == source.published
                share = f" of {source.published:,} published" + (
                    "" if whole or split != "test" else ": figures are not to be compared with published ones"
                )
            lines.append(f"{split}: {source.name}, {kept[source.name]:,} utterances{share}")
    return lines


def _read(sources: list[Source], limit: int | None) -> Iterator[Item]:
    """The items of all sources."""
    for source in sources:
        num_read = 0
        for item in source.read():
            if isinstance(item, Utterance):
                if num_read == limit:
                    break
                num_read += 1
                audio = "" if item.is_document else str(source.audio_folder / item.audio)
                item = replace(item, audio=audio, labels={"subset": source.name, **item.labels})
            yield item


def questions_about(
    utterance: Utterance,
    *,
    group: str,
    task: str,
    phrasings: Iterable[str | None],
    reference: str | None,
) -> Iterator[Question]:
    """A Question for each wording of a task; the key says what is asked of which utterance."""
    for number, instruction in enumerate(phrasings):
        yield Question(
            key=f"{utterance.id}:{group.replace(' ', '_')}:{task}:{number}",
            utt_id=utterance.id,
            group=group,
            task=task,
            instruction=instruction,
            reference=reference,
            phrasing=number,
        )


def listing(*paths) -> str:
    """A hash of the names, sizes and times of all files below folders: a corpus is too large to be read each time.

    Raises FileNotFoundError if a path is absent.
    """
    digest = hashlib.blake2b(digest_size=16)
    for path in paths:
        for line in _list(Path(path)):
            digest.update(json.dumps(line, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _list(path: Path) -> Iterator[list]:
    if not path.exists():
        raise FileNotFoundError(f"no {path}; is --data the right folder?")
    if path.is_file():
        yield _describe(path.name, path.stat())
        return
    for folder, folders, _ in os.walk(path, followlinks=True):
        folders.sort()
        yield [os.path.relpath(folder, path)]
        with os.scandir(folder) as entries:
            yield from sorted(_describe(entry.name, entry.stat()) for entry in entries if entry.is_file())


def _describe(name: str, stat: os.stat_result) -> list:
    return [name, stat.st_size, stat.st_mtime_ns]


def scripts(*paths) -> list[str]:
    """Hashes of a recipe's own files: what they ask decides what is made."""
    return [content(path, made_by="git checkout") for path in paths]


def parse_splits(text: str, parts: Iterable[str], *, prefixes: dict[str, str]) -> dict[str, list[str]]:
    """The parts of each split, of words such as `train-clean-100` or `valid=dev-clean-2`.

    A part belongs to the split whose prefix its name has, or to the split written before it (`valid=dev-2`).

    Arguments
    ---------
    text : str
        Words, separated by spaces or commas.
    parts : iterable of str
        The parts that the corpus has.
    prefixes : dict of str -> str
        From the prefix of a part's name to its split.

    Raises ValueError on an unknown part or split.

    >>> parse_splits("train-5 test=dev-2", ["train-5", "dev-2"], prefixes={"train": "train", "dev": "valid"})
    {'train': ['train-5'], 'valid': [], 'test': ['dev-2']}
    """
    found, parts = {split: [] for split in SPLITS}, list(parts)
    for word in text.replace(",", " ").split():
        split, equals, name = word.partition("=")
        name = name if equals else split
        if name not in parts:
            raise ValueError(f"--splits: no part {name!r}; there are {', '.join(parts) or 'none'}")
        if not equals:
            split = next((split for prefix, split in prefixes.items() if name.startswith(prefix)), "")
        if split not in found:
            raise ValueError(
                f"--splits: {word!r}: say what it is for: train={name}, valid={name} or test={name}"
            )
        found[split].append(name)
    return found


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


_count.__name__ = "number of at least 1"  # in argparse's message
