"""Stage 1: from the folder of MyCorpus to checked manifests, and the questions of the evaluation.

    python prepare.py hparams/sift.yaml --data /corpora/MyCorpus [--splits "train valid test"]

Reads: <data>/<part>.tsv, with a header: audio (path below <data>), text, and, optionally, id, speaker, start, seconds
Writes: <data_folder>/{train,valid,test}.jsonl, what was rejected beside each, train.overlap.jsonl: training clips that a test
        set holds too, test.questions.jsonl, and corpus.json: how many of each part
"""

from functools import partial

from auralign import script
from auralign.data.sources import Columns, read_source
from auralign.prepare import (
    SPLITS,
    Source,
    listing,
    parse_splits,
    prepare,
    questions_about,
    read_options,
    recipe_parser,
    scripts,
)


# EDIT 1: how the corpus is read. Any reader will do that yields Utterances, and Rejections of what it leaves out; further columns
# of a table are kept with Columns(labels={"translation": "column"}), and a table of another form is named another way.
def read(data, part):
    """The utterances of a part of the corpus."""
    return read_source(data / f"{part}.tsv", columns=Columns())


# EDIT 2: what is asked about the test utterances, each task in several wordings, and what the right answer is.
TASKS = {
    "asr": (
        "Write down what was said: {speech}",
        "Please transcribe this: {speech}",
        "What did the speaker say?\n{speech}",
        "My hearing is poor. Tell me exactly which words were spoken: {speech}",
        "{speech}\nRepeat the sentence above word for word.",
    ),
}


def answer(utterance, task):
    """The right answer: here what was said; else a label, such as utterance.labels["translation"]."""
    return utterance.text


def main(argv):
    parser = recipe_parser(__doc__)
    parser.add_argument("--splits", default=" ".join(SPLITS), metavar="PARTS", help="default: %(default)s")
    options, hparams = read_options(argv, parser)
    there = sorted(path.stem for path in options.data.glob("*.tsv"))
    parts = parse_splits(options.splits, there, prefixes={split: split for split in SPLITS})
    prepare(
        hparams,
        {
            split: [
                Source(name, partial(read, options.data, name), audio_folder=options.data) for name in names
            ]
            for split, names in parts.items()
        },
        partial(questions, num_phrasings=options.phrasings),
        options=options,
        inputs={"corpus": listing(options.data), "scripts": scripts(__file__)},
    )


def questions(manifest, num_phrasings):
    """Of every task about every test utterance."""
    for utterance in manifest:
        for task, phrasings in TASKS.items():
            yield from questions_about(
                utterance,
                group=utterance.labels["subset"],
                task=task,
                phrasings=phrasings[:num_phrasings],
                reference=answer(utterance, task),
            )


if __name__ == "__main__":
    script.run(main)
