"""Stage 1: from CoVoST 2's tables and Common Voice 4 to checked manifests, and the questions of the evaluation.

    python prepare.py hparams/sift.yaml --data /corpora/CoVoST-2 [--pairs "en_de en_zh-CN"] [--asr]

Of each test clip the translation is asked, once for each pair that has one, and with --asr also what was said. A clip of
several pairs is one utterance: trained on once, its translations are the labels `translation_de`, `translation_zh-CN`, ...
They are references of the questions; only a method that says so makes targets of them.

Texts are as the release has them, with case and punctuation. All audio is read through, as an mp3 does not tell that it was
cut.

Reads: covost_v2.<source>_<target>.tsv in <data>, <data>/covost or <data>/<source>; validated.tsv and clips/ of Common Voice 4 in
       <data>/<source>, <data>/cv4/<source> or <data>/cv-corpus-*/<source>
Writes: <data_folder>/{train,valid,test}.jsonl, what was rejected beside each, train.overlap.jsonl: training clips that a test
        set holds too, test.questions.jsonl, and counts.json: how many clips there are, and how many were published
"""

import re
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from auralign import script
from auralign.corpora import covost
from auralign.corpora.archives import ARCHIVES, fetch, is_half_unpacked
from auralign.corpora.covost import read_covost
from auralign.data.rejected import Note, Rejection
from auralign.files import write_json
from auralign.prepare import Source, listing, prepare, questions_about, read_options, recipe_parser, scripts
from auralign.records import Records, Utterance
from auralign.text.language import main_code

SPLITS = {"train": "train", "valid": "dev", "test": "test"}  # ours to CoVoST's
PAIRS = [name.removeprefix("covost_v2.") for name in ARCHIVES if name.startswith("covost_v2.")]
COLUMNS = {
    "client_id",
    "path",
    "sentence",
    "up_votes",
    "down_votes",
    "age",
    "gender",
    "accent",
}  # of Common Voice 4
COMMON_VOICE = (
    "Common Voice is CC0, and its release 4.0 (2019-12-10) must be got by hand: https://commonvoice.mozilla.org/datasets, or a "
    "copy of somebody who has it; later releases lack some of its clips"
)
LANGUAGES = {
    "ar": "Arabic",
    "ca": "Catalan",
    "cy": "Welsh",
    "de": "German",
    "en": "English",
    "et": "Estonian",
    "fa": "Persian",
    "id": "Indonesian",
    "ja": "Japanese",
    "lv": "Latvian",
    "mn": "Mongolian",
    "sl": "Slovenian",
    "sv-SE": "Swedish",
    "ta": "Tamil",
    "tr": "Turkish",
    "zh-CN": "Simplified Chinese",
}
TRANSLATE = (
    "Translate into {language}: {{speech}}",
    "{{speech}}\nSay this in {language}. Give the translation alone.",
    "What is the following in {language}? Write the translation and nothing else.\n{{speech}}",
    "Answer with the {language} translation of these words, without the original and without a comment: {{speech}}",
    "You are an interpreter. A speaker says: {{speech}}\nPut it into {language}; your words are read out as they stand.",
)
ASR = (
    "Write down what was said, with capitals and punctuation, and nothing else: {speech}",
    "Transcribe: {speech}\nKeep to the language spoken, with full stops, commas and capitals. Add no comment.",
    "Answer with the transcript alone, cased and punctuated, in the language of the speaker. {speech}",
    "{speech}\nThe words above, in the same language, as they would be printed, and not a word more:",
    "Output format: the spoken sentence, untranslated, with its punctuation. Input: {speech}",
)


@dataclass(frozen=True)
class Pair:
    """A pair of languages, such as en_zh-CN."""

    name: str

    @property
    def source(self) -> str:
        return self.name.partition("_")[0]

    @property
    def target(self) -> str:
        return self.name.partition("_")[2]

    @property
    def label(self) -> str:
        """The label that holds its translation."""
        return f"translation_{self.target}"


@dataclass
class Found:
    """A split of a pair, in clips: as published (None: not known), listed in CoVoST's table, of those not in validated.tsv and
    without a file, and left in the manifest."""

    published: int | None
    listed: int
    not_in_validated: int = 0
    without_file: int = 0
    kept: int = 0


