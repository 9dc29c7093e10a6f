"""Stage 1: from the spoken corpus to checked manifests, and the questions of the evaluation.

    python prepare.py --corpus corpus/full --output data/full

Each test clip is asked as it is; the right answer is what the LLM itself answers to the text. The groups are steps of a ladder:
what each holds that training lacks.

Reads: <corpus>/labels.jsonl and the audio that it names
Writes: <output>/{train,valid,test}.jsonl, what was rejected beside each, and <output>/test.questions.jsonl
"""

import argparse
import json
from pathlib import Path

from local.texts import question

from auralign import __version__, script
from auralign.data.rejected import rejected_path
from auralign.records import Question, Records, Utterance, write_records
from auralign.stage import Stage, content

SPLITS = ("train", "valid", "test")


def main(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--corpus", required=True, type=Path, help="folder with labels.jsonl, as stage 0 wrote it"
    )
    parser.add_argument("--output", required=True, type=Path, help="folder for the manifests")
    options = parser.parse_args(argv)
    manifests = [options.output / f"{split}.jsonl" for split in SPLITS]
    questions = options.output / "test.questions.jsonl"
    labels = options.corpus / "labels.jsonl"
    inputs = {
        "auralign": __version__,
        "corpus": [str(options.corpus), content(labels, made_by="stage 0 (corpus)")],
    }
    outputs = [*manifests, *map(rejected_path, manifests), questions]
    with Stage("prepare", options.output, inputs=inputs, outputs=outputs) as stage:
        if stage.complete:
            return
        from auralign.data.manifest import write_manifest  # not for a finished stage: it reads audio

        rows = [json.loads(line) for line in labels.read_text(encoding="utf-8").splitlines()]
        for split, path in zip(SPLITS, manifests, strict=True):
            chosen = (utterance(row) for row in rows if row["split"] == split)
            print(f"{stage.name}: {write_manifest(path, chosen, audio_folder=options.corpus)}")
        asked = [question(one) for one in Records(manifests[-1], Utterance)]
        write_records(questions, asked, kind=Question)
        print(f"{stage.name}: {len(asked)} questions in {questions}")


def utterance(row):
    """The Utterance of a row of labels."""
    return Utterance(
        id=row["id"],
        audio=row["audio"],
        seconds=row["seconds"],
        text=row["text"],
        language=row["language"],
        speaker=f"{row['engine']}:{row['voice']}",
        labels={"group": row["group"], "template": row["template"], "fillers": row["fillers"]},
    )


if __name__ == "__main__":
    script.run(main)
