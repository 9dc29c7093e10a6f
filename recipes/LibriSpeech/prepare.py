"""Stage 1: from the folder LibriSpeech to checked manifests, and the questions of the evaluation.

    python prepare.py hparams/sift.yaml --data /corpora/LibriSpeech [--splits "train-clean-100 dev-clean test-clean"]

Two kinds of tasks are asked about every test set: `asr`, to write down what was said, with natural, unusual and
format-pinned wordings; and those of `obey`, whose answer a rule can check and a transcript does not meet. Texts are shown to
the LLM in lower case: those of the release are upper case throughout, which an LLM reads as shouting.

Reads: <data>/SPEAKERS.TXT, <data>/<subset>/<reader>/<chapter>/{*.flac,*.trans.txt,*.alignment.txt}
Writes: <data_folder>/{train,valid,test}.jsonl, what was rejected beside each, train.overlap.jsonl: training clips that a test
        set holds too, test.questions.jsonl, and corpus.json: how many of each part
"""

from dataclasses import replace
from random import Random

from auralign import script
from auralign.corpora.archives import fetch, is_half_unpacked
from auralign.corpora.librispeech import MINI, PUBLISHED, read_librispeech
from auralign.prepare import (
    Source,
    listing,
    parse_splits,
    prepare,
    questions_about,
    read_options,
    recipe_parser,
    scripts,
)
from auralign.records import Utterance
from auralign.score import obey

SPLIT_OF = {"train": "train", "dev": "valid", "test": "test"}  # by how a subset's name begins
ASR = {
    "natural": (
        "Please transcribe this: {speech}",
        "Write down what was said: {speech}",
        "What did the speaker say?\n{speech}",
        "Give me a transcript of the following: {speech}",
        "{speech}\nRepeat the sentence above word for word.",
    ),
    "unseen": (
        "You take the minutes in a court room. Put this statement on record: {speech}",
        "My hearing is poor. Tell me exactly which words were spoken: {speech}",
        "{speech}\nA subtitle is needed for the line above; write it.",
        "Type out the dictation that follows. {speech}",
        "Copy these words into my notebook: {speech}",
    ),
    "format-pinned": (
        "Write down what was said, in lower case, without punctuation, and nothing else: {speech}",
        "Transcribe: {speech}\nUse lower-case letters and spaces only. Add no comment.",
        "Answer with the transcript alone: no quotes, no punctuation, no capitals. {speech}",
        "{speech}\nThe words above, all in lower case, with no full stops or commas, and not a word more:",
        "Output format: the spoken words in lower case, separated by single spaces. Input: {speech}",
    ),
}


def main(argv):
    parser = recipe_parser(__doc__)
    parser.add_argument(
        "--splits",
        default="",
        metavar="SUBSETS",
        help="subsets; train-*, dev-* and test-* are for training, validation and test, or as given: valid=dev-clean-2 "
        "(default: all that are there, or with --download all seven of LibriSpeech)",
    )
    parser.add_argument(
        "--obey",
        type=int,
        default=100,
        metavar="N",
        help="utterances of each test set that each task of obey is asked of (default: 100)",
    )
    parser.add_argument("--download", action="store_true", help="fetch missing subsets from openslr.org")
    options, recipe = read_options(argv, parser)
    there = sorted(path.name for path in options.data.glob("*-*") if path.is_dir())
    known = [*PUBLISHED, *MINI] if options.download else there
    subsets_there = [name for name in there if name.startswith(tuple(SPLIT_OF))]
    subsets = options.splits or " ".join(PUBLISHED if options.download else subsets_there)
    chosen = parse_splits(subsets, known, prefixes=SPLIT_OF)
    subsets = [name for names in chosen.values() for name in names]
    if options.download:
        if options.data.name != "LibriSpeech":
            raise ValueError(f"--data {options.data}: the archives unpack a folder LibriSpeech; name it so")
        folder = options.data.parent
        fetch([name for name in subsets if name not in there or is_half_unpacked(name, folder)], folder)
    prepare(
        recipe,
        {split: [subset(options, name) for name in names] for split, names in chosen.items()},
        Questions(options),
        options=options,
        inputs={
            "corpus": listing(options.data / "SPEAKERS.TXT", *(options.data / name for name in subsets)),
            "scripts": scripts(__file__, obey.__file__),
        },
    )


def subset(options, name):
    """A subset of the corpus, in lower case."""

    def read():
        for item in read_librispeech(options.data, name, verify=False):
            yield replace(item, text=item.text.lower()) if isinstance(item, Utterance) else item

    return Source(name, read, PUBLISHED.get(name))


class Questions:
    """What is asked about the test sets: the tasks of obey about some utterances of each, transcripts of all."""

    def __init__(self, options):
        self.num_phrasings, self.num_obey = options.phrasings, options.obey

    def __call__(self, manifest):
        for name, utterances in by_subset(manifest).items():
            for task in obey.TASKS.values():
                able = [utterance for utterance in utterances if task.can_tell(utterance.text)]
                # The same utterances for each wording, so that wordings are compared on them.
                for utterance in Random(f"{name}:{task.name}").sample(able, min(self.num_obey, len(able))):
                    yield from questions_about(
                        utterance,
                        group=f"{name}: obey",
                        task=task.name,
                        phrasings=task.phrasings[: self.num_phrasings],
                        reference=task.meaning,
                    )
            for kind, phrasings in ASR.items():
                for utterance in utterances:
                    yield from questions_about(
                        utterance,
                        group=f"{name}: asr, {kind}",
                        task="asr",
                        phrasings=phrasings[: self.num_phrasings],
                        reference=utterance.text,
                    )


def by_subset(manifest):
    """Subset to its utterances."""
    found = {}
    for utterance in manifest:
        found.setdefault(utterance.labels["subset"], []).append(utterance)
    return found


if __name__ == "__main__":
    script.run(main)