def main(argv):
    parser = recipe_parser(__doc__)
    parser.add_argument(
        "--pairs",
        default="en_de",
        metavar="PAIRS",
        help="pairs of one source language, such as 'en_de en_ja' (default: en_de)",
    )
    parser.add_argument("--asr", action="store_true", help="ask for transcripts of the test clips too")
    parser.add_argument("--download", action="store_true", help="fetch missing tables of CoVoST; no audio")
    options, recipe = read_options(argv, parser)
    pairs = parse_pairs(options.pairs)
    source = pairs[0].source
    check_source(recipe, source, options.yaml)
    if options.download:
        download(pairs, options.data)
    folder = find_common_voice(options.data, source)
    tables = {pair: find_table(options.data, pair) for pair in pairs}
    counts = {pair.name: {} for pair in pairs}

    def part(split):
        return Source(source, lambda: read_clips(tables, folder, split, counts))

    prepare(
        recipe,
        {split: [part(split)] for split in SPLITS},
        Questions(pairs, options, Path(recipe.data_folder), counts, folder),
        options=options,
        inputs={
            "corpus": listing(*tables.values(), folder / "validated.tsv", folder / "clips"),
            "scripts": scripts(__file__, covost.__file__),
        },
        verify=True,
    )


def parse_pairs(text):
    """The pairs of one source language that are named, apart by spaces or commas."""
    names = list(dict.fromkeys(text.replace(",", " ").split()))
    for name in names:
        if name not in PAIRS:
            raise ValueError(f"--pairs: no pair {name!r}; CoVoST 2 has {', '.join(PAIRS)}")
    if not names:
        raise ValueError(f"--pairs names none; CoVoST 2 has {', '.join(PAIRS)}")
    pairs = [Pair(name) for name in names]
    sources = list(dict.fromkeys(pair.source for pair in pairs))
    if len(sources) > 1:
        raise ValueError(
            f"--pairs: {' and '.join(sources)} are spoken; the cascade's recognizer writes one language, so give pairs of one "
            "source in a run"
        )
    return pairs


def check_source(recipe, source, yaml):
    """Refuse speech in another language than the recipe's recognizer writes."""
    given = recipe.own.get("source")
    if given is not None and main_code(given) != main_code(source):
        raise ValueError(
            f"{yaml}: source is {given!r}, but the pairs are spoken in {source!r}; add --source {main_code(source)} in all stages"
        )


def download(pairs, data):
    """Fetch the tables that are not there."""
    missing = [
        pair
        for pair in pairs
        if not any(path.is_file() for path in table_paths(data, pair))
        or is_half_unpacked(f"covost_v2.{pair.name}", data / "covost")
    ]
    if missing:
        (data / "covost").mkdir(parents=True, exist_ok=True)
        fetch([f"covost_v2.{pair.name}" for pair in missing], data / "covost")
    print(COMMON_VOICE, flush=True)


def table_paths(data, pair):
    name = f"covost_v2.{pair.name}.tsv"
    return [data / name, data / "covost" / name, data / pair.source / name, data / "cv4" / pair.source / name]


def find_table(data, pair):
    paths = table_paths(data, pair)
    found = next((path for path in paths if path.is_file()), None)
    if found is None:
        folders = ", ".join(str(path.parent) for path in paths)
        raise FileNotFoundError(
            f"no covost_v2.{pair.name}.tsv in {folders}; put it into one, or give --download"
        )
    return found


def find_common_voice(data, source):
    """The folder of a language in Common Voice."""
    folders = [data / source, data / "cv4" / source, *sorted(data.glob(f"cv-corpus-*/{source}"))]
    found = next((folder for folder in folders if (folder / "validated.tsv").is_file()), None)
    if found is None:
        raise FileNotFoundError(
            f"no validated.tsv in {', '.join(map(str, folders))}; put Common Voice 4's {source!r} there, with clips/ beside it. "
            + COMMON_VOICE
        )
    return found


