"""Make documents of the digits example: rounds of question and answer, of which the digits are spoken.

    python local/documents.py --data data/synthetic --output data/synthetic_documents --seed 1

A document is text of the LLM's own world, with a string of digits that an utterance of the corpus says: an instruction of a seen
task with the digits in its slot, an empty line, and the answer. Nothing is asked of the LLM, and no task that the evaluation
calls unseen occurs in it.

Reads: <data>/{train,valid,test}.jsonl and <data>/test.questions.jsonl
Writes: <output>/ with the same files; train and valid have a document for each utterance, behind the utterances.
"""

import argparse
import shutil
import sys
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parent))

import world  # noqa: E402
from auralign import script  # noqa: E402
from auralign.records import Records, Utterance, write_records  # noqa: E402
from auralign.stage import Stage, content  # noqa: E402

SPLITS = ("train", "valid")
COPIED = ("test.jsonl", "test.questions.jsonl")
SHARE_UNASKED = 0.5  # of the documents: the digits alone, and the LLM's reply to them
SEEN = ("repeat", *world.HEARD_COMMANDS[1:])


def main(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, type=Path, help="folder of stage 1")
    parser.add_argument("--output", required=True, type=Path, help="folder beside it")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    if options.output.resolve().parent != options.data.resolve().parent:
        parser.error(f"--output {options.output}: must be beside {options.data}: audio paths are relative")
    outputs = [options.output / name for name in (*(f"{split}.jsonl" for split in SPLITS), *COPIED)]
    inputs = {
        "data": content(options.data / "train.jsonl", made_by="stage 1 (prepare)"),
        "seed": options.seed,
    }
    with Stage("documents", options.output, inputs=inputs, outputs=outputs) as stage:
        if stage.complete:
            return
        for split in SPLITS:
            manifest = Records(options.data / f"{split}.jsonl", Utterance)
            documents = [document(one, Random(f"{options.seed}:{one.id}")) for one in manifest]
            write_records(options.output / f"{split}.jsonl", [*manifest, *documents], kind=Utterance)
            print(f"{stage.name}: {len(documents)} documents in {options.output / split}.jsonl")
        for name in COPIED:
            shutil.copyfile(options.data / name, options.output / name)


def document(utterance, rng):
    """A round of question and answer about the words of an utterance, which are its one voiced span."""
    words = utterance.text.split()
    command, _ = world.split_content(words)
    task = None if command or rng.random() < SHARE_UNASKED else rng.choice(SEEN)
    instruction = world.SLOT if task is None else rng.choice(world.TRAINING_PHRASINGS[task])
    before, after = instruction.split(world.SLOT)
    text = f"{before}{utterance.text}{after}\n\n{world.reference(task, words)}"
    return Utterance(
        id=f"{utterance.id}-document",
        audio="",
        seconds=0.0,
        text=text,
        language="en",
        labels={"spans": {utterance.id: [len(before), len(before) + len(utterance.text)]}},
        others=(utterance.id,),
    )


if __name__ == "__main__":
    script.run(main)
