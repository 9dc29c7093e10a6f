"""Stage 1: from the spoken corpus to checked manifests, and the questions of the evaluation.

    python prepare.py --corpus corpus/synthetic --output data/synthetic

Reads: <corpus>/labels.jsonl and the audio that it names
Writes: <output>/{train,valid,test}.jsonl, what was rejected beside each, and <output>/test.questions.jsonl
"""

import argparse
import json
from pathlib import Path
from random import Random

from auralign import __version__, script
from auralign.data.rejected import rejected_path
from auralign.records import Question, RecordError, Records, Utterance, write_records
from auralign.stage import Stage, content
from local.world import NUM_TRAINING_PHRASINGS, TASKS, reference

SPLITS = ("train", "valid", "test")
# Questions about each bare string of digits, by the group of the ledger.
NUM_SEEN, NUM_UNSEEN, NUM_NEW_PHRASINGS = 2, 3, 2


def main(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--corpus", required=True, type=Path, help="folder with labels.jsonl, as stage corpus wrote it"
    )
    parser.add_argument("--output", required=True, type=Path, help="folder for the manifests")
    options = parser.parse_args(argv)
    manifests = [options.output / f"{split}.jsonl" for split in SPLITS]
    questions = options.output / "test.questions.jsonl"
    inputs = {
        "auralign": __version__,
        "corpus": [str(options.corpus), content(options.corpus, made_by="stage 0 (corpus)")],
        "questions": [NUM_SEEN, NUM_UNSEEN, NUM_NEW_PHRASINGS],
    }
    outputs = [*manifests, *map(rejected_path, manifests), questions]
    with Stage("prepare", options.output, inputs=inputs, outputs=outputs) as stage:
        if stage.complete:
            return
        from auralign.data.manifest import write_manifest  # not for a finished stage: it reads audio

        labels = read_labels(options.corpus / "labels.jsonl")
        for split, path in zip(SPLITS, manifests, strict=True):
            chosen = [utterance for s, utterance in labels if s == split]
            print(f"{stage.name}: {write_manifest(path, chosen, audio_folder=options.corpus)}")
        seen = {"repeat"} | {
            utterance.labels["command"]
            for split, utterance in labels
            if split == "train" and utterance.labels["command"]
        }
        write_records(questions, ask(Records(manifests[-1], Utterance), seen), kind=Question)
        print(f"{stage.name}: {len(Records(questions, Question))} questions in {questions}")
        print(f"{stage.name}: tasks seen in training: {', '.join(sorted(seen))}")


def read_labels(path):
    """(split, Utterance) for each line, such as
    {"id": "a-1", "split": "test", "audio": "test/a-1.flac", "seconds": 1.2, "text": "first one two", "speaker": "f1",
     "task": "first", "digits": ["one", "two"], "attributes": {"speed": "slow"},
     "words": [["first", 0, 0.5], ["one", 0.5, 0.8], ["two", 0.8, 1.2]]}
    with the audio relative to the corpus."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            found.append(
                (
                    row["split"],
                    Utterance(
                        id=row["id"],
                        audio=row["audio"],
                        seconds=row["seconds"],
                        text=row["text"],
                        language="en",
                        speaker=row["speaker"],
                        attributes=row["attributes"],
                        words=tuple(map(tuple, row["words"])),
                        labels={"command": row["task"], "digits": row["digits"]},
                    ),
                )
            )
        except (json.JSONDecodeError, KeyError) as error:
            raise RecordError(
                f"{path}:{number}: not a line of labels ({error}); run stage 0 (corpus) again"
            ) from error
    return found


def ask(utterances, seen):
    """The questions: about a bare string of digits, tasks asked in text; about a spoken command, nothing more."""
    training, held_out = slice(NUM_TRAINING_PHRASINGS), slice(NUM_TRAINING_PHRASINGS, None)
    every = slice(None)
    groups = [
        ("seen tasks", seen, training, NUM_SEEN),
        ("unseen tasks", TASKS.keys() - seen, every, NUM_UNSEEN),
        ("unseen phrasings", seen, held_out, NUM_NEW_PHRASINGS),
    ]
    for utterance in utterances:
        words = utterance.text.split()
        if utterance.labels["command"]:
            yield question(
                utterance, "commands in the speech", utterance.labels["command"], None, reference(None, words)
            )
            continue
        yield question(utterance, "no instruction", "none", None, reference(None, words))
        for group, tasks, phrasings, number in groups:
            rng = Random(f"{utterance.id}:{group}")
            pairs = [
                (task, phrasing) for task in sorted(tasks) for phrasing in TASKS[task].phrasings[phrasings]
            ]
            for task, phrasing in rng.sample(pairs, number):
                yield question(utterance, group, task, phrasing, reference(task, words))


def question(utterance, group, task, instruction, answer):
    """One Question; its key says what is asked of which utterance."""
    phrasing = TASKS[task].phrasings.index(instruction) if instruction else 0
    return Question(
        key=f"{utterance.id}:{group.replace(' ', '_')}:{task}:{phrasing}",
        utt_id=utterance.id,
        group=group,
        task=task,
        instruction=instruction,
        reference=answer,
    )


if __name__ == "__main__":
    script.run(main)