def read_clips(tables, folder, split, counts):
    """The clips of a split, each once, with the translations of all pairs that have one; fills `counts`.

    What is wrong with a row of one pair leaves the clip out only if no other pair has it; it is reported in either case.
    """
    utterances, rejections, notes = {}, {}, Counter()
    kept = {pair: set() for pair in tables}
    for pair, table in tables.items():
        items, numbers = read_covost(table, folder, SPLITS[split])
        found = Found(numbers.published, numbers.listed)
        counts[pair.name][split] = found
        for item in items:
            if isinstance(item, Utterance):
                before = utterances[item.id].labels if item.id in utterances else {}
                labels = {**before, pair.label: item.labels["translation"]}
                utterances[item.id] = replace(item, labels=labels)
                kept[pair].add(item.id)
            elif isinstance(item, Rejection):
                found.not_in_validated += item.reason == "not in validated.tsv"
                found.without_file += item.reason == "no such file"
                rejections[item.id, item.reason, pair] = item
            else:
                notes[item.text if len(tables) == 1 else f"{item.text} ({pair.name})"] += item.count
    doubt = doubt_release(folder, {name: {split: splits[split]} for name, splits in counts.items()})
    if doubt:  # before too many rejected clips end the stage
        print(f"prepare: {SPLITS[split]}: {doubt}", flush=True)
    listed = {}
    for (identity, reason, pair), item in rejections.items():
        if identity in utterances and identity not in kept[pair]:
            notes[f"clips without a translation of {pair.name} ({reason})"] += 1
        else:
            listed.setdefault((identity, reason), item)
    yield from (Note(text, count) for text, count in notes.items())
    yield from utterances.values()  # first: what --limit leaves out has no faults that count
    yield from listed.values()


class Questions:
    """What is asked about the test clips. Counts what the manifests hold before it asks, and says what is not as published."""

    def __init__(self, pairs, options, folder, counts, common_voice):
        self.pairs, self.folder, self.counts, self.common_voice = pairs, folder, counts, common_voice
        self.num_phrasings, self.asr = options.phrasings, options.asr

    def __call__(self, manifest):
        self.count()
        for pair in self.pairs:
            language = LANGUAGES[pair.target]
            for utterance in manifest:
                if pair.label in utterance.labels:
                    yield from self.ask(
                        utterance,
                        group=pair.name,
                        task="translate",
                        phrasings=[text.format(language=language) for text in TRANSLATE],
                        reference=utterance.labels[pair.label],
                    )
        for utterance in manifest if self.asr else ():
            group = f"{self.pairs[0].source}: transcripts"
            yield from self.ask(utterance, group=group, task="asr", phrasings=ASR, reference=utterance.text)

    def ask(self, utterance, *, phrasings, **what):
        return questions_about(utterance, phrasings=phrasings[: self.num_phrasings], **what)

    def count(self):
        """Write counts.json, and print it."""
        for split in SPLITS:
            labels = Counter()
            for utterance in Records(self.folder / f"{split}.jsonl", Utterance):
                labels.update(utterance.labels.keys())
            for pair in self.pairs:
                self.counts[pair.name][split].kept = labels[pair.label]
        for name, splits in self.counts.items():
            for split, found in splits.items():
                print(f"prepare: {describe(f'{name} {split}', found)}")
        doubt = doubt_release(self.common_voice, self.counts)
        if not doubt:
            print(f"prepare: {self.common_voice} looks like Common Voice 4.0")
        write_json(
            self.folder / "counts.json",
            {
                "common_voice": doubt,
                "pairs": {
                    name: {split: asdict(found) for split, found in splits.items()}
                    for name, splits in self.counts.items()
                },
            },
        )


def describe(name, found):
    published = "unknown how many" if found.published is None else f"{found.published:,}"
    doubtful = ", a number that is not verified" if name.endswith("train") else ""
    return (
        f"{name}: {found.kept:,} clips ({published} published{doubtful}; {found.listed:,} listed, {found.not_in_validated:,} "
        f"of them not in validated.tsv, {found.without_file:,} without a file)"
    )


def doubt_release(folder, counts):
    """Why a folder is not Common Voice 4.0, or not all of it, in a line; None if nothing speaks against it."""
    with open(folder / "validated.tsv", encoding="utf-8-sig") as file:
        others = [name for name in re.split(r"[\t\r\n]+", file.readline()) if name and name not in COLUMNS]
    splits = [found for splits in counts.values() for found in splits.values()]
    listed = sum(found.listed for found in splits)  # of all pairs, which share their clips
    absent = sum(found.not_in_validated for found in splits)
    missing = sum(found.without_file for found in splits)
    reasons = [
        others and f"validated.tsv has the columns {', '.join(others)}, which 4.0 has not",
        absent and f"{absent:,} of {listed:,} rows listed are not in validated.tsv",
        missing and f"{missing:,} of {listed:,} rows listed have no clip",
    ]
    why = "; ".join(reason for reason in reasons if reason)
    return f"{folder} is not Common Voice 4.0, or not all of it: {why}" if why else None


if __name__ == "__main__":
    script.run(main)
