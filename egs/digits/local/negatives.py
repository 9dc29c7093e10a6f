"""Give the utterances of the digits example others of other texts, for methods that learn what was not said.

    python local/negatives.py --data data/synthetic --output data/synthetic_negatives

Reads: <data>/{train,valid,test}.jsonl and <data>/test.questions.jsonl
Writes: <output>/ with the same files; the utterances of train and valid name eight others (`auralign build negate`).
"""

import argparse
import shutil
from pathlib import Path

from auralign import script
from auralign.builders import Negate, build

COPIED = ("test.jsonl", "test.questions.jsonl")


def main(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, type=Path, help="folder of stage 1")
    parser.add_argument("--output", required=True, type=Path, help="folder beside it")
    parser.add_argument("--number", type=int, default=8, help="of others (default: %(default)s)")
    options = parser.parse_args(argv)
    if options.output.resolve().parent != options.data.resolve().parent:
        parser.error(f"--output {options.output}: must be beside {options.data}: audio paths are relative")
    for split in ("train", "valid"):
        summary = build(
            Negate(options.number), options.data / f"{split}.jsonl", options.output / f"{split}.jsonl"
        )
        if summary is not None:
            print(f"negatives {split}: {summary}")
    for name in COPIED:
        shutil.copyfile(options.data / name, options.output / name)


if __name__ == "__main__":
    script.run(main)
