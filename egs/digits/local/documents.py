"""Make documents of the digits example: text that goes with what an utterance of the corpus says.

    python local/documents.py --data data/synthetic --output data/synthetic_documents --seed 1
    python local/documents.py --data data/synthetic --output data/synthetic_related --form related
    python local/documents.py --data data/synthetic --output data/synthetic_random --form random

rounds    text of the LLM's own world, of which the digits are spoken: an instruction of a seen task with the digits in its slot,
          an empty line, and the answer. No task that the evaluation calls unseen occurs in it. With --rounds 3 each document
          goes on with two rounds about other utterances, each of which `share_heard` of the method lets be heard or read.
related   a string of digits that repeats the string that is heard before it
random    in train, the same strings, each after an utterance that is drawn at random; valid is that of `related`

Reads: <data>/{train,valid}.jsonl
Writes: <output>/ with the same files, the `train_folder` of a YAML: a document for each utterance, behind the utterances.
"""

import argparse
import sys
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parent))

import world  # noqa: E402
from auralign import script  # noqa: E402
from auralign.records import Records, Utterance, write_records  # noqa: E402
from auralign.stage import Stage, content  # noqa: E402

SPLITS = ("train", "valid")
SHARE_UNASKED = 0.5  # of the documents: the digits alone, and the LLM's reply to them
SEEN = ("repeat", *world.HEARD_COMMANDS[1:])


def main(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, type=Path, help="folder of stage 1")
    parser.add_argument("--output", required=True, type=Path, help="folder beside it")
    parser.add_argument("--form", choices=("rounds", "related", "random"), default="rounds")
    parser.add_argument("--rounds", type=int, default=1, help="of a document of that form (default: 1)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    if options.output.resolve().parent != options.data.resolve().parent:
        parser.error(f"--output {options.output}: must be beside {options.data}: audio paths are relative")
    if options.rounds < 1 or (options.rounds > 1 and options.form != "rounds"):
        parser.error(f"--rounds {options.rounds}: give 1 or more, and more than 1 with --form rounds alone")
    outputs = [options.output / f"{split}.jsonl" for split in SPLITS]
    data = content(options.data / "train.jsonl", made_by="stage 1 (prepare)")
    inputs = {"data": data, "form": options.form, "seed": options.seed}
    if options.rounds > 1:
        inputs["rounds"] = options.rounds
    with Stage("documents", options.output, inputs=inputs, outputs=outputs) as stage:
        if stage.complete:
            return
        for split in SPLITS:
            manifest = list(Records(options.data / f"{split}.jsonl", Utterance))
            rngs = [Random(f"{options.seed}:{one.id}") for one in manifest]
            if options.form == "rounds":
                documents = [
                    make_rounds([one, *rng.sample(manifest, options.rounds - 1)], rng)
                    for one, rng in zip(manifest, rngs, strict=True)
                ]
            else:
                is_random = options.form == "random" and split == "train"
                documents = [
                    follow(one, rng.choice(manifest) if is_random else one)
                    for one, rng in zip(manifest, rngs, strict=True)
                ]
            path = options.output / f"{split}.jsonl"
            write_records(path, [*manifest, *documents], kind=Utterance)
            print(f"{stage.name}: {len(documents)} documents in {path}")


def make_rounds(utterances, rng):
    """Rounds of question and answer, each about the words of one utterance, which are a voiced span; repeated ones come once."""
    text, spans = "", {}
    for utterance in utterances:
        if utterance.id in spans:
            continue
        words = utterance.text.split()
        command, _ = world.split_content(words)
        task = None if command or rng.random() < SHARE_UNASKED else rng.choice(SEEN)
        instruction = world.SLOT if task is None else rng.choice(world.TRAINING_PHRASINGS[task])
        before, after = instruction.split(world.SLOT)
        text += "\n\n" * bool(text) + before
        spans[utterance.id] = [len(text), len(text) + len(utterance.text)]
        text += f"{utterance.text}{after}\n\n{world.reference(task, words)}"
    return document(utterances[0].id, text, *spans, labels={"spans": spans})


def follow(utterance, before):
    """The string of an utterance as a text, which follows another utterance."""
    return document(utterance.id, utterance.text, before.id)


def document(name, text, *heard, **options):
    """The row of a document that hears utterances."""
    return Utterance(f"{name}-document", "", 0.0, text, language="en", others=heard, **options)


if __name__ == "__main__":
    script.run(main)
